package triage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	// MaxExceptions is how many exceptions may be open.
	MaxExceptions = 10_000
	// maxExceptionBytes bounds all open exceptions together.
	maxExceptionBytes = 64 << 20
)

// ExceptionStore keeps exceptions.
type ExceptionStore interface {
	CreateException(ctx context.Context, e store.Exception, most store.ExceptionLimits, eff store.Effects) error
	UpdateException(ctx context.Context, e store.Exception, eff store.Effects) error
	CommitException(ctx context.Context, e store.Exception, w []store.FindingWrite, eff store.Effects) error
	ExceptionLists
}

// ExceptionLists finds exceptions and what they hold.
type ExceptionLists interface {
	ExceptionReader
	Exception(ctx context.Context, id string) (store.Exception, error)
	DueExceptions(ctx context.Context, now time.Time, n int) ([]store.Exception, error)
	ListExceptions(ctx context.Context, state string, limit int, cursor string) ([]store.Exception, string, error)
	CountHeld(ctx context.Context, ids []string) (map[string]int64, error)
}

// ExceptionDeskConfig is what NewExceptionDesk needs. Everything without a default is
// required.
type ExceptionDeskConfig struct {
	Triage *Triage
	Store  ExceptionStore
	Pages  FindingPages
	// Longest is how long an exception may last. Default: 365 days.
	Longest time.Duration
	// Warn are the days before its end on which it is told of. Default: none.
	Warn []int
	// Account is the one of events about exceptions of several accounts.
	Account string
	// Node names this process for the lease of the work. Default: no lease is taken,
	// since nobody else works on the database.
	Node   string
	Lease  Lease
	IDs    service.IDs   // default: random
	Clock  service.Clock // default: the system's
	Logger *slog.Logger  // default: discard
	// Poll is how often work is looked for. Default: 2 s.
	Poll time.Duration
}

// ExceptionDesk takes requests for exceptions and decisions on them, suppresses what
// they cover and reopens it when they end. Whose findings the caller may decide about
// is for its callers to check.
type ExceptionDesk struct {
	cfg   ExceptionDeskConfig
	log   *slog.Logger
	lease turn
	runner
}

// NewExceptionDesk makes an ExceptionDesk; Start makes it work.
func NewExceptionDesk(cfg ExceptionDeskConfig) (*ExceptionDesk, error) {
	if cfg.Triage == nil || cfg.Store == nil || cfg.Pages == nil || cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make exception desk", "triage, store, pages and account are required")
	}
	if cfg.Longest <= 0 {
		cfg.Longest = 365 * 24 * time.Hour
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
	if cfg.Poll <= 0 {
		cfg.Poll = 2 * time.Second
	}
	d := &ExceptionDesk{cfg: cfg, log: cfg.Logger.With("component", "triage.exceptions"), lease: turn{cfg.Lease, "exceptions", cfg.Node}}
	d.runner = newRunner(cfg.Poll, d.log, d.Work)
	return d, nil
}

func (d *ExceptionDesk) now() time.Time { return d.cfg.Clock.Now().UTC().Truncate(time.Microsecond) }

// HeldException is an exception with what it does now.
type HeldException struct {
	exception.Exception
	// Covered is how many findings it suppresses, Working that stored findings are
	// being suppressed or reopened because of it.
	Covered int64
	Working bool
}

// NewException is an exception that is asked for.
type NewException struct {
	Title, Owner, Reason, Link string
	Scope                      filter.Filter
	ExpiresAt                  time.Time
}

// Request asks for an exception; it suppresses nothing until a second person approves
// it.
func (d *ExceptionDesk) Request(ctx context.Context, n NewException, by string) (HeldException, error) {
	now := d.now()
	doc := exceptionDoc{Exception: exception.Exception{
		ID: d.cfg.IDs.NewID("ex"), State: exception.Pending, Title: n.Title, Owner: n.Owner, Reason: n.Reason, Link: n.Link, Scope: n.Scope,
		ExpiresAt: n.ExpiresAt.UTC().Truncate(time.Microsecond), RequestedBy: by, CreatedAt: now,
	}}
	if err := doc.Validate(now, d.cfg.Longest); err != nil {
		return HeldException{}, err
	}
	doc.row = store.Exception{ID: doc.ID, CreatedAt: now, Rev: 1}
	row, err := doc.packed(now, d.cfg.Warn)
	if err != nil {
		return HeldException{}, err
	}
	eff, err := d.announce(doc.Exception, pattern.ExceptionRequested, "exception.requested", by, now, 0, 0)
	if err != nil {
		return HeldException{}, err
	}
	if err := d.cfg.Store.CreateException(ctx, row, store.ExceptionLimits{Exceptions: MaxExceptions, Bytes: maxExceptionBytes}, eff); err != nil {
		return HeldException{}, err
	}
	return HeldException{Exception: doc.Exception}, nil
}

