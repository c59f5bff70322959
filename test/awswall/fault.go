package awswall

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Kind says what a fault does to a call.
type Kind string

// The faults that the wall injects.
const (
	Throttle    Kind = "throttle"     // AWS's throttling error; moto is not asked
	ServerError Kind = "server_error" // AWS's internal error, 500; moto is not asked
	DropBefore  Kind = "drop_before"  // the connection breaks and moto was not asked
	DropAfter   Kind = "drop_after"   // moto did it, and the connection breaks before the answer
	Swallow     Kind = "swallow"      // success is answered and moto was not asked
	Delay       Kind = "delay"        // the call waits for Fault.Wait, then goes on
	HoldBefore  Kind = "hold_before"  // the call waits for Injection.Release, then goes on
	HoldAfter   Kind = "hold_after"   // moto did it; the answer waits for Injection.Release
)

func (k Kind) valid() bool {
	switch k {
	case Throttle, ServerError, DropBefore, DropAfter, Swallow, Delay, HoldBefore, HoldAfter:
		return true
	}
	return false
}

// Fault is a disturbance of the calls that it matches. Empty members match
// every call.
type Fault struct {
	Kind      Kind   `json:"kind"`
	Service   string `json:"service,omitempty"`
	Operation string `json:"operation,omitempty"`
	Account   string `json:"account,omitempty"`
	Bucket    string `json:"bucket,omitempty"`
	Session   string `json:"session,omitempty"` // name of the assumed role's session
	Class     string `json:"class,omitempty"`   // read or change
	// Percent disturbs that part of the matching calls, drawn at random from Seed;
	// 0 = all.
	Percent float64 `json:"percent,omitempty"`
	Seed    uint64  `json:"seed,omitempty"`
	// PerSecond lets so many matching calls of each account pass in a second, and
	// Burst at once (0 = as many), as AWS counts; 0 = none. With Throttle it is
	// AWS's limit.
	PerSecond float64 `json:"per_second,omitempty"`
	Burst     float64 `json:"burst,omitempty"`
	// Skip lets the first matching calls pass.
	Skip int `json:"skip,omitempty"`
	// Times ends the fault after as many disturbed calls; 0 = no limit.
	Times int `json:"times,omitempty"`
	// For ends the fault after a time; 0 = no limit.
	For time.Duration `json:"for,omitempty"`
	// Wait is the time that a Delay takes.
	Wait time.Duration `json:"wait,omitempty"`
}

func (f Fault) matches(e *Entry) bool {
	for _, p := range [][2]string{{f.Service, e.Service}, {f.Operation, e.Operation}, {f.Account, e.Account}, {f.Bucket, e.Bucket}, {f.Session, e.Session}, {f.Class, e.Class}} {
		if p[0] != "" && p[0] != p[1] {
			return false
		}
	}
	return true
}

// Injection is a fault in force.
type Injection struct {
	ID    string
	fault Fault
	set   *faults

	ends     time.Time
	random   *rand.Rand
	accounts map[string]*allowance // of PerSecond
	seen     int
	done     int
	hit      chan struct{} // closed at the first disturbed call
	released chan struct{}
}

// Hit is closed when the first call was disturbed.
func (i *Injection) Hit() <-chan struct{} { return i.hit }

// Count gives how many calls were disturbed.
func (i *Injection) Count() int {
	i.set.mu.Lock()
	defer i.set.mu.Unlock()
	return i.done
}

// Release ends the fault and lets held calls go on. It may be repeated.
func (i *Injection) Release() { i.set.remove(i.ID) }

// allowance is what an account may still call.
type allowance struct {
	tokens float64
	at     time.Time
}

