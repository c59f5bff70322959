package bus

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

const (
	defaultConcurrency = 16
	defaultTimeout     = 30 * time.Second
	// maxHeld bounds the texts of events whose deliveries wait in memory.
	maxHeld = 64 << 20
	// deliveryLease is how long a claimed delivery stays this node's: longer than it
	// waits in its lane and is tried.
	deliveryLease = 5 * time.Minute
)

// CourierConfig says what a courier carries.
type CourierConfig struct {
	Events     EventLedger
	Deliveries DeliveryLedger
	// Target finds who makes a delivery; false when rule or target are gone.
	Target func(r Ref) (Target, bool)
	// Owner names this process among the nodes; no two may share it.
	Owner  string
	Clock  service.Clock
	Logger *slog.Logger // default: discard
	// Poll is how often the ledger is asked when nothing is known to be due; default 1 s.
	Poll time.Duration
	// Grace is how long Stop lets deliveries end; default 10 s.
	Grace time.Duration
	// Random gives numbers in [0, 1) for the jitter; default math/rand/v2.
	Random func() float64
}

// Courier delivers events to targets: at least once, retried as their policies say, in no
// order. It implements service.Service.
type Courier struct {
	CourierConfig
	held   atomic.Int64
	events gathered[Settled]
	claims gathered[Outcome]
	nudge  chan struct{}
	ending chan struct{} // closed by Stop

	mu      sync.Mutex
	lanes   map[string]*lane
	dead    []string // nodes whose events are taken over
	soon    time.Time
	work    context.Context //nolint:containedctx // of the deliveries, from Start to Stop
	stop    context.CancelCauseFunc
	stopped bool
	running sync.WaitGroup     // the pump, workers, and those that note outcomes
	quit    context.CancelFunc // ends the pump
}

// NewCourier checks cfg and fills its defaults.
func NewCourier(cfg CourierConfig) (*Courier, error) {
	if cfg.Events == nil || cfg.Deliveries == nil || cfg.Target == nil || cfg.Owner == "" || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make courier", "ledgers, target, owner and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	cfg.Poll, cfg.Grace = orDefault(cfg.Poll, time.Second), orDefault(cfg.Grace, 10*time.Second)
	cfg.Logger = cfg.Logger.With("component", "bus.courier")
	c := &Courier{CourierConfig: cfg, lanes: map[string]*lane{}, nudge: make(chan struct{}, 1), ending: make(chan struct{})}
	c.events.settle = func(ctx context.Context, all []Settled) error { return c.Events.SettleEvents(ctx, c.Owner, all) }
	c.claims.settle = c.Deliveries.SettleDeliveries
	return c, nil
}

// Start begins to deliver. A second call does nothing.
func (c *Courier) Start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work != nil {
		return nil
	}
	c.work, c.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	pump, quit := context.WithCancel(c.work)
	c.quit = quit
	c.running.Go(func() { c.pump(pump) })
	return nil
}

// errCourierStopped is why deliveries are cancelled when Stop runs out of patience.
var errCourierStopped = errors.New("the courier was stopped")

// Stop ends taking events, lets deliveries end for Grace, then cancels them, and notes
// what became of them. What is not noted is delivered again by whoever takes over.
func (c *Courier) Stop(ctx context.Context) error {
	c.mu.Lock()
	if c.work == nil || c.stopped {
		c.mu.Unlock()
		return nil
	}
	c.stopped = true
	close(c.ending)
	c.mu.Unlock()
	c.quit()
	ended := make(chan struct{})
	go func() { c.running.Wait(); close(ended) }()
	grace := time.NewTimer(c.Grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
	case <-ctx.Done():
	}
	c.stop(errCourierStopped)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fault.E(fault.Unavailable, "stop the courier", context.Cause(ctx))
	}
}

