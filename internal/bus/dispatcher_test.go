package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outbox is an outbox in memory with the rules of the real one.
type outbox struct {
	mu    sync.Mutex
	clock service.Clock
	rows  []*row
	fail  error // every call fails with it
}

type row struct {
	bus.Delivery
	due    time.Time
	state  string // "", "acked", "dead"
	reason string
}

func (o *outbox) put(topic string, ids ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		now := o.clock.Now()
		o.rows = append(o.rows, &row{Delivery: bus.Delivery{ID: id, Topic: topic, Seq: int64(len(o.rows)), Since: now}, due: now})
	}
}

func (o *outbox) Claim(_ context.Context, topics []string, n int, _ string, lease time.Duration) ([]bus.Delivery, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return nil, o.fail
	}
	var out []bus.Delivery
	for _, r := range o.rows {
		if len(out) < n && r.state == "" && slices.Contains(topics, r.Topic) && !r.due.After(o.clock.Now()) {
			r.due = o.clock.Now().Add(lease)
			r.Attempts++
			r.Delivery.Claim++
			out = append(out, r.Delivery)
		}
	}
	return out, nil
}

func (o *outbox) settle(d bus.Delivery, f func(*row)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.rows[d.Seq]
	if o.fail != nil || r.state != "" || r.Delivery.Claim != d.Claim {
		return errors.Join(o.fail, errors.New("conflict"))
	}
	f(r)
	return nil
}

func (o *outbox) Ack(_ context.Context, d bus.Delivery) error {
	return o.settle(d, func(r *row) { r.state = "acked" })
}

func (o *outbox) Retry(_ context.Context, d bus.Delivery, at time.Time, reason string) error {
	return o.settle(d, func(r *row) { r.due, r.reason = at, reason })
}

func (o *outbox) Hold(_ context.Context, d bus.Delivery, at time.Time, reason string) error {
	return o.settle(d, func(r *row) { r.due, r.Since, r.Attempts, r.reason = at, at, 0, reason })
}

func (o *outbox) Dead(_ context.Context, d bus.Delivery, reason string) error {
	return o.settle(d, func(r *row) { r.state, r.reason = "dead", reason })
}

func (o *outbox) states() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]string{}
	for _, r := range o.rows {
		out[r.ID] = r.state
	}
	return out
}

func (o *outbox) reason(id string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.rows {
		if r.ID == id {
			return r.reason
		}
	}
	return ""
}

func newOutbox() *outbox { return &outbox{clock: service.SystemClock{}} }

// start runs a dispatcher with h on topic "t" for the length of the test bubble.
func start(t *testing.T, o *outbox, h bus.Handler, change func(*bus.Config)) *bus.Dispatcher {
	t.Helper()
	cfg := bus.Config{Outbox: o, Owner: "node-1", Clock: o.clock, Handlers: map[string]bus.Handler{"t": h}, Random: func() float64 { return 1 }}
	if change != nil {
		change(&cfg)
	}
	d, err := bus.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func stop(t *testing.T, d *bus.Dispatcher) {
	t.Helper()
	if err := d.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestDeliversInOrderOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a", "b", "c")
		o.put("other", "x")
		var got []string
		d := start(t, o, func(_ context.Context, m bus.Delivery) error {
			got = append(got, m.ID)
			return nil
		}, func(c *bus.Config) { c.Concurrency = 1 })
		synctest.Wait()
		stop(t, d)
		if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string{"a": "acked", "b": "acked", "c": "acked", "x": ""}, o.states()); diff != "" {
			t.Error(diff)
		}
	})
}

// What ends work goes before what begins it, and one claim in four is the others' first:
// they get on even while the first are put off without end.
func TestFirstTopics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "t1", "t2", "t3")
		o.put("end", "e1", "e2", "e3", "e4", "e5")
		var got []string
		h := func(_ context.Context, m bus.Delivery) error {
			got = append(got, m.ID)
			return nil
		}
		d := start(t, o, h, func(c *bus.Config) { c.Concurrency, c.First, c.Handlers["end"] = 1, []string{"end"}, h })
		synctest.Wait()
		stop(t, d)
		if diff := cmp.Diff([]string{"e1", "e2", "e3", "t1", "e4", "e5", "t2", "t3"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestConcurrencyIsBoundedAndUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		for i := range 20 {
			o.put("t", fmt.Sprint(i))
		}
		var now, most atomic.Int32
		begin := time.Now()
		d := start(t, o, func(context.Context, bus.Delivery) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return nil
		}, func(c *bus.Config) { c.Concurrency = 4 })
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		stop(t, d)
		if got := most.Load(); got != 4 {
			t.Errorf("at most %d at once, want 4", got)
		}
		for id, state := range o.states() {
			if state != "acked" {
				t.Errorf("message %s is %q after %s", id, state, time.Since(begin))
			}
		}
	})
}

