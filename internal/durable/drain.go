package durable

import (
	"context"
	"sync"
	"time"
)

// drain lets steps under way end while no new one begins.
type drain struct {
	mu    sync.Mutex
	steps int
	on    bool
	idle  chan struct{} // closed when draining and no step is under way
}

func newDrain() *drain { return &drain{idle: make(chan struct{})} }

// enter counts a step in and reports whether it may begin.
func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.on {
		return false
	}
	d.steps++
	return true
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps--
	if d.on && d.steps == 0 {
		close(d.idle)
	}
}

// begin refuses further steps and waits for those under way.
func (d *drain) begin(ctx context.Context, limit time.Duration) {
	d.mu.Lock()
	if !d.on {
		d.on = true
		if d.steps == 0 {
			close(d.idle)
		}
	}
	d.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-d.idle:
	case <-ctx.Done():
	case <-t.C:
	}
}
