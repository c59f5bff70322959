package awsapi

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// bucket is the token bucket of one throttleKey: callers get their tokens in the
// order in which they asked, at a rate that changes under them. It also holds the
// budget of repetitions. Safe for concurrent use.
type bucket struct {
	t     *throttle
	key   throttleKey
	burst float64

	mu     sync.Mutex
	pace   pace
	tokens float64
	filled time.Time
	queue  list.List // of chan struct{}, closed when its turn has come
	timer  *time.Timer
	sent   counter
	quota  int
}

// The budget is that of the AWS SDKs' standard mode: a repetition costs tokens,
// which come back when it succeeds; a service that is broken for everybody is
// then asked once and not three times by each caller. Throttling costs nothing,
// since the rate itself answers it.
const (
	fullQuota    = 500
	retryCost    = 5
	timeoutCost  = 10
	successBonus = 1
)

func newBucket(t *throttle, key throttleKey, l Limit) *bucket {
	b := &bucket{t: t, key: key, burst: float64(l.Burst), pace: newPace(l.PerSecond), filled: t.now(), quota: fullQuota}
	b.tokens = b.capacity(b.filled)
	return b
}

// rate is this node's part of the rate.
func (b *bucket) rate(now time.Time) float64 { return b.pace.now(now) / float64(b.t.nodes.Load()) }

// capacity is how many tokens may lie in the bucket. Under a cut they are few:
// what AWS counts has no room for a burst.
func (b *bucket) capacity(now time.Time) float64 {
	n := b.burst / float64(b.t.nodes.Load())
	if b.pace.slowed(now) {
		n = min(n, b.rate(now)/10)
	}
	return max(n, 1.5) // a timer that is late must not lose a token
}

func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.filled); d > 0 {
		b.tokens += b.rate(now) * d.Seconds()
		b.filled = now
	}
	b.tokens = min(b.tokens, b.capacity(now))
}

// wait blocks until a call may be sent or ctx ends, and gives the time.
func (b *bucket) wait(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	b.mu.Lock()
	now := b.t.now()
	b.fill(now)
	if b.queue.Len() == 0 && b.tokens >= 1 {
		b.take(now)
		b.mu.Unlock()
		return now, nil
	}
	turn := make(chan struct{})
	place := b.queue.PushBack(turn)
	b.arm(now)
	b.mu.Unlock()
	select {
	case <-turn:
		return b.t.now(), nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-turn: // in the same instant: the next one takes it
		b.tokens++
		b.serve(b.t.now())
	default:
		b.queue.Remove(place)
	}
	return time.Time{}, context.Cause(ctx)
}

func (b *bucket) take(now time.Time) {
	b.tokens--
	b.sent.add(now)
}

// serve hands out the tokens there are, first come, first served.
func (b *bucket) serve(now time.Time) {
	b.fill(now)
	for b.queue.Len() > 0 && b.tokens >= 1 {
		b.take(now)
		turn, _ := b.queue.Remove(b.queue.Front()).(chan struct{})
		close(turn)
	}
	b.arm(now)
}

// arm sets the timer for the next token. It looks again after a quarter of a
// second at the latest, because the rate changes meanwhile.
func (b *bucket) arm(now time.Time) {
	if b.queue.Len() == 0 {
		return
	}
	d := time.Duration((1 - b.tokens) / b.rate(now) * float64(time.Second))
	d = min(max(d, 100*time.Microsecond), 250*time.Millisecond)
	if b.timer == nil {
		b.timer = time.AfterFunc(d, b.tick)
		return
	}
	b.timer.Reset(d)
}

func (b *bucket) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve(b.t.now())
}

// throttled takes note that AWS turned away a call that left at sent.
func (b *bucket) throttled(sent time.Time) {
	now := b.t.now()
	b.mu.Lock()
	b.fill(now)
	fewer := b.pace.complain(now, sent, b.sent.rate(now)*float64(b.t.nodes.Load()))
	c := b.pace.cut
	b.fill(now)
	b.mu.Unlock()
	if fewer && b.t.onCut != nil {
		b.t.onCut(b.key.text(), c)
	}
}

// adopt takes over a cut that all nodes agree on, unless it knows a later one.
func (b *bucket) adopt(c cut) {
	now := b.t.now()
	if c.at.After(now) {
		c.at = now // that node's clock is ahead
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.at.Add(calm).After(b.pace.at) {
		b.fill(now)
		b.pace.cut = c
		b.fill(now)
	}
}

// isIdle reports whether the bucket holds nothing that a new one would not.
func (b *bucket) isIdle(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue.Len() == 0 && !b.pace.slowed(now) && b.quota == fullQuota
}

// spend takes the cost of a repetition from the budget, or reports that there is
// not enough.
func (b *bucket) spend(cost int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quota < cost {
		return false
	}
	b.quota -= cost
	return true
}

// earn gives back after a success what its repetitions had cost, or a little.
func (b *bucket) earn(cost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quota = min(b.quota+max(cost, successBonus), fullQuota)
}

// counter counts events in seconds, to give a rate.
type counter struct {
	second    time.Time
	this, was float64
}

func (c *counter) add(now time.Time) {
	c.turn(now)
	c.this++
}

func (c *counter) turn(now time.Time) {
	switch d := now.Sub(c.second); {
	case d >= 2*time.Second:
		c.second, c.this, c.was = now, 0, 0
	case d >= time.Second:
		c.second, c.this, c.was = c.second.Add(time.Second), 0, c.this
	}
}

// rate gives the events of the last second, the part of the second before this
// one taken as even.
func (c *counter) rate(now time.Time) float64 {
	c.turn(now)
	left := 1 - now.Sub(c.second).Seconds()
	return c.this + c.was*left
}
