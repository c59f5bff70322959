package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// errStopping ends work because the process stops. It counts as a deadline for
// the reason given at leaseLostError.
var errStopping error = stoppingError{}

type stoppingError struct{}

func (stoppingError) Error() string { return "the durable engine is stopping" }

func (stoppingError) Is(target error) bool { return target == context.DeadlineExceeded }

// leaseLostError ends all work of a node. It counts as a deadline because DBOS
// marks work as cancelled when its context ends for any other reason, and then
// nobody would take it over.
type leaseLostError struct{ why string }

func (e leaseLostError) Error() string { return "the node lost its lease: " + e.why }

func (leaseLostError) Is(target error) bool {
	return target == context.DeadlineExceeded || target == ErrLeaseLost
}

var errNotStarted = errors.New("the durable engine has not started")

// ErrLeaseLost is in the chain of every error that a lost lease causes.
var ErrLeaseLost = errors.New("lease lost")

// lease is this node's right to work.
type lease struct {
	e    *Engine
	lost chan struct{}

	mu      sync.Mutex
	held    bool
	epoch   int64
	renewed time.Time // just before the last renewal was sent
	cause   error
}

func newLease(e *Engine) *lease { return &lease{e: e, lost: make(chan struct{})} }

func (l *lease) ttl() time.Duration { return l.e.cfg.LeaseTTL }

// grace is how long the lease counts after a renewal: half of it, so that this
// node stops before another begins.
func (l *lease) grace() time.Duration { return l.ttl() / 2 }

func (l *lease) take(ctx context.Context) error {
	now := l.e.cfg.Clock.Now()
	epoch, err := l.e.cfg.Lease.Heartbeat(ctx, l.e.cfg.Node, l.ttl())
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.epoch, l.renewed = true, epoch, now
	return nil
}

func (l *lease) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.grace())
	defer cancel()
	l.mu.Lock()
	epoch := l.epoch
	if l.cause == nil {
		l.cause = errStopping
	}
	l.mu.Unlock()
	return l.e.cfg.Lease.ReleaseNode(ctx, l.e.cfg.Node, epoch)
}

func (l *lease) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil && !l.held {
		return errNotStarted
	}
	return l.cause
}

// left is how long the lease still counts.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grace() - l.e.cfg.Clock.Now().Sub(l.renewed)
}

// lose ends all work of this node, once.
func (l *lease) lose(why string) error {
	l.mu.Lock()
	if l.cause != nil {
		defer l.mu.Unlock()
		return l.cause
	}
	l.cause = leaseLostError{why}
	close(l.lost)
	cause := l.cause
	l.mu.Unlock()
	l.e.cfg.Logger.Error("node lost its lease; its work is left to others", "node", l.e.cfg.Node, "reason", why)
	l.e.cancel(cause)
	return cause
}

// loop renews the lease at every third of its length, and looks more often
// whether it still counts: a process that was suspended must notice before it
// goes on.
func (l *lease) loop(ctx context.Context) {
	tick := time.NewTicker(max(l.ttl()/20, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		left := l.left()
		if left <= 0 {
			_ = l.lose(fmt.Sprintf("it could not be renewed within %s", l.grace()))
			return
		}
		if l.grace()-left < l.ttl()/3 {
			continue
		}
		if l.renew(ctx, left) != nil {
			return
		}
	}
}

// renew tries once, and no longer than the lease counts.
func (l *lease) renew(ctx context.Context, left time.Duration) error {
	now := l.e.cfg.Clock.Now()
	timed, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	epoch, err := l.e.cfg.Lease.Heartbeat(timed, l.e.cfg.Node, l.ttl())
	if err != nil {
		if ctx.Err() == nil {
			l.e.cfg.Logger.Warn("node lease not renewed; trying again", "node", l.e.cfg.Node, "error", err)
		}
		return nil
	}
	l.mu.Lock()
	same := epoch == l.epoch
	if same {
		l.renewed = now
	}
	l.mu.Unlock()
	if !same {
		return l.lose("it had run out, and its work was given to others")
	}
	return nil
}

// fence asks the database whether the lease is valid. While that cannot be
// read, it asks again until the lease no longer counts.
func (l *lease) fence(ctx context.Context) error {
	const op = "check the node lease"
	for {
		if err := l.err(); err != nil {
			return fault.E(fault.Unavailable, op, err)
		}
		left := l.left()
		if left <= 0 {
			return fault.E(fault.Unavailable, op, l.lose(fmt.Sprintf("it could not be renewed within %s", l.grace())))
		}
		l.mu.Lock()
		epoch := l.epoch
		l.mu.Unlock()
		timed, cancel := context.WithTimeout(ctx, left)
		valid, err := l.e.cfg.Lease.LeaseValid(timed, l.e.cfg.Node, epoch)
		cancel()
		switch {
		case err == nil && valid:
			return nil
		case err == nil:
			return fault.E(fault.Unavailable, op, l.lose("another epoch holds it, or it has run out"))
		case ctx.Err() != nil:
			return fault.E(fault.Unavailable, op, context.Cause(ctx))
		}
		l.e.cfg.Logger.Warn("node lease not read; asking again", "node", l.e.cfg.Node, "error", err)
		pause := time.NewTimer(min(l.ttl()/20, left))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}
