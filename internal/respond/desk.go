package respond

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// MaxOpen is how many cases may be open.
const MaxOpen = 10_000

// maxTries bounds how often a change is made anew because somebody else was faster.
const maxTries = 20

// Store keeps cases.
type Store interface {
	Reader
	CreateCase(ctx context.Context, c casefile.Case, w store.CaseWrite, most int64, eff store.Effects) error
	UpdateCase(ctx context.Context, c casefile.Case, w store.CaseWrite, eff store.Effects) error
	CaseOfEvent(ctx context.Context, event string) (string, error)
	CaseGroup(ctx context.Context, name string) (store.CaseGroup, error)
}

// Reader finds cases.
type Reader interface {
	Case(ctx context.Context, id string) (casefile.Case, error)
	ListCases(ctx context.Context, f store.CaseFilter, limit int, cursor string) ([]casefile.Case, string, error)
	CaseEntries(ctx context.Context, id string, limit int, cursor string) ([]casefile.Entry, string, error)
}

// Config is what New needs. Everything without a default is required.
type Config struct {
	Store Store
	// Templates are those of parry.yaml by name, with casefile.DefaultTemplate.
	Templates map[string]casefile.Template
	// Account, Region and Partition are those of the hub: events about cases are of them.
	Account, Region, Partition string
	MaxOpen                    int64         // default: MaxOpen
	IDs                        service.IDs   // default: random
	Clock                      service.Clock // default: the system's
	Logger                     *slog.Logger  // default: discard
}

// Desk opens cases and changes them. It is safe for concurrent use.
type Desk struct {
	cfg Config
	log *slog.Logger
}

// New makes a Desk.
func New(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Account == "" || cfg.Region == "" || cfg.Partition == "" {
		return nil, fault.Errorf(fault.Internal, "make case desk", "store, account, Region and partition are required")
	}
	if cfg.MaxOpen <= 0 {
		cfg.MaxOpen = MaxOpen
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Desk{cfg: cfg, log: cfg.Logger.With("component", "respond")}, nil
}

func (d *Desk) now() time.Time { return d.cfg.Clock.Now().UTC().Truncate(time.Microsecond) }

// ARN is that of a case.
func (d *Desk) ARN(id string) string {
	return casefile.ARN(d.cfg.Partition, d.cfg.Region, d.cfg.Account, id)
}

// Who is a person at the desk.
type Who struct {
	Name string
	// Accounts are those that the person may see; store.AllAccounts are all.
	Accounts []string
}

// sees reports whether w may see a case: with every account of it, since its texts and
// its timeline may speak of any of them.
func (w Who) sees(c casefile.Case) bool {
	has := map[string]bool{}
	for _, a := range w.Accounts {
		has[a] = true
	}
	if has[store.AllAccounts()[0]] {
		return true
	}
	for _, a := range c.Accounts {
		if !has[a] {
			return false
		}
	}
	return len(c.Accounts) > 0
}

// Case gives a case. One that who may not see is not there.
func (d *Desk) Case(ctx context.Context, id string, who Who) (casefile.Case, error) {
	c, err := d.cfg.Store.Case(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !who.sees(c) {
		return casefile.Case{}, fault.Errorf(fault.NotFound, "find case", "there is no case %q among yours", casefile.Plain(id, 32)).WithHint("list them: parry case list --status all")
	}
	return c, err
}

// Cases gives a page of the cases that who may see, the latest first.
func (d *Desk) Cases(ctx context.Context, f store.CaseFilter, who Who, limit int, cursor string) ([]casefile.Case, string, error) {
	f.Accounts = who.Accounts
	return d.cfg.Store.ListCases(ctx, f, limit, cursor)
}

// Timeline gives a page of the timeline of a case, the first entry first.
func (d *Desk) Timeline(ctx context.Context, id string, who Who, limit int, cursor string) ([]casefile.Entry, string, error) {
	if _, err := d.Case(ctx, id, who); err != nil {
		return nil, "", err
	}
	return d.cfg.Store.CaseEntries(ctx, id, limit, cursor)
}

// again makes a change anew as long as somebody else is faster.
func again(change func() error) error {
	for try := 1; ; try++ {
		err := change()
		if try == maxTries || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
