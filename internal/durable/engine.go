package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// Sealer encrypts what reaches the engine's tables.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Timer wakes work at a time. Its payload is sealed.
type Timer struct {
	ID      string
	At      time.Time
	Payload []byte
}

// Timers keeps the timers of Schedule.
type Timers interface {
	PutTimer(ctx context.Context, t Timer) error
	DueTimers(ctx context.Context, now time.Time, n int) ([]Timer, error)
	DeleteTimer(ctx context.Context, id string) error
}

// Lease keeps the leases of the nodes.
type Lease interface {
	// Heartbeat renews the lease and gives its epoch, a greater one when the
	// lease had run out.
	Heartbeat(ctx context.Context, node string, ttl time.Duration) (epoch int64, err error)
	LeaseValid(ctx context.Context, node string, epoch int64) (bool, error)
	DeadNodes(ctx context.Context, now time.Time) ([]string, error)
	ReleaseNode(ctx context.Context, node string, epoch int64) error
}

// Defaults of Config.
const (
	DefaultLeaseTTL    = 10 * time.Second
	DefaultPoll        = time.Second
	DefaultConcurrency = 64
	DefaultRetention   = 7 * 24 * time.Hour
)

// Config is what the engine is made of.
type Config struct {
	// SQLite or PostgresURL says where DBOS keeps its tables; exactly one is set.
	// The engine closes SQLite on Stop; make it with OpenSQLite. Only one process
	// may use it: what earlier processes left behind is taken over at the start.
	SQLite      *sql.DB
	PostgresURL string
	// Node names this process among the nodes. With PostgreSQL it must differ
	// from every other process, earlier ones included.
	Node   string
	Sealer Sealer
	// Run is the one body. A returned error is tried again while it may pass;
	// Terminal, invalid, denied and not-found errors end the work. It must take
	// the same way each time.
	Run    func(ctx context.Context, exec *Exec) error
	Timers Timers
	Lease  Lease
	// Failed, if set, is told when work ended in an error for good.
	Failed      func(ctx context.Context, id string, input []byte, err error)
	Clock       service.Clock // default: the system's
	Logger      *slog.Logger  // default: discard
	LeaseTTL    time.Duration // default: DefaultLeaseTTL, at least 1 s
	Poll        time.Duration // of timers; default: DefaultPoll
	Concurrency int           // bodies that run at once; default: DefaultConcurrency
	Retention   time.Duration // of ended work; default: DefaultRetention
}

// Engine runs durable work. Its background part is Service.
type Engine struct {
	cfg  Config
	wake chan struct{} // a timer was set that is due soon

	mu       sync.Mutex
	dbos     dbos.Context // nil until started and after Stop
	running  map[string]context.CancelCauseFunc
	stopped  bool
	drain    *drain
	lease    *lease
	flush    *flusher // nil for PostgreSQL
	slots    chan struct{}
	cancel   context.CancelCauseFunc
	loops    sync.WaitGroup
	loopStop context.CancelFunc
}

