package store

import (
	"context"
	"database/sql"
	"reflect"
)

// handle is a pool with the statements of Queries prepared: where the driver
// keeps none by itself, parsing SQL is what most of a short statement costs.
type handle struct {
	*sql.DB
	ready map[string]*sql.Stmt // by text; not changed once it is set
	group group                // of writes, with a dialect that has one writer
}

// files are the handles of one file.
type files struct{ Write, Read *handle }

func newFiles(db Database) files {
	return files{Write: &handle{DB: db.Write}, Read: &handle{DB: db.Read}}
}

// prepare prepares every statement of q that fits the file, which the others'
// tables are not in. It must end before the handle is used by several
// goroutines. One that cannot be prepared runs as text, and fails there.
func (h *handle) prepare(ctx context.Context, d Dialect) error {
	if h.ready != nil {
		return nil
	}
	ready := map[string]*sql.Stmt{}
	var texts []string
	if d.OneWriter {
		texts = append(texts, markWrite, unmarkWrite, takeBackMark, tenfold(d.Queries.BusEventAppend))
	}
	fields := reflect.ValueOf(d.Queries)
	for i := range fields.NumField() {
		texts = append(texts, fields.Field(i).String())
	}
	for _, text := range texts {
		stmt, err := h.PrepareContext(ctx, text)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			ready[text] = stmt
		}
	}
	h.ready = ready
	return nil
}

// QueryContext runs a query, prepared if it can be.
func (h *handle) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := h.ready[query]; stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return h.DB.QueryContext(ctx, query, args...)
}

// until is how long a statement may take. With one writer it runs to its end: one
// that is interrupted takes back the whole transaction, with what others wrote in
// it, and watching for the interruption costs as much as a short statement.
func (t *tx) until(ctx context.Context) context.Context {
	if t.s.dialect.OneWriter {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// QueryContext runs a query in the transaction, prepared if it can be.
func (t *tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = t.until(ctx)
	if stmt := t.from.ready[query]; stmt != nil {
		return t.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	}
	return t.Tx.QueryContext(ctx, query, args...)
}

// ExecContext runs a statement in the transaction, prepared if it can be.
func (t *tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = t.until(ctx)
	if stmt := t.from.ready[query]; stmt != nil {
		return t.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.Tx.ExecContext(ctx, query, args...)
}

// PrepareContext gives a statement for many rows.
func (t *tx) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := t.from.ready[query]; stmt != nil {
		return t.StmtContext(ctx, stmt), nil
	}
	return t.Tx.PrepareContext(ctx, query)
}
