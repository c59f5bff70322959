package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/migrations"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/sqlite"
)

const (
	sqliteName   = "sqlite"
	postgresName = "postgres"
)

// files are both files, in the order in which they are locked and copied.
func files() []store.File { return []store.File{store.Findings, store.Execution} }

// Table is a table as both databases show it.
type Table struct {
	File    store.File `json:"file"`
	Name    string     `json:"name"`
	Columns []string   `json:"columns"` // by name, so that both databases have one order

	key     []string // of the row, as far as both databases have it
	borrows bool     // SQLite has no column account here
}

// place names the table for people, and in an archive.
func (t Table) place() string { return string(t.File) + "/" + t.Name }

// borrowed are the tables that have the account of the finding on PostgreSQL, by which
// they are divided there, and not on SQLite.
func borrowed() []string { return []string{"finding_doc", "finding_further"} }

// keys are the keys of what has none of its own on PostgreSQL.
func keys() map[string][]string {
	return map[string][]string{"finding_text": {"rid"}}
}

// inner are the tables below PostgreSQL's view finding_text, which is what both
// databases have.
func inner() []string { return []string{"finding_words", "finding_worded"} }

// What is in no copy: of passing use to the processes that are alive.
func passing() []string { return []string{"lease", "throttle_cut"} }

// reader is a transaction, or a pool.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Database is one to read: the files of SQLite, or the schemas of PostgreSQL.
type Database struct {
	Dialect string
	read    map[store.File]reader
	suffix  string
	close   []func() error
}

// Close ends the reading.
func (d *Database) Close() error {
	var errs []error
	for _, c := range slices.Backward(d.close) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// OpenSQLite reads the files in dir as they are at this moment, whoever writes them
// meanwhile. Of another process's open transactions it waits for the end.
func OpenSQLite(ctx context.Context, dir string) (_ *Database, err error) {
	const op = "read the database"
	d := &Database{Dialect: sqliteName, read: map[store.File]reader{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	// While both writers stand still, nothing is between the two files.
	var still []*sql.Tx
	defer func() {
		for _, tx := range still {
			_ = tx.Rollback() // it wrote nothing
		}
	}()
	for _, f := range files() {
		path := filepath.Join(dir, string(f)+".db")
		if _, err := os.Stat(path); err != nil {
			return d, fault.E(fault.NotFound, op, err).WithHint("check data_dir in parry.yaml; a database is made by the first parry serve")
		}
		writer, err := sqlite.OpenFile(path, "immediate", 1, "busy_timeout(10000)")
		if err != nil {
			return d, fault.E(fault.Unavailable, op, err)
		}
		defer func() { err = errors.Join(err, writer.Close()) }()
		tx, err := writer.BeginTx(ctx, nil)
		if err != nil {
			return d, fault.E(fault.Unavailable, op+" "+path, err).WithHint("the database is busy: try again")
		}
		still = append(still, tx)
	}
	for _, f := range files() {
		db, err := sqlite.OpenFile(filepath.Join(dir, string(f)+".db"), "deferred", 1, "busy_timeout(10000)", "query_only(1)", "cache_size(-8000)")
		if err != nil {
			return d, fault.E(fault.Unavailable, op, err)
		}
		d.close = append(d.close, db.Close)
		tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return d, fault.E(fault.Unavailable, op, err)
		}
		d.close = append(d.close, tx.Rollback)
		d.read[f] = tx
		// The moment is that of the first read.
		if _, err := numbers(ctx, tx, "SELECT COUNT(*) FROM sqlite_master"); err != nil {
			return d, fault.E(fault.Unavailable, op, err)
		}
	}
	return d, nil
}

// OpenPostgres reads both schemas as they are at this moment.
func OpenPostgres(ctx context.Context, address string) (_ *Database, err error) {
	return openPostgres(ctx, address, "")
}

func openPostgres(ctx context.Context, address, suffix string) (_ *Database, err error) {
	const op = "read the database"
	db, err := postgres.Pool(address, "public", 1)
	if err != nil {
		return nil, err
	}
	d := &Database{Dialect: postgresName, read: map[store.File]reader{}, suffix: suffix, close: []func() error{db.Close}}
	defer func() {
		if err != nil {
			err = errors.Join(fault.E(fault.Unavailable, op, postgres.WithoutSecrets(err)).WithHint("check database in parry.yaml"), d.Close())
		}
	}()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return d, err
	}
	d.close = append(d.close, tx.Rollback)
	if _, err := tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return d, err
	}
	d.read[store.Findings], d.read[store.Execution] = tx, tx
	return d, nil
}

// from is how a statement names a table.
func (d *Database) from(f store.File, table string) string {
	if d.Dialect == postgresName {
		return quoted(postgres.Schema(f, d.suffix)) + "." + quoted(table)
	}
	return quoted(table)
}

