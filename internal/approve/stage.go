package approve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// MaxReason is the longest reason a person may give, in bytes.
const MaxReason = 1000

// Store is what approving reads and writes.
type Store interface {
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error)
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	Stoppable
	Approvals
	Waiting
	Trials
}

// Stoppable is the part of the store by which what waits is stopped.
type Stoppable interface {
	Execution(ctx context.Context, id string) (store.ExecutionRecord, error)
	UpdateRemediation(ctx context.Context, r remediation.Remediation, eff store.Effects) error
}

// Approvals is the part of the store that keeps approvals.
type Approvals interface {
	CreateApproval(ctx context.Context, a remediation.Approval, r *remediation.Remediation, eff store.Effects) error
	UpdateApproval(ctx context.Context, a remediation.Approval, r *remediation.Remediation, eff store.Effects) error
	Approval(ctx context.Context, id string) (remediation.Approval, error)
	ApprovalFor(ctx context.Context, id remediation.ID) (remediation.Approval, error)
	DueApprovals(ctx context.Context, now time.Time, n int) ([]remediation.Approval, error)
}

// Config is what the stage is made of.
type Config struct {
	Store    Store
	Policies []Policy // validated, in order; the first that matches decides
	// Account tells what is known of an account now. Default: nothing.
	Account func(id string) (org.Account, bool)
	// Self lets people approve what they asked for themselves: a process of one
	// person, with that person's own credentials. Default false.
	Self   bool
	Clock  service.Clock
	Logger *slog.Logger // default: discard
}

// Stage approves.
type Stage struct{ Config }

// New checks cfg.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make approve stage", "store and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Account == nil {
		cfg.Account = func(string) (org.Account, bool) { return org.Account{}, false }
	}
	for i := range cfg.Policies {
		if err := cfg.Policies[i].Validate(); err != nil {
			return nil, err
		}
	}
	return &Stage{cfg}, nil
}

// Handle decides how one planned remediation is approved. It answers topic
// approve.
func (s *Stage) Handle(ctx context.Context, payload []byte) error {
	var id remediation.ID
	if err := json.Unmarshal(payload, &id); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, "read approve job", err))
	}
	r, err := s.Store.Remediation(ctx, id)
	if err != nil {
		return err
	}
	if r.State != remediation.Planned {
		return nil
	}
	if stopped, err := s.stopped(ctx, r); stopped || err != nil {
		return err
	}
	plan, err := s.Store.Plan(ctx, r.PlanHash)
	if err != nil {
		return err
	}
	about, err := s.about(ctx, r)
	if err != nil {
		return err
	}
	if ex := about.Exception; ex != "" && r.Kind == remediation.KindFix {
		r.Exception = ex
		err := s.cancel(ctx, r, "the finding is suppressed by the exception "+ex, "end it: parry exception expire "+ex, "parry/approve")
		if errors.Is(err, store.ErrConflict) {
			return fault.Transient(err, 0) // look again
		}
		return err
	}
	policy, why := s.judge(r, plan, about.Trusted)
	var canary trial
	if policy.Mode == Automatic && why == "" {
		if canary, err = s.try(ctx, policy, r, plan); err != nil {
			return err
		}
	}
	now := s.Clock.Now()
	a := remediation.Approval{
		ID: "apr-" + strings.TrimPrefix(string(r.ID), "rem-"), Remediation: r.ID, Plan: r.PlanHash, Account: r.Account,
		State: remediation.ApprovalPending, Policy: policy.ID, Quorum: policy.Quorum,
		CreatedAt: now, ExpiresAt: earliest(now.Add(policy.Expires), plan.ExpiresAt), Version: 1,
	}
	to, reason := remediation.AwaitingApproval, fmt.Sprintf("policy %s asks for %d approval(s)", policy.ID, policy.Quorum)
	hint := "run: parry plan show " + string(r.ID) + ", then: parry approval grant " + a.ID
	switch {
	case policy.Mode == Never:
		a.State, to, hint = remediation.ApprovalRejected, remediation.Cancelled, ""
		reason = "policy " + policy.ID + " never lets this run"
	case policy.Mode == Automatic && why == "" && !canary.proven:
		a.Canary = policy.Canary.Accounts
		reason = canary.waiting(policy)
		hint = "it goes on by itself when that is verified; without: parry plan show " + string(r.ID) + ", then: parry approval grant " + a.ID
	case policy.Mode == Automatic && why == "":
		a.State, a.Automatic, to, hint = remediation.ApprovalApproved, true, remediation.Queued, ""
		reason = "approved by policy " + policy.ID + " after a live read confirmed the violation"
		if canary.why != "" {
			reason += ", and " + canary.why
		}
		if r.Kind == remediation.KindRun {
			reason = "approved by policy " + policy.ID
		}
	case idle(r, plan):
		a.State, a.Automatic, to, hint = remediation.ApprovalApproved, true, remediation.Queued, ""
		reason = "the plan changes nothing, so that there is nothing to approve"
	case policy.Mode == Automatic:
		reason = "policy " + policy.ID + " is automatic, but " + why
	}
	return s.settle(ctx, a, r, transition{to: to, reason: reason, hint: hint, actor: "policy/" + policy.ID, title: about.Title, changes: plan.Changes(), create: true})
}

