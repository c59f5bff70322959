package bus

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// Delivery is a claimed message. It stays this owner's until its lease ends.
type Delivery struct {
	ID      string
	Topic   string
	Payload json.RawMessage
	// File and Seq are where the outbox keeps it; Claim is the number of this
	// claim. They are for the outbox alone.
	File  string
	Seq   int64
	Claim int64
	// Attempts counts the deliveries, this one included.
	Attempts int
	// Since is when the message was first due.
	Since time.Time
}

// Outbox is where deliveries come from. A Delivery that Claim gave is given to
// nobody else before its lease ends; Ack, Retry, Hold and Dead end the lease and fail
// when it was lost to another owner. Hold forgets the attempts and the time so far.
type Outbox interface {
	Claim(ctx context.Context, topics []string, n int, owner string, lease time.Duration) ([]Delivery, error)
	Ack(ctx context.Context, d Delivery) error
	Retry(ctx context.Context, d Delivery, at time.Time, reason string) error
	Hold(ctx context.Context, d Delivery, at time.Time, reason string) error
	Dead(ctx context.Context, d Delivery, reason string) error
}

// Handler does what a message asks for. It may see a message twice, and two
// messages at the same time. An error marked fault.Terminal gives the message
// up; one marked fault.Transient is waited for as long as it says at least.
type Handler func(ctx context.Context, d Delivery) error

// Config says what a dispatcher delivers.
type Config struct {
	Outbox Outbox
	// File names the outbox in logs.
	File string
	// Handlers has one handler for each topic; other topics are left alone.
	Handlers map[string]Handler
	// First are topics whose messages are taken before all others, however long those
	// are due: what ends work under way, so that no more is begun than can be ended.
	First []string
	// Owner names this process among the nodes; no two may share it.
	Owner  string
	Clock  service.Clock
	Logger *slog.Logger // default: discard
	// Concurrency bounds the messages handled at the same time; default 8.
	Concurrency int
	// Wake is read to look for messages at once; nil leaves it to Poll.
	Wake <-chan struct{}
	// Poll is how often to look when nothing wakes; default 1 s.
	Poll time.Duration
	// Lease is how long a message stays claimed when its owner dies; default 1 min.
	Lease time.Duration
	// Timeout bounds one handling and must be less than Lease, so that nobody
	// else begins while this one still runs; default four fifths of Lease.
	Timeout time.Duration
	// Grace is how long Stop lets handlers finish before it cancels them; default 10 s.
	Grace time.Duration
	// Base and Cap shape the wait between attempts: the upper bound begins at
	// Base (default 200 ms), doubles each time and stops at Cap (default 15 min).
	Base, Cap time.Duration
	// MaxAttempts and MaxAge end the attempts; default 185 and 24 h, as EventBridge.
	MaxAttempts int
	MaxAge      time.Duration
	// Random gives numbers in [0, 1) for the jitter; default math/rand/v2.
	Random func() float64
}

// Dispatcher carries messages from one outbox to their handlers. It implements
// service.Service.
type Dispatcher struct {
	Config
	topics [][]string // those that go first, and the others

	mu  sync.Mutex
	run *run // nil while stopped
}

