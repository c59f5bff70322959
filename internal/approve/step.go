package approve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// The kinds of signal that people's word on a step becomes, in AWS's words.
const (
	signalApprove = "Approve"
	signalReject  = "Reject"
)

// StepQuestion is what a step of a running document asks (aws:approve).
type StepQuestion struct {
	Remediation remediation.Remediation
	Execution   string
	Step        string
	Label       string // of the step, unique in the execution
	Approvers   []string
	Minimum     int
	Message     string
	ExpiresAt   time.Time
}

// StepApprovalID names the approval of a step: asking twice is asking once.
func StepApprovalID(execution, label string) string {
	sum := sha256.Sum256([]byte(execution + "\x00" + label))
	return "apr-step-" + hex.EncodeToString(sum[:])[:20]
}

// AskStep makes it known that a step waits for people. Asking again changes nothing.
func (s *Stage) AskStep(ctx context.Context, q StepQuestion) error {
	now := s.Clock.Now()
	a := remediation.Approval{
		ID: StepApprovalID(q.Execution, q.Label), Remediation: q.Remediation.ID, Plan: q.Remediation.PlanHash, Account: q.Remediation.Account,
		State: remediation.ApprovalPending, Policy: "document", Quorum: max(q.Minimum, 1), CreatedAt: now, ExpiresAt: q.ExpiresAt, Version: 1,
		Execution: q.Execution, Step: q.Step, Approvers: q.Approvers, Message: q.Message,
	}
	eff, err := store.AnnounceQuestion(a, q.Remediation, "parry/approve", now)
	if err != nil {
		return err
	}
	if err := s.Store.CreateApproval(ctx, a, nil, eff); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	return nil
}

// mayDecide checks that a person is one of those whom the step asks. Whoever
// started the document may be among them: the plan itself was approved by another.
func mayDecide(op string, a remediation.Approval, d remediation.Decision) error {
	switch {
	case !slices.ContainsFunc(a.Approvers, func(v string) bool { return isApprover(v, d.Principal) }):
		return fault.Errorf(fault.Denied, op, "%s is not among the approvers of step %s", d.Principal, a.Step).
			WithHint("the document names them: parry approval show %s", a.ID)
	case slices.ContainsFunc(a.Decisions, func(v remediation.Decision) bool { return v.Principal == d.Principal }):
		return fault.Errorf(fault.Conflict, op, "%s has decided already", d.Principal)
	}
	return nil
}

// isApprover compares an approver as documents name them, an IAM user's name or
// the ARN of a user, a role or an assumed role, with the name of a principal.
func isApprover(approver, principal string) bool {
	if principal == "" {
		return false
	}
	if approver == principal {
		return true
	}
	if !strings.HasPrefix(approver, "arn:") {
		return false
	}
	// arn:aws:iam::111122223333:user/path/alice, arn:aws:sts::111122223333:assumed-role/Role/alice
	parts := strings.SplitN(approver, ":", 6)
	if len(parts) != 6 {
		return false
	}
	kind, name, _ := strings.Cut(parts[5], "/")
	return (kind == "user" || kind == "assumed-role") && name[strings.LastIndexByte(name, '/')+1:] == principal
}

// decideStep records a person's word on a step and signals the execution, in one
// transaction. The interpreter counts; here only what is over is closed.
func (s *Stage) decideStep(ctx context.Context, a remediation.Approval, d remediation.Decision) (remediation.Approval, error) {
	a.Decisions = append(slices.Clone(a.Decisions), d)
	granted := 0
	for _, v := range a.Decisions {
		if v.Grant {
			granted++
		}
	}
	kind, action := signalApprove, "approval.counted"
	switch {
	case !d.Grant:
		kind, action, a.State = signalReject, "approval.rejected", remediation.ApprovalRejected
	case granted >= a.Quorum:
		action, a.State = "approval.approved", remediation.ApprovalApproved
	}
	detail, err := json.Marshal(map[string]any{"execution": a.Execution, "step": a.Step, "reason": d.Reason, "granted": granted, "quorum": a.Quorum})
	if err != nil {
		return a, err
	}
	eff := store.Effects{
		Signals: []store.Signal{{Execution: a.Execution, Kind: kind, Step: a.Step, By: d.Principal, Comment: d.Reason, At: d.At}},
		Audit:   []store.AuditRecord{{At: d.At, Actor: d.Principal, Action: action, Object: a.ID, Detail: detail}},
	}
	if err := s.Store.UpdateApproval(ctx, a, nil, eff); err != nil {
		return a, err
	}
	a.Version++
	s.Logger.InfoContext(ctx, "step approval decided", "approval", a.ID, "state", a.State, "execution", a.Execution)
	return a, nil
}

// stopped cancels a run whose execution was ended while it was planned: a plan that
// nobody wants any more never comes up for approval.
func (s *Stage) stopped(ctx context.Context, r remediation.Remediation) (bool, error) {
	if r.Kind != remediation.KindRun || r.Execution == "" {
		return false, nil
	}
	e, err := s.Store.Execution(ctx, r.Execution)
	if err != nil || e.EndedAt.IsZero() {
		return false, err
	}
	err = s.cancel(ctx, r, "it was stopped while it was planned", "", "parry/approve")
	if errors.Is(err, store.ErrConflict) {
		return true, fault.Transient(err, 0) // look again
	}
	return true, err
}

// cancel ends a planned remediation, for which there is no approval yet.
func (s *Stage) cancel(ctx context.Context, r remediation.Remediation, reason, hint, actor string) error {
	r, change := r.Moved(remediation.Cancelled, reason, hint, s.Clock.Now())
	change.Title = r.Title()
	eff, err := store.Announce(change, actor, r.UpdatedAt)
	if err != nil {
		return err
	}
	return s.Store.UpdateRemediation(ctx, r, eff)
}

// Withdraw ends a remediation that waits, for its plan to be put up, to be approved
// or for its turn, because somebody stops it. One that moved meanwhile answers
// store.ErrConflict. Why is what the person said, "" for nothing.
func (s *Stage) Withdraw(ctx context.Context, id remediation.ID, principal, why string) error {
	r, err := s.Store.Remediation(ctx, id)
	if err != nil {
		return err
	}
	op, reason := "stop "+string(id), "stopped by "+principal
	if why != "" {
		reason += ": " + why
	}
	if r.State == remediation.Planned {
		return s.cancel(ctx, r, reason, "", principal)
	}
	if r.State != remediation.AwaitingApproval && r.State != remediation.Queued {
		return fault.Errorf(fault.Conflict, op, "it is %s", r.State).WithHint("run: parry remediation show %s", id)
	}
	a, err := s.Store.ApprovalFor(ctx, id)
	if err != nil {
		return err
	}
	a.State = remediation.ApprovalSuperseded
	return s.settle(ctx, a, r, transition{to: remediation.Cancelled, reason: reason, actor: principal, title: r.Title()})
}
