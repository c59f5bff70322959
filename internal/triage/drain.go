package triage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// maxConflicts is how often in a row a commit may lose against another writer
// before the caller is told.
const maxConflicts = 8

// Drain turns everything that was in the inbox when it was called into
// findings, and gives how many rows it took. Rows that arrive meanwhile may be
// left, so that a reader is not held up by a flood.
func (t *Triage) Drain(ctx context.Context) (int, error) {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return 0, fault.E(fault.Unavailable, "drain inbox", context.Cause(ctx))
	}
	// Rows that were numbered earlier may come later, so the inbox is walked
	// through until nothing is left.
	began, total, conflicts := t.cfg.Clock.Now(), 0, 0
	for {
		n, err := t.walk(ctx, began)
		total += n
		switch {
		case err == nil && n == 0:
			return total, nil
		case err == nil:
			conflicts = 0
		case errors.Is(err, store.ErrConflict) && conflicts < maxConflicts:
			// Another process drains too, or a customer was faster: what it took
			// is gone from the inbox, so look again.
			conflicts++
			if err := pause(ctx, conflicts); err != nil {
				return total, err
			}
		default:
			return total, err
		}
	}
}

// walk goes through the inbox once, from its first row to the last that was there at
// began. The next batch is made ready while one is committed.
func (t *Triage) walk(ctx context.Context, began time.Time) (int, error) {
	var f flights
	var err error
	for seq := int64(0); f.err == nil; {
		var rows []arrival
		if rows, err = t.look(ctx, seq); err != nil || len(rows) == 0 || rows[0].ReceivedAt.After(began) {
			break
		}
		seq = rows[len(rows)-1].Seq
		f.start(rows, func() (int, error) { return t.take(ctx, rows) })
		if len(rows) < t.cfg.Batch {
			break
		}
	}
	f.wait(0)
	return f.taken, cmp.Or(f.err, err)
}

// arrival is a row of the inbox with its document opened, or why it has none.
type arrival struct {
	store.InboxRow
	doc finding.Finding
	err error
}

// look reads rows behind the one with number seq and opens their documents.
func (t *Triage) look(ctx context.Context, seq int64) ([]arrival, error) {
	rows, err := t.cfg.Store.PeekInboxAfter(ctx, seq, t.cfg.Batch)
	if err != nil {
		return nil, fmt.Errorf("read inbox: %w", err)
	}
	return open(rows), nil
}

// open parses the documents of rows, on all processors.
func open(rows []store.InboxRow) []arrival {
	out := make([]arrival, len(rows))
	parallel(len(rows), func(i int) {
		doc, err := finding.Reopen(rows[i].Finding)
		if err == nil && doc.ID().IsZero() {
			err = fault.Errorf(fault.Invalid, "read inbox", "the row holds no finding")
		}
		out[i] = arrival{rows[i], doc, err}
	})
	return out
}

// parallelFrom is how many pieces of work are worth a goroutine.
const parallelFrom = 32

