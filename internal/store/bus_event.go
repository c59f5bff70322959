package store

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxBusEvent bounds the text of an event on the bus: EventBridge's entry of 1 MB.
const maxBusEvent = 1 << 20

// TargetRef names a target of a rule.
type TargetRef struct {
	Rule   string `json:"r"`
	Target string `json:"t"`
	// Address is where the target's deliveries go: what they wait for together.
	Address string `json:"a"`
}

// BusEvent is an event that a rule or an archive wants.
type BusEvent struct {
	Seq int64 // given by AppendEvents
	Bus string
	At  time.Time // the event's own time, by which archives are read
	// Since is when it was accepted, from which the age of its deliveries counts.
	Since    time.Time
	Targets  []TargetRef
	Archives []string
	Doc      json.RawMessage
}

// rooms are for documents while they are written.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// AppendEvents stores events whose first deliveries owner makes, and sets their Seq; ""
// leaves them to whoever claims them. It returns when they are flushed to the disk;
// events that others append at the same time share the transaction.
func (s *Store) AppendEvents(ctx context.Context, owner string, events []*BusEvent, eff Effects) error {
	const op = "store events"
	rows := make([][]any, len(events))
	room, _ := rooms.Get().(*[]byte)
	defer func() {
		if *room = (*room)[:0]; cap(*room) <= maxBusEvent {
			rooms.Put(room)
		}
	}()
	for i, e := range events {
		if err := checkID(op, "bus", e.Bus); err != nil {
			return err
		}
		if !isObject(e.Doc) || len(e.Doc) > maxBusEvent {
			return invalid(op, "an event has %d bytes or is no object; the limit is %d", len(e.Doc), maxBusEvent)
		}
		targets, err := list(e.Targets)
		if err != nil {
			return s.fail(op, err)
		}
		open := int64(0)
		if len(e.Targets) > 0 {
			open = 1
		}
		var doc []byte
		if len(e.Archives) > 0 {
			doc = s.docs.pack(e.Doc)
		} else { // most are gone within a second
			at := len(*room)
			*room = packBrief(*room, e.Doc)
			doc = (*room)[at:]
		}
		rows[i] = []any{e.Bus, micros(e.At), micros(e.Since), text(owner, maxID), open, open + int64(len(e.Archives)), []byte(targets), doc}
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		seqs, err := t.numbered(ctx, s.q.BusEventAppend, rows)
		if err != nil {
			return err
		}
		var archived [][]any
		for i, e := range events {
			e.Seq = seqs[i]
			for _, a := range e.Archives {
				archived = append(archived, []any{a, micros(e.At), e.Seq})
			}
		}
		if _, err := t.bulk(ctx, s.q.ArchivedAppend, archived); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// numbered runs an insert for every row and gives the numbers of the rows made.
func (t *tx) numbered(ctx context.Context, query string, rows [][]any) ([]int64, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if t.s.dialect.Arrays {
		seqs, err := collect(ctx, t, query, columns(rows), scanInt)
		slices.Sort(seqs) // they were given in the order of the rows
		return seqs, err
	}
	seqs := make([]int64, 0, len(rows))
	for len(rows) > 0 {
		text, n := query, 1
		if len(rows) >= ten {
			text, n = tenfold(query), ten
		}
		res, err := t.ExecContext(ctx, text, slices.Concat(rows[:n]...)...)
		if err != nil {
			return nil, err
		}
		last, err := res.LastInsertId()
		if err != nil {
			return nil, err
		}
		for i := range n { // one writer numbers without gaps
			seqs = append(seqs, last-int64(n-1-i))
		}
		rows = rows[n:]
	}
	return seqs, nil
}

// ten rows go in one statement: as many as a request of PutEvents has.
const ten = 10

// tenfold gives the insert of ten rows instead of one.
func tenfold(insert string) string {
	insert = strings.TrimSuffix(strings.TrimSpace(insert), ";")
	_, row, _ := strings.Cut(insert, " VALUES ")
	return insert + strings.Repeat(", "+row, ten-1)
}

// ClaimEvents gives owner up to n events whose first deliveries nobody makes: those that
// were left to anybody, and those of nodes that are dead.
func (s *Store) ClaimEvents(ctx context.Context, owner string, dead []string, n int) (claimed []BusEvent, err error) {
	const op = "claim events"
	from, err := list(append([]string{""}, dead...))
	if err != nil {
		return nil, err
	}
	if !s.dialect.Arrays { // a look costs less than the one writer's turn
		waiting, err := collect(ctx, s.execution.Read, s.q.BusEventWaiting, []any{from, int64(1)}, scanInt)
		if err != nil || len(waiting) == 0 {
			return nil, s.fail(op, err)
		}
	}
	err = s.write(ctx, Execution, op, func(t *tx) error {
		seqs, err := collect(ctx, t, s.q.BusEventWaiting, []any{from, int64(n)}, scanInt)
		if err != nil || len(seqs) == 0 {
			return err
		}
		arg, err := list(seqs)
		if err != nil {
			return err
		}
		claimed, err = collect(ctx, t, s.q.BusEventClaim, []any{arg, text(owner, maxID)}, s.scanBusEvent)
		return err
	})
	return claimed, err
}

func (s *Store) scanBusEvent(r scanner) (BusEvent, error) {
	var e BusEvent
	var at, since int64
	var targets, doc []byte
	if err := r.Scan(&e.Seq, &e.Bus, &at, &since, &targets, &doc); err != nil {
		return e, err
	}
	e.At, e.Since = fromMicros(at), fromMicros(since)
	if err := json.Unmarshal(targets, &e.Targets); err != nil {
		return e, err
	}
	var err error
	e.Doc, err = s.docs.unpackEntry(doc)
	return e, err
}

// SettledEvent says that the first deliveries of an event are over, and which of them
// have to be made again.
type SettledEvent struct {
	Seq   int64
	Again []Waiting
}

// Waiting is a delivery that has to be made, or made again, when it is due. One that is
// Dead is kept aside instead.
type Waiting struct {
	TargetRef
	Since    time.Time
	Due      time.Time
	Attempts int
	Dead     bool
	Code     string // in the words of EventBridge's dead letters
	Reason   string
}

// SettleEvents closes events whose first deliveries are over, and removes those that
// nothing needs any more. An event that was settled already is left as it is, with its
// deliveries: a node that lost its events to another settles nothing.
func (s *Store) SettleEvents(ctx context.Context, owner string, settled []SettledEvent) error {
	const op = "settle events"
	all := make([]int64, len(settled))
	for i, e := range settled {
		all[i] = e.Seq
	}
	var over []int64 // most events are needed for nothing but their first deliveries
	for _, e := range settled {
		if len(e.Again) == 0 {
			over = append(over, e.Seq)
		}
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		if len(over) > 0 {
			arg, err := list(over)
			if err != nil {
				return err
			}
			gone, err := t.changed(ctx, s.q.BusEventDone, arg, text(owner, maxID))
			if err != nil || gone == int64(len(all)) {
				return err
			}
		}
		mine, err := t.those(ctx, s.q.BusEventClose, all, text(owner, maxID))
		if err != nil {
			return err
		}
		var rows [][]any
		holds := map[int64]int64{}
		for _, e := range settled {
			if !mine[e.Seq] {
				continue
			}
			holds[e.Seq] = -1
			for _, w := range e.Again {
				rows = append(rows, s.waitingRow(e.Seq, w))
				holds[e.Seq]++
			}
		}
		if _, err := t.bulk(ctx, s.q.BusDeliveryAppend, rows); err != nil {
			return err
		}
		return t.hold(ctx, holds)
	})
}

func (s *Store) waitingRow(event int64, w Waiting) []any {
	state, died := int64(messageWaiting), int64(0)
	if w.Dead {
		state, died = messageDead, micros(s.now())
	}
	return []any{
		event, text(w.Rule, maxID), text(w.Target, maxID), text(w.Address, maxID), state, micros(w.Since), micros(w.Due), int64(w.Attempts),
		text(w.Code, maxID), text(w.Reason, maxReason), died,
	}
}

// those runs a statement about rows by their numbers, and gives those that it was for.
func (t *tx) those(ctx context.Context, query string, seqs []int64, more ...any) (map[int64]bool, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	arg, err := list(seqs)
	if err != nil {
		return nil, err
	}
	done, err := collect(ctx, t, query, append([]any{arg}, more...), scanInt)
	out := make(map[int64]bool, len(done))
	for _, seq := range done {
		out[seq] = true
	}
	return out, err
}

// hold changes what still needs events by so many, and removes those that nothing does.
func (t *tx) hold(ctx context.Context, by map[int64]int64) error {
	if len(by) == 0 {
		return nil
	}
	var changed [][]int64
	for seq, n := range by {
		changed = append(changed, []int64{seq, n})
	}
	slices.SortFunc(changed, func(a, b []int64) int { return cmp.Compare(a[0], b[0]) }) // as other nodes lock them
	arg, err := list(changed)
	if err != nil {
		return err
	}
	if _, err := t.changed(ctx, t.s.q.BusEventHold, arg); err != nil {
		return err
	}
	_, err = t.changed(ctx, t.s.q.BusEventSweep, arg)
	return err
}

// ArchivedEvents gives up to n events of an archive whose time is in [from, to), in the
// order of their times, after the event at after with afterSeq.
func (s *Store) ArchivedEvents(ctx context.Context, archive string, from, to, after time.Time, afterSeq int64, n int) ([]BusEvent, error) {
	if after.Before(from) {
		after, afterSeq = from, -1
	}
	out, err := collect(ctx, s.execution.Read, s.q.ArchivedPage, []any{archive, micros(after), afterSeq, micros(to), int64(n)}, s.scanBusEvent)
	return out, s.fail("read archived events", err)
}

// PruneArchive removes up to a chunk of the events of an archive whose time is before,
// and says how many; repeat it until there are none.
func (s *Store) PruneArchive(ctx context.Context, archive string, before time.Time) (n int, err error) {
	err = s.write(ctx, Execution, "prune an archive", func(t *tx) error {
		seqs, err := collect(ctx, t, s.q.ArchivedPrune, []any{archive, micros(before), int64(pruneChunk)}, scanInt)
		if err != nil {
			return err
		}
		n = len(seqs)
		by := make(map[int64]int64, n)
		for _, seq := range seqs {
			by[seq] = -1
		}
		return t.hold(ctx, by)
	})
	return n, err
}

// ArchiveSize counts the events of an archive and the bytes that they take here.
func (s *Store) ArchiveSize(ctx context.Context, archive string) (events, bytes int64, err error) {
	_, err = one(ctx, s.execution.Read, s.q.ArchivedSize, []any{archive}, func(r scanner) (struct{}, error) {
		return struct{}{}, r.Scan(&events, &bytes)
	})
	return events, bytes, s.fail("count archived events", err)
}