// New checks cfg and fills its defaults.
func New(cfg Config) (*Dispatcher, error) {
	const op = "make dispatcher"
	if cfg.Outbox == nil || cfg.Clock == nil || cfg.Owner == "" || len(cfg.Handlers) == 0 {
		return nil, fault.Errorf(fault.Internal, op, "outbox, clock, owner and handlers are required")
	}
	for topic, h := range cfg.Handlers {
		if h == nil {
			return nil, fault.Errorf(fault.Internal, op, "topic %q has no handler", topic)
		}
	}
	for _, topic := range cfg.First {
		if cfg.Handlers[topic] == nil {
			return nil, fault.Errorf(fault.Internal, op, "topic %q, which goes first, has no handler", topic)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	cfg.Concurrency = orDefault(cfg.Concurrency, 8)
	cfg.MaxAttempts = orDefault(cfg.MaxAttempts, 185)
	cfg.Poll = orDefault(cfg.Poll, time.Second)
	cfg.Lease = orDefault(cfg.Lease, time.Minute)
	cfg.Timeout = orDefault(cfg.Timeout, cfg.Lease/5*4)
	cfg.Grace = orDefault(cfg.Grace, 10*time.Second)
	cfg.Base = orDefault(cfg.Base, 200*time.Millisecond)
	cfg.Cap = orDefault(cfg.Cap, 15*time.Minute)
	cfg.MaxAge = orDefault(cfg.MaxAge, 24*time.Hour)
	if cfg.Timeout >= cfg.Lease {
		return nil, fault.Errorf(fault.Internal, op, "the timeout %s must be less than the lease %s", cfg.Timeout, cfg.Lease)
	}
	cfg.Logger = cfg.Logger.With("component", "bus", "file", cfg.File)
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(cfg.Handlers)), func(topic string) bool { return slices.Contains(cfg.First, topic) })
	d := &Dispatcher{Config: cfg}
	for _, topics := range [][]string{cfg.First, rest} {
		if len(topics) > 0 {
			d.topics = append(d.topics, topics)
		}
	}
	return d, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// errStopped is why handlers are cancelled when Stop runs out of patience.
var errStopped = errors.New("the dispatcher was stopped")

// run is one life of a dispatcher, from Start to Stop.
type run struct {
	stop   context.CancelFunc      // ends claiming
	cancel context.CancelCauseFunc // ends handlers
	done   chan struct{}           // closed when the loop and all handlers have ended
	slots  chan struct{}           // one token for each handler that may begin
	nudge  chan struct{}           // the loop must look at soon again
	claims int                     // made so far; the loop's alone
	mu     sync.Mutex
	soon   time.Time // when the next retry of this process is due
}

// Start begins to deliver. A second call does nothing. The values of ctx reach
// the handlers; its end does not stop the dispatcher, Stop does.
func (d *Dispatcher) Start(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	loop, stop := context.WithCancel(ctx)
	handlers, cancel := context.WithCancelCause(ctx)
	r := &run{
		stop: stop, cancel: cancel, done: make(chan struct{}),
		slots: make(chan struct{}, d.Concurrency), nudge: make(chan struct{}, 1),
	}
	for range d.Concurrency {
		r.slots <- struct{}{}
	}
	d.run = r
	go d.loop(loop, handlers, r)
	return nil
}

// Stop ends claiming, lets handlers finish for Grace, then cancels them, and
// waits until all have ended or ctx is done. What was cancelled is delivered
// again, here or elsewhere.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	r := d.run
	d.mu.Unlock()
	if r == nil {
		return nil
	}
	r.stop()
	grace := time.NewTimer(d.Grace)
	defer grace.Stop()
	select {
	case <-r.done:
	case <-grace.C:
	case <-ctx.Done():
	}
	r.cancel(errStopped)
	select {
	case <-r.done:
	case <-ctx.Done():
		return fault.E(fault.Unavailable, "stop the dispatcher", context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == r {
		d.run = nil
	}
	return nil
}

// loop claims as many messages as there are free slots, until it is stopped.
func (d *Dispatcher) loop(ctx, handlers context.Context, r *run) {
	var running sync.WaitGroup
	defer func() {
		running.Wait()
		r.cancel(nil)
		r.stop()
		close(r.done)
	}()
	for {
		free := r.take(ctx)
		if free == 0 {
			return // stopped while all slots were busy
		}
		claimed := d.claim(ctx, r, free)
		for range free - len(claimed) {
			r.slots <- struct{}{}
		}
		for _, m := range claimed {
			running.Go(func() {
				defer func() { r.slots <- struct{}{} }()
				d.deliver(handlers, r, m)
			})
		}
		if len(claimed) == free {
			continue // there may be more
		}
		if !d.wait(ctx, r) {
			return
		}
	}
}

// take waits for a free slot and takes all that are free.
func (r *run) take(ctx context.Context) int {
	select {
	case <-ctx.Done():
		return 0
	case <-r.slots:
	}
	n := 1
	for {
		select {
		case <-r.slots:
			n++
		default:
			return n
		}
	}
}

// fairTurn is how often the other topics are asked before those that go first: what
// is put off again and again, as under the stop switch, must not keep them out.
const fairTurn = 4

// claim gives at most n deliveries. An outbox that cannot be reached is asked
// again at the next poll. Stop does not break off a claim: what it leased would
// be out of everybody's reach until the lease ends.
func (d *Dispatcher) claim(ctx context.Context, r *run, n int) []Delivery {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	var all []Delivery
	order := d.topics
	if r.claims++; r.claims%fairTurn == 0 {
		order = []([]string){order[len(order)-1], order[0]}[:len(order)]
	}
	for _, topics := range order {
		claimed, err := d.Outbox.Claim(ctx, topics, n-len(all), d.Owner, d.Lease)
		if err != nil {
			d.Logger.WarnContext(ctx, "cannot claim messages", "error", err)
		}
		if all = append(all, claimed[:min(n-len(all), len(claimed))]...); len(all) == n || err != nil {
			break
		}
	}
	return all
}

// wait sleeps until there may be something to do; false when stopped.
func (d *Dispatcher) wait(ctx context.Context, r *run) bool {
	for {
		timer := time.NewTimer(r.untilNext(d.Clock.Now(), d.Poll))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-r.nudge:
			timer.Stop() // a retry is due sooner than thought
			continue
		case <-d.Wake:
		case <-timer.C:
		}
		timer.Stop()
		return true
	}
}

// untilNext is the time until the next look: the poll, or a retry before it.
func (r *run) untilNext(now time.Time, poll time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.soon.IsZero() {
		return poll
	}
	if left := r.soon.Sub(now); left > 0 {
		return min(left, poll)
	}
	r.soon = time.Time{}
	return 0
}

// retryAt makes the loop look again at t, when that is before it would.
func (r *run) retryAt(t time.Time) {
	r.mu.Lock()
	if r.soon.IsZero() || t.Before(r.soon) {
		r.soon = t
	}
	r.mu.Unlock()
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}
