package awsapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memoryRates is what nodes share, without a database.
type memoryRates struct {
	mu     sync.Mutex
	cuts   map[string]RateCut
	nodes  int
	broken bool
	asked  int
}

func (m *memoryRates) ExchangeRates(_ context.Context, mine []RateCut, since time.Time) ([]RateCut, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked++; m.broken {
		return nil, 0, errors.New("no database")
	}
	for _, c := range mine {
		if old, ok := m.cuts[c.Key]; !ok || !c.At.Before(old.At.Add(500*time.Millisecond)) {
			m.cuts[c.Key] = c
		}
	}
	var all []RateCut
	for _, c := range m.cuts {
		if c.At.After(since) {
			all = append(all, c)
		}
	}
	return all, m.nodes, nil
}

func (m *memoryRates) set(nodes int, broken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes, m.broken = nodes, broken
}

// sharingNode is one client's throttle with its sharing.
func sharingNode(t *testing.T, with SharedRates) (*throttle, *RateSharing) {
	t.Helper()
	c := &Client{throttle: newThrottle(limits{start: Limit{50, 100}}, time.Now), log: slog.New(slog.DiscardHandler), cfg: ClientConfig{Clock: wallClock{}}}
	s := c.ShareRates(with)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.throttle, s
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

// Two nodes together use a limit that neither was told, and share it evenly; when
// one has nothing to do the other gets it all; when their database is gone they
// still keep to it.
func TestNodesShareALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &memoryRates{cuts: map[string]RateCut{}, nodes: 2}
		c := newCounted(20)
		var done [2]counterOf
		var stop [2]context.CancelFunc
		for i := range done {
			th, sharing := sharingNode(t, shared)
			defer func() { _ = sharing.Stop(context.Background()) }()
			time.Sleep(100 * time.Millisecond)
			var ctx context.Context
			ctx, stop[i] = context.WithCancel(t.Context())
			for range 20 {
				go work(ctx, testBucket(th), c, done[i].add)
			}
		}
		check := func(what string, even bool) {
			t.Helper()
			time.Sleep(20 * time.Second) // converge
			c.take()
			done[0].take()
			done[1].take()
			time.Sleep(time.Minute)
			yes, no := c.take()
			a, b := done[0].take(), done[1].take()
			part := float64(no) / float64(yes+no)
			t.Logf("%s: %.1f/s, %.1f %% throttled, %d and %d", what, float64(yes)/60, 100*part, a, b)
			if float64(yes)/60 < 0.85*20 || part > 0.10 {
				t.Errorf("%s: %.1f/s of 20/s, %.1f %% throttled", what, float64(yes)/60, 100*part)
			}
			if even && (a > 2*b || b > 2*a) {
				t.Errorf("%s: one node made %d calls, the other %d", what, a, b)
			}
		}
		check("two nodes", true)
		shared.set(2, true)
		check("two nodes without a database", true)
		shared.set(2, false)
		check("two nodes with it again", true)
		stop[1]()
		check("one of two has nothing to do", false)
		shared.set(1, false)
		check("one node is left", false)
		stop[0]()
		time.Sleep(time.Second)
	})
}

// counterOf counts calls.
type counterOf struct {
	mu sync.Mutex
	n  int
}

func (c *counterOf) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counterOf) take() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

func rateOf(b *bucket) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate(time.Now())
}

func (m *memoryRates) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// A node that begins knows at once what the others found out.
func TestANewBucketKnowsTheCuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &memoryRates{cuts: map[string]RateCut{}, nodes: 1}
		one, s1 := sharingNode(t, shared)
		two, s2 := sharingNode(t, shared)
		time.Sleep(10 * time.Millisecond)
		b := testBucket(one)
		for range 40 {
			if _, err := b.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.throttled(time.Now())
		time.Sleep(1500 * time.Millisecond)
		if got, want := rateOf(testBucket(two)), rateOf(b); got != want || got >= 40 {
			t.Errorf("the other node begins at %v/s, want %v", got, want)
		}
		before := shared.count()
		time.Sleep(10 * time.Second)
		if n := shared.count() - before; n > 22 {
			t.Errorf("two nodes asked %d times in 10 s", n)
		}
		_, _ = s1.Stop(context.Background()), s2.Stop(context.Background())
	})
}
