package awsapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counted is a service that admits so many calls a second, as AWS does.
type counted struct {
	mu               sync.Mutex
	perSecond, burst float64
	tokens           float64
	at               time.Time
	random           float64 // part of the answers that are throttled whatever the rate
	rng              *rand.Rand
	yes, no          int
}

func newCounted(perSecond float64) *counted {
	return &counted{perSecond: perSecond, burst: perSecond, tokens: perSecond, at: time.Now(), rng: rand.New(rand.NewPCG(1, 2))}
}

func (c *counted) call() bool {
	time.Sleep(20 * time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.tokens = min(c.tokens+now.Sub(c.at).Seconds()*c.perSecond, c.burst)
	c.at = now
	if c.tokens < 1 || c.rng.Float64() < c.random {
		c.no++
		return false
	}
	c.tokens--
	c.yes++
	return true
}

// take gives the counts since the last time.
func (c *counted) take() (yes, no int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	yes, no = c.yes, c.no
	c.yes, c.no = 0, 0
	return yes, no
}

// work calls a service through a bucket until ctx ends.
func work(ctx context.Context, b *bucket, c *counted, done func()) {
	for {
		sent, err := b.wait(ctx)
		if err != nil {
			return
		}
		if c.call() {
			done()
			continue
		}
		b.throttled(sent)
	}
}

func testBucket(th *throttle) *bucket {
	return th.bucketFor("111122223333", "us-east-1", "s3", "ListBuckets")
}

// The rate finds a limit that nobody told it, and uses it.
func TestTheRateFindsTheLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []float64{6, 20, 40} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCounted(limit)
				ctx, cancel := context.WithCancel(t.Context())
				b := testBucket(newThrottle(limits{start: Limit{50, 100}}, time.Now))
				for range 50 {
					go work(ctx, b, c, func() {})
				}
				time.Sleep(5 * time.Second)
				first, turnedAway := c.take()
				t.Logf("first 5 s: %d done, %d throttled", first, turnedAway)
				const span = 120
				time.Sleep(span * time.Second)
				yes, no := c.take()
				cancel()
				time.Sleep(time.Second) // until every worker has ended
				rate, part := float64(yes)/span, float64(no)/float64(yes+no)
				t.Logf("%.1f/s of %.0f/s (%.0f %%), %.1f %% throttled", rate, limit, 100*rate/limit, 100*part)
				if rate < 0.85*limit || part > 0.10 {
					t.Errorf("%.2f/s of %.0f/s, %.1f %% throttled; want at least 85 %% and at most 10 %%", rate, limit, 100*part)
				}
			})
		})
	}
}

// Callers get their turn in the order in which they asked, also under a cut.
func TestTurnsAreInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(20)
		ctx, cancel := context.WithCancel(t.Context())
		b := testBucket(newThrottle(limits{start: Limit{50, 100}}, time.Now))
		var mu sync.Mutex
		done := make([]int, 10)
		for i := range done {
			go work(ctx, b, c, func() { mu.Lock(); done[i]++; mu.Unlock() })
		}
		time.Sleep(time.Minute)
		cancel()
		time.Sleep(time.Second) // until every worker has ended
		mu.Lock()
		defer mu.Unlock()
		least, most := math.MaxInt, 0
		for _, n := range done {
			least, most = min(least, n), max(most, n)
		}
		if least == 0 || most > least*5/4 {
			t.Errorf("calls by caller: %v", done)
		}
	})
}

// Whatever part of the answers is throttled, calls go on at the least rate.
func TestAStormDoesNotStarve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounted(1000)
		c.random = 0.9
		ctx, cancel := context.WithCancel(t.Context())
		b := testBucket(newThrottle(limits{start: Limit{50, 100}}, time.Now))
		for range 20 {
			go work(ctx, b, c, func() {})
		}
		time.Sleep(10 * time.Second)
		c.take()
		time.Sleep(time.Minute)
		yes, no := c.take()
		cancel()
		time.Sleep(time.Second) // until every worker has ended
		if sent := float64(yes+no) / 60; sent < 4.5 || sent > 7 {
			t.Errorf("%.1f calls a second while 90 %% are throttled, want about 5", sent)
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := testBucket(newThrottle(limits{start: Limit{1, 1}}, time.Now))
		if _, err := b.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gave up")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, gone)
				defer cancel()
				if _, err := b.wait(ctx); !errors.Is(err, gone) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		begin := time.Now()
		if _, err := b.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("those who left kept their place: waited %s", took)
		}
		if b.queue.Len() != 0 {
			t.Errorf("%d are still in the queue", b.queue.Len())
		}
	})
}

