package store

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// maxGroup bounds what is done together, and so how long the first waits for the last.
const maxGroup = 64

// The marks around one write of a group: what it wrote is taken back alone.
const (
	markWrite    = "SAVEPOINT one_write"
	unmarkWrite  = "RELEASE one_write"
	takeBackMark = "ROLLBACK TO one_write"
)

// errBrokenOff is what those are left with whose item was not done because doing another
// panicked.
var errBrokenOff = errors.New("broken off by a panic in another call")

// gather lets those who want the same thing at the same time do it together. Whoever
// finds nobody at work leads: it does what waits, and hands the lead on.
type gather[T any] struct {
	mu      sync.Mutex
	led     bool
	waiting []*waiter[T]
}

type waiter[T any] struct {
	item  T
	turn  chan bool // true: lead, false: it is done
	leads bool
}

// do returns when run was called with item, here or by somebody else, and with at
// most maxGroup items; or with false when ctx ended before.
func (g *gather[T]) do(ctx context.Context, item T, run func([]T)) bool {
	w := &waiter[T]{item: item, turn: make(chan bool, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	lead := !g.led
	g.led, w.leads = true, lead
	g.mu.Unlock()
	if !lead {
		select {
		case lead = <-w.turn:
		case <-ctx.Done():
			if g.leave(w) {
				return false
			}
			lead = <-w.turn
		}
	}
	if lead {
		g.lead(run)
	}
	return true
}

// leave takes w out of those that wait, unless its turn has come.
func (g *gather[T]) leave(w *waiter[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, w)
	if at < 0 || w.leads {
		return false
	}
	g.waiting = slices.Delete(g.waiting, at, at+1)
	return true
}

// lead does what waits, the caller's own item being the first of it.
func (g *gather[T]) lead(run func([]T)) {
	g.mu.Lock()
	n := min(len(g.waiting), maxGroup)
	all := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.mu.Unlock()
	items := make([]T, n)
	for i, w := range all {
		items[i] = w.item
	}
	defer g.handOn(all) // also when run panics: nobody must wait for ever
	run(items)
}

// handOn tells those whose items are done, and gives the lead to the next that waits.
func (g *gather[T]) handOn(all []*waiter[T]) {
	g.mu.Lock()
	var next *waiter[T]
	if g.led = len(g.waiting) > 0; g.led {
		next = g.waiting[0]
		next.leads = true
	}
	g.mu.Unlock()
	for _, w := range all[1:] {
		w.turn <- false
	}
	if next != nil {
		next.turn <- true
	}
}

// group lets writes that wait for a file's one writer share a commit: a commit is
// flushed to the disk, which costs more than what most writes do.
type group struct{ gather[*queued] }

// queued is one write that waits.
type queued struct {
	ctx context.Context
	fn  func(*tx) error

	did      done
	err      error
	panicked any
}

// write runs fn with those that wait beside it. A write that fails does not touch
// the others; a commit that fails is an error for all.
func (g *group) write(ctx context.Context, s *Store, db *handle, fn func(*tx) error) (did done, err error) {
	q := &queued{ctx: ctx, fn: fn}
	ran := g.do(ctx, q, func(all []*queued) {
		if len(all) == 1 {
			q.alone(s, db)
		} else {
			together(s, db, all)
		}
	})
	switch {
	case !ran:
		return done{}, context.Cause(ctx)
	case q.panicked != nil:
		panic(q.panicked) // where it would have been without the group
	}
	return q.did, q.err
}

// alone runs q in a transaction of its own.
func (q *queued) alone(s *Store, db *handle) {
	q.did, q.err = s.writeOnce(q.ctx, db, q.run)
}

// run calls fn. A panic is kept for the goroutine whose write it is.
func (q *queued) run(t *tx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			q.panicked, err = v, errors.New("the write panicked")
		}
	}()
	return q.fn(t)
}

// together runs all in one transaction.
func together(s *Store, db *handle, all []*queued) {
	ctx := context.Background() // it is nobody's alone
	raw, err := db.BeginTx(ctx, nil)
	if err != nil {
		give(all, err)
		return
	}
	for _, q := range all {
		if q.err = context.Cause(q.ctx); q.err != nil {
			continue
		}
		t := &tx{Tx: raw, s: s, from: db}
		if err = q.within(ctx, t); err != nil {
			break
		}
		q.did = done{t.wake, t.hints}
	}
	if err != nil {
		// The database has taken back everything, as it does when the disk is full:
		// each is told for itself.
		_ = raw.Rollback()
		for _, q := range all {
			if q.panicked == nil {
				q.alone(s, db)
			}
		}
		return
	}
	if err := raw.Commit(); err != nil {
		give(all, err)
	}
}

// within runs q between marks; its own failure is kept in q. The error says that the
// transaction cannot be used any more.
func (q *queued) within(ctx context.Context, t *tx) error {
	if _, err := t.ExecContext(ctx, markWrite); err != nil {
		return err
	}
	if q.err = q.run(t); q.err != nil {
		if _, err := t.ExecContext(ctx, takeBackMark); err != nil {
			return err
		}
	}
	_, err := t.ExecContext(ctx, unmarkWrite)
	return err
}

func give(all []*queued, err error) {
	for _, q := range all {
		q.did, q.err = done{}, err
	}
}
