package store

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// InboxItem is one finding as it came in, checked but not looked at yet.
type InboxItem struct {
	// Source is the key, queue or collector that brought it.
	Source string
	// Trusted says that the source may start automatic remediation.
	Trusted    bool
	Finding    json.RawMessage
	ReceivedAt time.Time
}

// InboxRow is a stored item. Seq grows in the order of arrival.
type InboxRow struct {
	Seq int64
	InboxItem
}

const (
	// intakeRows bounds one commit of the inbox.
	intakeRows = 4000
	// intakeWait bounds how long one commit may take before all its callers are told.
	intakeWait = 30 * time.Second
	// maxFinding is the greatest finding that Security Hub takes, 240 KB, with
	// room for what Parry adds.
	maxFinding = 512 << 10
)

// intake gathers concurrent calls of AppendInbox into one commit, because a
// commit costs a flush of the disk whether it holds one finding or a thousand.
type intake struct {
	mu      sync.Mutex
	busy    bool // a call is writing
	waiting []*intakeCall
}

type intakeCall struct {
	rows [][]any
	turn chan struct{} // this call writes next, for itself and those behind it
	done chan error    // another call wrote this one
}

// AppendInbox stores items durably, all or none. Concurrent calls share a
// commit; once begun, it is not abandoned when ctx ends.
func (s *Store) AppendInbox(ctx context.Context, items []InboxItem) error {
	if len(items) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return s.fail("accept findings", err)
	}
	call := &intakeCall{rows: make([][]any, len(items)), turn: make(chan struct{}, 1), done: make(chan error, 1)}
	for i, it := range items {
		if len(it.Finding) == 0 || len(it.Finding) > maxFinding {
			return invalid("accept findings", "item %d has %d bytes, outside 1 to %d", i, len(it.Finding), maxFinding)
		}
		call.rows[i] = []any{text(it.Source, maxID), flag(it.Trusted), micros(it.ReceivedAt), s.docs.pack(it.Finding)}
	}
	s.intake.join(call)
	select {
	case err := <-call.done:
		return err
	case <-call.turn:
	}
	batch := s.intake.take()
	var rows [][]any
	for _, c := range batch {
		rows = append(rows, c.rows...)
	}
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), intakeWait)
	defer cancel()
	err := s.write(wctx, Findings, "accept findings", func(t *tx) error {
		_, err := t.bulk(wctx, s.q.InboxAppend, rows)
		return err
	})
	s.intake.pass()
	for _, c := range batch {
		c.done <- err
	}
	return err
}

// join queues a call; the first of a quiet intake gets the turn at once.
func (in *intake) join(c *intakeCall) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting = append(in.waiting, c)
	if !in.busy {
		in.busy = true
		c.turn <- struct{}{}
	}
}

// take gives the calls to write now, the one whose turn it is first.
func (in *intake) take() []*intakeCall {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, rows := 1, len(in.waiting[0].rows)
	for n < len(in.waiting) && rows+len(in.waiting[n].rows) <= intakeRows {
		rows += len(in.waiting[n].rows)
		n++
	}
	batch := slices.Clone(in.waiting[:n])
	in.waiting = slices.Delete(in.waiting, 0, n)
	return batch
}

// pass gives the turn to the next call, if there is one.
func (in *intake) pass() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting) == 0 {
		in.busy = false
		return
	}
	in.waiting[0].turn <- struct{}{}
}

// PeekInbox gives the oldest n items and leaves them where they are:
// CommitFindings takes them out with the findings they became. On PostgreSQL
// one node at a time should drain the inbox, see AcquireLease; two that do are
// told so by ErrConflict.
func (s *Store) PeekInbox(ctx context.Context, n int) ([]InboxRow, error) {
	return s.PeekInboxAfter(ctx, 0, n)
}

// PeekInboxAfter is PeekInbox behind the row with number seq. A row with a
// smaller number may still come: PostgreSQL gives numbers before commits.
func (s *Store) PeekInboxAfter(ctx context.Context, seq int64, n int) ([]InboxRow, error) {
	rows, err := collect(ctx, s.findings.Read, s.q.InboxPeek, []any{seq, int64(n)}, func(r scanner) (InboxRow, error) {
		var row InboxRow
		var trusted, at int64
		var frame []byte
		if err := r.Scan(&row.Seq, &row.Source, &trusted, &at, &frame); err != nil {
			return row, err
		}
		row.Trusted, row.ReceivedAt = trusted != 0, fromMicros(at)
		doc, err := s.docs.unpack(frame)
		row.Finding = doc
		return row, err
	})
	return rows, s.fail("read the inbox", err)
}

// InboxDepth counts the items that wait. It reads the whole inbox: ask it every
// few seconds, not for every request.
func (s *Store) InboxDepth(ctx context.Context) (int, error) {
	n, err := one(ctx, s.findings.Read, s.q.InboxDepth, nil, scanInt)
	return int(n), s.fail("count the inbox", err)
}

func scanInt(r scanner) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

func scanText(r scanner) (v string, err error) {
	err = r.Scan(&v)
	return v, err
}

// takeInbox removes rows that became findings. One that is gone means that
// another node worked on the same part of the inbox.
func (t *tx) takeInbox(ctx context.Context, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	seqs = slices.Compact(slices.Sorted(slices.Values(seqs)))
	arg, err := list(seqs)
	if err != nil {
		return err
	}
	n, err := t.changed(ctx, t.s.q.InboxDelete, arg)
	if err != nil {
		return err
	}
	if n != int64(len(seqs)) {
		return fault.E(fault.Conflict, "take findings out of the inbox", ErrConflict)
	}
	return nil
}
