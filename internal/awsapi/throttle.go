package awsapi

import (
	"sync"
	"sync/atomic"
	"time"
)

// throttleKey is what AWS counts calls by. service is the name of a service, or
// of one of its operations that AWS counts apart ("cloudtrail:LookupEvents").
type throttleKey struct{ account, region, service string }

// text is the key as nodes write it for each other.
func (k throttleKey) text() string { return k.account + "/" + k.region + "/" + k.service }

// throttle holds back calls to one service in one region of one account, for
// all callers of a client together. A bucket starts at a rate that AWS does not
// complain about, or at the one that AWS documents; when AWS complains all the
// same it slows down, and feels its way back up (see pace).
type throttle struct {
	limits limits
	now    func() time.Time
	// nodes is how many nodes share the rates: each takes an equal part. Where the
	// others leave theirs unused, the whole grows until AWS complains, so nothing
	// is wasted for long.
	nodes atomic.Int32
	// onCut is told of every cut, for other nodes. Set before the first call.
	onCut func(key string, c cut)

	mu      sync.Mutex
	buckets map[throttleKey]*bucket
	known   map[string]cut // cuts of other nodes, by key, for buckets to come
}

// maxBuckets bounds memory: 1,000 accounts with a few services each. A bucket
// that nobody waits in and that AWS does not complain about holds nothing worth
// keeping.
const maxBuckets = 20000

func newThrottle(l limits, now func() time.Time) *throttle {
	t := &throttle{limits: l, now: now, buckets: map[throttleKey]*bucket{}}
	t.nodes.Store(1)
	return t
}

// bucketFor gives the bucket that a call of an operation waits in.
func (t *throttle) bucketFor(account, region, service, operation string) *bucket {
	name, l := t.limits.of(service, operation)
	key := throttleKey{account, region, name}
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.buckets[key]; b != nil {
		return b
	}
	if len(t.buckets) >= maxBuckets {
		t.forget()
	}
	b := newBucket(t, key, l)
	if c, ok := t.known[key.text()]; ok {
		b.pace.cut = c
	}
	t.buckets[key] = b
	return b
}

// forget drops the buckets that hold nothing worth keeping.
func (t *throttle) forget() {
	now := t.now()
	for k, b := range t.buckets {
		if b.isIdle(now) {
			delete(t.buckets, k)
		}
	}
}

// adopt takes over what all nodes together know.
func (t *throttle) adopt(cuts map[string]cut, nodes int) {
	t.nodes.Store(int32(min(max(nodes, 1), 1000)))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = cuts
	if len(cuts) == 0 {
		return
	}
	for k, b := range t.buckets {
		if c, ok := cuts[k.text()]; ok {
			b.adopt(c)
		}
	}
}