// passes reports whether the fault lets a matching call go by.
func (i *Injection) passes(account string, now time.Time) bool {
	if p := i.fault.Percent; p > 0 && i.random.Float64()*100 >= p {
		return true
	}
	most := i.fault.PerSecond
	if most == 0 {
		return false
	}
	burst := i.fault.Burst
	if burst == 0 {
		burst = max(most, 1)
	}
	a := i.accounts[account]
	if a == nil {
		a = &allowance{tokens: burst, at: now}
		i.accounts[account] = a
	}
	a.tokens, a.at = min(a.tokens+now.Sub(a.at).Seconds()*most, burst), now
	if a.tokens < 1 {
		return false
	}
	a.tokens--
	return true
}

// wait reports whether the fault was released while the client was still there.
func (i *Injection) wait(ctx context.Context) bool {
	select {
	case <-i.released:
		return true
	case <-ctx.Done():
		return false
	}
}

// faults are those in force, in the order in which they were added.
type faults struct {
	mu   sync.Mutex
	list []*Injection
	next int
}

func newFaults() *faults { return &faults{} }

func (s *faults) add(f Fault) (*Injection, error) {
	if !f.Kind.valid() {
		return nil, fmt.Errorf("fault kind %q is not known", f.Kind)
	}
	if f.Class != "" && f.Class != "read" && f.Class != "change" {
		return nil, fmt.Errorf("fault class %q is not read or change", f.Class)
	}
	if f.Percent < 0 || f.Percent > 100 || f.PerSecond < 0 || f.Burst < 0 || f.Burst > 0 && f.Burst < 1 {
		return nil, fmt.Errorf("percent %v is not from 0 to 100, per_second %v is negative, or burst %v is below 1", f.Percent, f.PerSecond, f.Burst)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	in := &Injection{
		ID: strconv.Itoa(s.next), fault: f, set: s, hit: make(chan struct{}), released: make(chan struct{}),
		random: rand.New(rand.NewPCG(f.Seed, 0)), accounts: map[string]*allowance{}, //nolint:gosec // repeatable on purpose
	}
	if f.For > 0 {
		in.ends = time.Now().Add(f.For)
	}
	s.list = append(s.list, in)
	return in, nil
}

func (s *faults) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, in := range s.list {
		if in.ID == id {
			s.list = append(s.list[:n:n], s.list[n+1:]...)
			close(in.released)
			return true
		}
	}
	return false
}

func (s *faults) get(id string) *Injection {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.list {
		if in.ID == id {
			return in
		}
	}
	return nil
}

func (s *faults) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.list {
		close(in.released)
	}
	s.list = nil
}

// match gives the first fault that disturbs the call. A fault that has used up
// its count stays listed, so that Release still ends its holds.
func (s *faults) match(e *Entry) *Injection {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.list {
		if !in.fault.matches(e) || (!in.ends.IsZero() && time.Now().After(in.ends)) {
			continue
		}
		in.seen++
		if in.seen <= in.fault.Skip || (in.fault.Times > 0 && in.done >= in.fault.Times) {
			continue
		}
		if in.passes(e.Account, time.Now()) {
			continue
		}
		in.done++
		if in.done == 1 {
			close(in.hit)
		}
		return in
	}
	return nil
}

// failBefore does what a fault does before moto is asked, and reports whether
// the call is over.
func (w *Wall) failBefore(rw http.ResponseWriter, r *http.Request, c *call, e *Entry, hit *Injection) bool {
	switch hit.fault.Kind {
	case Throttle:
		w.answer(rw, e, c.throttled())
	case ServerError:
		w.answer(rw, e, c.serverError())
	case DropBefore:
		w.abandon(rw, e)
	case Delay:
		t := time.NewTimer(hit.fault.Wait)
		defer t.Stop()
		select {
		case <-t.C:
			return false
		case <-r.Context().Done():
		case <-hit.released:
			return false
		}
		w.abandon(rw, e)
	case HoldBefore:
		if hit.wait(r.Context()) {
			return false
		}
		w.abandon(rw, e)
	default:
		return false
	}
	return true
}

// abandon logs a call that moto was not asked for and breaks the connection.
func (w *Wall) abandon(rw http.ResponseWriter, e *Entry) {
	w.log.append(e)
	drop(rw)
}
