package storetest

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// Start is the time at which the clocks of opened stores stand.
func Start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC) }

// Sealer makes a data key for a test.
func Sealer(t testing.TB) *seal.Keyring {
	t.Helper()
	k, err := seal.Open(filepath.Join(t.TempDir(), "data.key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// SQLite gives a migrated store in a folder of the test, with a fixed clock.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), Sealer: Sealer(t), Clock: service.NewFixedClock(Start())})
	return ready(t, s, err)
}

// PostgresStore gives a migrated store in a database of the test, with a fixed
// clock; see Postgres for when the test is skipped.
func PostgresStore(t testing.TB) *store.Store {
	t.Helper()
	url := migratedPostgres(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Sealer: Sealer(t), Clock: service.NewFixedClock(Start()), MaxConns: 3})
	return ready(t, s, err)
}

func ready(t testing.TB, s *store.Store, err error) *store.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
