package app_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/migrations"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/store/storetest"
)

// TestMigrate: a database of the release before is told of without being touched, then
// brought up; not under a server, and not backwards.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"sqlite", "postgres"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			cfg := config.Config{DataDir: t.TempDir()}
			open := func(f store.File) *sql.DB {
				t.Helper()
				db, err := sqlite.OpenFile(filepath.Join(cfg.DataDir, string(f)+".db"), "immediate", 1)
				if cfg.Database != "" {
					db, err = postgres.Pool(cfg.Database, postgres.Schema(f, ""), 1)
				}
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			if dialect == "postgres" {
				cfg.Database = storetest.Postgres(t)
			}
			latest, before := map[store.File]int64{}, map[store.File]int64{}
			for _, f := range []store.File{store.Findings, store.Execution} {
				var err error
				if latest[f], err = migrations.Latest(dialect, string(f)); err != nil {
					t.Fatal(err)
				}
				db := open(f)
				if cfg.Database != "" {
					if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+postgres.Schema(f, "")); err != nil {
						t.Fatal(err)
					}
				}
				if err := migrations.Make(t.Context(), dialect, string(f), latest[f]-1, db); err != nil {
					t.Fatal(err)
				}
				var was int64
				if err := db.QueryRowContext(t.Context(), "SELECT MAX(version_id) FROM schema_version").Scan(&was); err != nil || was >= latest[f] {
					t.Fatal(was, err)
				}
				before[f] = was // numbers may be left out
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			is := func(what string, list []app.Schema, err error, from map[store.File]int64) {
				t.Helper()
				if err != nil || len(list) != 2 {
					t.Fatalf("%s: %v, %v", what, list, err)
				}
				for _, s := range list {
					if s.To != latest[s.File] || s.From != from[s.File] || s.Pending() != (s.From < latest[s.File]) {
						t.Errorf("%s: %+v", what, s)
					}
				}
			}
			for range 2 { // telling does nothing
				list, err := app.SchemaState(t.Context(), cfg)
				is("told", list, err, before)
			}
			list, err := app.Migrate(t.Context(), cfg)
			is("migrated", list, err, before)
			list, err = app.Migrate(t.Context(), cfg)
			is("again", list, err, latest)

			if cfg.Database != "" {
				s, _, err := app.OpenStore(t.Context(), cfg, service.SystemClock{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Heartbeat(t.Context(), "node-1", time.Minute); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if _, err := app.Migrate(t.Context(), cfg); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "1 node(s) of parry serve") {
					t.Errorf("under a server: %v", err)
				}
			}
			db := open(store.Findings)
			if _, err := db.ExecContext(t.Context(), "UPDATE schema_version SET version_id = 4711 WHERE version_id = (SELECT MAX(version_id) FROM schema_version)"); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := app.SchemaState(t.Context(), cfg); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "schema 4711") || fault.HintOf(err) == "" {
				t.Errorf("newer: %v", err)
			}
		})
	}
}
