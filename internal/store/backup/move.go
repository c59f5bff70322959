package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// progressTable keeps in the target how far a move has come: of each table the last key
// that was copied.
const progressTable = "backup_move"

// Moved says what a move came to.
type Moved struct {
	Tables []MovedTable `json:"tables"`
	Rows   int64        `json:"rows"`
	Bytes  int64        `json:"bytes"`
	// Copied are the rows of this run, fewer than Rows when it went on with an earlier one.
	Copied int64 `json:"copied"`
}

// MovedTable is a table that both sides hold alike.
type MovedTable struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// Move copies the SQLite files in dir to an empty PostgreSQL database, and goes on
// where an earlier run ended. checking is the progress of the comparison at the end.
// The caller holds the locks of both, and has brought the files to the current schema.
func Move(ctx context.Context, dir string, t Target, s Settings, checking Progress) (out Moved, err error) {
	const op = "move the database"
	from, err := OpenSQLite(ctx, dir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	tables, err := from.Tables(ctx)
	if err != nil {
		return out, fault.E(fault.Unavailable, op, err)
	}
	m, err := t.beginMove(ctx, from)
	if err != nil {
		return out, fault.E(fault.Unavailable, op, err)
	}
	err = m.copy(ctx, tables, s.Progress, &out)
	if err = errors.Join(err, m.to.close()); err != nil {
		return out, fault.E(fault.CodeOf(err), op, err).WithHint("run it again: it goes on where it ended")
	}
	if err := t.compare(ctx, from, tables, checking, &out); err != nil {
		return out, err
	}
	return out, t.take(ctx, dir, s, out)
}

// moving is a move under way.
type moving struct {
	from *Database
	to   *copying
	at   map[string]position // by place
}

// position is how far a table is copied.
type position struct {
	key  []any
	rows int64
	done bool
}

// state tells whether the source is as it was: every start of a server counts on.
func state(ctx context.Context, d *Database) (string, error) {
	counters, err := d.Counters(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		fmt.Fprintln(h, name, counters[name])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// beginMove opens the copy that an earlier run began of the same source, or a new one.
func (t Target) beginMove(ctx context.Context, from *Database) (*moving, error) {
	now, err := state(ctx, from)
	if err != nil {
		return nil, err
	}
	m := &moving{from: from, at: map[string]position{}}
	if m.to, err = t.open(ctx); err != nil {
		return nil, err
	}
	known, err := m.read(ctx)
	if err == nil && known == now {
		if err = m.to.ready(ctx); err == nil {
			return m, nil
		}
	}
	if err = errors.Join(err, m.to.close()); err != nil {
		return nil, err
	}
	schema := map[store.File]int64{}
	for _, f := range files() {
		if schema[f], err = from.Version(ctx, f); err != nil {
			return nil, err
		}
	}
	m.at = map[string]position{}
	if m.to, err = t.begin(ctx, schema); err != nil {
		return nil, err
	}
	_, err = m.to.db[store.Findings].ExecContext(ctx, "CREATE TABLE "+postgres.Schema(store.Findings, suffix)+"."+progressTable+" (place TEXT PRIMARY KEY, key BYTEA NOT NULL, n BIGINT NOT NULL, done BIGINT NOT NULL)")
	if err == nil {
		err = save(func(query string, args ...any) error {
			_, err := m.to.db[store.Findings].ExecContext(ctx, query, args...)
			return err
		}, "", position{key: []any{now}})
	}
	if err != nil {
		return nil, errors.Join(err, m.to.close())
	}
	return m, nil
}

// read reads how far an earlier run came, and of which state of the source.
func (m *moving) read(ctx context.Context) (string, error) {
	db := m.to.db[store.Findings]
	there, err := numbers(ctx, db, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = $1 AND tablename = $2", postgres.Schema(store.Findings, suffix), progressTable)
	if err != nil || there[0] == 0 {
		return "", err
	}
	known := ""
	err = each(ctx, db, "SELECT place, key, n, done FROM "+progressTable, 4, nil, func(row []any) error {
		place, _ := row[0].(string)
		raw, _ := row[1].([]byte)
		n, _ := row[2].(int64)
		done, _ := row[3].(int64)
		p := position{rows: n, done: done != 0}
		in := bytes.NewReader(raw)
		width, err := in.ReadByte()
		if err == nil {
			p.key, err = parseRow(raw[1:], int(width))
		}
		if place == "" && len(p.key) == 1 {
			known, _ = p.key[0].(string)
		}
		m.at[place] = p
		return err
	})
	return known, err
}

// save writes how far a table is copied, in the transaction of its rows.
func save(exec func(query string, args ...any) error, place string, p position) error {
	raw, err := appendRow([]byte{byte(len(p.key))}, p.key) //nolint:gosec // keys have a few columns
	if err != nil {
		return err
	}
	done := int64(0)
	if p.done {
		done = 1
	}
	return exec("INSERT INTO "+postgres.Schema(store.Findings, suffix)+"."+progressTable+" (place, key, n, done) VALUES ($1, $2, $3, $4) "+
		"ON CONFLICT (place) DO UPDATE SET key = EXCLUDED.key, n = EXCLUDED.n, done = EXCLUDED.done", place, raw, p.rows, done)
}

func (m *moving) copy(ctx context.Context, tables []Table, report Progress, out *Moved) error {
	p, err := newProgress(ctx, m.from, tables, report)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := m.to.same(t); err != nil {
			return err
		}
		at := m.at[t.place()]
		p.rows(t.place(), at.rows)
		if at.done {
			continue
		}
		if err := m.table(ctx, t, at, p, out); err != nil {
			return fmt.Errorf("copy table %s: %w", t.place(), err)
		}
	}
	counters, err := m.from.Counters(ctx)
	if err != nil {
		return err
	}
	return m.to.finish(ctx, counters)
}

// errFull ends the reading of a part.
var errFull = errors.New("the part is full")

// table copies what is missing of t, part by part.
func (m *moving) table(ctx context.Context, t Table, at position, p *progress, out *Moved) error {
	for !at.done {
		var next part
		read := func(row []any) error {
			if next.add(row); len(t.key) > 0 && next.full() {
				return errFull
			}
			return nil
		}
		var err error
		if len(t.key) > 0 {
			err = m.from.after(ctx, t, at.key, loadRows, read)
		} else { // a row or two
			err = m.from.Each(ctx, t, read)
		}
		if err != nil && !errors.Is(err, errFull) {
			return err
		}
		n := int64(len(next.rows))
		at.done = len(t.key) == 0 || n < loadRows && !errors.Is(err, errFull)
		if at.rows += n; n > 0 {
			at.key = at.key[:0]
			for _, k := range t.key {
				at.key = append(at.key, next.rows[n-1][slices.Index(t.Columns, k)])
			}
		}
		if err := m.to.load(ctx, t, next.rows, func(exec func(query string, args ...any) error) error { return save(exec, t.place(), at) }); err != nil {
			return err
		}
		out.Copied += n
		out.Bytes += int64(next.bytes)
		p.rows(t.place(), n)
	}
	return nil
}

// compare reads both sides and requires that they hold the same.
func (t Target) compare(ctx context.Context, from *Database, tables []Table, report Progress, out *Moved) (err error) {
	const op = "compare both databases"
	to, err := openPostgres(ctx, t.URL, suffix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	p, err := newProgress(ctx, from, tables, report)
	if err != nil {
		return fault.E(fault.Unavailable, op, err)
	}
	p.all *= 2
	for _, table := range tables {
		seen := func() { p.row(table.place()) }
		n, sum, err := from.Digest(ctx, table, seen)
		if err != nil {
			return fault.E(fault.Unavailable, op, err)
		}
		there := table
		there.borrows = false
		m, copied, err := to.Digest(ctx, there, seen)
		if err != nil {
			return fault.E(fault.Unavailable, op, err)
		}
		if n != m || sum != copied {
			return errors.Join(fault.Errorf(fault.Conflict, op, "table %s differs: %d rows with digest %.12s here, %d with %.12s there", table.place(), n, sum, m, copied).
				WithHint("the copy was thrown away: run it again, with no other process on either database"), t.clear(ctx))
		}
		out.Rows += n
		out.Tables = append(out.Tables, MovedTable{Name: table.place(), Rows: n, Digest: sum.String()})
	}
	return nil
}

// take makes the copy the database and keeps servers off the files: what waits for its
// time in both would be done twice.
func (t Target) take(ctx context.Context, dir string, s Settings, out Moved) error {
	const op = "put the copy in its place"
	detail, err := json.Marshal(map[string]any{"from": sqliteName, "to": postgresName, "rows": out.Rows, "tables": len(out.Tables)})
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	record, err := json.Marshal(store.AuditRecord{At: s.Clock.Now().UTC(), Actor: s.Actor, Action: "database.moved", Object: "database", Detail: detail})
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	mark := filepath.Join(dir, sqlite.MovedMark)
	if err := errors.Join(touch(mark), syncDir(dir)); err != nil {
		return fault.E(fault.Unavailable, op, err)
	}
	err = t.replace(ctx, s.Clock.Now(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DROP TABLE "+postgres.Schema(store.Findings, "")+"."+progressTable); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO "+postgres.Schema(store.Execution, "")+".audit_outbox (doc) VALUES ($1)", record)
		return err
	})
	if err != nil {
		return inPlace(op, errors.Join(err, os.Remove(mark)), "run it again: it goes on where it ended")
	}
	return nil
}
