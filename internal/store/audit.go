package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// AuditRow is a record that waits to be chained.
type AuditRow struct {
	File File
	Seq  int64
	AuditRecord
}

// AuditEntry is a record in the chain. Its Hash covers PrevHash and the record;
// package audit computes it, the store keeps it.
type AuditEntry struct {
	Index    int64
	PrevHash string
	Hash     string
	File     File
	Seq      int64
	AuditRecord
}

// AuditPending gives the oldest n records of f that are not in the chain yet.
func (s *Store) AuditPending(ctx context.Context, f File, n int) ([]AuditRow, error) {
	const op = "read the audit outbox"
	db, err := s.db(f)
	if err != nil {
		return nil, err
	}
	for {
		rows, err := collect(ctx, db.Read, s.q.AuditPending, []any{int64(n)}, func(r scanner) (AuditRow, error) {
			row := AuditRow{File: f}
			var doc []byte
			if err := r.Scan(&row.Seq, &doc); err != nil {
				return row, err
			}
			return row, json.Unmarshal(doc, &row.AuditRecord)
		})
		if err != nil || f == Execution || len(rows) == 0 {
			return rows, s.fail(op, err)
		}
		fresh, chained, err := s.split(ctx, rows)
		if err != nil {
			return nil, s.fail(op, err)
		}
		if len(chained) == 0 {
			return fresh, nil
		}
		// A crash between the two files left these behind: they are chained.
		if err := s.auditDone(ctx, f, chained); err != nil {
			return nil, err
		}
	}
}

// split tells the rows that wait from those in the chain already.
func (s *Store) split(ctx context.Context, rows []AuditRow) (fresh []AuditRow, chained []int64, err error) {
	seqs := make([]int64, len(rows))
	for i, r := range rows {
		seqs[i] = r.Seq
	}
	arg, err := list(seqs)
	if err != nil {
		return nil, nil, err
	}
	chained, err = collect(ctx, s.execution.Read, s.q.AuditKnown, []any{string(rows[0].File), arg}, scanInt)
	if err != nil {
		return nil, nil, err
	}
	known := make(map[int64]bool, len(chained))
	for _, seq := range chained {
		known[seq] = true
	}
	for _, r := range rows {
		if !known[r.Seq] {
			fresh = append(fresh, r)
		}
	}
	return fresh, chained, nil
}

func (s *Store) auditDone(ctx context.Context, f File, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	return s.write(ctx, f, "clear the audit outbox", func(t *tx) error { return t.auditDone(ctx, seqs) })
}

func (t *tx) auditDone(ctx context.Context, seqs []int64) error {
	arg, err := list(seqs)
	if err != nil {
		return err
	}
	_, err = t.changed(ctx, t.s.q.AuditDone, arg)
	return err
}

// AppendAudit puts entries at the end of the chain and takes their records out
// of the outboxes. Entries must continue the chain without a gap, else
// ErrConflict: another appender was faster, read LastAudit again. Appending the
// very same entries again does nothing.
//
// The outbox of the Findings file is cleared after the commit, since no
// transaction spans both files; a record left behind by a crash is recognised by
// (file, seq) and cleared by the next AuditPending.
func (s *Store) AppendAudit(ctx context.Context, entries []AuditEntry) error {
	const op = "append to the audit log"
	if len(entries) == 0 {
		return nil
	}
	seqs := map[File][]int64{}
	rows := make([][]any, len(entries))
	for i, e := range entries {
		if _, err := s.db(e.File); err != nil {
			return err
		}
		seqs[e.File] = append(seqs[e.File], e.Seq)
		e.At = e.At.UTC()
		doc, err := json.Marshal(e.AuditRecord)
		if err != nil {
			return s.fail(op, err)
		}
		rows[i] = []any{e.Index, text(e.PrevHash, maxID), text(e.Hash, maxID), string(e.File), e.Seq, doc}
	}
	err := s.write(ctx, Execution, op, func(t *tx) error {
		again, err := t.appended(ctx, entries)
		if err != nil || again {
			return err
		}
		if err := t.continues(ctx, entries); err != nil {
			return err
		}
		if _, err := t.bulk(ctx, s.q.AuditInsert, rows); err != nil {
			return err
		}
		return t.auditDone(ctx, seqs[Execution])
	})
	if err != nil {
		return err
	}
	return s.auditDone(ctx, Findings, seqs[Findings])
}

// appended reports whether all entries are in the chain as they are.
func (t *tx) appended(ctx context.Context, entries []AuditEntry) (bool, error) {
	for _, e := range entries {
		was, err := one(ctx, t, t.s.q.AuditFind, []any{string(e.File), e.Seq}, scanAudit)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if was.Index != e.Index || was.Hash != e.Hash || was.PrevHash != e.PrevHash {
			return false, conflict("append audit record %s/%d", e.File, e.Seq)
		}
	}
	return true, nil
}

// continues checks that entries follow the last one of the chain.
func (t *tx) continues(ctx context.Context, entries []AuditEntry) error {
	last, err := one(ctx, t, t.s.q.AuditLast, nil, scanAudit)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for _, e := range entries {
		if e.Index != last.Index+1 || e.PrevHash != last.Hash || e.Hash == "" {
			return conflict("append audit entry %d after %d", e.Index, last.Index)
		}
		last = e
	}
	return nil
}

func scanAudit(r scanner) (AuditEntry, error) {
	var e AuditEntry
	var doc []byte
	if err := r.Scan(&e.Index, &e.PrevHash, &e.Hash, &e.File, &e.Seq, &doc); err != nil {
		return e, err
	}
	return e, json.NewDecoder(bytes.NewReader(doc)).Decode(&e.AuditRecord)
}

// LastAudit gives the end of the chain; false when it is empty. The first entry
// has index 1 and no previous hash.
func (s *Store) LastAudit(ctx context.Context) (AuditEntry, bool, error) {
	e, err := one(ctx, s.execution.Read, s.q.AuditLast, nil, scanAudit)
	if errors.Is(err, sql.ErrNoRows) {
		return AuditEntry{}, false, nil
	}
	return e, err == nil, s.fail("read the audit log", err)
}

// AuditEntries gives up to n entries that follow afterIndex, in order.
func (s *Store) AuditEntries(ctx context.Context, afterIndex int64, n int) ([]AuditEntry, error) {
	all, err := collect(ctx, s.execution.Read, s.q.AuditPage, []any{afterIndex, int64(n)}, scanAudit)
	return all, s.fail("read the audit log", err)
}
