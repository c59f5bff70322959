package triage

import (
	"context"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// TopicInbox is the outbox topic of rows that could not become findings.
// HandleInbox handles it.
const TopicInbox = "inbox"

// TopicWriteBack is the outbox topic of findings whose workflow or note was
// changed here. The payload is their identity.
const TopicWriteBack = "writeback"

// Store is what triage reads and writes.
type Store interface {
	PeekInboxAfter(ctx context.Context, seq int64, n int) ([]store.InboxRow, error)
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	CommitFindings(ctx context.Context, w []store.FindingWrite, doneInbox []int64, eff store.Effects) error
	Threatened(ctx context.Context, resources []string) (map[string]bool, error)
	QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
	DueFindings(ctx context.Context, now time.Time, n int) ([]finding.ID, error)
	RankFindings(ctx context.Context, records []store.FindingRecord, eff store.Effects) error
}

// RuleSource gives the automation rules in force.
type RuleSource interface {
	Rules(ctx context.Context) (*rule.Set, error)
}

// fixedRules is a RuleSource that never changes.
type fixedRules struct{ set *rule.Set }

// FixedRules gives a RuleSource that never changes; Rulebook is one that does.
func FixedRules(rules ...rule.Rule) RuleSource { return fixedRules{rule.Compile(rules)} }

// Rules gives the rules that r was made of.
func (r fixedRules) Rules(context.Context) (*rule.Set, error) { return r.set, nil }

// Config is what New needs.
type Config struct {
	Store Store      // required
	Rules RuleSource // default: none
	// Exceptions gives those in force. Default: none.
	Exceptions ExceptionSource
	Scorer     *Scorer       // default: that of an empty Priority
	Clock      service.Clock // default: the system's
	Logger     *slog.Logger  // default: discard
	// Batch is how many rows of the inbox go into one commit; as many again are made
	// ready meanwhile. Default: 1,000: the findings of a commit share the pages of
	// indexes, and a writer that waits for one waits a fifth of a second.
	Batch int
	// Poll is how long the service waits for a wake-up before it looks by
	// itself, for rows that another process or an earlier run left.
	// Default: 1 s.
	Poll time.Duration
	// WriteBack says whether what is decided about a finding here is to be told to
	// where it came from: a message of TopicWriteBack is sent. Default: never.
	WriteBack func(id finding.ID) bool
	// EventsV2 announces findings in OCSF too, by the event "Findings Imported V2".
	// Default: no.
	EventsV2 bool
	// AccountName gives the name of an account, "" when unknown. Default: none.
	AccountName func(account string) string
	// Seen is told that a source brought a finding of a region of an account; it must
	// not block. Default: nobody is.
	Seen func(source, account, region string)
}

// Triage is the stage. It is safe for concurrent use.
type Triage struct {
	cfg Config
	log *slog.Logger
	// turn holds one token: draining is done by one caller at a time, since two
	// would read the same rows and one would lose.
	turn chan struct{}
	runner
}

// New makes a Triage; Start makes it drain by itself.
func New(cfg Config) (*Triage, error) {
	if cfg.Store == nil {
		return nil, fault.Errorf(fault.Internal, "make triage", "store is required")
	}
	if cfg.Rules == nil {
		cfg.Rules = FixedRules()
	}
	if cfg.Exceptions == nil {
		cfg.Exceptions = noExceptions{}
	}
	if cfg.Scorer == nil {
		var err error
		if cfg.Scorer, err = NewScorer(Priority{}, nil); err != nil {
			return nil, err
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 1000
	}
	if cfg.Poll <= 0 {
		cfg.Poll = time.Second
	}
	if cfg.WriteBack == nil {
		cfg.WriteBack = func(finding.ID) bool { return false }
	}
	if cfg.AccountName == nil {
		cfg.AccountName = func(string) string { return "" }
	}
	if cfg.Seen == nil {
		cfg.Seen = func(string, string, string) {}
	}
	t := &Triage{cfg: cfg, log: cfg.Logger.With("component", "triage"), turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	t.runner = newRunner(cfg.Poll, t.log, func(ctx context.Context) error {
		// On an error the rows stay in the inbox.
		_, err := t.Drain(ctx)
		return err
	})
	return t, nil
}

// Wake tells the service that the inbox holds something. It never blocks.
func (t *Triage) Wake() { t.wakeRunner() }