// Post stores events and begins to deliver them. It returns when they are stored; an
// error says that none is.
func (c *Courier) Post(ctx context.Context, events []*Posted) error {
	owner := c.Owner
	if c.held.Load() > maxHeld {
		owner = "" // they are taken when there is room again
	}
	if err := c.Events.AppendEvents(ctx, owner, events); err != nil {
		return err
	}
	if owner == "" || !c.enter() {
		return nil
	}
	defer c.running.Done()
	for _, e := range events {
		c.dispatch(*e)
	}
	return nil
}

// enter counts the caller among those for whom Stop waits; false when it need not begin.
func (c *Courier) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work == nil || c.stopped {
		return false
	}
	c.running.Add(1)
	return true
}

// open is an event whose first deliveries are under way.
type open struct {
	c     *Courier
	event int64
	size  int64

	mu    sync.Mutex
	left  int
	again []Later
}

func (o *open) done(again *Later) {
	o.mu.Lock()
	if again != nil {
		o.again = append(o.again, *again)
	}
	o.left--
	last := o.left == 0
	o.mu.Unlock()
	if last {
		o.c.held.Add(-o.size)
		for _, a := range o.again {
			o.c.dueAt(a)
		}
		o.c.events.put(o.c, Settled{Event: o.event, Again: o.again})
	}
}

// dispatch begins the first deliveries of an event that this node owns.
func (c *Courier) dispatch(e Posted) {
	if len(e.Targets) == 0 {
		return
	}
	o := &open{c: c, event: e.Seq, size: int64(len(e.Text)), left: len(e.Targets)}
	c.held.Add(o.size)
	for _, ref := range e.Targets {
		c.make(Letter{Bus: e.Bus, Ref: ref, Text: e.Text, Since: e.Since}, o.done)
	}
}

// make begins a delivery, or has it wait.
func (c *Courier) make(l Letter, done func(*Later)) {
	t, ok := c.Target(l.Ref)
	if !ok {
		done(&Later{Ref: l.Ref, Since: l.Since, Attempts: l.Attempts, Dead: true, Code: CodeNoResource, Reason: "the rule or its target was removed"})
		return
	}
	t.Concurrency, t.Timeout = orDefault(t.Concurrency, defaultConcurrency), orDefault(t.Timeout, defaultTimeout)
	lane := c.lane(l.Ref.Address)
	start, taken, until := lane.put(job{Letter: l, target: t, done: done}, c.Clock.Now())
	if !taken {
		done(c.rested(l, until))
		return
	}
	if !start {
		return
	}
	c.running.Add(1) // whoever comes here is counted itself
	go func() {
		defer c.running.Done()
		c.worker(c.work, lane)
	}()
}

// rested is a delivery that waits because its address rests. No attempt is counted.
func (c *Courier) rested(l Letter, until time.Time) *Later {
	return &Later{Ref: l.Ref, Since: l.Since, Due: until.Add(time.Duration(c.Random() * float64(time.Second))), Attempts: l.Attempts}
}

func (c *Courier) lane(address string) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lanes[address]
	if l == nil {
		l = &lane{}
		c.lanes[address] = l
	}
	return l
}

// TakeOver has the events of dead nodes delivered here.
func (c *Courier) TakeOver(dead []string) {
	c.mu.Lock()
	c.dead = append(c.dead, dead...)
	c.mu.Unlock()
	c.look()
}

// dueAt makes the pump look when a delivery is due, and not before it is in the ledger.
func (c *Courier) dueAt(l Later) {
	if l.Dead {
		return
	}
	due := l.Due
	if noted := c.Clock.Now().Add(2 * settleWait); due.Before(noted) {
		due = noted
	}
	c.mu.Lock()
	sooner := c.soon.IsZero() || due.Before(c.soon)
	if sooner {
		c.soon = due
	}
	c.mu.Unlock()
	if sooner {
		c.look()
	}
}

// look wakes the pump.
func (c *Courier) look() {
	select {
	case c.nudge <- struct{}{}:
	default:
	}
}
