package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// maxTries bounds how often a transaction that lost against another is run
// again before the caller is told.
const maxTries = 5

// tx is one write transaction.
type tx struct {
	*sql.Tx
	s     *Store
	from  *handle
	wake  bool   // the outbox was written
	hints []Hint // what was changed
}

// write runs fn in a transaction on f. fn may run more than once, each time from
// the start in a new transaction, so it must not keep what it computed before.
func (s *Store) write(ctx context.Context, f File, op string, fn func(*tx) error) error {
	db, err := s.db(f)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		did, err := s.writeOn(ctx, db.Write, fn)
		if err == nil {
			if did.wake {
				s.notify(f)
			}
			s.publish(did.hints)
			return nil
		}
		if try == maxTries || s.dialect.Classify(err) != FailureRetry || ctx.Err() != nil {
			return s.fail(op, err)
		}
		if err := pause(ctx, time.Duration(try*try)*2*time.Millisecond); err != nil {
			return s.fail(op, err)
		}
	}
}

// writeOn runs fn alone, or where there is one writer with those that wait for it.
func (s *Store) writeOn(ctx context.Context, db *handle, fn func(*tx) error) (done, error) {
	if s.dialect.OneWriter {
		return db.group.write(ctx, s, db, fn)
	}
	return s.writeOnce(ctx, db, fn)
}

// done is what is told of a transaction once it is committed.
type done struct {
	wake  bool
	hints []Hint
}

func (s *Store) writeOnce(ctx context.Context, db *handle, fn func(*tx) error) (done, error) {
	raw, err := db.BeginTx(ctx, nil)
	if err != nil {
		return done{}, err
	}
	// The cause is what the caller must see; a failed rollback ends the connection
	// and with it the transaction. After a commit it does nothing.
	defer func() { _ = raw.Rollback() }()
	t := &tx{Tx: raw, s: s, from: db}
	if err := fn(t); err != nil {
		return done{}, err
	}
	if err := t.notifyHints(ctx); err != nil {
		return done{}, err
	}
	return done{t.wake, t.hints}, raw.Commit()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (s *Store) notify(f File) {
	select {
	case s.wake[f] <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// changed runs one statement and gives the number of rows it changed.
func (t *tx) changed(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// bulk runs a statement for every row and gives the number of rows changed. A
// row holds string, int64 and []byte only, the same in each column.
func (t *tx) bulk(ctx context.Context, query string, rows [][]any) (int64, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	if t.s.dialect.Arrays {
		return t.changed(ctx, query, columns(rows)...)
	}
	stmt, err := t.PrepareContext(ctx, query)
	if err != nil {
		return 0, err
	}
	// The driver starts a goroutine for each statement whose context can end,
	// which costs as much as the row. The transaction's own context ends it.
	each := context.WithoutCancel(ctx)
	var total int64
	for _, row := range rows {
		res, err := stmt.ExecContext(each, row...)
		if err != nil {
			return total, errors.Join(ctx.Err(), err, stmt.Close())
		}
		n, err := res.RowsAffected()
		if err != nil {
			return total, errors.Join(err, stmt.Close())
		}
		total += n
	}
	return total, stmt.Close()
}

// columns turns rows into one typed slice per column.
func columns(rows [][]any) []any {
	out := make([]any, len(rows[0]))
	for i, v := range rows[0] {
		switch v.(type) {
		case string:
			out[i] = column[string](rows, i)
		case int64:
			out[i] = column[int64](rows, i)
		case []byte:
			out[i] = column[[]byte](rows, i)
		}
	}
	return out
}

func column[T any](rows [][]any, i int) []T {
	out := make([]T, len(rows))
	for j, row := range rows {
		out[j], _ = row[i].(T)
	}
	return out
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// collect runs a query and reads every row with scan.
func collect[T any](ctx context.Context, q querier, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, v)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// one is collect for a query that gives at most one row.
func one[T any](ctx context.Context, q querier, query string, args []any, scan func(scanner) (T, error)) (T, error) {
	all, err := collect(ctx, q, query, args, scan)
	if err == nil && len(all) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return all[0], nil
}
