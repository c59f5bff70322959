package awsapi

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// throttleKey is what AWS counts calls by.
type throttleKey struct{ account, region, service string }

// throttle holds back calls to one service in one region of one account, for
// all callers of a client together. It starts with a limit that AWS never
// complains about; when AWS does complain the rate is halved, and every success
// after that raises it a little, back to where it was.
type throttle struct {
	start rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex
	buckets map[throttleKey]*bucket
}

type bucket struct {
	limiter *rate.Limiter
	until   time.Time // a rate is halved at most once before then: one storm is one answer
}

const (
	// minRate is the slowest that a throttled service is called.
	minRate = rate.Limit(0.5)
	// maxBuckets bounds memory: 1,000 accounts with a few services each. The
	// bucket of a service that is not complained about holds nothing worth keeping.
	maxBuckets = 20000
)

func newThrottle(perSecond float64, burst int, now func() time.Time) *throttle {
	return &throttle{start: rate.Limit(perSecond), burst: burst, now: now, buckets: map[throttleKey]*bucket{}}
}

func (t *throttle) bucket(key throttleKey) *bucket {
	if b := t.buckets[key]; b != nil {
		return b
	}
	if len(t.buckets) >= maxBuckets {
		for k, b := range t.buckets {
			if b.limiter.Limit() >= t.start {
				delete(t.buckets, k)
			}
		}
	}
	b := &bucket{limiter: rate.NewLimiter(t.start, t.burst)}
	t.buckets[key] = b
	return b
}

// wait blocks until a call may be sent or ctx ends.
func (t *throttle) wait(ctx context.Context, key throttleKey) error {
	t.mu.Lock()
	b := t.bucket(key)
	t.mu.Unlock()
	return b.limiter.Wait(ctx)
}

// saw tells the throttle how a call was answered.
func (t *throttle) saw(key throttleKey, throttled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bucket(key)
	now := t.now()
	limit := b.limiter.Limit()
	switch {
	case throttled && now.After(b.until):
		b.until = now.Add(time.Second)
		b.limiter.SetLimit(max(limit/2, minRate))
		b.limiter.SetBurst(1)
	case !throttled && limit < t.start:
		next := min(limit*1.05+0.05, t.start)
		b.limiter.SetLimit(next)
		if next == t.start {
			b.limiter.SetBurst(t.burst)
		}
	}
}
