package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/target"
)

// world is a courier with its ledger and the targets that it delivers to, by name.
type world struct {
	*ledger
	courier *bus.Courier

	mu      sync.Mutex
	targets map[string]bus.Target
	got     []string // rule/target text, in order
}

func newWorld(t *testing.T, owner string) *world {
	t.Helper()
	w := &world{ledger: newLedger(t), targets: map[string]bus.Target{}}
	w.courier = w.node(t, owner)
	return w
}

// node gives a courier more on the same ledger.
func (w *world) node(t *testing.T, owner string) *bus.Courier {
	t.Helper()
	c, err := bus.NewCourier(bus.CourierConfig{
		Events: w.ledger, Deliveries: w.ledger, Owner: owner, Clock: service.SystemClock{}, Random: func() float64 { return 0.5 },
		Target: func(r bus.Ref) (bus.Target, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			target, ok := w.targets[r.Target]
			return target, ok
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// target adds one; answer says what it answers to its nth delivery, from 0.
func (w *world) target(name string, limits bus.Limits, retry *target.RetryPolicy, answer func(n int, l bus.Letter) error) {
	n := 0
	w.targets[name] = bus.Target{Limits: limits, Retry: retry, Send: func(_ context.Context, l bus.Letter) error {
		w.mu.Lock()
		w.got = append(w.got, name+" "+string(l.Text))
		at := n
		n++
		w.mu.Unlock()
		if answer == nil {
			return nil
		}
		return answer(at, l)
	}}
}

// post sends events to targets of these names.
func (w *world) post(t *testing.T, n int, targets ...string) {
	t.Helper()
	for i := range n {
		e := &bus.Posted{Bus: "default", At: time.Now(), Since: time.Now(), Text: fmt.Appendf(nil, `{"n":%d}`, i)}
		for _, name := range targets {
			e.Targets = append(e.Targets, bus.Ref{Rule: "default/r", Target: name, Address: name})
		}
		if err := w.courier.Post(t.Context(), []*bus.Posted{e}); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) count(text string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.got {
		if g == text {
			n++
		}
	}
	return n
}

func (w *world) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}

func (w *world) stop(t *testing.T) {
	t.Helper()
	if err := w.courier.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// story runs what happens to a started courier, in a time of its own.
func story(t *testing.T, tell func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "node-1")
		if err := w.courier.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.stop(t)
		tell(t, w)
	})
}

func (w *world) leaves(t *testing.T, events, waiting, dead int) {
	t.Helper()
	time.Sleep(50 * time.Millisecond) // outcomes are gathered
	synctest.Wait()
	if e, v, d := w.left(); e != events || v != waiting || d != dead {
		t.Errorf("left are %d events, %d deliveries that wait, %d dead, not %d, %d, %d", e, v, d, events, waiting, dead)
	}
}

var errTransient = fault.Transient(fault.Errorf(fault.Unavailable, "send", "no answer"), 0)

func TestEachTargetGetsAnEventOnce(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		w.target("a", bus.Limits{}, nil, nil)
		w.target("b", bus.Limits{}, nil, nil)
		w.post(t, 100, "a", "b")
		w.leaves(t, 0, 0, 0)
		if n := w.total(); n != 200 {
			t.Errorf("%d deliveries of 200", n)
		}
		for i := range 100 {
			if n := w.count(fmt.Sprintf(`a {"n":%d}`, i)); n != 1 {
				t.Errorf("event %d came %d times", i, n)
			}
		}
	})
}

func TestADeliveryIsRetriedUntilItIsTaken(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		var at []time.Duration
		begin := time.Now()
		w.target("a", bus.Limits{}, nil, func(n int, l bus.Letter) error {
			at = append(at, time.Since(begin))
			if l.Attempts != n {
				t.Errorf("attempt %d says that there were %d", n, l.Attempts)
			}
			if n < 3 {
				return errTransient
			}
			return nil
		})
		w.post(t, 1, "a")
		w.leaves(t, 1, 1, 0)
		time.Sleep(time.Minute)
		w.leaves(t, 0, 0, 0)
		// Half of 1, 2 and 4 seconds.
		want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}
		if len(at) != len(want) {
			t.Fatalf("tried at %v", at)
		}
		for i := range want {
			if late := at[i] - want[i]; late < 0 || late > 100*time.Millisecond {
				t.Errorf("try %d came after %s, not %s", i, at[i], want[i])
			}
		}
	})
}