// Approve puts an exception in force: findings that it covers are suppressed as they
// come, and those that are stored in the background.
func (d *ExceptionDesk) Approve(ctx context.Context, id, by, note string) (HeldException, error) {
	return d.change(ctx, id, func(doc *exceptionDoc, now time.Time) (string, string, error) {
		doc.begin(passTake)
		doc.SweepAt = now.Add(sweepEvery)
		return pattern.ExceptionApproved, "exception.approved", decide(doc, exception.Active, by, note, now)
	}, by)
}

// Reject refuses an exception.
func (d *ExceptionDesk) Reject(ctx context.Context, id, by, note string) (HeldException, error) {
	return d.change(ctx, id, func(doc *exceptionDoc, now time.Time) (string, string, error) {
		err := decide(doc, exception.Rejected, by, note, now)
		doc.EndedAt = now
		return pattern.ExceptionRejected, "exception.rejected", err
	}, by)
}

// decide checks that by may decide on doc, and does.
func decide(doc *exceptionDoc, to exception.State, by, note string, now time.Time) error {
	op := "decide on " + doc.ID
	switch {
	case by == doc.RequestedBy && to == exception.Active:
		return fault.Errorf(fault.Denied, op, "%s asked for this exception and cannot approve it too", by).WithHint("ask another approver")
	case !now.Before(doc.ExpiresAt):
		return fault.Errorf(fault.Conflict, op, "its time passed at %s", doc.ExpiresAt.Format(time.RFC3339)).WithHint("ask for another: parry exception add")
	}
	if err := errors.Join(doc.State.Check(to), exception.CheckText("the reason", note, exception.MaxReason, false)); err != nil {
		return err
	}
	doc.State, doc.DecidedBy, doc.DecidedAt, doc.Decision = to, by, now, note
	return nil
}

// Expire ends an exception now: findings that it suppresses are reopened. One that
// nobody has decided on is withdrawn.
func (d *ExceptionDesk) Expire(ctx context.Context, id, by, note string) (HeldException, error) {
	return d.change(ctx, id, func(doc *exceptionDoc, now time.Time) (string, string, error) {
		to, end := exception.Ended, exception.ByPerson
		if doc.State == exception.Pending {
			to, end = exception.Withdrawn, ""
		}
		if err := exception.CheckText("the reason", note, exception.MaxReason, false); err != nil {
			return "", "", err
		}
		return pattern.ExceptionEnded, "exception.withdrawn", finish(doc, to, end, by, note, now)
	}, by)
}

// finish ends doc; what it holds is let go from now on.
func finish(doc *exceptionDoc, to exception.State, end exception.End, by, note string, now time.Time) error {
	if err := doc.State.Check(to); err != nil {
		return err
	}
	if to == exception.Ended {
		doc.begin(passRelease)
	}
	doc.State, doc.End, doc.EndedBy, doc.EndedAt, doc.EndNote = to, end, by, now, note
	return nil
}

// change changes the state of an exception as next says, which gives the event and the
// audit record of it.
func (d *ExceptionDesk) change(ctx context.Context, id string, next func(doc *exceptionDoc, now time.Time) (event, action string, err error), by string) (HeldException, error) {
	var out HeldException
	err := d.cfg.Triage.again(ctx, func() error {
		doc, err := d.open(ctx, id)
		if err != nil {
			return err
		}
		now := d.now()
		event, action, err := next(&doc, now)
		if err != nil {
			return err
		}
		held, err := d.cfg.Store.CountHeld(ctx, []string{id})
		if err != nil {
			return err
		}
		out = HeldException{Exception: doc.Exception, Covered: held[id], Working: doc.Pass != ""}
		return d.save(ctx, doc, event, action, by, now, held[id])
	})
	if err != nil {
		return HeldException{}, err
	}
	// A batch that began before this one was in force, or ended, is over when this
	// returns.
	if _, err := d.cfg.Triage.Drain(ctx); err != nil {
		return out, fmt.Errorf("change exception: %w", err)
	}
	d.wakeRunner()
	return out, nil
}

