package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/migrations"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// Target is where a copy goes: the directory of SQLite's files, or a PostgreSQL
// database. The copy is made beside what is there.
type Target struct {
	Dir string // of SQLite; also for PostgreSQL the caller's data directory
	URL string // of PostgreSQL; "" = SQLite
}

const (
	// making is what a copy in the making is called: a directory in Dir, and a suffix of
	// schemas.
	making = "restore.new"
	suffix = "_new"
	// loadRows and loadBytes bound one transaction.
	loadRows  = 5000
	loadBytes = 16 << 20
)

func (t Target) dialect() string {
	if t.URL != "" {
		return postgresName
	}
	return sqliteName
}

// Current opens what is there for reading, nil when there is nothing.
func (t Target) Current(ctx context.Context) (*Database, error) {
	if t.URL != "" {
		d, err := OpenPostgres(ctx, t.URL)
		if err != nil {
			return nil, err
		}
		if v, err := d.Version(ctx, store.Findings); err != nil || v == 0 {
			return nil, errors.Join(err, d.Close())
		}
		return d, nil
	}
	for _, f := range files() {
		info, err := os.Stat(filepath.Join(t.Dir, string(f)+".db"))
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			return nil, nil //nolint:nilnil // documented
		}
		if err != nil {
			return nil, fault.E(fault.Unavailable, "look for a database", err)
		}
	}
	return OpenSQLite(ctx, t.Dir)
}

// filled names a table of the database that has rows beside those of an empty
// installation, "" for none.
func filled(ctx context.Context, d *Database) (string, error) {
	tables, err := d.Tables(ctx, "epoch", "stop_switch", "finding_unsearched", "node", "seen_signature")
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		if strings.HasSuffix(t.Name, "_revision") { // one row, made with the table
			continue
		}
		if n, err := d.Count(ctx, t); err != nil || n > 0 {
			return t.place(), err
		}
	}
	return "", nil
}

// Empty says by an error that there is something in the target.
func (t Target) Empty(ctx context.Context, hint string) error {
	d, err := t.Current(ctx)
	if err != nil || d == nil {
		return err
	}
	place, err := filled(ctx, d)
	if err = errors.Join(err, d.Close()); err == nil && place != "" {
		err = fault.Errorf(fault.Conflict, "look at the database", "it is not empty: table %s has rows", place).WithHint("%s", hint)
	}
	return err
}

// copying is a copy in the making.
type copying struct {
	Target
	db      map[store.File]*sql.DB
	tables  map[string]Table // by place, as the database has them
	indexes map[store.File][]string
}

