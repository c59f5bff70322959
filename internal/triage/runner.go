package triage

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Lease makes one node at a time do something.
type Lease interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (bool, error)
}

// turn is a desk's right to work, of one node at a time.
type turn struct {
	lease      Lease
	name, node string
}

// take reports whether this node may work now. Without a lease nobody else does.
func (t turn) take(ctx context.Context) (bool, error) {
	if t.lease == nil || t.node == "" {
		return true, nil
	}
	return t.lease.AcquireLease(ctx, t.name, t.node, runLease)
}

// runner does work in the background, when it is woken and by itself for what another
// node was asked for, or an earlier run left.
type runner struct {
	work func(ctx context.Context) error
	poll time.Duration
	log  *slog.Logger
	wake chan struct{}

	mu   sync.Mutex
	stop context.CancelFunc
	done chan struct{}
}

func newRunner(poll time.Duration, log *slog.Logger, work func(ctx context.Context) error) runner {
	return runner{work: work, poll: poll, log: log, wake: make(chan struct{}, 1)}
}

func (r *runner) wakeRunner() {
	select {
	case r.wake <- struct{}{}:
	default: // A wake-up is waiting already.
	}
}

// Start begins to carry out the work in the background.
func (r *runner) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan struct{})
	go r.loop(ctx, r.done)
	return nil
}

// Stop ends the background work after the commit that is under way. It goes on where
// it is when a node starts again.
func (r *runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	stop, done := r.stop, r.done
	r.stop = nil
	r.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *runner) loop(ctx context.Context, done chan struct{}) {
	defer close(done)
	poll := time.NewTicker(r.poll)
	defer poll.Stop()
	for {
		if err := r.work(ctx); err != nil && ctx.Err() == nil {
			// The work is where it was; the next wake-up or poll goes on.
			r.log.ErrorContext(ctx, "work interrupted", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-poll.C:
		}
	}
}
