package bus_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/bus"
)

// ledger keeps events and deliveries in memory, as the store keeps them on the disk.
type ledger struct {
	t  *testing.T
	mu sync.Mutex

	seq     int64
	events  map[int64]*eventRow
	waiting map[int64]*bus.Claimed
	leased  map[int64]time.Time
	dead    []bus.Later
	down    bool // it answers nothing
}

type eventRow struct {
	bus.Posted
	owner string
	open  bool
	holds int
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, events: map[int64]*eventRow{}, waiting: map[int64]*bus.Claimed{}, leased: map[int64]time.Time{}}
}

var errDown = errors.New("the ledger is down")

func (l *ledger) AppendEvents(_ context.Context, owner string, events []*bus.Posted) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	for _, e := range events {
		l.seq++
		e.Seq = l.seq
		l.events[e.Seq] = &eventRow{Posted: *e, owner: owner, open: true, holds: 1}
	}
	return nil
}

func (l *ledger) ClaimEvents(_ context.Context, owner string, dead []string, n int) ([]bus.Posted, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []bus.Posted
	for _, seq := range slices.Sorted(maps.Keys(l.events)) {
		if r := l.events[seq]; r.open && (r.owner == "" || slices.Contains(dead, r.owner)) && len(out) < n {
			r.owner = owner
			out = append(out, r.Posted)
		}
	}
	return out, nil
}

func (l *ledger) SettleEvents(_ context.Context, owner string, settled []bus.Settled) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	for _, s := range settled {
		r := l.events[s.Event]
		if r == nil || !r.open || r.owner != owner {
			l.t.Errorf("event %d is settled by %s, who does not have it", s.Event, owner)
			continue
		}
		r.open = false
		for _, a := range s.Again {
			r.holds++
			l.keep(s.Event, a)
		}
		l.release(s.Event)
	}
	return nil
}

func (l *ledger) keep(event int64, a bus.Later) {
	if a.Dead {
		l.dead = append(l.dead, a)
		return
	}
	l.seq++
	l.waiting[l.seq] = &bus.Claimed{Seq: l.seq, Event: event, Later: a, Bus: l.events[event].Bus, Text: l.events[event].Text}
}

func (l *ledger) release(event int64) {
	if l.events[event].holds--; l.events[event].holds == 0 {
		delete(l.events, event)
	}
}

func (l *ledger) DueAddresses(_ context.Context, after string, n int) ([]bus.AddressDue, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := map[string]time.Time{}
	for seq, w := range l.waiting {
		due := w.Due
		if until := l.leased[seq]; until.After(due) {
			due = until
		}
		if at, ok := first[w.Address]; w.Address > after && (!ok || due.Before(at)) {
			first[w.Address] = due
		}
	}
	var out []bus.AddressDue
	for _, a := range slices.Sorted(maps.Keys(first)) {
		out = append(out, bus.AddressDue{Address: a, Due: first[a]})
	}
	return out[:min(n, len(out))], nil
}

func (l *ledger) ClaimDeliveries(_ context.Context, address string, n int, _ string, lease time.Duration) ([]bus.Claimed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var out []bus.Claimed
	for seq, w := range l.waiting {
		if w.Address == address && !w.Due.After(now) && !l.leased[seq].After(now) && len(out) < n {
			w.Claim++
			l.leased[seq] = now.Add(lease)
			out = append(out, *w)
		}
	}
	slices.SortFunc(out, func(a, b bus.Claimed) int { return cmp.Compare(a.Seq, b.Seq) })
	return out, nil
}

func (l *ledger) SettleDeliveries(_ context.Context, outcomes []bus.Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	for _, o := range outcomes {
		w := l.waiting[o.Seq]
		if w == nil || w.Claim != o.Claim {
			continue
		}
		delete(l.leased, o.Seq)
		delete(l.waiting, o.Seq)
		if o.Again != nil {
			l.events[o.Event].holds++
			l.keep(o.Event, *o.Again)
		}
		l.release(o.Event)
	}
	return nil
}

// empty says what is left, "" when nothing is.
func (l *ledger) left() (events, waiting, dead int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events), len(l.waiting), len(l.dead)
}
