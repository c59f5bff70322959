package organization

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Caller makes reads: *awsapi.Session.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Directory keeps the accounts, and how reading them went.
type Directory interface {
	Members(ctx context.Context) ([]org.Member, error)
	MembersRevision(ctx context.Context) (string, error)
	FollowOrganization(ctx context.Context, u org.Update, eff store.Effects) error
	SourceState(ctx context.Context, name string, v any) error
	PutSourceState(ctx context.Context, name string, v any) error
}

// Coverages keeps coverage.
type Coverages interface {
	Coverage(ctx context.Context) ([]org.Coverage, error)
	PutCoverage(ctx context.Context, all []org.Coverage, eff store.Effects) error
	DropCoverage(ctx context.Context, all []org.Coverage) error
}

// Sightings keeps when sources last brought something.
type Sightings interface {
	PutSightings(ctx context.Context, all []org.Sighting) error
	Sightings(ctx context.Context, account string) ([]org.Sighting, error)
}

// Leases lets one node of several do the work.
type Leases interface {
	AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	ReleaseLease(ctx context.Context, name, owner string) error
}

// Store is all of it: *store.Store.
type Store interface {
	Directory
	Coverages
	Sightings
	Leases
}

// Inside is an account whose member role was just taken.
type Inside interface {
	// Regions says of every Region whether it is on in the account.
	Regions(ctx context.Context) (map[string]bool, error)
}

// Config is what New needs.
type Config struct {
	// Organization is the configuration: its accounts are those that are listed.
	Organization org.Organization
	Live         *org.Live // required
	Store        Store     // required
	// Caller reads AWS Organizations. Required where Sync is enabled.
	Caller Caller
	// Reach tries the member role of an account. Required where coverage is found out.
	Reach func(ctx context.Context, account string) (Inside, error)
	// Regions are those that should be covered; Feeds are the sources that should
	// bring findings of them.
	Regions []string
	Feeds   func() []org.Feed
	// Rank gives the message by which the findings of an account are ranked anew;
	// Ranks says that units and tags count in priorities. Default: none is.
	Rank  func(account, mark string, notBefore time.Time) (store.Message, error)
	Ranks bool
	// Shared says that other nodes may read the organization too.
	Shared bool
	// Owner names this process among those that share the database. Required.
	Owner string
	// Settle is how long after an event it is quiet before the organization is read.
	// Default 5 seconds.
	Settle time.Duration
	Clock  service.Clock // default: the system's
	Logger *slog.Logger  // default: discard
}

// Follower follows the organization. It is a service.Service.
type Follower struct {
	cfg Config
	log *slog.Logger

	mu   sync.Mutex
	stop context.CancelFunc
	done sync.WaitGroup

	loaded string // revision of the accounts that hold; of the goroutine of rounds
	asked  asked
	seen   seen
	events notices
}

const (
	defaultEvery  = time.Hour
	defaultSettle = 5 * time.Second
	// refreshEvery is how soon a node knows what another has read.
	refreshEvery = 5 * time.Second
	// retryAfter is how soon a reading that went wrong is tried again: what an event
	// told of must not wait for the next hour.
	retryAfter = 5 * time.Minute
	// leaseTTL is how long a node that died keeps others from reading.
	leaseTTL = 30 * time.Second
	// roundLimit bounds one reading of the whole organization.
	roundLimit = time.Hour
	stateName  = "organization"
)