// save stores doc, whose state has changed.
func (d *ExceptionDesk) save(ctx context.Context, doc exceptionDoc, event, action, by string, now time.Time, covered int64) error {
	row, err := doc.packed(now, d.cfg.Warn)
	if err != nil {
		return err
	}
	eff, err := d.announce(doc.Exception, event, action, by, now, covered, 0)
	if err != nil {
		return err
	}
	return d.cfg.Store.UpdateException(ctx, row, eff)
}

func (d *ExceptionDesk) open(ctx context.Context, id string) (exceptionDoc, error) {
	row, err := d.cfg.Store.Exception(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return exceptionDoc{}, fault.Errorf(fault.NotFound, "find exception", "there is no such exception").WithHint("list them: parry exception list --state all")
	}
	if err != nil {
		return exceptionDoc{}, err
	}
	return openException(row)
}

// Exception gives one exception.
func (d *ExceptionDesk) Exception(ctx context.Context, id string) (HeldException, error) {
	doc, err := d.open(ctx, id)
	if err != nil {
		return HeldException{}, err
	}
	out, err := d.held(ctx, []exceptionDoc{doc})
	if err != nil {
		return HeldException{}, err
	}
	return out[0], nil
}

// Exceptions gives a page of the exceptions in a state, of the open ones for
// store.OpenExceptions, or of all for "", the latest first.
func (d *ExceptionDesk) Exceptions(ctx context.Context, state string, limit int, cursor string) ([]HeldException, string, error) {
	rows, next, err := d.cfg.Store.ListExceptions(ctx, state, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	docs := make([]exceptionDoc, len(rows))
	for i, row := range rows {
		if docs[i], err = openException(row); err != nil {
			return nil, "", err
		}
	}
	out, err := d.held(ctx, docs)
	return out, next, err
}

func (d *ExceptionDesk) held(ctx context.Context, docs []exceptionDoc) ([]HeldException, error) {
	ids := make([]string, len(docs))
	for i, doc := range docs {
		ids[i] = doc.ID
	}
	held, err := d.cfg.Store.CountHeld(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]HeldException, len(docs))
	for i, doc := range docs {
		out[i] = HeldException{Exception: doc.Exception, Covered: held[doc.ID], Working: doc.Pass != ""}
	}
	return out, nil
}

// announce gives the event and, where action is not empty, the audit record of what
// happened to an exception. The event's id is a function of both and of the days left.
func (d *ExceptionDesk) announce(e exception.Exception, event, action, by string, now time.Time, covered int64, days int) (store.Effects, error) {
	op := "announce exception " + e.ID
	detail, err := json.Marshal(struct {
		Exception exception.Exception `json:"exception"`
		Covered   int64               `json:"covered"`
		DaysLeft  int                 `json:"daysLeft,omitempty"`
	}{e, covered, days})
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, op, err)
	}
	account := d.cfg.Account
	if of := e.Accounts(); len(of) == 1 && of[0] != exception.AllAccounts {
		account = of[0]
	}
	// The exception stands for the finding that ids of events are made of.
	id := eventID(finding.ID{ProductArn: event, Id: e.ID}, int64(days), 0)
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: event, Source: pattern.SourceParry, Account: account, Time: now.Truncate(time.Second), Resources: []string{e.ID}, Detail: detail,
	})
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, op, err)
	}
	eff := store.Effects{Outbox: []store.Message{{ID: "exception-" + id, Topic: store.TopicEvent, Payload: envelope}}}
	if action == "" {
		return eff, nil
	}
	audit, err := json.Marshal(map[string]any{
		"title": e.Title, "owner": e.Owner, "reason": e.Reason, "link": e.Link, "scope": e.Scope, "accounts": e.Accounts(), "expires_at": e.ExpiresAt,
		"requested_by": e.RequestedBy, "decision": e.Decision, "end_note": e.EndNote, "covered": covered,
	})
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, op, err)
	}
	eff.Audit = []store.AuditRecord{{At: now, Actor: by, Action: action, Object: e.ID, Detail: audit}}
	return eff, nil
}
