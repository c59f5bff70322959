package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, sealer store.Sealer) *store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Sealer: sealer, Clock: service.NewFixedClock(storetest.Start())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.SQLite(t) })
}

func TestNothingSealedStandsInTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, storetest.Sealer(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Sealed(t, s, func() string {
		var all strings.Builder
		for _, f := range files(t, dir) {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(raw)
		}
		return all.String()
	})
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(found) < 4 {
		t.Fatalf("files %v, %v", found, err)
	}
	return found
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder with ? and % in its name", "data")
	s := open(t, dir, storetest.Sealer(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files(t, dir), dir) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", filepath.Base(f), info.Mode().Perm())
		}
	}
}

func TestFindingsOfAnEarlierSchemaAreSearched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, storetest.Sealer(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "findings.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	storetest.Unsearched(t, s, func(statement string) {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTwoProcessesMayStartTogether(t *testing.T) {
	t.Parallel()
	dir, sealer := t.TempDir(), storetest.Sealer(t)
	var wg sync.WaitGroup
	for range 4 {
		s := open(t, dir, sealer)
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("migrate: %v", err)
			}
			if err := s.AppendInbox(t.Context(), []store.InboxItem{{Finding: []byte(`{}`)}}); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	if n, err := open(t, dir, sealer).InboxDepth(t.Context()); n != 4 || err != nil {
		t.Errorf("depth %d, %v; want 4", n, err)
	}
}

func TestWhatWasCommittedIsThereAfterReopening(t *testing.T) {
	t.Parallel()
	dir, sealer := t.TempDir(), storetest.Sealer(t)
	s := open(t, dir, sealer)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.PutKey(t.Context(), store.Key{AccessKeyID: "PK", Secret: "s"}, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	k, err := open(t, dir, sealer).Key(t.Context(), "PK")
	if err != nil || k.Secret.Reveal() != "s" {
		t.Errorf("key %v, %v", k, err)
	}
	// Another data key opens nothing, and says what to do.
	_, err = open(t, dir, storetest.Sealer(t)).Key(t.Context(), "PK")
	if fault.HintOf(err) == "" {
		t.Errorf("error %v has no hint", err)
	}
}

func TestTheEngineHasAPoolOfItsOwn(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	tx, err := s.ExecutionDB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Reading while the engine is in the middle of a transaction must not wait.
	if _, _, err := s.StopSwitch(t.Context()); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()}); err == nil {
		t.Error("opened without a sealer")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{Dir: file, Sealer: storetest.Sealer(t)})
	if fault.HintOf(err) == "" {
		t.Errorf("error %v has no hint", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "findings.db"), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir, Sealer: storetest.Sealer(t)}); fault.HintOf(err) == "" {
		t.Errorf("error %v has no hint", err)
	}
}
