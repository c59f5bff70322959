package pull

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Caller makes reads: *awsapi.Session.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Store is where what was read goes, and what is asked after.
type Store interface {
	AppendInbox(ctx context.Context, items []store.InboxItem) error
	PutRejected(ctx context.Context, list []store.Rejected) error
	QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
	SourceState(ctx context.Context, name string, v any) error
	PutSourceState(ctx context.Context, name string, v any) error
	AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
}

// Config is what New needs.
type Config struct {
	Source ingest.Source // required
	// Region is the hub's; Account is asked in as the session's role, "" is the
	// process's own.
	Region, Account string
	// Products are the product ARNs to ask for, nil for all.
	Products []string
	Caller   Caller      // required
	Store    Store       // required
	Read     ingest.Read // required
	// Every is how often updates are read. Default 10 minutes.
	Every time.Duration
	// Reconcile is how often what is stored is asked for. Default 24 hours; less
	// than 0: never.
	Reconcile time.Duration
	// Owner names this process: of several nodes one reads a hub.
	Owner  string
	Clock  service.Clock // default: the system's
	Logger *slog.Logger  // default: discard
	// Wake tells triage that there is work; it must not block. Default: nothing.
	Wake func()
}

// Collector reads one hub. It is a service.Service.
type Collector struct {
	cfg Config
	log *slog.Logger

	mu   sync.Mutex
	stop context.CancelFunc
	done sync.WaitGroup

	reportMu sync.Mutex
	report   ingest.Report
}

// New makes a Collector; Start makes it read.
func New(cfg Config) (*Collector, error) {
	if cfg.Source.Name == "" || cfg.Region == "" || cfg.Caller == nil || cfg.Store == nil || cfg.Read == nil || cfg.Owner == "" {
		return nil, fault.Errorf(fault.Internal, "make hub collector", "source, region, caller, store, reader and owner are required")
	}
	if cfg.Every <= 0 {
		cfg.Every = 10 * time.Minute
	}
	if cfg.Reconcile == 0 {
		cfg.Reconcile = 24 * time.Hour
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	return &Collector{cfg: cfg, log: cfg.Logger.With("component", "ingest.pull", "source", cfg.Source.Name)}, nil
}

// Start begins to read in the background, at once and then every so often.
func (c *Collector) Start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.done.Go(func() { c.rounds(ctx) })
	return nil
}

// Stop ends the round under way after its page.
func (c *Collector) Stop(ctx context.Context) error {
	c.mu.Lock()
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	ended := make(chan struct{})
	go func() { c.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Collector) rounds(ctx context.Context) {
	every := time.NewTicker(c.cfg.Every)
	defer every.Stop()
	for {
		err := c.Round(ctx)
		if ctx.Err() != nil {
			return
		}
		c.note(func(r *ingest.Report) {
			r.Problem = ""
			if err != nil {
				r.Problem, r.ProblemAt = err.Error(), c.cfg.Clock.Now()
			}
		})
		if err != nil {
			c.log.WarnContext(ctx, "hub not read", "error", err, "hint", fault.HintOf(err), "again_after", c.cfg.Every)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// leaseTTL is how long a node that died keeps others from reading its hub.
const leaseTTL = 2 * time.Minute

// Round reads what was updated, and reconciles when it is time. It does nothing
// while another node has the hub.
func (c *Collector) Round(ctx context.Context) error {
	mine, err := c.lease(ctx)
	if err != nil || !mine {
		return err
	}
	var s state
	if err := c.cfg.Store.SourceState(ctx, c.stateName(), &s); err != nil {
		return err
	}
	if err := c.updates(ctx, &s); err != nil {
		return err
	}
	if c.cfg.Reconcile < 0 || s.Walk == nil && c.cfg.Clock.Now().Before(s.Reconciled.Add(c.cfg.Reconcile)) {
		return nil
	}
	return c.reconcile(ctx, &s)
}

func (c *Collector) lease(ctx context.Context) (bool, error) {
	return c.cfg.Store.AcquireLease(ctx, "hub/"+c.cfg.Source.Name, c.cfg.Owner, leaseTTL)
}

func (c *Collector) stateName() string { return "hub/" + c.cfg.Source.Name }

// save stores how far the round has come, and keeps the hub to this node.
func (c *Collector) save(ctx context.Context, s *state) error {
	if err := c.cfg.Store.PutSourceState(ctx, c.stateName(), s); err != nil {
		return err
	}
	mine, err := c.lease(ctx)
	if err == nil && !mine {
		return fault.Errorf(fault.Conflict, "read hub", "another node has taken it over")
	}
	return err
}

// accept stores what a page held that the source may bring.
func (c *Collector) accept(ctx context.Context, taken ingest.Taken) error {
	if err := c.cfg.Store.AppendInbox(ctx, taken.Items); err != nil {
		return err
	}
	if len(taken.Items) > 0 {
		c.cfg.Wake()
	}
	if err := c.cfg.Store.PutRejected(ctx, taken.Aside); err != nil {
		return err
	}
	now := c.cfg.Clock.Now()
	c.note(func(r *ingest.Report) {
		r.Messages++
		r.LastRead = now
		if len(taken.Items) > 0 {
			r.LastReceived = now
		}
		r.Accepted += int64(len(taken.Items))
		r.Rejected += int64(len(taken.Aside))
	})
	return nil
}

func (c *Collector) note(change func(*ingest.Report)) {
	c.reportMu.Lock()
	defer c.reportMu.Unlock()
	change(&c.report)
}

// Report gives what the collector did.
func (c *Collector) Report() ingest.Report {
	c.reportMu.Lock()
	defer c.reportMu.Unlock()
	r := c.report
	r.Name, r.Kind, r.From, r.Trusted = c.cfg.Source.Name, "hub", c.cfg.Region, c.cfg.Source.Trusted
	r.Accounts, r.Products = c.cfg.Source.Accounts, c.cfg.Source.Products
	return r
}