// parallel calls do for each i below n, on all processors when n is worth it.
func parallel(n int, do func(i int)) {
	size := max(parallelFrom, (n+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for from := 0; from < n; from += size {
		part := func() {
			for i := from; i < min(from+size, n); i++ {
				do(i)
			}
		}
		if from+size >= n {
			part() // the last part, or the only one, needs no goroutine
			break
		}
		wg.Go(part)
	}
	wg.Wait()
}

// take commits rows together. When that fails for a reason that lies in a row,
// each row is committed alone and the ones that cannot be are set aside.
func (t *Triage) take(ctx context.Context, rows []arrival) (int, error) {
	rules, err := t.cfg.Rules.Rules(ctx)
	if err != nil {
		return 0, fmt.Errorf("read automation rules: %w", err)
	}
	err = t.commit(ctx, rows, rules)
	if err == nil {
		return len(rows), nil
	}
	if !inRow(err) {
		return 0, err
	}
	for i, row := range rows {
		one := rows[i : i+1]
		err := t.commit(ctx, one, rules)
		if err != nil && inRow(err) {
			err = t.setAside(ctx, row.InboxRow, err)
		}
		if err != nil {
			return i, err
		}
	}
	return len(rows), nil
}

// inRow reports whether a commit failed because of what it held, rather than
// because the store was busy, full or away.
func inRow(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, transient := fault.IsTransient(err); transient {
		return false
	}
	switch fault.CodeOf(err) {
	case fault.Unavailable, fault.Exhausted, fault.Conflict:
		return false
	}
	return true
}

// commit makes one commit of rows.
func (t *Triage) commit(ctx context.Context, rows []arrival, rules *rule.Set) error {
	b, err := t.assemble(ctx, rows, rules)
	if err != nil {
		return err
	}
	return t.write(ctx, b)
}

// weigh tells b what the priority of its findings depends on.
func (t *Triage) weigh(ctx context.Context, b *batch) error {
	b.scorer = t.cfg.Scorer
	var err error
	if b.threatened, err = t.cfg.Store.Threatened(ctx, b.resources()); err != nil {
		return fmt.Errorf("read threats: %w", err)
	}
	return nil
}

// write ranks what the batch holds and commits it.
func (t *Triage) write(ctx context.Context, b *batch) error {
	if err := t.weigh(ctx, b); err != nil {
		return err
	}
	writes, eff, err := b.effects()
	if err != nil {
		return err
	}
	return t.cfg.Store.CommitFindings(ctx, writes, b.done, eff)
}

// again runs try until it does not end in a conflict.
func (t *Triage) again(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if !errors.Is(err, store.ErrConflict) || n == maxConflicts {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// pause waits longer with every conflict, so that two processes that meet do
// not meet again and again.
func pause(ctx context.Context, n int) error {
	timer := time.NewTimer(time.Duration(n*n) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fault.E(fault.Unavailable, "wait for another writer", context.Cause(ctx))
	case <-timer.C:
		return nil
	}
}

// assemble runs rows over the findings that are stored, in order; several rows
// of one finding build on each other.
func (t *Triage) assemble(ctx context.Context, rows []arrival, rules *rule.Set) (*batch, error) {
	b, err := t.begin(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]finding.ID, 0, len(rows))
	for _, a := range rows {
		b.done = append(b.done, a.Seq)
		if a.err == nil {
			ids = append(ids, a.doc.ID())
		}
	}
	if err := t.find(ctx, b, ids); err != nil {
		return nil, err
	}
	for _, a := range rows {
		if a.err != nil {
			b.refuse(a.InboxRow, a.err)
			continue
		}
		s := b.subject(a.doc.ID())
		a.doc = t.withAccountName(a.doc)
		if err := s.receive(a.InboxRow, a.doc, rules, b); err != nil {
			b.refuse(a.InboxRow, err)
			continue
		}
		t.cfg.Seen(a.Source, a.doc.Account(), a.doc.Region())
	}
	return b, nil
}

// withAccountName fills in the name of the account, which rules may ask for.
func (t *Triage) withAccountName(f finding.Finding) finding.Finding {
	if name := t.cfg.AccountName(f.Account()); name != "" && !f.Has("AwsAccountName") {
		return f.With("AwsAccountName", name)
	}
	return f
}

// load opens the findings among ids that exist.
func (t *Triage) load(ctx context.Context, b *batch, ids []finding.ID) error {
	if err := t.find(ctx, b, ids); err != nil {
		return err
	}
	for _, s := range b.open {
		if err := s.read(); err != nil {
			return err
		}
	}
	return nil
}

// find takes the findings among ids that exist into b, their documents unread.
func (t *Triage) find(ctx context.Context, b *batch, ids []finding.ID) error {
	if len(ids) == 0 {
		return nil
	}
	records, err := t.cfg.Store.Findings(ctx, ids)
	if err != nil {
		return fmt.Errorf("read findings: %w", err)
	}
	for _, rec := range records {
		b.open[rec.ID] = &subject{record: rec, exists: true}
	}
	return nil
}
