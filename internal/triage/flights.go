package triage

import (
	"cmp"

	"github.com/parry-security/parry/internal/finding"
)

// maxFlights is how many batches are under way at once: while one is committed others
// are made ready, and those that wait for the one writer of SQLite are committed together.
const maxFlights = 4

// flights are the batches under way. It is used by one goroutine.
type flights struct {
	open  []*flight
	taken int   // rows of the batches that ended
	err   error // of the first batch that failed
}

// flight is one batch under way.
type flight struct {
	ids     map[finding.ID]bool
	threats map[string]bool // the resources of its threats
	on      map[string]bool // the resources of all its findings
	ended   chan struct{}
	n       int
	err     error
}

// start begins work on rows once no batch is under way that it has to come after.
func (f *flights) start(rows []arrival, work func() (int, error)) {
	next := &flight{ids: map[finding.ID]bool{}, threats: map[string]bool{}, on: map[string]bool{}, ended: make(chan struct{})}
	for _, a := range rows {
		if a.err != nil {
			continue
		}
		next.ids[a.doc.ID()] = true
		resource := firstResource(a.doc)
		next.on[resource] = true
		if tellsOfThreat(a.doc) {
			next.threats[resource] = true
		}
	}
	for i := len(f.open) - 1; i >= 0; i-- {
		if f.open[i].before(next) {
			f.wait(len(f.open) - 1 - i)
			break
		}
	}
	if f.wait(maxFlights - 1); f.err != nil {
		return
	}
	f.open = append(f.open, next)
	go func() {
		defer close(next.ended)
		next.n, next.err = work()
	}()
}

// before reports whether other depends on what f writes: it has a version of the same
// finding, or one of the two has a threat on a resource of the other.
func (f *flight) before(other *flight) bool {
	return meet(f.ids, other.ids) || meet(f.threats, other.on) || meet(f.on, other.threats)
}

func meet[K comparable](a, b map[K]bool) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	for k := range a {
		if b[k] {
			return true
		}
	}
	return false
}

// wait returns when at most n batches are under way, the latest.
func (f *flights) wait(n int) {
	for len(f.open) > n {
		first := f.open[0]
		<-first.ended
		f.open = f.open[1:]
		f.taken += first.n
		f.err = cmp.Or(f.err, first.err)
	}
}
