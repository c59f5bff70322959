package bus

import (
	"context"
	"sync"
	"time"
)

const (
	// eventsPage and addressPage bound what one look at the ledger takes.
	eventsPage, addressPage = 200, 200
	// settleMost bounds what one transaction notes.
	settleMost = 2048
)

// pump brings what waits in the ledger on its way, until it is stopped.
func (c *Courier) pump(ctx context.Context) {
	for {
		c.mu.Lock()
		if !c.soon.After(c.Clock.Now()) {
			c.soon = time.Time{}
		}
		c.mu.Unlock()
		more := c.adopt(ctx)
		next := c.dueNow(ctx)
		if more {
			continue
		}
		wait := c.Poll
		c.mu.Lock()
		if !c.soon.IsZero() && (next.IsZero() || c.soon.Before(next)) {
			next = c.soon
		}
		c.mu.Unlock()
		if !next.IsZero() {
			wait = max(min(wait, next.Sub(c.Clock.Now())), time.Millisecond)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.nudge:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// adopt takes events that nobody delivers, while there is room for them, and says whether
// there may be more.
func (c *Courier) adopt(ctx context.Context) bool {
	if c.held.Load() > maxHeld/2 || ctx.Err() != nil {
		return false
	}
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	events, err := c.Events.ClaimEvents(ctx, c.Owner, dead, eventsPage)
	if err != nil {
		if ctx.Err() == nil {
			c.Logger.Warn("cannot claim events", "error", err)
		}
		return false
	}
	for _, e := range events {
		c.dispatch(e)
	}
	return len(events) == eventsPage
}

// dueNow claims deliveries that are due, as many as their addresses take, and gives when
// the next is due.
func (c *Courier) dueNow(ctx context.Context) (next time.Time) {
	after := ""
	for ctx.Err() == nil {
		page, err := c.Deliveries.DueAddresses(ctx, after, addressPage)
		if err != nil {
			if ctx.Err() == nil {
				c.Logger.Warn("cannot look for deliveries", "error", err)
			}
			return next
		}
		for _, a := range page {
			due := a.Due
			if now := c.Clock.Now(); !due.After(now) {
				due = c.claim(ctx, a.Address, now)
			}
			if !due.IsZero() && (next.IsZero() || due.Before(next)) {
				next = due
			}
		}
		if len(page) < addressPage {
			return next
		}
		after = page[len(page)-1].Address
	}
	return next
}

// claim takes deliveries to an address that are due, and gives when to look again; the
// zero time when the lane itself says so, by coming to its end.
func (c *Courier) claim(ctx context.Context, address string, now time.Time) time.Time {
	l := c.lane(address)
	room := l.room(now)
	if room == 0 {
		if until := l.restsUntil(); until.After(now) {
			return until
		}
		return time.Time{}
	}
	claimed, err := c.Deliveries.ClaimDeliveries(ctx, address, room, c.Owner, deliveryLease)
	if err != nil {
		if ctx.Err() == nil {
			c.Logger.Warn("cannot claim deliveries", "error", err)
		}
		return time.Time{}
	}
	for _, d := range claimed {
		c.make(Letter{Bus: d.Bus, Ref: d.Ref, Text: d.Text, Since: d.Since, Attempts: d.Attempts}, func(again *Later) {
			if again != nil {
				c.dueAt(*again)
			}
			c.claims.put(c, Outcome{Claimed: d, Again: again})
			c.look() // there may be more for this address
		})
	}
	return time.Time{}
}

// gathered notes outcomes together: those that come while a transaction runs are in the
// next.
type gathered[T any] struct {
	settle func(ctx context.Context, all []T) error
	mu     sync.Mutex
	queue  []T
	led    bool
}

func (g *gathered[T]) put(c *Courier, item T) {
	g.mu.Lock()
	g.queue = append(g.queue, item)
	lead := !g.led
	g.led = true
	g.mu.Unlock()
	if !lead {
		return
	}
	c.running.Add(1) // whoever puts is counted itself, so that Stop waits for both
	go func() {
		defer c.running.Done()
		g.lead(c)
	}()
}

// lead notes until nothing is left, now and then: nobody waits for it, and a transaction
// costs more than what is in it. It is tried until it is done, since nobody else looks after
// this node's events while it lives; when it stops, they are delivered again.
func (g *gathered[T]) lead(c *Courier) {
	for {
		wait := time.NewTimer(settleWait)
		select {
		case <-wait.C:
		case <-c.ending:
		}
		wait.Stop()
		g.mu.Lock()
		n := min(len(g.queue), settleMost)
		all := g.queue[:n:n]
		g.queue = g.queue[n:]
		if n == 0 {
			g.queue, g.led = nil, false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		for !g.note(c, all) {
			pause := time.NewTimer(settlePause)
			select {
			case <-pause.C:
				pause.Stop()
				continue
			case <-c.ending:
				pause.Stop()
			}
			break
		}
	}
}

// note writes outcomes down, and reports whether that was done.
func (g *gathered[T]) note(c *Courier, all []T) bool {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	err := g.settle(ctx, all)
	if err != nil {
		c.Logger.Warn("outcomes of deliveries were not noted; trying again", "count", len(all), "error", err)
	}
	return err == nil
}

const (
	// settlePause is the wait before the ledger is asked again.
	settlePause = 200 * time.Millisecond
	// settleWait is how long outcomes are gathered: what is not noted when a node dies is
	// delivered again.
	settleWait = 20 * time.Millisecond
)
