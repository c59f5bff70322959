package app

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/notify/writeback"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	expireEvery = 5 * time.Second
	pruneEvery  = time.Hour
	// bookEvery is how soon a rule of the bus is in force that another node was given.
	bookEvery = time.Second
	// overdueEvery is how soon after its deadline a finding is told to be overdue.
	overdueEvery = time.Minute
	// keepDelivered is how long a delivered message is remembered, which is how
	// long a repetition of it is recognised.
	keepDelivered = 7 * 24 * time.Hour
	// takeOverEvery is how soon after the end of its lease the messages of a dead
	// node are taken over.
	takeOverEvery = 2 * time.Second
	// startDelay is how long after its start a node gives back the memory that only
	// starting needed.
	startDelay = 10 * time.Second
	// keepThreads is how long a channel's own name of a thread is kept.
	keepThreads    = 90 * 24 * time.Hour
	keepDead       = 90 * 24 * time.Hour  // for people to look at
	keepExecutions = 400 * 24 * time.Hour // a year and the audit after it
	// keepBlobs is how long content is kept that nothing uses yet: between putting it
	// and naming it in a row.
	keepBlobs = 24 * time.Hour
	// maxCalls bounds the record of calls: about 1 GB.
	maxCalls = 2_000_000
	// maxRejected bounds what sources sent in vain: about 1 GB at a few KB each.
	maxRejected = 200_000
)

// housekeeping ends approvals whose time has passed, takes over the messages of
// dead nodes and prunes what only grows.
type housekeeping struct {
	s      *Server
	mu     sync.Mutex
	cancel context.CancelFunc
	done   sync.WaitGroup

	waiting string // the page of pending approvals to look at next; review's alone
}

func (s *Server) housekeeping() service.Service { return &housekeeping{s: s} }

// Start begins the rounds.
func (h *housekeeping) Start(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.done.Go(func() { h.every(ctx, expireEvery, h.expire) })
	h.done.Go(func() { h.every(ctx, expireEvery, h.review) })
	h.done.Go(func() { h.every(ctx, takeOverEvery, h.s.takeOver) })
	h.done.Go(func() { h.every(ctx, bookEvery, h.s.stages.book.Refresh) })
	h.done.Go(func() { h.every(ctx, time.Second, h.s.stages.timetable.Fire) })
	h.done.Go(func() { h.every(ctx, time.Second, h.s.stages.replayer.Work) })
	h.done.Go(func() { h.every(ctx, pruneEvery, h.prune) })
	h.done.Go(func() { h.every(ctx, pruneEvery, h.s.pruneArchives) })
	h.done.Go(func() { h.every(ctx, overdueEvery, h.overdue) })
	h.done.Go(func() { h.every(ctx, time.Hour, h.s.stages.exceptions.Sweep) })
	h.done.Go(func() { settle(ctx) })
	h.done.Go(func() { headroom(ctx) })
	return nil
}

// settle gives back to the system what only starting needed.
func settle(ctx context.Context) {
	t := time.NewTimer(startDelay)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
		debug.FreeOSMemory()
	}
}

// Stop ends the rounds and waits for the one under way.
func (h *housekeeping) Stop(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel != nil {
		h.cancel()
		h.done.Wait()
		h.cancel = nil
	}
	return nil
}

func (h *housekeeping) every(ctx context.Context, d time.Duration, fn func(context.Context) error) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		// The next round tries again; nothing depends on this one.
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			h.s.log.Warn("housekeeping failed", "error", err)
		}
	}
}

func (h *housekeeping) expire(ctx context.Context) error {
	_, err := h.s.stages.approve.Expire(ctx, 100)
	return err
}

// review goes through what waits for people page by page, one page a round.
func (h *housekeeping) review(ctx context.Context) (err error) {
	h.waiting, _, err = h.s.stages.approve.Review(ctx, h.waiting, 200)
	return err
}

func (h *housekeeping) overdue(ctx context.Context) error {
	_, err := h.s.stages.triage.MarkOverdue(ctx)
	return err
}

// takeOver releases what dead nodes were delivering. Each is dealt with once: a
// dead node claims nothing more, and its name is kept for days.
func (s *Server) takeOver(ctx context.Context) error {
	return s.release(ctx, s.clock.Now())
}

// adopt releases what earlier processes were delivering, and the turns that they had,
// whatever is left of their leases: nobody else uses this data directory.
func (s *Server) adopt(ctx context.Context) error {
	if err := s.store.DropLeases(ctx, s.node); err != nil {
		return err
	}
	return s.release(ctx, s.clock.Now().Add(durable.DefaultLeaseTTL))
}

// release deals with the nodes whose lease ends before at. It is not called by
// two goroutines at once.
func (s *Server) release(ctx context.Context, at time.Time) error {
	dead, err := s.store.DeadNodes(ctx, at)
	if err != nil {
		return err
	}
	dead = slices.DeleteFunc(dead, func(node string) bool { return node == s.node || s.released[node] })
	for _, file := range []store.File{store.Findings, store.Execution} {
		n, err := s.store.ReleaseClaims(ctx, file, dead)
		if err != nil {
			return err
		}
		if n > 0 {
			s.log.WarnContext(ctx, "messages of dead nodes taken over", "count", n, "file", file, "nodes", dead)
		}
	}
	n, err := s.store.ReleaseDeliveries(ctx, dead)
	if err != nil {
		return err
	}
	if n > 0 {
		s.log.WarnContext(ctx, "deliveries of dead nodes taken over", "count", n, "nodes", dead)
	}
	s.stages.courier.TakeOver(dead)
	for _, node := range dead {
		s.released[node] = true
	}
	return nil
}

func (h *housekeeping) prune(ctx context.Context) error {
	now := h.s.clock.Now()
	kept := func(days int) time.Time {
		if days == 0 {
			return time.Time{} // for ever
		}
		return now.AddDate(0, 0, -days)
	}
	if _, err := h.s.store.PruneSourceState(ctx, writeback.StatePrefix, now.Add(-keepDelivered)); err != nil {
		return err
	}
	_, err := h.s.store.Prune(ctx, store.Cutoffs{
		Delivered: now.Add(-keepDelivered), Dead: now.Add(-keepDead), Nodes: now.Add(-keepDelivered), Timers: now.Add(-keepDead), Executions: now.Add(-keepExecutions), Blobs: now.Add(-keepBlobs),
		Calls: now.Add(-keepExecutions), MaxCalls: maxCalls, Rejected: now.Add(-keepDead), MaxRejected: maxRejected, RuleRuns: now.Add(-keepExecutions), Exceptions: now.Add(-keepExecutions), Cases: now.Add(-keepExecutions), Organization: now.Add(-keepExecutions), Notifications: now.Add(-keepDelivered), Threads: now.Add(-keepThreads),
		Active: kept(h.s.cfg.Retention.ActiveDays), Archived: kept(h.s.cfg.Retention.ArchivedDays), Days: kept(h.s.cfg.Retention.TrendDays),
	})
	return err
}
