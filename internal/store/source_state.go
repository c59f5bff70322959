package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// SourceState reads how far a source has come into v; it is untouched when there
// is nothing yet.
func (s *Store) SourceState(ctx context.Context, name string, v any) error {
	const op = "read state of source"
	_, err := one(ctx, s.findings.Read, s.q.SourceStateRead, []any{text(name, maxID)}, func(r scanner) (struct{}, error) {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, json.Unmarshal(doc, v)
	})
	if err = s.fail(op, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// PutSourceState stores how far a source has come.
func (s *Store) PutSourceState(ctx context.Context, name string, v any) error {
	const op = "store state of source"
	if err := checkID(op, "name", name); err != nil {
		return err
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		_, err := t.changed(ctx, s.q.SourceStatePut, name, doc, micros(s.now()))
		return err
	})
}

// PruneSourceState forgets what was stored under names that begin with prefix,
// and not since before.
func (s *Store) PruneSourceState(ctx context.Context, prefix string, before time.Time) (int64, error) {
	return s.pruneRows(ctx, Findings, s.q.SourceStatePrune, prefix, micros(before), int64(pruneChunk))
}