// New makes a Follower; Start makes it follow.
func New(cfg Config) (*Follower, error) {
	if cfg.Live == nil || cfg.Store == nil || cfg.Owner == "" || cfg.Organization.Sync.Enabled && cfg.Caller == nil {
		return nil, fault.Errorf(fault.Internal, "make follower of the organization", "live, store, owner and caller are required")
	}
	s, c := &cfg.Organization.Sync, &cfg.Organization.Coverage
	if s.Every <= 0 {
		s.Every = defaultEvery
	}
	if c.Every == 0 && s.Enabled {
		c.Every = defaultEvery
	}
	if c.Every < 0 || cfg.Reach == nil {
		c.Every = 0
	}
	if cfg.Feeds == nil {
		cfg.Feeds = func() []org.Feed { return nil }
	}
	if cfg.Settle <= 0 {
		cfg.Settle = defaultSettle
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{cfg: cfg, log: cfg.Logger.With("component", "ingest.organization")}
	f.asked.wake = make(chan struct{}, 1)
	return f, nil
}

// Status is how reading the organization goes.
type Status struct {
	Organization string `json:"organization,omitempty"` // its id
	Management   string `json:"management,omitempty"`
	// Attempts counts rounds that ended on this node, Running says that one is under way.
	Attempts int64 `json:"-"`
	Running  bool  `json:"-"`
	// SyncedAt is when all of it was last read and applied, in Calls calls.
	SyncedAt  time.Time `json:"synced_at,omitzero"`
	Calls     int       `json:"calls,omitempty"`
	Problem   string    `json:"problem,omitempty"`
	Hint      string    `json:"hint,omitempty"`
	ProblemAt time.Time `json:"problem_at,omitzero"`
	// Held are accounts that a reading lacked, too many to believe it.
	Held   []string  `json:"held,omitempty"`
	HeldAt time.Time `json:"held_at,omitzero"`
	// CoveredAt is when coverage was last found out, Began when it was first.
	CoveredAt time.Time `json:"covered_at,omitzero"`
	Began     time.Time `json:"began,omitzero"`
}

// Status gives how it goes: rounds of this node, and what all nodes know.
func (f *Follower) Status(ctx context.Context) (Status, error) {
	var s Status
	err := f.cfg.Store.SourceState(ctx, stateName, &s)
	f.asked.mu.Lock()
	defer f.asked.mu.Unlock()
	s.Attempts, s.Running = f.asked.done, f.asked.busy
	return s, err
}

// asked is what somebody asked this node for.
type asked struct {
	mu     sync.Mutex
	wake   chan struct{}
	want   bool
	accept bool // what is missing may be taken for gone
	busy   bool
	done   int64 // rounds that ended
}

// Request asks for the organization to be read, and coverage found out, at once.
// Accept takes accounts that AWS no longer has for gone, however many they are. It
// gives the number of the attempt that does it.
func (f *Follower) Request(accept bool) int64 {
	a := &f.asked
	a.mu.Lock()
	defer a.mu.Unlock()
	a.want, a.accept = true, a.accept || accept
	select {
	case a.wake <- struct{}{}:
	default: // it is awake already
	}
	if a.busy {
		return a.done + 2
	}
	return a.done + 1
}

func (a *asked) wanted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.want
}

// begin takes what was asked for.
func (a *asked) begin() (accept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	accept = a.accept
	a.want, a.accept, a.busy = false, false, true
	return accept
}

func (a *asked) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = false
	a.done++
}

// Covers reports whether coverage is found out.
func (f *Follower) Covers() bool { return f.cfg.Organization.Coverage.Every > 0 }

// Start begins to follow in the background, at once and then every so often.
func (f *Follower) Start(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil || !f.cfg.Organization.Sync.Enabled && f.cfg.Organization.Coverage.Every == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.done.Go(func() { f.rounds(ctx) })
	f.done.Go(func() { f.keepSightings(ctx) })
	return nil
}

// Stop ends the round under way; what it has not stored is read again.
func (f *Follower) Stop(ctx context.Context) error {
	f.mu.Lock()
	stop := f.stop
	f.stop = nil
	f.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	ended := make(chan struct{})
	go func() { f.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *Follower) rounds(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	first := true
	for {
		if err := f.Round(ctx, first); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "organization not followed", "error", err, "hint", fault.HintOf(err))
		}
		first = false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-f.asked.wake:
		}
	}
}

// Round does what is due or was asked for, as long as no other node is at it; fresh
// makes all of it due. It takes over what another node has read.
func (f *Follower) Round(ctx context.Context, fresh bool) error {
	s, err := f.Status(ctx)
	if err != nil {
		return err
	}
	now, o := f.cfg.Clock.Now(), f.cfg.Organization
	want := f.asked.wanted()
	sync := o.Sync.Enabled && (fresh || want || f.events.due(now, f.cfg.Settle) || s.syncDue(now, o.Sync.Every))
	cover := o.Coverage.Every > 0 && (fresh || want || due(now, s.CoveredAt, o.Coverage.Every))
	if !sync && !cover {
		return f.refresh(ctx)
	}
	mine, err := f.lease(ctx)
	if err != nil || !mine {
		return err // what was asked for waits
	}
	// The lease is given back even when the service stops: the next node need not wait.
	defer func() { _ = f.cfg.Store.ReleaseLease(context.WithoutCancel(ctx), stateName, f.cfg.Owner) }()
	limited, cancel := context.WithTimeout(ctx, roundLimit)
	defer cancel()
	kept, release := f.keep(limited)
	defer release()
	if sync {
		f.events.take(now)
	}
	return f.work(kept, s, sync, cover, f.asked.begin())
}

