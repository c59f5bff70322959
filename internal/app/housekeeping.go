package app

import (
	"context"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	expireEvery = 5 * time.Second
	pruneEvery  = time.Hour
	// keepDelivered is how long a delivered message is remembered, which is how
	// long a repetition of it is recognised.
	keepDelivered  = 7 * 24 * time.Hour
	keepDead       = 90 * 24 * time.Hour  // for people to look at
	keepExecutions = 400 * 24 * time.Hour // a year and the audit after it
)

// housekeeping ends approvals whose time has passed and prunes what only grows.
type housekeeping struct {
	s      *Server
	mu     sync.Mutex
	cancel context.CancelFunc
	done   sync.WaitGroup
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
	h.done.Go(func() { h.every(ctx, pruneEvery, h.prune) })
	return nil
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

func (h *housekeeping) prune(ctx context.Context) error {
	now := h.s.clock.Now()
	_, err := h.s.store.Prune(ctx, store.Cutoffs{
		Delivered: now.Add(-keepDelivered), Dead: now.Add(-keepDead), Nodes: now.Add(-keepDelivered), Timers: now.Add(-keepDead), Executions: now.Add(-keepExecutions),
	})
	return err
}