// judge gives the policy that decides on r, and why r may not run by itself if the policy
// is automatic, "" when it may.
func (s *Stage) judge(r remediation.Remediation, plan remediation.Plan, trusted bool) (Policy, string) {
	account, _ := s.Account(r.Account)
	policy := choose(s.Policies, r, account)
	why := obstacle(r, plan, trusted)
	if came := s.came(r, plan); why == "" && came != "" && !policy.selects() {
		why = "it names no accounts, units or account tags, and account " + came + " came with the organization"
	}
	return policy, why
}

// came gives an account that the plan is about and that parry.yaml does not list, "" when
// it lists all.
func (s *Stage) came(r remediation.Remediation, p remediation.Plan) string {
	ids := []string{r.Account}
	for _, c := range p.Calls {
		ids = append(ids, c.Account)
	}
	for _, id := range ids {
		if a, known := s.Account(id); known && !a.Listed {
			return id
		}
	}
	return ""
}

// about gives the finding that r is about; of a run, nothing but its title.
func (s *Stage) about(ctx context.Context, r remediation.Remediation) (store.FindingRecord, error) {
	if r.Finding.IsZero() {
		return store.FindingRecord{Title: r.Title()}, nil
	}
	records, err := s.Store.Findings(ctx, []finding.ID{r.Finding})
	if err != nil || len(records) == 0 {
		return store.FindingRecord{}, err
	}
	return records[0], nil
}

// transition is one change of a remediation that an approval brings about.
type transition struct {
	to      remediation.State
	reason  string
	hint    string
	actor   string
	title   string
	changes int
	create  bool
}

// settle stores the approval with its remediation's change of state.
func (s *Stage) settle(ctx context.Context, a remediation.Approval, r remediation.Remediation, t transition) error {
	r, change := r.Moved(t.to, t.reason, t.hint, s.Clock.Now())
	change.ApprovalID, change.Changes, change.Title = a.ID, t.changes, t.title
	eff, err := store.Announce(change, t.actor, r.UpdatedAt)
	if err != nil {
		return err
	}
	if t.to == remediation.Queued {
		if eff, err = eff.Hand(store.TopicExecute, string(r.ID), r.ID); err != nil {
			return err
		}
	}
	save := s.Store.UpdateApproval
	if t.create {
		save = s.Store.CreateApproval
	}
	if err := save(ctx, a, &r, eff); err != nil {
		switch {
		case t.create && errors.Is(err, store.ErrExists):
			return nil
		case t.create && errors.Is(err, store.ErrConflict):
			return fault.Transient(err, 0)
		}
		return err
	}
	s.Logger.InfoContext(ctx, "approval settled", "approval", a.ID, "state", a.State, "remediation", r.ID, "remediation_state", r.State)
	return nil
}

// Grant records a person's agreement to the plan with hash. The plan runs once
// the quorum is reached.
func (s *Stage) Grant(ctx context.Context, id, principal string, hash remediation.Hash, reason string) (remediation.Approval, error) {
	return s.decide(ctx, id, hash, remediation.Decision{Principal: principal, Grant: true, Reason: reason})
}

// Reject records a person's refusal; one is enough.
func (s *Stage) Reject(ctx context.Context, id, principal string, hash remediation.Hash, reason string) (remediation.Approval, error) {
	return s.decide(ctx, id, hash, remediation.Decision{Principal: principal, Reason: reason})
}