func due(now, last time.Time, every time.Duration) bool { return !now.Before(last.Add(every)) }

// syncDue reports whether the organization is to be read again.
func (s Status) syncDue(now time.Time, every time.Duration) bool {
	if s.Problem != "" {
		return due(now, s.ProblemAt, min(every, retryAfter))
	}
	return due(now, s.SyncedAt, every)
}

func (f *Follower) lease(ctx context.Context) (bool, error) {
	return f.cfg.Store.AcquireLease(ctx, stateName, f.cfg.Owner, leaseTTL)
}

// hold keeps the work to this node.
func (f *Follower) hold(ctx context.Context) error {
	mine, err := f.lease(ctx)
	if err == nil && !mine {
		return fault.Errorf(fault.Conflict, "follow the organization", "another node has taken it over")
	}
	return err
}

// keep holds the lease until release is called; what is done under the context ends
// when another node has taken it.
func (f *Follower) keep(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every := time.NewTicker(leaseTTL / 3)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			if err := f.hold(ctx); err != nil && fault.Is(err, fault.Conflict) {
				cancel(err)
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// work does one round and stores how it went.
func (f *Follower) work(ctx context.Context, s Status, sync, cover, accept bool) error {
	var err error
	changed := map[string]bool{}
	if sync {
		changed, err = f.sync(ctx, &s, accept)
		s.went(err, f.cfg.Clock.Now())
	}
	if cover || len(changed) > 0 {
		only := changed
		if cover {
			only = nil
		}
		if covering := f.cover(ctx, &s, only); err == nil {
			err = covering
		}
	}
	// How a round that was stopped went is stored too.
	if stored := f.cfg.Store.PutSourceState(context.WithoutCancel(ctx), stateName, s); err == nil {
		err = stored
	}
	f.asked.end()
	if err != nil || !sync {
		return err
	}
	if err = f.readTags(ctx); err != nil && ctx.Err() == nil {
		s.went(fmt.Errorf("read the tags of all accounts: %w", err), f.cfg.Clock.Now())
		if stored := f.cfg.Store.PutSourceState(ctx, stateName, s); stored != nil {
			return stored
		}
	}
	return err
}

// went notes how a reading went.
func (s *Status) went(err error, at time.Time) {
	s.Problem, s.Hint, s.ProblemAt = "", "", time.Time{}
	if err != nil {
		s.Problem, s.Hint, s.ProblemAt = err.Error(), fault.HintOf(err), at
	}
}

// refresh takes over what another node has read.
func (f *Follower) refresh(ctx context.Context) error {
	if !f.cfg.Shared || !f.cfg.Organization.Sync.Enabled {
		return nil
	}
	if err := LoadID(ctx, f.cfg.Store, f.cfg.Live); err != nil {
		return err
	}
	rev, err := f.cfg.Store.MembersRevision(ctx)
	if err != nil || rev == f.loaded {
		return err
	}
	return f.reload(ctx)
}

// LoadID makes the id of the organization that was read last the one that holds.
func LoadID(ctx context.Context, d Directory, live *org.Live) error {
	var s Status
	err := d.SourceState(ctx, stateName, &s)
	if err == nil && s.Organization != "" {
		live.SetOrganization(s.Organization)
	}
	return err
}

// reload makes what is stored what holds.
func (f *Follower) reload(ctx context.Context) error {
	rev, err := f.cfg.Store.MembersRevision(ctx) // first: what comes between is loaded again
	if err != nil {
		return err
	}
	members, err := f.cfg.Store.Members(ctx)
	if err != nil {
		return err
	}
	f.cfg.Live.Set(org.Merge(f.cfg.Organization.Accounts, members))
	f.loaded = rev
	return nil
}