// quoted makes a name of a catalogue safe in a statement.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Version is the number of the schema of f; 0 for a database without tables.
func (d *Database) Version(ctx context.Context, f store.File) (int64, error) {
	there := "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1"
	if d.Dialect == postgresName {
		there = "SELECT COUNT(*) FROM pg_tables WHERE tablename = $1 AND schemaname = '" + postgres.Schema(f, d.suffix) + "'"
	}
	n, err := numbers(ctx, d.read[f], there, migrations.VersionTable)
	if err != nil || n[0] == 0 {
		return 0, err
	}
	n, err = numbers(ctx, d.read[f], "SELECT COALESCE(MAX(version_id), 0) FROM "+d.from(f, migrations.VersionTable))
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// Tables lists the tables of both files, except those named and those that are of
// passing use.
func (d *Database) Tables(ctx context.Context, but ...string) ([]Table, error) {
	var all []Table
	for _, f := range files() {
		found, err := catalogue(ctx, d.Dialect, d.read[f], f, postgres.Schema(f, d.suffix))
		if err != nil {
			return nil, err
		}
		for _, t := range found {
			if !slices.Contains(but, t.Name) && !slices.Contains(passing(), t.Name) {
				all = append(all, t)
			}
		}
	}
	return all, nil
}

// catalogue lists the tables of one file.
func catalogue(ctx context.Context, dialect string, q reader, f store.File, schema string) ([]Table, error) {
	query, args := `SELECT m.name, c.name, c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> $1 ORDER BY m.name, c.name`, []any{migrations.VersionTable}
	if dialect == postgresName {
		query, args = `SELECT t.relname, a.attname, COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0)
			FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_index i ON i.indrelid = t.oid AND i.indisprimary
			WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2) AND t.relkind IN ('r', 'p', 'v') AND NOT t.relispartition AND t.relname <> $1
			ORDER BY t.relname COLLATE "C", a.attname COLLATE "C"`, append(args, schema)
	}
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what went wrong
	var all []Table
	places := map[string]map[string]int64{} // of the columns in the key
	for rows.Next() {
		var table, column string
		var place int64
		if err := rows.Scan(&table, &column, &place); err != nil {
			return nil, err
		}
		if dialect == postgresName && slices.Contains(inner(), table) {
			continue
		}
		if len(all) == 0 || all[len(all)-1].Name != table {
			all = append(all, Table{File: f, Name: table})
			places[table] = map[string]int64{}
		}
		t := &all[len(all)-1]
		t.Columns = append(t.Columns, column)
		if place > 0 {
			places[table][column] = place
			t.key = append(t.key, column)
		}
	}
	for i := range all {
		t := &all[i]
		slices.SortFunc(t.key, func(a, b string) int { return int(places[t.Name][a] - places[t.Name][b]) })
		if k, ok := keys()[t.Name]; ok {
			t.key = k
		}
		if f == store.Findings && dialect == sqliteName && slices.Contains(borrowed(), t.Name) && !slices.Contains(t.Columns, "account") {
			t.borrows = true
			t.Columns = append(t.Columns, "account")
		}
		slices.Sort(t.Columns)
	}
	return all, rows.Err()
}

// selects gives the statement that reads t.
func (d *Database) selects(t Table) string {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		if columns[i] = "t." + quoted(c); t.borrows && c == "account" {
			columns[i] = "f.account"
		}
	}
	query := "SELECT " + strings.Join(columns, ", ") + " FROM " + d.from(t.File, t.Name) + " t"
	if t.borrows {
		query += " JOIN finding f ON f.rid = t.rid"
	}
	return query
}

// Each reads the rows of t in no order.
func (d *Database) Each(ctx context.Context, t Table, row func([]any) error) error {
	return each(ctx, d.read[t.File], d.selects(t), len(t.Columns), nil, row)
}

// after reads at most n rows of t behind the one with that key, in the order of keys.
func (d *Database) after(ctx context.Context, t Table, key []any, n int, row func([]any) error) error {
	query, names := d.selects(t), make([]string, len(t.key))
	for i, k := range t.key {
		names[i] = "t." + quoted(k)
	}
	if len(key) > 0 {
		marks := make([]string, len(key))
		for i := range key {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}
		query += " WHERE (" + strings.Join(names, ", ") + ") > (" + strings.Join(marks, ", ") + ")"
	}
	query += " ORDER BY " + strings.Join(names, ", ") + fmt.Sprintf(" LIMIT %d", n)
	return each(ctx, d.read[t.File], query, len(t.Columns), key, row)
}

func each(ctx context.Context, q reader, query string, width int, args []any, row func([]any) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	values, into := make([]any, width), make([]any, width)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := row(values); err != nil {
			return err
		}
	}
	return nil
}

// Count gives the number of rows of t.
func (d *Database) Count(ctx context.Context, t Table) (int64, error) {
	n, err := numbers(ctx, d.read[t.File], "SELECT COUNT(*) FROM "+d.from(t.File, t.Name))
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// Digest counts and sums the rows of t.
func (d *Database) Digest(ctx context.Context, t Table, seen func()) (n int64, sum Sum, err error) {
	var raw []byte
	err = d.Each(ctx, t, func(row []any) error {
		if raw, err = appendRow(raw[:0], row); err != nil {
			return err
		}
		sum.add(raw)
		n++
		seen()
		return nil
	})
	return n, sum, err
}

// Counters are the last numbers that were given out, by table: a number is not used
// twice, even when its row is gone.
func (d *Database) Counters(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	for _, f := range files() {
		query, args := "SELECT name, seq FROM sqlite_sequence", []any{}
		if d.Dialect == postgresName {
			query = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = $1 AND last_value IS NOT NULL"
			args = append(args, postgres.Schema(f, d.suffix))
		}
		err := each(ctx, d.read[f], query, 2, args, func(row []any) error {
			name, _ := row[0].(string)
			n, ok := row[1].(int64)
			if !ok {
				return fmt.Errorf("the counter of %s is a %T", name, row[1])
			}
			if name != migrations.VersionTable && !strings.HasPrefix(name, migrations.VersionTable+"_") {
				all[string(f)+"/"+strings.TrimSuffix(name, "_seq_seq")] = n // PostgreSQL: table_column_seq, and the column is seq
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// numbers runs a query that gives one column of numbers.
func numbers(ctx context.Context, q reader, query string, args ...any) ([]int64, error) {
	var all []int64
	err := each(ctx, q, query, 1, args, func(row []any) error {
		n, ok := row[0].(int64)
		if !ok {
			return fmt.Errorf("a number is a %T", row[0])
		}
		all = append(all, n)
		return nil
	})
	return all, err
}
