package app

import (
	"context"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/verify"
)

// sessions opens gate sessions for the stages: each stage sees only the kind of
// session that it may have.
type sessions struct {
	gate  *awsapi.Gate
	org   org.Organization
	store sessionStore
	fence func(ctx context.Context) error
	// reread and rereadShared are config.AWS.RereadAfter and RereadSharedAfter.
	reread, rereadShared time.Duration
}

// sessionStore is what sessions take from the store.
type sessionStore interface {
	awsapi.ChangeRecorder
	ApprovalFor(ctx context.Context, id remediation.ID) (remediation.Approval, error)
	StopSwitch(ctx context.Context) (on bool, reason string, err error)
}

// maxRunCalls bounds the calls of the plan of a run: it may be on a thousand targets,
// with several calls each.
const maxRunCalls = 10_000

// planSessions are what the plan stage may open.
type planSessions struct{ *sessions }

// Planner opens a session that records changes. It only reads, so all plans
// for one person in one account share a session: with one each, planning for a
// whole organization would wait for STS, which counts calls for the account
// that Parry lives in.
func (s planSessions) Planner(r remediation.Remediation, roles ...string) plan.Planner {
	id := s.identity(r, "plan", r.RequestedBy)
	id.SessionName = "parry-plan-" + r.Account
	o := awsapi.PlanOptions{Roles: roles}
	if r.Kind == remediation.KindRun {
		o.CoerceStrings, o.MaxCalls = true, maxRunCalls
	}
	return s.gate.Planning(id, o)
}

// GuardsRevision is the revision of the guards in force.
func (s planSessions) GuardsRevision() string { return s.gate.GuardsRevision() }

// verifySessions are what the verify stage may open.
type verifySessions struct{ *sessions }

// Verifier opens a fresh reading session: its name differs from that of every
// other stage, so that no credentials or cached answers are shared.
func (s verifySessions) Verifier(r remediation.Remediation, roles ...string) verify.Caller {
	return s.gate.ReadOnly(s.identity(r, "verify", r.RequestedBy), roles...)
}

// executeSessions are what the execute stage may open.
type executeSessions struct{ *sessions }

// Applier opens a session that sends the plan's changes. The source identity is
// whoever gave the approval. Only these sessions carry tags: those that read are
// shared by many remediations, so that STS is not asked for each.
func (s executeSessions) Applier(r remediation.Remediation, p *remediation.Plan, execution string) execute.Caller {
	return lazyCaller(func(ctx context.Context) (execute.Caller, error) {
		approval, err := s.store.ApprovalFor(ctx, r.ID)
		if err != nil {
			return nil, fmt.Errorf("find who approved %s: %w", r.ID, err)
		}
		id := s.identity(r, "apply", approver(approval))
		if s.org.SessionTags {
			id.Tags = awsapi.SessionTags{Remediation: string(r.ID), Execution: execution, Plan: string(approval.Plan)}
		}
		reread, shared := s.reread, s.rereadShared
		if !approval.Automatic || r.Kind != remediation.KindFix {
			reread, shared = 0, 0 // people decided on what they saw: it is looked at again
		}
		return s.gate.Applying(id, awsapi.Authority{
			Remediation: r.ID, Execution: execution, Plan: p, Hash: approval.Plan, Fence: s.fence, Recorder: s.store,
			CoerceStrings: r.Kind == remediation.KindRun, RereadAfter: reread, RereadSharedAfter: shared,
		}), nil
	})
}

// StopSwitch reads the stop switch.
func (s executeSessions) StopSwitch(ctx context.Context) (bool, string, error) {
	return s.store.StopSwitch(ctx)
}

// identity names the session: the role in the member account, what is being
// done, and for whom.
func (s *sessions) identity(r remediation.Remediation, verb, person string) awsapi.Identity {
	return awsapi.Identity{Role: s.org.MemberRole, SessionName: "parry-" + verb + "-" + string(r.ID), SourceIdentity: person, Remediation: r.ID}
}

func approver(a remediation.Approval) string {
	for i := len(a.Decisions) - 1; i >= 0; i-- {
		if a.Decisions[i].Grant {
			return a.Decisions[i].Principal
		}
	}
	return "policy-" + a.Policy
}

// lazy is a Caller that is opened at its first call, and kept.
type lazy struct {
	open   func(ctx context.Context) (execute.Caller, error)
	caller execute.Caller
	begun  []begun // what the session was not yet told
}

type begun struct {
	step    string
	attempt int
}

func lazyCaller(open func(ctx context.Context) (execute.Caller, error)) *lazy {
	return &lazy{open: open}
}

// Call opens the session if need be and makes the call. A segment makes one
// call at a time, so there is no lock.
func (l *lazy) Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	if err := l.ready(ctx); err != nil {
		return apimodel.Reply{}, err
	}
	return l.caller.Call(ctx, step, c)
}

func (l *lazy) ready(ctx context.Context) error {
	if l.caller != nil {
		return nil
	}
	caller, err := l.open(ctx)
	if err != nil {
		return err
	}
	l.caller = caller
	for _, b := range l.begun {
		l.Begins(b.step, b.attempt)
	}
	l.begun = nil
	return nil
}

// Begins tells the session that an attempt of a script begins.
func (l *lazy) Begins(step string, attempt int) {
	if r, ok := l.caller.(automation.Replayer); ok {
		r.Begins(step, attempt)
	} else if l.caller == nil {
		l.begun = append(l.begun, begun{step, attempt})
	}
}

// Replayed tells the session of a call that a script's journal has answered.
func (l *lazy) Replayed(ctx context.Context, step string, c apimodel.Call, reply apimodel.Reply, err error) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	if r, ok := l.caller.(automation.Replayer); ok {
		return r.Replayed(ctx, step, c, reply, err)
	}
	return nil
}