// begin makes an empty copy with the schemas given.
func (t Target) begin(ctx context.Context, schema map[store.File]int64) (*copying, error) {
	if err := t.clear(ctx); err != nil {
		return nil, err
	}
	c, err := t.open(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range files() {
		if err := migrations.Make(ctx, t.dialect(), string(f), schema[f], c.db[f]); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	if err := c.ready(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	for _, table := range c.tables { // migrations fill some
		if _, err := c.db[table.File].ExecContext(ctx, "DELETE FROM "+quoted(table.Name)); err != nil { //nolint:gosec // a name of the catalogue
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// clear removes a copy that did not come to its end.
func (t Target) clear(ctx context.Context) error {
	const op = "remove an earlier copy"
	if t.URL == "" {
		err := os.RemoveAll(filepath.Join(t.Dir, making))
		if err == nil {
			err = os.MkdirAll(filepath.Join(t.Dir, making), 0o700)
		}
		if err != nil {
			return fault.E(fault.Unavailable, op, err)
		}
		return nil
	}
	return t.onPostgres(ctx, func(tx *sql.Tx) error {
		for _, f := range files() {
			if _, err := tx.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+postgres.Schema(f, suffix)+" CASCADE"); err != nil {
				return fault.E(fault.Unavailable, op, postgres.WithoutSecrets(err))
			}
		}
		return nil
	})
}

// onPostgres runs fn in a transaction of its own.
func (t Target) onPostgres(ctx context.Context, fn func(*sql.Tx) error) (err error) {
	db, err := postgres.Pool(t.URL, "public", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fault.E(fault.Unavailable, "reach PostgreSQL", postgres.WithoutSecrets(err)).
			WithHint("check that the server is up and that the URL names an existing database")
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// open opens the copy, and makes what holds it.
func (t Target) open(ctx context.Context) (*copying, error) {
	c := &copying{Target: t, db: map[store.File]*sql.DB{}, indexes: map[store.File][]string{}}
	for _, f := range files() {
		var err error
		if t.URL != "" {
			if c.db[f], err = postgres.Pool(t.URL, postgres.Schema(f, suffix), 2); err == nil {
				_, err = c.db[f].ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+postgres.Schema(f, suffix))
			}
		} else if err = touch(c.path(f)); err == nil {
			// Nothing of it is of use before its end, so nothing is flushed before.
			c.db[f], err = sqlite.OpenFile(c.path(f), "immediate", 1, "journal_mode(MEMORY)", "synchronous(OFF)", "foreign_keys(0)", "temp_store(2)", "cache_size(-64000)")
		}
		if err != nil {
			return nil, errors.Join(fault.E(fault.Unavailable, "make the copy", postgres.WithoutSecrets(err)).
				WithHint("check that the user of the database may make schemas in it, and write to data_dir"), c.close())
		}
	}
	return c, nil
}

func (c *copying) path(f store.File) string { return filepath.Join(c.Dir, making, string(f)+".db") }

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (c *copying) close() error {
	var errs []error
	for _, db := range c.db {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// ready reads the catalogue of the copy, and puts SQLite's indexes aside: made at the
// end they cost a third.
func (c *copying) ready(ctx context.Context) error {
	c.tables = map[string]Table{}
	for _, f := range files() {
		found, err := catalogue(ctx, c.dialect(), c.db[f], f, postgres.Schema(f, suffix))
		if err != nil {
			return err
		}
		for _, t := range found {
			c.tables[t.place()] = t
		}
		if c.URL != "" {
			continue
		}
		var names []string
		err = each(ctx, c.db[f], "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL", 2, nil, func(row []any) error {
			name, _ := row[0].(string)
			text, _ := row[1].(string)
			names, c.indexes[f] = append(names, name), append(c.indexes[f], text)
			return nil
		})
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := c.db[f].ExecContext(ctx, "DROP INDEX "+quoted(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// same says by an error that the copy has no such table with such columns.
func (c *copying) same(t Table) (Table, error) {
	have, ok := c.tables[t.place()]
	switch {
	case !ok:
		return have, fault.Errorf(fault.Invalid, "copy table "+t.place(), "this schema has no such table")
	case !slices.Equal(have.Columns, t.Columns):
		return have, fault.Errorf(fault.Invalid, "copy table "+t.place(), "its columns are %s, not %s", strings.Join(have.Columns, " "), strings.Join(t.Columns, " "))
	}
	return have, nil
}

// part is what one transaction of a load writes.
type part struct {
	rows  [][]any
	bytes int
}

func (p *part) add(row []any) {
	own := slices.Clone(row)
	for i, v := range own {
		switch v := v.(type) {
		case []byte:
			p.bytes += len(v)
			own[i] = append(make([]byte, 0, len(v)), v...) // empty, and not nil, which is another value
		case string:
			p.bytes += len(v)
		}
	}
	p.rows, p.bytes = append(p.rows, own), p.bytes+8*len(own)
}

func (p *part) full() bool { return len(p.rows) >= loadRows || p.bytes >= loadBytes }

// load writes rows, and what beside does, in one transaction.
func (c *copying) load(ctx context.Context, t Table, rows [][]any, beside func(exec func(query string, args ...any) error) error) error {
	if c.URL != "" {
		return c.loadPostgres(ctx, t, rows, beside)
	}
	tx, err := c.db[t.File].BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	var columns, marks []string
	for _, name := range t.Columns {
		if !t.borrows || name != "account" {
			columns, marks = append(columns, quoted(name)), append(marks, "?")
		}
	}
	stmt, err := tx.PrepareContext(ctx, "INSERT INTO "+quoted(t.Name)+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(marks, ", ")+")")
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // the transaction tells what went wrong
	for _, row := range rows {
		if t.borrows {
			row = slices.Delete(slices.Clone(row), slices.Index(t.Columns, "account"), slices.Index(t.Columns, "account")+1)
		}
		if _, err := stmt.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (c *copying) loadPostgres(ctx context.Context, t Table, rows [][]any, beside func(exec func(query string, args ...any) error) error) (err error) {
	conn, err := c.db[t.File].Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Raw(func(driver any) error {
		pg := driver.(*stdlib.Conn).Conn() //nolint:forcetypeassert // postgres.Pool opens no other
		tx, err := pg.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(ctx) }() // does nothing after a commit
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.Name}, t.Columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		if beside != nil {
			if err := beside(func(query string, args ...any) error {
				_, err := tx.Exec(ctx, query, args...)
				return err
			}); err != nil {
				return err
			}
		}
		return tx.Commit(ctx)
	})
}

// finish makes what follows from the rows: indexes, and the numbers given out next.
func (c *copying) finish(ctx context.Context, counters map[string]int64) error {
	for _, f := range files() {
		for _, text := range c.indexes[f] {
			if _, err := c.db[f].ExecContext(ctx, text); err != nil {
				return fmt.Errorf("make an index: %w", err)
			}
		}
		if err := c.count(ctx, f, counters); err != nil {
			return fmt.Errorf("set the counters: %w", err)
		}
		if c.URL != "" {
			if _, err := c.db[f].ExecContext(ctx, "ANALYZE"); err != nil { // plans go by it until the first autovacuum
				return err
			}
			continue
		}
		lost := 0
		if err := each(ctx, c.db[f], "SELECT \"table\" FROM pragma_foreign_key_check", 1, nil, func([]any) error { lost++; return nil }); err != nil {
			return err
		}
		if lost > 0 {
			return fault.Errorf(fault.Invalid, "check the copy", "%d rows of %s.db belong to findings that are not there", lost, f)
		}
	}
	return nil
}

// count sets the numbers that are given out next: behind every one that was used.
func (c *copying) count(ctx context.Context, f store.File, counters map[string]int64) error {
	db := c.db[f]
	if c.URL == "" {
		for place, n := range counters {
			name, ok := strings.CutPrefix(place, string(f)+"/")
			if _, known := c.tables[place]; !ok || !known {
				continue
			}
			if _, err := db.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) SELECT $1, 0 WHERE $1 NOT IN (SELECT name FROM sqlite_sequence)", name); err != nil {
				return err
			}
			if _, err := db.ExecContext(ctx, "UPDATE sqlite_sequence SET seq = MAX(seq, $1) WHERE name = $2", n, name); err != nil {
				return err
			}
		}
		return nil
	}
	schema := postgres.Schema(f, suffix)
	var names []string
	err := each(ctx, db, "SELECT sequencename FROM pg_sequences WHERE schemaname = $1", 1, []any{schema}, func(row []any) error {
		name, _ := row[0].(string)
		names = append(names, name)
		return nil
	})
	for _, name := range names {
		table, column := strings.TrimSuffix(name, "_seq_seq"), "seq"
		if name == "finding_rid" { // the one sequence that is no column's own
			table, column = "finding", "rid"
		}
		if t, known := c.tables[string(f)+"/"+table]; !known || !slices.Contains(t.Columns, column) {
			continue // goose's own
		}
		last := counters[string(f)+"/"+strings.TrimSuffix(name, "_seq_seq")]
		query := "SELECT setval('" + schema + "." + name + "', GREATEST($1::bigint, (SELECT MAX(" + column + ") FROM " + quoted(table) + "), 1), GREATEST($1::bigint, (SELECT MAX(" + column + ") FROM " + quoted(table) + ")) > 0)"
		if _, nextErr := db.ExecContext(ctx, query, last); nextErr != nil {
			err = errors.Join(err, nextErr)
		}
	}
	return err
}

// store opens the copy as the program does, and brings it to the current schema.
func (c *copying) store(ctx context.Context, sealer store.Sealer, clock service.Clock) (*store.Store, error) {
	var s *store.Store
	var err error
	if c.URL != "" {
		s, err = postgres.Open(ctx, postgres.Config{URL: c.URL, Suffix: suffix, Sealer: sealer, Clock: clock, MaxConns: 2})
	} else {
		s, err = sqlite.Open(ctx, sqlite.Config{Dir: filepath.Join(c.Dir, making), Sealer: sealer, Clock: clock})
	}
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// replace puts the copy, which is closed, in the place of what is there.
// also is run in PostgreSQL's transaction.
func (t Target) replace(ctx context.Context, now time.Time, also func(*sql.Tx) error) error {
	if t.URL != "" {
		return t.onPostgres(ctx, func(tx *sql.Tx) error {
			// The copy took long, and nothing kept a server from starting meanwhile.
			if err := postgres.StillAlone(ctx, tx, now); err != nil {
				return err
			}
			for _, f := range files() {
				for _, statement := range []string{
					"DROP SCHEMA IF EXISTS " + postgres.Schema(f, "") + " CASCADE",
					"ALTER SCHEMA " + postgres.Schema(f, suffix) + " RENAME TO " + postgres.Schema(f, ""),
				} {
					if _, err := tx.ExecContext(ctx, statement); err != nil {
						return err
					}
				}
			}
			// The durable engine's work is of another time.
			if _, err := tx.ExecContext(ctx, "DROP SCHEMA IF EXISTS dbos CASCADE"); err != nil || also == nil {
				return err
			}
			return also(tx)
		})
	}
	from := filepath.Join(t.Dir, making)
	for _, f := range files() {
		path := filepath.Join(from, string(f)+".db")
		if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
			return fault.Errorf(fault.Internal, "close the copy", "%s still has a log", path)
		}
		if err := flush(path); err != nil {
			return err
		}
	}
	// From here on the old files may be gone: until the end the store does not open.
	mark := filepath.Join(t.Dir, sqlite.Replacing)
	if err := errors.Join(syncDir(from), touch(mark), syncDir(t.Dir)); err != nil {
		return err
	}
	old := []string{sqlite.MovedMark, "durable.db", "durable.db-wal", "durable.db-shm"}
	for _, f := range files() {
		old = append(old, string(f)+".db-wal", string(f)+".db-shm")
	}
	for _, name := range old {
		if err := os.Remove(filepath.Join(t.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, f := range files() {
		if err := os.Rename(filepath.Join(from, string(f)+".db"), filepath.Join(t.Dir, string(f)+".db")); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(t.Dir), os.RemoveAll(from), os.Remove(mark), syncDir(t.Dir))
}

func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