func TestWakeAndPoll(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		wake bool
		want time.Duration
	}{
		{"a wake-up delivers at once", true, 0},
		{"without one, the next poll does", false, 500 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOutbox()
				wake := make(chan struct{}, 1)
				handled := make(chan time.Time, 1)
				d := start(t, o, func(context.Context, bus.Delivery) error {
					handled <- time.Now()
					return nil
				}, func(c *bus.Config) { c.Wake = wake })
				time.Sleep(10*time.Second + 500*time.Millisecond)
				put := time.Now()
				o.put("t", "a")
				if tc.wake {
					wake <- struct{}{}
				}
				if got := (<-handled).Sub(put); got != tc.want {
					t.Errorf("delivered after %s, want %s", got, tc.want)
				}
				stop(t, d)
			})
		})
	}
}

func TestRetryWaits(t *testing.T) {
	t.Parallel()
	transient := fault.Transient(errors.New("throttled"), 7*time.Second)
	for _, tc := range []struct {
		name   string
		err    error
		random float64
		want   []time.Duration
	}{
		{"the bound doubles from 200 ms", errors.New("x"), 1, []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond}},
		{"the jitter is full", errors.New("x"), 0.5, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}},
		{"an error may ask for more", transient, 1, []time.Duration{7 * time.Second, 7 * time.Second}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOutbox()
				o.put("t", "a")
				var at []time.Time
				d := start(t, o, func(context.Context, bus.Delivery) error {
					at = append(at, time.Now())
					if len(at) <= len(tc.want) {
						return tc.err
					}
					return nil
				}, func(c *bus.Config) { c.Random = func() float64 { return tc.random } })
				time.Sleep(time.Minute)
				synctest.Wait()
				stop(t, d)
				var got []time.Duration
				for i := 1; i < len(at); i++ {
					got = append(got, at[i].Sub(at[i-1]))
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestTheWaitIsCapped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		var last, longest time.Duration
		begin := time.Now()
		d := start(t, o, func(context.Context, bus.Delivery) error {
			longest = max(longest, time.Since(begin)-last)
			last = time.Since(begin)
			return errors.New("x")
		}, func(c *bus.Config) { c.MaxAge, c.Poll = 6*time.Hour, time.Hour })
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		stop(t, d)
		if longest != 15*time.Minute {
			t.Errorf("longest wait %s, want 15m", longest)
		}
	})
}

// TestWhatPeopleHoldIsNotGivenUp: for days, and it goes on within the wait when they let go.
func TestWhatPeopleHoldIsNotGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		var released, failed atomic.Bool
		done := time.Time{}
		d := start(t, o, func(context.Context, bus.Delivery) error {
			if !released.Load() {
				return fault.Held(errors.New("the stop switch is on"), 5*time.Second)
			}
			if !failed.Swap(true) { // neither the tries nor the days that it was held count
				return fault.Transient(errors.New("no answer"), time.Millisecond)
			}
			done = time.Now()
			return nil
		}, nil)
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		at := time.Now()
		released.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop(t, d)
		if wait := done.Sub(at); done.IsZero() || wait > 6*time.Second {
			t.Errorf("it went on %s after the release (%v), state %q", wait, done, o.states()["a"])
		}
	})
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		err      error
		change   func(*bus.Config)
		attempts int
		reason   string
	}{
		{"a terminal error at once", fault.Terminal(errors.New("no such playbook")), nil, 1, "no such playbook"},
		{"after the greatest number of attempts", errors.New("x"), func(c *bus.Config) { c.MaxAttempts = 3 }, 3, "3 attempts, the last one: x"},
		{"after 185 attempts by default", fault.Transient(errors.New("x"), time.Millisecond), func(c *bus.Config) { c.Random = func() float64 { return 0 } }, 185, "185 attempts, the last one: x"},
		{"after a day by default", fault.Transient(errors.New("x"), 10*time.Hour), nil, 4, "tried for 30h0m0s, the last time: x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOutbox()
				o.put("t", "a")
				n := 0
				d := start(t, o, func(context.Context, bus.Delivery) error { n++; return tc.err }, func(c *bus.Config) {
					c.Poll = time.Hour // retries do not wait for it
					if tc.change != nil {
						tc.change(c)
					}
				})
				time.Sleep(48 * time.Hour)
				synctest.Wait()
				stop(t, d)
				if got := o.states()["a"]; got != "dead" || n != tc.attempts {
					t.Errorf("state %q after %d attempts, want dead after %d", got, n, tc.attempts)
				}
				if diff := cmp.Diff(tc.reason, o.reason("a")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestAPanicIsRetriedAndItsTraceLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a", "b")
		var log bytes.Buffer
		n := 0
		d := start(t, o, func(_ context.Context, m bus.Delivery) error {
			if m.ID == "b" {
				return nil
			}
			if n++; n == 1 {
				panic("slipped")
			}
			return nil
		}, func(c *bus.Config) {
			c.Concurrency = 1
			c.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		})
		time.Sleep(time.Second)
		synctest.Wait()
		stop(t, d)
		if diff := cmp.Diff(map[string]string{"a": "acked", "b": "acked"}, o.states()); diff != "" {
			t.Error(diff)
		}
		if out := log.String(); !strings.Contains(out, "slipped") || !strings.Contains(out, "dispatcher_test.go") {
			t.Errorf("the log has no trace of the panic: %s", out)
		}
	})
}

func TestStopLetsHandlersFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a", "b")
		d := start(t, o, func(ctx context.Context, _ bus.Delivery) error {
			time.Sleep(5 * time.Second)
			return ctx.Err()
		}, func(c *bus.Config) { c.Concurrency = 1 })
		synctest.Wait()
		begin := time.Now()
		stop(t, d)
		stop(t, d)
		if got := time.Since(begin); got != 5*time.Second {
			t.Errorf("stop took %s, want 5s", got)
		}
		if diff := cmp.Diff(map[string]string{"a": "acked", "b": ""}, o.states()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStopCancelsAfterTheGraceAndHandsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		var cause error
		d := start(t, o, func(ctx context.Context, _ bus.Delivery) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return ctx.Err()
		}, func(c *bus.Config) { c.Grace = 3 * time.Second; c.MaxAttempts = 1 })
		synctest.Wait()
		begin := time.Now()
		stop(t, d)
		if got := time.Since(begin); got != 3*time.Second {
			t.Errorf("stop took %s, want 3s", got)
		}
		if cause == nil || !strings.Contains(cause.Error(), "stopped") {
			t.Errorf("cause %v does not say stopped", cause)
		}
		again, err := o.Claim(t.Context(), []string{"t"}, 1, "node-2", time.Minute)
		if err != nil || len(again) != 1 {
			t.Errorf("the message is not free for another node: %v, %v", again, err)
		}
	})
}

func TestStopGivesUpWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		release := make(chan struct{})
		d := start(t, o, func(context.Context, bus.Delivery) error { <-release; return nil }, nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Stop(ctx); !fault.Is(err, fault.Unavailable) {
			t.Errorf("stop of a deaf handler: %v, want unavailable", err)
		}
		close(release)
		stop(t, d)
	})
}

func TestAHandlerThatTakesTooLongIsCancelledWithinItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		var took time.Duration
		begin := time.Now()
		d := start(t, o, func(ctx context.Context, m bus.Delivery) error {
			if m.Attempts > 1 {
				return nil
			}
			<-ctx.Done()
			took = time.Since(begin)
			return ctx.Err()
		}, func(c *bus.Config) { c.Lease = 10 * time.Second })
		time.Sleep(time.Minute)
		synctest.Wait()
		stop(t, d)
		if took != 8*time.Second {
			t.Errorf("cancelled after %s, want 8s", took)
		}
		if o.states()["a"] != "acked" || !strings.Contains(o.reason("a"), "longer than 8s") {
			t.Errorf("state %q, reason %q", o.states()["a"], o.reason("a"))
		}
	})
}

func TestAMessageOfADeadOwnerIsDeliveredAfterItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		if _, err := o.Claim(t.Context(), []string{"t"}, 1, "killed", 30*time.Second); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		handled := make(chan time.Duration, 1)
		d := start(t, o, func(context.Context, bus.Delivery) error { handled <- time.Since(begin); return nil }, nil)
		if got := <-handled; got < 30*time.Second || got > 31*time.Second {
			t.Errorf("delivered after %s, want the lease of 30s and at most a poll", got)
		}
		stop(t, d)
	})
}

func TestAnOutboxThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		o.put("t", "a")
		o.fail = errors.New("no connection")
		d := start(t, o, func(context.Context, bus.Delivery) error { return nil }, nil)
		time.Sleep(5500 * time.Millisecond)
		o.mu.Lock()
		o.fail = nil
		o.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		stop(t, d)
		if got := o.states()["a"]; got != "acked" {
			t.Errorf("state %q, want acked", got)
		}
	})
}

func TestStartAgainAfterStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox()
		d := start(t, o, func(context.Context, bus.Delivery) error { return nil }, nil)
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop(t, d)
		o.put("t", "a")
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop(t, d)
		if got := o.states()["a"]; got != "acked" {
			t.Errorf("state %q, want acked", got)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := func() bus.Config {
		return bus.Config{Outbox: newOutbox(), Clock: service.SystemClock{}, Owner: "n", Handlers: map[string]bus.Handler{"t": func(context.Context, bus.Delivery) error { return nil }}}
	}
	if _, err := bus.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*bus.Config){
		"no outbox":                         func(c *bus.Config) { c.Outbox = nil },
		"no clock":                          func(c *bus.Config) { c.Clock = nil },
		"no owner":                          func(c *bus.Config) { c.Owner = "" },
		"no handlers":                       func(c *bus.Config) { c.Handlers = nil },
		"a first topic that nobody handles": func(c *bus.Config) { c.First = []string{"other"} },
		"a nil handler":                     func(c *bus.Config) { c.Handlers = map[string]bus.Handler{"t": nil} },
		"a timeout as long as its lease":    func(c *bus.Config) { c.Lease, c.Timeout = time.Second, time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good()
			spoil(&cfg)
			if _, err := bus.New(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}
