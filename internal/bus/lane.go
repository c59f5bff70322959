package bus

import (
	"sync"
	"time"
)

const (
	// breakAfter are the failures in a row after which nothing more is tried for a while.
	breakAfter = 5
	// restBase and restCap are how long: the first time, and at most.
	restBase, restCap = time.Second, time.Minute
	// maxQueue bounds what waits for an address in memory, beside maxHeld; the rest waits
	// as rows, which costs another three writes each.
	maxQueue = 8000
)

// job is one delivery to be made now.
type job struct {
	Letter
	target Target
	// done takes what became of it: nil, or what is to be made again.
	done func(again *Later)
}

// lane is what deliveries to one address share.
type lane struct {
	mu       sync.Mutex
	limits   Limits
	queue    []job
	running  int
	next     time.Time // when the rate lets the next one begin
	failures int       // in a row
	rests    int       // in a row
	until    time.Time // it rests until then
}

// put takes j to be made, and says whether a worker has to be started for it; or that it
// has to wait, until when.
func (l *lane) put(j job, now time.Time) (start, taken bool, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = j.target.Limits
	switch {
	case now.Before(l.until):
		return false, false, l.until
	case l.failures >= breakAfter && l.running+len(l.queue) > 0, len(l.queue) >= maxQueue:
		return false, false, now
	}
	l.queue = append(l.queue, j)
	if l.running < l.limits.Concurrency {
		l.running++
		return true, true, time.Time{}
	}
	return false, true, time.Time{}
}

// take gives a worker its next job, and how long the rate has it wait; false ends it.
func (l *lane) take(now time.Time) (job, time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil
		l.running--
		return job{}, 0, false
	}
	j := l.queue[0]
	l.queue[0] = job{} // its text must not stay in memory
	l.queue = l.queue[1:]
	if l.limits.Rate <= 0 {
		return j, 0, true
	}
	at := l.next
	if at.Before(now) {
		at = now
	}
	l.next = at.Add(time.Duration(float64(time.Second) / l.limits.Rate))
	return j, at.Sub(now), true
}

// room is how many deliveries may be claimed for the address at now.
func (l *lane) room(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return 0
	}
	if l.failures >= breakAfter {
		return max(1-l.running-len(l.queue), 0) // one, to see whether it answers again
	}
	most := 4 * l.limits.Concurrency
	if l.limits.Concurrency == 0 {
		most = 4 * defaultConcurrency // nothing went there since the start
	}
	if l.limits.Rate > 0 {
		most = min(most, max(int(l.limits.Rate), 1))
	}
	return max(most-l.running-len(l.queue), 0)
}

// answered notes that the address took a delivery.
func (l *lane) answered() {
	l.mu.Lock()
	l.failures, l.rests = 0, 0
	l.mu.Unlock()
}

// failed notes that it did not, and gives what waited for it when it begins to rest.
// after is how long it asked to be left alone.
func (l *lane) failed(now time.Time, after time.Duration) (rested []job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	rest := after
	if l.failures >= breakAfter && !now.Before(l.until) {
		rest = max(rest, min(restBase<<min(l.rests, 10), restCap))
		l.rests++
	}
	if rest <= 0 {
		return nil
	}
	if until := now.Add(rest); until.After(l.until) {
		l.until = until
	}
	rested, l.queue = l.queue, nil
	return rested
}

// restsUntil is when the address is tried again.
func (l *lane) restsUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}