// New checks cfg and fills defaults. It does not touch a database.
func New(cfg Config) (*Engine, error) {
	switch {
	case (cfg.SQLite == nil) == (cfg.PostgresURL == ""):
		return nil, fault.Errorf(fault.Internal, "make durable engine", "exactly one of SQLite and PostgresURL is needed")
	case cfg.Node == "" || cfg.Sealer == nil || cfg.Run == nil || cfg.Timers == nil || cfg.Lease == nil:
		return nil, fault.Errorf(fault.Internal, "make durable engine", "node, sealer, run, timers and lease are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = DefaultLeaseTTL
	}
	cfg.LeaseTTL = max(cfg.LeaseTTL, time.Second)
	if cfg.Poll <= 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	if cfg.Retention <= 0 {
		cfg.Retention = DefaultRetention
	}
	e := &Engine{
		cfg: cfg, wake: make(chan struct{}, 1), running: map[string]context.CancelCauseFunc{}, drain: newDrain(),
		slots: make(chan struct{}, cfg.Concurrency),
	}
	e.lease = newLease(e)
	return e, nil
}

// Service gives the background part of the engine: Start opens the tables,
// takes the lease and recovers work; Stop lets steps under way end.
func (e *Engine) Service() service.Service { return background{e} }

type background struct{ e *Engine }

// Start implements service.Service. The life of the engine does not hang on
// ctx: only Stop, or a lost lease, ends it.
func (b background) Start(ctx context.Context) error {
	e := b.e
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.stopped:
		return fault.Errorf(fault.Unavailable, "start durable engine", "it was stopped; make a new one")
	case e.dbos != nil:
		return nil
	}
	// DBOS would mark running work as cancelled by a person if its context were
	// cancelled, so it gets one that ends only by our own causes.
	root, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	e.cancel = cancel
	if err := e.lease.take(ctx); err != nil {
		cancel(errStopping)
		return fmt.Errorf("take the node lease: %w", err)
	}
	loops, loopStop := context.WithCancel(root)
	e.loopStop = loopStop
	// Before the launch, which may take longer than the lease counts.
	e.loops.Go(func() { e.lease.loop(loops) })
	dctx, err := e.launch(ctx, root)
	if err != nil {
		cancel(errStopping)
		loopStop()
		e.loops.Wait()
		return errors.Join(err, e.lease.release(ctx))
	}
	e.dbos = dctx
	e.loops.Go(func() { e.sweepLoop(loops) })
	e.loops.Go(func() { e.timerLoop(loops) })
	return nil
}

// Stop implements service.Service. Steps under way may end until ctx is done,
// or for ten seconds; work that has more to do goes on where it is next started.
func (b background) Stop(ctx context.Context) error {
	e := b.e
	e.mu.Lock()
	dctx := e.dbos
	e.stopped, e.dbos = true, nil
	e.mu.Unlock()
	if dctx == nil {
		return nil
	}
	e.drain.begin(ctx, 10*time.Second)
	e.cancel(errStopping)
	timeout := 30 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(deadline.Sub(e.cfg.Clock.Now()), time.Second)
	}
	err := shutdown(dctx, timeout)
	e.loopStop()
	e.loops.Wait() // a timer that is being started still waits for a flush
	// Only now: the lease covers the work until it has ended.
	return errors.Join(err, e.flush.close(), e.lease.release(context.WithoutCancel(ctx)))
}

// Lost is closed when the node lost its lease. The engine has then cancelled
// all work and must not be used again: stop it and exit the process.
func (e *Engine) Lost() <-chan struct{} { return e.lease.lost }

// Holder gives this node's name and the epoch of its lease, for rows that are
// fenced by them; the epoch is 0 before Start.
func (e *Engine) Holder() (node string, epoch int64) {
	e.lease.mu.Lock()
	defer e.lease.mu.Unlock()
	return e.cfg.Node, e.lease.epoch
}

// Fence returns an error unless this node holds its lease, read from the
// database now. Whoever changes something outside asks it right before.
func (e *Engine) Fence(ctx context.Context) error { return e.lease.fence(ctx) }

// settle waits until what was committed survives a power cut.
func (e *Engine) settle(op string) error {
	if err := e.flush.wait(); err != nil {
		// The disk no longer takes what it was given. Nothing may be built on it.
		return fault.E(fault.Unavailable, op, e.lease.lose("the checkpoints could not be flushed: "+err.Error()))
	}
	return nil
}

// live gives the DBOS context of a running engine.
func (e *Engine) live(op string) (dbos.Context, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dbos == nil {
		return nil, fault.Transient(fault.Errorf(fault.Unavailable, op, "the durable engine is not running"), time.Second)
	}
	if err := e.lease.err(); err != nil {
		return nil, fault.Transient(fault.E(fault.Unavailable, op, err), time.Second)
	}
	return e.dbos, nil
}
