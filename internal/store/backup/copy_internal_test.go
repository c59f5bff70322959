package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/store/storetest"
)

// ends are the two kinds of database, each empty and of the current schema.
func ends() map[string]func(t *testing.T) Target {
	return map[string]func(t *testing.T) Target{
		sqliteName:   func(t *testing.T) Target { return Target{Dir: t.TempDir()} },
		postgresName: func(t *testing.T) Target { return Target{Dir: t.TempDir(), URL: storetest.Postgres(t)} },
	}
}

func open(t *testing.T, target Target, sealer store.Sealer) *store.Store {
	t.Helper()
	var s *store.Store
	var err error
	clock := service.NewFixedClock(storetest.Start())
	if target.URL != "" {
		s, err = postgres.Open(t.Context(), postgres.Config{URL: target.URL, Sealer: sealer, Clock: clock, MaxConns: 3})
	} else {
		s, err = sqlite.Open(t.Context(), sqlite.Config{Dir: target.Dir, Sealer: sealer, Clock: clock})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// noise puts n rows of values of every kind into every table of the target, so that a
// table which comes with a later migration is copied too or fails here.
func noise(t *testing.T, target Target, n int, r *rand.Rand) {
	t.Helper()
	for _, f := range files() {
		var db *sql.DB
		var err error
		if target.URL != "" {
			db, err = postgres.Pool(target.URL, postgres.Schema(f, ""), 2)
		} else {
			db, err = sqlite.OpenFile(filepath.Join(target.Dir, string(f)+".db"), "immediate", 1, "foreign_keys(0)", "busy_timeout(5000)", "synchronous(OFF)")
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]string{}
		query := "SELECT m.name || '.' || c.name, lower(c.type) FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
		if target.URL != "" {
			query = "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema()"
		}
		if err := each(t.Context(), db, query, 2, nil, func(row []any) error {
			kinds[fmt.Sprint(row[0])] = fmt.Sprint(row[1])
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		tables, err := catalogue(t.Context(), target.dialect(), db, f, postgres.Schema(f, ""))
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			columns := slices.DeleteFunc(slices.Clone(table.Columns), func(c string) bool { return table.borrows && c == "account" })
			var marks []string
			for i := range columns {
				marks = append(marks, fmt.Sprintf("$%d", i+1))
			}
			overriding := ""
			if target.URL != "" {
				overriding = " OVERRIDING SYSTEM VALUE"
			}
			statement := "INSERT INTO " + quoted(table.Name) + " (" + strings.Join(columns, ", ") + ")" + overriding + " VALUES (" + strings.Join(marks, ", ") + ") ON CONFLICT DO NOTHING"
			for i := range n {
				var values []any
				for _, c := range columns {
					values = append(values, value(r, table.Name, c, kinds[table.Name+"."+c], int64(i+2)))
				}
				if _, err := db.ExecContext(t.Context(), statement, values...); err != nil {
					t.Fatalf("%s: %v", table.place(), err)
				}
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func value(r *rand.Rand, table, column, kind string, i int64) any {
	switch {
	case column == "rid":
		return i
	case column == "account" && strings.HasPrefix(table, "finding"):
		return fmt.Sprintf("%012d", i%7) // the same in all tables of a finding
	case kind == "integer" || kind == "bigint":
		return []int64{0, 1, i, -i, r.Int64(), -r.Int64()}[r.IntN(6)] + i<<20
	case kind == "text":
		return []string{"", "a", "naïve 世界 \t\n\"'", strings.Repeat("x", r.IntN(3000)), "A"}[r.IntN(5)] + fmt.Sprint(i)
	case kind == "blob" || kind == "bytea":
		b := make([]byte, r.IntN(2000))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		return b
	}
	panic("a column of kind " + kind + ": teach rows about it")
}

// digests gives counts and sums of all tables.
func digests(t *testing.T, d *Database, but ...string) map[string]string {
	t.Helper()
	tables, err := d.Tables(t.Context(), but...)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, table := range tables {
		n, sum, err := d.Digest(t.Context(), table, func() {})
		if err != nil {
			t.Fatal(err)
		}
		all[table.place()] = fmt.Sprint(n, " ", sum)
	}
	return all
}

func current(t *testing.T, target Target) *Database {
	t.Helper()
	d, err := target.Current(t.Context())
	if err != nil || d == nil {
		t.Fatalf("%v %v", d, err)
	}
	t.Cleanup(func() { _ = d.Close() }) // closed before, or only read
	return d
}

// alike requires the same rows in all tables.
func alike(t *testing.T, want, got map[string]string) {
	t.Helper()
	for place := range want {
		if want[place] != got[place] {
			t.Errorf("%s: %s, want %s", place, got[place], want[place])
		}
	}
	if len(want) != len(got) || len(want) < 30 {
		t.Errorf("%d tables, want %d", len(got), len(want))
	}
}

// TestEveryTableSurvives: a copy by way of an archive, from each kind of database to each.
func TestEveryTableSurvives(t *testing.T) {
	t.Parallel()
	for from, source := range ends() {
		for to, target := range ends() {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				a, b := source(t), target(t)
				sealer := storetest.Sealer(t)
				open(t, a, sealer)
				noise(t, a, 40, rand.New(rand.NewPCG(1, 2))) //nolint:gosec // repeatable
				path := filepath.Join(t.TempDir(), "x.backup")
				src := current(t, a)
				want := digests(t, src, "node", "seen_signature", "person_session", "sign_in_try")
				counters, err := src.Counters(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				m, err := Write(t.Context(), src, Order{Path: path, Program: "test", Now: storetest.Start(), Sealer: sealer})
				if err != nil {
					t.Fatal(err)
				}
				archive, err := Open(path, func([]byte) (Sealer, error) { return sealer, nil })
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = archive.Close() }()
				if err := archive.Verify(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				c, err := b.begin(t.Context(), m.Schema)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(c.fill(t.Context(), archive, nil), c.close(), b.replace(context.Background(), storetest.Start(), nil)); err != nil {
					t.Fatal(err)
				}
				dst := current(t, b)
				got := digests(t, dst, "node", "seen_signature", "person_session", "sign_in_try")
				alike(t, want, got)
				after, err := dst.Counters(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for name, n := range counters {
					if m, ok := after[name]; ok && m < n || !ok && name != "findings/finding_rid" {
						t.Errorf("counter %s is %d, was %d", name, m, n)
					}
				}
				if err := dst.Close(); err != nil {
					t.Fatal(err)
				}
				open(t, b, sealer) // and the program takes it
			})
		}
	}
}

// TestMoveGoesOn ends a move after each part, and goes on.
func TestMoveGoesOn(t *testing.T) {
	t.Parallel()
	from := Target{Dir: t.TempDir()}
	to := Target{Dir: from.Dir, URL: storetest.Postgres(t)}
	sealer := storetest.Sealer(t)
	open(t, from, sealer)
	noise(t, from, 60, rand.New(rand.NewPCG(3, 4))) //nolint:gosec // repeatable
	want := digests(t, current(t, from))
	settings := Settings{Sealer: sealer, Clock: service.NewFixedClock(storetest.Start()), Actor: "test"}
	var out Moved
	var err error
	ended := 0
	for limit := int64(100); ; limit += 400 {
		ctx, cancel := context.WithCancel(t.Context())
		settings.Progress = func(_ string, done, _ int64) {
			if done > limit {
				cancel()
			}
		}
		out, err = Move(ctx, from.Dir, to, settings, nil)
		cancel()
		if err == nil {
			break
		}
		if ended++; ended > 50 {
			t.Fatal(err)
		}
	}
	if ended < 3 || out.Copied >= out.Rows {
		t.Errorf("it was ended %d times and copied %d of %d rows last", ended, out.Copied, out.Rows)
	}
	got := digests(t, current(t, to))
	delete(want, "execution/audit_outbox") // one more: of the move
	delete(got, "execution/audit_outbox")
	alike(t, want, got)
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Dir: from.Dir, Sealer: sealer}); err == nil || !strings.Contains(err.Error(), "moved to PostgreSQL") {
		t.Errorf("the old files open: %v", err)
	}
	if err := to.Empty(t.Context(), "hint"); err == nil {
		t.Error("a second move is let through")
	}
}

// TestAnEmptyDatabaseIsEmpty: rows that a migration makes are nobody's data.
func TestAnEmptyDatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	for name, end := range ends() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := end(t)
			s := open(t, target, storetest.Sealer(t))
			if err := target.Empty(t.Context(), "hint"); err != nil {
				t.Error(err)
			}
			if err := s.AppendInbox(t.Context(), []store.InboxItem{{Source: "s", Finding: []byte("{}")}}); err != nil {
				t.Fatal(err)
			}
			if err := target.Empty(t.Context(), "hint"); err == nil || !strings.Contains(err.Error(), "findings/inbox has rows") {
				t.Error(err)
			}
		})
	}
}