func TestADeliveryIsGivenUpWithItsReason(t *testing.T) {
	t.Parallel()
	two := 2
	minute := 60
	for name, c := range map[string]struct {
		retry  *target.RetryPolicy
		err    error
		tries  int
		code   string
		ending target.Exhausted
	}{
		"attempts":   {&target.RetryPolicy{MaximumRetryAttempts: &two}, errTransient, 3, bus.CodeUnavailable, target.ExhaustedAttempts},
		"age":        {&target.RetryPolicy{MaximumEventAgeInSeconds: &minute}, fault.Transient(errors.New("no"), 50*time.Second), 2, bus.CodeUnavailable, target.ExhaustedAge},
		"permission": {nil, fault.Terminal(fault.Errorf(fault.Denied, "send", "not allowed")), 1, bus.CodeNoPermissions, ""},
		"gone":       {nil, fault.Terminal(fault.Errorf(fault.NotFound, "send", "no such queue")), 1, bus.CodeNoResource, ""},
		"throttled":  {&target.RetryPolicy{MaximumRetryAttempts: new(int)}, fault.Transient(fault.Errorf(fault.Exhausted, "send", "slow down"), 0), 1, bus.CodeThrottling, target.ExhaustedAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, func(t *testing.T, w *world) {
				w.target("a", bus.Limits{}, c.retry, func(int, bus.Letter) error { return c.err })
				a, told := w.targets["a"], 0
				a.GivenUp = func(_ context.Context, l bus.Letter, code, reason string, end target.Exhausted) error {
					told++
					if code != c.code || end != c.ending || reason == "" || l.Attempts != c.tries-1 {
						t.Errorf("the dead-letter queue is told %q, %q, %q after %d attempts", code, reason, end, l.Attempts)
					}
					return nil
				}
				w.targets["a"] = a
				w.post(t, 1, "a")
				time.Sleep(10 * time.Minute)
				w.leaves(t, 1, 0, 1)
				if w.total() != c.tries || told != 1 {
					t.Errorf("%d tries, told %d times", w.total(), told)
				}
				if d := w.dead[0]; d.Code != c.code || d.Attempts != c.tries || d.Reason == "" {
					t.Errorf("kept as %+v", d)
				}
			})
		})
	}
}

func TestAnAddressThatDoesNotAnswerRests(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		var well atomic.Bool
		w.target("sick", bus.Limits{Concurrency: 1}, nil, func(int, bus.Letter) error {
			if well.Load() {
				return nil
			}
			return errTransient
		})
		w.target("well", bus.Limits{}, nil, nil)
		w.post(t, 100, "sick", "well")
		synctest.Wait()
		w.mu.Lock()
		sick := len(w.got)
		w.mu.Unlock()
		if sick -= 100; sick > 10 {
			t.Errorf("%d tries of an address that does not answer", sick)
		}
		if w.count(`well {"n":99}`) != 1 {
			t.Error("the other address waits for it")
		}
		time.Sleep(10 * time.Minute)
		if tries := w.total() - 100; tries > 40 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		well.Store(true)
		time.Sleep(30 * time.Minute)
		w.leaves(t, 0, 0, 0)
	})
}

func TestRetryAfterIsWaitedForByAll(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		begin := time.Now()
		w.target("a", bus.Limits{Concurrency: 1}, nil, func(n int, _ bus.Letter) error {
			if n == 0 {
				return fault.Transient(fault.Errorf(fault.Exhausted, "send", "429"), 5*time.Minute)
			}
			if time.Since(begin) < 5*time.Minute {
				t.Errorf("tried after %s", time.Since(begin))
			}
			return nil
		})
		w.post(t, 20, "a")
		time.Sleep(6 * time.Minute)
		w.leaves(t, 0, 0, 0)
	})
}

func TestAnAddressHasLimits(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		now, most := 0, 0
		w.target("few", bus.Limits{Concurrency: 3}, nil, func(int, bus.Letter) error {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		})
		begin := time.Now()
		var last time.Duration
		w.target("slow", bus.Limits{Rate: 2}, nil, func(int, bus.Letter) error {
			mu.Lock()
			defer mu.Unlock()
			last = max(last, time.Since(begin))
			return nil
		})
		w.post(t, 30, "few", "slow")
		time.Sleep(time.Minute)
		w.leaves(t, 0, 0, 0)
		if most != 3 {
			t.Errorf("%d at the same time", most)
		}
		if last < 14*time.Second || last > 15*time.Second {
			t.Errorf("30 at 2 a second took %s", last)
		}
	})
}

func TestADeliveryMayTakeSoLong(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		tries := 0
		w.targets["a"] = bus.Target{Limits: bus.Limits{Timeout: 2 * time.Second}, Send: func(ctx context.Context, _ bus.Letter) error {
			if tries++; tries > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		w.post(t, 1, "a")
		time.Sleep(10 * time.Second)
		w.leaves(t, 0, 0, 0)
		if tries != 2 {
			t.Errorf("%d tries", tries)
		}
	})
}

func TestEventsOfDeadNodesAreTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "node-1")
		w.target("a", bus.Limits{}, nil, nil)
		w.post(t, 5, "a") // it never started: as if it had died right after
		next := w.node(t, "node-2")
		w.courier = next
		if err := next.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer w.stop(t)
		time.Sleep(time.Minute)
		if w.total() != 0 {
			t.Error("events of a node that may live were taken")
		}
		next.TakeOver([]string{"node-1"})
		time.Sleep(time.Second)
		w.leaves(t, 0, 0, 0)
		if w.total() != 5 {
			t.Errorf("%d of 5 delivered", w.total())
		}
	})
}

func TestStopWaitsForDeliveriesAndNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "node-1")
		w.target("soon", bus.Limits{}, nil, func(int, bus.Letter) error { time.Sleep(5 * time.Second); return nil })
		w.targets["never"] = bus.Target{Send: func(ctx context.Context, _ bus.Letter) error { <-ctx.Done(); return ctx.Err() }}
		if err := w.courier.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.post(t, 1, "soon")
		w.post(t, 1, "never")
		synctest.Wait()
		begin := time.Now()
		w.stop(t)
		if took := time.Since(begin); took < 5*time.Second || took > 11*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if e, v, d := w.left(); e != 1 || v != 0 || d != 0 {
			t.Errorf("left are %d, %d, %d: the one that was broken off has to be made again", e, v, d)
		}
		if err := w.courier.Post(t.Context(), []*bus.Posted{{Bus: "default", Text: []byte(`{}`), Targets: []bus.Ref{{Rule: "r", Target: "soon", Address: "soon"}}}}); err != nil {
			t.Error(err) // it is stored, and delivered by whoever takes over
		}
	})
}

func TestWhatCannotBeDeliveredIsKept(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		w.target("panics", bus.Limits{}, nil, func(int, bus.Letter) error { panic("no") })
		w.post(t, 1, "panics", "removed")
		w.leaves(t, 1, 0, 2)
		codes := []string{w.dead[0].Code, w.dead[1].Code}
		slices.Sort(codes)
		if !slices.Equal(codes, []string{bus.CodeInternal, bus.CodeNoResource}) {
			t.Errorf("codes %v", codes)
		}
	})
}

func TestALedgerThatIsDownLosesNothing(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		w.target("a", bus.Limits{}, nil, func(int, bus.Letter) error {
			w.ledger.mu.Lock()
			w.down = true
			w.ledger.mu.Unlock()
			return nil
		})
		w.post(t, 1, "a")
		synctest.Wait()
		if err := w.courier.Post(t.Context(), []*bus.Posted{{Bus: "default"}}); !errors.Is(err, errDown) {
			t.Errorf("accepted by a ledger that is down: %v", err)
		}
		time.Sleep(10 * time.Minute) // however long it is down
		w.leaves(t, 1, 0, 0)
		w.ledger.mu.Lock()
		w.down = false
		w.ledger.mu.Unlock()
		time.Sleep(time.Second)
		w.leaves(t, 0, 0, 0)
	})
}

func TestWhatDoesNotFitIntoMemoryWaits(t *testing.T) {
	t.Parallel()
	story(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		w.targets["a"] = bus.Target{Limits: bus.Limits{Timeout: time.Hour}, Send: func(context.Context, bus.Letter) error {
			<-release
			w.mu.Lock()
			w.got = append(w.got, "")
			w.mu.Unlock()
			return nil
		}}
		text := append(append([]byte(`{"a":"`), make([]byte, 1<<20)...), '"', '}')
		for range 70 {
			e := &bus.Posted{Bus: "default", Text: text, Targets: []bus.Ref{{Rule: "r", Target: "a", Address: "a"}}, Since: time.Now()}
			if err := w.courier.Post(t.Context(), []*bus.Posted{e}); err != nil {
				t.Fatal(err)
			}
		}
		left := 0
		w.ledger.mu.Lock()
		for _, r := range w.events {
			if r.owner == "" {
				left++
			}
		}
		w.ledger.mu.Unlock()
		if left < 4 || left > 6 {
			t.Errorf("%d of 70 events of a MiB were left to be taken later", left)
		}
		close(release)
		time.Sleep(time.Minute)
		w.leaves(t, 0, 0, 0)
		if w.total() != 70 {
			t.Errorf("%d of 70 delivered", w.total())
		}
	})
}
