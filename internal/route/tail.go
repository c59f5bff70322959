package route

import (
	"sync"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
)

const (
	// maxTails are those who watch a bus of a node at a time.
	maxTails = 32
	// tailRoom is how many events wait for one of them; more are left out and counted.
	tailRoom = 256
)

// Seen is an event as it passes the bus.
type Seen struct {
	Bus  string
	Text []byte
	// Missed is how many events were left out before it, because the reader was slow.
	Missed int
}

// tail is one who watches.
type tail struct {
	bus     string // "" = all
	pattern *pattern.Pattern
	events  chan Seen
	mu      sync.Mutex
	missed  int
}

// tails are all who watch the bus of this node.
type tails struct {
	mu  sync.RWMutex
	all map[*tail]bool
}

// Tail shows the events that are put on a bus of this node from now on, on all buses when
// on is "", and only those that match p when it is there. Stop ends it.
func (x *Exchange) Tail(on string, p *pattern.Pattern) (events <-chan Seen, stop func(), err error) {
	x.tails.mu.Lock()
	defer x.tails.mu.Unlock()
	if len(x.tails.all) >= maxTails {
		return nil, nil, fault.Errorf(fault.Exhausted, "watch the bus", "%d watch it already, which is the limit", maxTails).WithHint("end another: parry bus tail")
	}
	t := &tail{bus: on, pattern: p, events: make(chan Seen, tailRoom)}
	if x.tails.all == nil {
		x.tails.all = map[*tail]bool{}
	}
	x.tails.all[t] = true
	return t.events, func() {
		x.tails.mu.Lock()
		delete(x.tails.all, t)
		x.tails.mu.Unlock()
	}, nil
}

// show gives an event to those who watch. It waits for none of them.
func (s *tails) show(on string, raw []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for t := range s.all {
		if t.bus != "" && t.bus != on {
			continue
		}
		if t.pattern != nil {
			if ok, err := t.pattern.Match(raw); err != nil || !ok {
				continue
			}
		}
		t.mu.Lock()
		select {
		case t.events <- Seen{Bus: on, Text: raw, Missed: t.missed}:
			t.missed = 0
		default:
			t.missed++
		}
		t.mu.Unlock()
	}
}

// watched reports whether anybody watches.
func (s *tails) watched() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.all) > 0
}
