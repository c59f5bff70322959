package store

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// View is a question about a list that a person keeps. What it says is in Doc, which
// the store does not read.
type View struct {
	ID, Owner, Page string
	// Shared views are everybody's to read.
	Shared               bool
	CreatedAt, UpdatedAt time.Time
	Doc                  json.RawMessage
}

// maxView bounds the document of a view.
const maxView = 10 << 10

func (v View) check() error {
	const op = "check view"
	if !isObject(v.Doc) || len(v.Doc) > maxView {
		return invalid(op, "its document has %d bytes or is no object; the limit is %d", len(v.Doc), maxView)
	}
	return errors.Join(checkID(op, "id", v.ID), checkID(op, "owner", v.Owner), checkID(op, "page", v.Page))
}

// CreateView stores a new view. It answers code exhausted when its owner has most of
// them.
func (s *Store) CreateView(ctx context.Context, v View, most int64) error {
	if err := v.check(); err != nil {
		return err
	}
	return s.write(ctx, Findings, "create view", func(t *tx) error {
		// Whoever makes another one waits here until this transaction ends.
		n, err := t.changed(ctx, s.q.ViewTotalAdd, v.Owner, most)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Errorf(fault.Exhausted, "", "%s has %d views already, which is the limit", v.Owner, most).WithHint("delete one that is no longer needed")
		}
		_, err = t.changed(ctx, s.q.ViewInsert, v.ID, v.Owner, v.Page, flag(v.Shared), micros(v.CreatedAt), []byte(v.Doc))
		return err
	})
}

// UpdateView replaces a view of its owner; ErrNotFound when the owner has none of that
// id. Owner and CreatedAt stay.
func (s *Store) UpdateView(ctx context.Context, v View) error {
	if err := v.check(); err != nil {
		return err
	}
	return s.write(ctx, Findings, "update view", func(t *tx) error {
		n, err := t.changed(ctx, s.q.ViewUpdate, v.ID, v.Owner, v.Page, flag(v.Shared), micros(s.now()), []byte(v.Doc))
		if err == nil && n == 0 {
			err = notFound("find view %s", v.ID)
		}
		return err
	})
}

// DeleteView removes a view of its owner; ErrNotFound when the owner has none of that
// id.
func (s *Store) DeleteView(ctx context.Context, owner, id string) error {
	return s.write(ctx, Findings, "delete view", func(t *tx) error {
		n, err := t.changed(ctx, s.q.ViewDelete, text(id, maxID), text(owner, maxID))
		if err != nil {
			return err
		}
		if n == 0 {
			return notFound("find view %s", id)
		}
		_, err = t.changed(ctx, s.q.ViewTotalTake, text(owner, maxID))
		return err
	})
}

func scanView(r scanner) (View, error) {
	var v View
	var shared, created, updated int64
	var doc []byte
	err := r.Scan(&v.ID, &v.Owner, &v.Page, &shared, &created, &updated, &doc)
	v.Shared, v.CreatedAt, v.UpdatedAt, v.Doc = shared != 0, fromMicros(created), fromMicros(updated), doc
	return v, err
}

// View gives a view, whoever's it is.
func (s *Store) View(ctx context.Context, id string) (View, error) {
	v, err := one(ctx, s.findings.Read, s.q.ViewRead, []any{text(id, maxID)}, scanView)
	return v, s.fail("read view", err)
}

// ListViews gives a page of the views that owner may read, their own and the shared
// ones, the oldest first.
func (s *Store) ListViews(ctx context.Context, owner string, limit int, cursor string) ([]View, string, error) {
	const op = "list views"
	by := "created_at, id of " + owner
	at, id := int64(math.MinInt64), ""
	if cursor != "" {
		p, err := decodePosition(cursor, by, []columnType{numberColumn, textColumn})
		if err != nil {
			return nil, "", err
		}
		at, _ = p.Values[0].(int64)
		id, _ = p.Values[1].(string)
	}
	n := pageSize(limit)
	out, err := collect(ctx, s.findings.Read, s.q.ViewPage, []any{text(owner, maxID), at, id, int64(n + 1)}, scanView)
	if err != nil || len(out) <= n {
		return out, "", s.fail(op, err)
	}
	out = out[:n]
	last := out[n-1]
	next, err := position{Order: by, Values: []any{micros(last.CreatedAt), last.ID}}.encode()
	return out, next, s.fail(op, err)
}
