package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// DefaultLifetime is how long a plan may wait for its execution.
const DefaultLifetime = 72 * time.Hour

// Store is what planning reads and writes.
type Store interface {
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	CreateRemediation(ctx context.Context, r remediation.Remediation, p *remediation.Plan, eff store.Effects) error
	Changes(ctx context.Context, id remediation.ID) ([]remediation.Change, error)
}

// Content gives playbooks and runbooks by name.
type Content interface {
	Playbook(id string) (playbook.Playbook, bool)
	Runbook(name string) (remediation.Runbook, *runbook.Document, bool)
}

// Caller makes one AWS call for a step.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Planner is a Caller that records changes instead of sending them.
type Planner interface {
	Caller
	// Look makes a read that is not part of the runbook; its answer is kept, so
	// that the plan's before-image is what was looked at.
	Look(ctx context.Context, c apimodel.Call) (apimodel.Reply, error)
	Calls() []remediation.PlannedCall
	// IsUnknown reports whether v holds what only applying will tell.
	IsUnknown(v any) bool
}

// Gate opens sessions in the member account for one remediation.
type Gate interface {
	// Planner lets calls be made as roles too: ARNs or patterns of them.
	Planner(r remediation.Remediation, roles ...string) Planner
	GuardsRevision() string
}

// Dry interprets a runbook against a Planner.
type Dry interface {
	// Dry runs doc to its end with calls made by caller. open is not empty when
	// planning could not go on to the end.
	Dry(ctx context.Context, doc *runbook.Document, parameters map[string]any, execution string, where remediation.Remediation, caller Caller) (open string, err error)
}

// Config is what the stage is made of. Every field without a default is required.
type Config struct {
	Store   Store
	Content Content
	Gate    Gate
	Dry     Dry
	// Account tells what is known of an account now, MemberRole is the role that fixes
	// are made with.
	Account    func(id string) (org.Account, bool)
	MemberRole string
	// Partition is the organization's. Default: aws.
	Partition string
	// Runs and Rehearse plan documents that somebody started; nil = there are none.
	Runs     RunStore
	Rehearse Rehearser
	Access   Access // which roles documents may run as
	// RereadAfter is how long the answer to a deferred read may confirm what fails in
	// other plans (recall.go). Default: each plan reads for itself.
	RereadAfter time.Duration
	Clock       service.Clock
	Logger      *slog.Logger  // default: discard
	Lifetime    time.Duration // default: DefaultLifetime
}

// Stage makes plans.
type Stage struct {
	Config
	recall recall
}

// New checks cfg and fills defaults.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil || cfg.Content == nil || cfg.Gate == nil || cfg.Dry == nil || cfg.Account == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make plan stage", "store, content, gate, dry, account and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = DefaultLifetime
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	return &Stage{Config: cfg}, nil
}

// account gives an account that Parry answers for and that can be worked in.
func (s *Stage) account(op, id string) (org.Account, error) {
	a, ok := s.Account(id)
	switch why := a.State.Idle(); {
	case !ok:
		return a, fault.Errorf(fault.Denied, op, "account %s is not one that Parry answers for", id).
			WithHint("add it to organization.accounts in parry.yaml, or set organization.sync")
	case why != "":
		return a, fault.Errorf(fault.Denied, op, "account %s cannot be worked in: %s", id, why).WithHint("see what happened to it: parry org show %s", id)
	}
	return a, nil
}

// Handle plans one request. It answers topic plan.
func (s *Stage) Handle(ctx context.Context, payload []byte) error {
	var req remediation.Request
	if err := json.Unmarshal(payload, &req); err != nil || req.ID == "" {
		return fault.Terminal(fault.Errorf(fault.Invalid, "read plan request", "the payload is not a request: %v", err))
	}
	_, err := s.Store.Remediation(ctx, req.ID)
	if err == nil {
		return nil // planned before; the message is a repetition
	}
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	switch req.Kind {
	case remediation.KindUndo:
		return s.undo(ctx, req)
	case remediation.KindRun:
		return s.run(ctx, req)
	}
	return s.fix(ctx, req)
}

// now is when a remediation came to be. Planning and applying see the same time as
// global:DATE_TIME, so it is no finer than the store keeps it.
func (s *Stage) now() time.Time { return s.Clock.Now().UTC().Truncate(time.Millisecond) }

// save stores r with its plan (nil when there is none) and hands it on.
func (s *Stage) save(ctx context.Context, r remediation.Remediation, p *remediation.Plan, title string) error {
	now := s.Clock.Now()
	r.UpdatedAt, r.Version = now, 1
	change := remediation.StateChange{Remediation: r, To: r.State, Title: title}
	if p != nil {
		change.Changes = p.Changes()
	}
	eff, err := store.Announce(change, r.RequestedBy, now)
	if err != nil {
		return err
	}
	if r.State == remediation.Planned {
		if eff, err = eff.Hand(store.TopicApprove, string(r.ID), r.ID); err != nil {
			return err
		}
	}
	if err := s.Store.CreateRemediation(ctx, r, p, eff); err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("store remediation %s: %w", r.ID, err)
	}
	s.Logger.InfoContext(ctx, "remediation planned", "remediation", r.ID, "state", r.State, "reason", r.Reason)
	return nil
}

// refuse stores a remediation that could not be planned. Transient errors go
// back to the bus instead.
func (s *Stage) refuse(ctx context.Context, r remediation.Remediation, title string, err error) error {
	if again := retried(err); again != nil {
		return again
	}
	r.State, r.Reason, r.Hint = remediation.Failed, "planning stopped: "+err.Error(), fault.HintOf(err)
	if r.Hint == "" {
		r.Hint = "mend the cause, then run: " + r.Again()
	}
	return s.save(ctx, r, nil, title)
}

// retried gives the error with which planning is tried again later; nil = it is not.
func retried(err error) error {
	if _, again := fault.IsTransient(err); again {
		return err
	}
	if mayPass(err) {
		return fault.Transient(err, time.Second)
	}
	return nil
}

// mayPass reports whether AWS, or the way to it, may answer otherwise later.
func mayPass(err error) bool {
	var api *apimodel.APIError
	if errors.As(err, &api) {
		return api.Throttled || api.HTTPStatus >= http.StatusInternalServerError && api.HTTPStatus != http.StatusNotImplemented
	}
	return fault.Is(err, fault.Unavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
