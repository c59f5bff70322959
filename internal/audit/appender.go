package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// LeaseName is the lease under which one node appends.
const LeaseName = "audit-appender"

// Chain is the log and the records that wait for it.
type Chain interface {
	AuditPending(ctx context.Context, f store.File, n int) ([]store.AuditRow, error)
	AppendAudit(ctx context.Context, entries []store.AuditEntry) error
	LastAudit(ctx context.Context) (store.AuditEntry, bool, error)
}

// Lease says which node appends.
type Lease interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (bool, error)
	ReleaseLease(ctx context.Context, name, node string) error
}

// Config is what the appender is made of.
type Config struct {
	Chain    Chain
	Lease    Lease
	Node     string // this process among several
	Clock    service.Clock
	Logger   *slog.Logger  // default: discard
	Interval time.Duration // between polls; default: one second
	TTL      time.Duration // of the lease; default: 15 seconds
	Batch    int           // records of one file in one commit; default: 200
}

// Appender moves records from the outboxes into the chain. It implements
// service.Service.
type Appender struct {
	cfg  Config
	wake chan struct{}

	drain sync.Mutex // one drain at a time
	held  time.Time  // until when the lease is ours, by our clock

	mu   sync.Mutex
	stop context.CancelFunc
	done chan struct{}
}

// New checks cfg.
func New(cfg Config) (*Appender, error) {
	if cfg.Chain == nil || cfg.Lease == nil || cfg.Node == "" || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make audit appender", "chain, lease, node and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("component", "audit")
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	if cfg.TTL <= 0 {
		cfg.TTL = 15 * time.Second
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 200
	}
	return &Appender{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// Wake tells the service that records may wait. It never blocks.
func (a *Appender) Wake() {
	select {
	case a.wake <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// Start begins to append in the background.
func (a *Appender) Start(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop, a.done = stop, make(chan struct{})
	go a.run(ctx, a.done)
	return nil
}

// Stop ends the background work after the commit that is under way, appends what
// still waits, and gives the lease back.
func (a *Appender) Stop(ctx context.Context) error {
	a.mu.Lock()
	stop, done := a.stop, a.done
	a.stop = nil
	a.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_, err := a.Drain(ctx)
	a.drain.Lock()
	defer a.drain.Unlock()
	a.held = time.Time{}
	return errors.Join(err, a.cfg.Lease.ReleaseLease(ctx, LeaseName, a.cfg.Node))
}

func (a *Appender) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	poll := time.NewTicker(a.cfg.Interval)
	defer poll.Stop()
	for {
		if _, err := a.Drain(ctx); err != nil && ctx.Err() == nil {
			// The records stay in their outboxes and are tried again.
			a.cfg.Logger.ErrorContext(ctx, "audit records not appended", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-poll.C:
		}
	}
}

// maxConflicts is how often in a row another appender may be faster before the
// next poll is waited for.
const maxConflicts = 3

// Drain appends everything that waits and gives how many entries that were. It
// appends nothing while another node holds the lease.
func (a *Appender) Drain(ctx context.Context) (int, error) {
	a.drain.Lock()
	defer a.drain.Unlock()
	total, conflicts := 0, 0
	for {
		rows, more, err := a.pending(ctx)
		if err != nil || len(rows) == 0 {
			return total, err
		}
		if mine, err := a.lease(ctx); err != nil || !mine {
			return total, err
		}
		n, err := a.append(ctx, rows)
		total += n
		switch {
		case errors.Is(err, store.ErrConflict) && conflicts < maxConflicts:
			conflicts++ // the end of the chain moved; look again at everything
		case err != nil:
			return total, err
		case !more:
			return total, nil
		default:
			conflicts = 0
		}
	}
}

// lease takes or renews the lease when it is not ours for some time to come, so
// that an idle appender writes nothing.
func (a *Appender) lease(ctx context.Context) (bool, error) {
	now := a.cfg.Clock.Now()
	if now.Before(a.held) {
		return true, nil
	}
	mine, err := a.cfg.Lease.AcquireLease(ctx, LeaseName, a.cfg.Node, a.cfg.TTL)
	if err != nil {
		return false, fmt.Errorf("take the audit lease: %w", err)
	}
	if mine {
		a.held = now.Add(a.cfg.TTL / 2)
	}
	return mine, nil
}

// pending gives the next records of both files, those of each in their order and
// the two merged by time, and whether there may be more.
func (a *Appender) pending(ctx context.Context) ([]store.AuditRow, bool, error) {
	findings, err := a.cfg.Chain.AuditPending(ctx, store.Findings, a.cfg.Batch)
	if err != nil {
		return nil, false, fmt.Errorf("read audit records: %w", err)
	}
	execution, err := a.cfg.Chain.AuditPending(ctx, store.Execution, a.cfg.Batch)
	if err != nil {
		return nil, false, fmt.Errorf("read audit records: %w", err)
	}
	more := len(findings) == a.cfg.Batch || len(execution) == a.cfg.Batch
	out := make([]store.AuditRow, 0, len(findings)+len(execution))
	for len(findings) > 0 && len(execution) > 0 {
		if execution[0].At.Before(findings[0].At) {
			out, execution = append(out, execution[0]), execution[1:]
		} else {
			out, findings = append(out, findings[0]), findings[1:]
		}
	}
	return append(append(out, findings...), execution...), more, nil
}

// append chains rows behind the end of the log in one commit.
func (a *Appender) append(ctx context.Context, rows []store.AuditRow) (int, error) {
	last, _, err := a.cfg.Chain.LastAudit(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the end of the audit log: %w", err)
	}
	entries := make([]store.AuditEntry, 0, len(rows))
	var broken error
	for _, row := range rows {
		e, err := link(last, row)
		if err != nil {
			broken = err // what stands before it is appended all the same
			break
		}
		entries = append(entries, e)
		last = e
	}
	if len(entries) > 0 {
		if err := a.cfg.Chain.AppendAudit(ctx, entries); err != nil {
			return 0, err
		}
	}
	return len(entries), broken
}

// Head gives the end of the chain, false when it is empty: what is to be kept
// elsewhere.
func Head(ctx context.Context, c Chain) (Checkpoint, bool, error) {
	last, ok, err := c.LastAudit(ctx)
	return Checkpoint{Index: last.Index, Hash: last.Hash}, ok, err
}