func (s *Stage) decide(ctx context.Context, id string, hash remediation.Hash, d remediation.Decision) (remediation.Approval, error) {
	a, err := s.Store.Approval(ctx, id)
	if err != nil {
		return a, err
	}
	r, err := s.Store.Remediation(ctx, a.Remediation)
	if err != nil {
		return a, err
	}
	now := s.Clock.Now()
	d.At = now
	if err := s.admissible(a, r, hash, d); err != nil {
		return a, err
	}
	if !now.Before(a.ExpiresAt) {
		return a, fault.Errorf(fault.Conflict, "decide on "+id, "the approval expired at %s", a.ExpiresAt.Format("2006-01-02 15:04 MST")).
			WithHint("plan again: %s", r.Again())
	}
	if a.OfStep() {
		return s.decideStep(ctx, a, d)
	}
	if d.Grant && r.Kind == remediation.KindFix {
		about, err := s.about(ctx, r)
		if err != nil {
			return a, err
		}
		if ex := about.Exception; ex != "" {
			return a, fault.Errorf(fault.Conflict, "decide on "+id, "the finding is suppressed by the exception %s", ex).
				WithHint("end it first: parry exception expire %s; or refuse the plan: parry approval reject %s", ex, id)
		}
	}
	a.Decisions = append(a.Decisions, d)
	t := transition{to: r.State, actor: d.Principal, title: r.Title()}
	granted := 0
	for _, v := range a.Decisions {
		if v.Grant {
			granted++
		}
	}
	switch {
	case !d.Grant:
		a.State = remediation.ApprovalRejected
		t.to, t.reason = remediation.Rejected, "rejected by "+d.Principal+because(d.Reason)
	case granted >= a.Quorum:
		a.State = remediation.ApprovalApproved
		t.to, t.reason = remediation.Queued, "approved by "+d.Principal+because(d.Reason)
	default:
		return s.count(ctx, a, d)
	}
	err = s.settle(ctx, a, r, t)
	a.Version++
	return a, err
}

// count stores a grant that does not reach the quorum yet.
func (s *Stage) count(ctx context.Context, a remediation.Approval, d remediation.Decision) (remediation.Approval, error) {
	detail, err := json.Marshal(map[string]any{"plan_hash": a.Plan, "reason": d.Reason, "granted": len(a.Decisions), "quorum": a.Quorum})
	if err != nil {
		return a, err
	}
	eff := store.Effects{Audit: []store.AuditRecord{{At: d.At, Actor: d.Principal, Action: "approval.counted", Object: a.ID, Detail: detail}}}
	err = s.Store.UpdateApproval(ctx, a, nil, eff)
	a.Version++
	return a, err
}

// admissible checks that this person may decide this approval now.
func (s *Stage) admissible(a remediation.Approval, r remediation.Remediation, hash remediation.Hash, d remediation.Decision) error {
	op := "decide on " + a.ID
	switch {
	case a.State != remediation.ApprovalPending:
		return fault.Errorf(fault.Conflict, op, "the approval is %s already", a.State).WithHint("run: parry remediation show %s", a.Remediation)
	case hash != a.Plan:
		return fault.Errorf(fault.Conflict, op, "the decision names plan %.12s, the approval is for plan %.12s", hash, a.Plan).
			WithHint("look at the plan again: parry plan show %s", a.Remediation)
	case len(d.Reason) > MaxReason:
		return fault.Errorf(fault.Invalid, op, "the reason has %d bytes, the limit is %d", len(d.Reason), MaxReason)
	case a.OfStep():
		return mayDecide(op, a, d)
	case d.Grant && d.Principal == r.RequestedBy && !s.Self:
		return fault.Errorf(fault.Denied, op, "%s asked for this remediation and cannot approve it too", d.Principal).
			WithHint("ask another approver")
	case slices.ContainsFunc(a.Decisions, func(v remediation.Decision) bool { return v.Principal == d.Principal }):
		return fault.Errorf(fault.Conflict, op, "%s has decided already", d.Principal)
	}
	return nil
}

func because(reason string) string {
	if strings.TrimSpace(reason) == "" {
		return ""
	}
	return ": " + reason
}