func TestPace(t *testing.T) {
	t.Parallel()
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	p := newPace(50)
	if got := p.now(begin); got != 50 {
		t.Errorf("before any complaint: %v", got)
	}
	if !p.complain(begin, begin, 20) {
		t.Error("the first complaint did not cut")
	}
	if p.complain(at(0.6), at(-1), 20) || p.complain(at(0.1), at(0.05), 20) {
		t.Error("one storm cut twice")
	}
	for _, tc := range []struct{ after, least, most float64 }{
		{0, 14, 14}, {2.5, 19, 20}, {5, 20, 20}, {7.5, 20, 21}, {10, 26, 26}, {20, 50, 50},
	} {
		if got := p.now(at(tc.after)); got < tc.least-0.01 || got > tc.most+0.01 {
			t.Errorf("%v s after a complaint at 20/s: %v, want %v to %v", tc.after, got, tc.least, tc.most)
		}
	}
	for i := range 20 {
		p.complain(at(float64(i)), at(float64(i)), 0.1)
	}
	if got := p.now(at(19)); got != 5 {
		t.Errorf("after many complaints: %v, want a tenth of the start", got)
	}
}

func TestThrottleForgetsWhatIsNotThrottled(t *testing.T) {
	t.Parallel()
	th := newThrottle(limits{start: Limit{40, 80}}, time.Now)
	slow := th.bucketFor("slow", "us-east-1", "s3", "ListBuckets")
	slow.throttled(time.Now())
	for i := range maxBuckets + 10 {
		th.bucketFor(fmt.Sprint(i), "us-east-1", "s3", "ListBuckets")
	}
	if len(th.buckets) > maxBuckets || th.buckets[slow.key] == nil {
		t.Errorf("%d buckets, slow one kept: %v", len(th.buckets), th.buckets[slow.key] != nil)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		start              Limit
		own                map[string]Limit
		service, operation string
		name               string
		want               Limit
	}{
		{defaultLimit, nil, "s3", "ListBuckets", "s3", Limit{50, 100}},
		{defaultLimit, nil, "sts", "AssumeRole", "sts", Limit{300, 600}},
		{defaultLimit, nil, "cloudtrail", "LookupEvents", "cloudtrail:LookupEvents", Limit{2, 2}},
		{defaultLimit, nil, "cloudtrail", "DescribeTrails", "cloudtrail", Limit{10, 10}},
		{Limit{5, 5}, nil, "sts", "AssumeRole", "sts", Limit{5, 5}},
		{Limit{5, 5}, nil, "cloudtrail", "LookupEvents", "cloudtrail:LookupEvents", Limit{2, 2}},
		{defaultLimit, map[string]Limit{"cloudtrail": {4, 4}}, "cloudtrail", "DescribeTrails", "cloudtrail", Limit{4, 4}},
		{defaultLimit, map[string]Limit{"iam:GetRole": {9, 9}}, "iam", "GetRole", "iam:GetRole", Limit{9, 9}},
		{Limit{5, 5}, map[string]Limit{"sts": {400, 400}}, "sts", "AssumeRole", "sts", Limit{400, 400}},
	} {
		if name, got := (limits{start: tc.start, own: tc.own}).of(tc.service, tc.operation); name != tc.name || got != tc.want {
			t.Errorf("%s:%s from %v: %s %v", tc.service, tc.operation, tc.start, name, got)
		}
	}
}

func TestTheBudgetOfRepetitions(t *testing.T) {
	t.Parallel()
	b := testBucket(newThrottle(limits{start: Limit{50, 100}}, time.Now))
	n := 0
	for b.spend(retryCost) {
		n++
	}
	if n != fullQuota/retryCost {
		t.Errorf("%d repetitions, want %d", n, fullQuota/retryCost)
	}
	b.earn(0)
	if b.spend(retryCost) {
		t.Error("one success paid for a repetition")
	}
	b.earn(retryCost)
	if !b.spend(retryCost) {
		t.Error("a repetition that succeeded did not pay for the next")
	}
}
