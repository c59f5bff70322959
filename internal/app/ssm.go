package app

import (
	"context"
	"errors"
	"slices"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// newSystemsManager makes the API of documents and automation.
func (s *Server) newSystemsManager(models *apimodel.Catalog) (*ssm.Handler, error) {
	t := s.stages
	x := executions{s.store}
	return ssm.New(ssm.Config{
		Models: models, Documents: t.documents, Writer: t.documents, Files: t.documents, Catalog: s.content, Executions: x, Plans: x,
		Rights: documentRights{t.access, s.live.Account}, Desk: runDesk{t.desk, t.approve, x, s.clock},
		Signals: runSignals{t.execute}, Decider: stepDecider{s.store, t.approve},
		Account: s.cfg.Organization.HubAccount, Partition: s.cfg.Organization.Partition, Clock: s.clock, Logger: s.log,
	})
}

// documentRights asks the configuration who may start what.
type documentRights struct {
	access  plan.Access
	account func(id string) (org.Account, bool)
}

// MayStart answers ssm.Rights. The account * stands for those of a unit, which are
// known when the run is planned: only a rule for all accounts lets start there.
func (d documentRights) MayStart(p auth.Principal, document, account, role string) error {
	starter := plan.Starter{Name: p.Name, Admin: slices.Contains(p.Roles, auth.RoleAdmin)}
	for _, r := range p.Roles {
		starter.KeyRoles = append(starter.KeyRoles, string(r))
	}
	unit := ""
	if account != auth.All {
		a, ok := d.account(account)
		if why := a.State.Idle(); ok && why != "" {
			return fault.Errorf(fault.Denied, "start document", "account %s cannot be worked in: %s", account, why).WithHint("see what happened to it: parry org show %s", account)
		}
		if !ok {
			return fault.Errorf(fault.Denied, "start document", "account %s is not one that Parry answers for", account).
				WithHint("name another by the tag %s (aws ssm start-automation-execution --tags Key=%s,Value=ACCOUNT), or add it to organization.accounts in parry.yaml", ssm.AccountTag, ssm.AccountTag)
		}
		unit = a.Unit
	}
	return d.access.Check(starter, document, account, unit, role)
}

// runDesk takes the requests of Systems Manager's API to the stages.
type runDesk struct {
	*plan.Desk
	approve    *approve.Stage
	executions executions
	clock      service.Clock
}

// maxWithdrawals bounds how often a run that moves on is looked at again.
const maxWithdrawals = 5

// CancelRun ends a run that has not begun; code conflict says that it has.
//
// Invariant: a run that is stopped while it is planned is never put up for approval.
// There are two to race with. The plan stage stores its plan after this ended the
// execution: the approve stage reads the execution after the plan, and finds it
// ended. It stored its plan before: the remediation is there when it is looked for
// again, and is cancelled in the one version in which nothing was put up.
func (d runDesk) CancelRun(ctx context.Context, e remediation.Execution, principal string) error {
	ended := false
	for n := 0; ; n++ {
		err := d.approve.Withdraw(ctx, e.Remediation, principal, "")
		switch {
		case fault.Is(err, fault.NotFound) && !ended:
			// It is being planned.
			if err := d.executions.stopNow(ctx, e, principal, d.clock.Now()); err != nil {
				return err
			}
			ended = true
		case fault.Is(err, fault.NotFound):
			return nil
		case errors.Is(err, store.ErrConflict) && n < maxWithdrawals:
			// It moved on between the look and the write.
		default:
			return err
		}
	}
}

// ExecutionByToken gives the execution that principal started under a client token.
func (x executions) ExecutionByToken(ctx context.Context, principal, token string) (remediation.Execution, error) {
	e, err := x.store.ExecutionByToken(ctx, plan.Token(principal, token))
	if err != nil {
		return remediation.Execution{}, err
	}
	return executionOf(e), nil
}

// runSignals puts signals.
type runSignals struct{ stage *execute.Stage }

// PutSignal stores a signal and wakes the execution.
func (r runSignals) PutSignal(ctx context.Context, s remediation.Signal) error {
	return r.stage.Signal(ctx, store.Signal{Execution: s.Execution, Kind: s.Kind, Step: s.Step, By: s.By, Comment: s.Comment})
}

// stepDecider takes people's word on aws:approve.
type stepDecider struct {
	store *store.Store
	stage *approve.Stage
}

// DecideStep records a decision on the approval that the step asked for.
func (d stepDecider) DecideStep(ctx context.Context, step remediation.StepExecution, principal string, grant bool, comment string) error {
	id := approve.StepApprovalID(step.Execution, step.Label)
	a, err := d.store.Approval(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return fault.Errorf(fault.Conflict, "decide step", "step %s has not asked yet", step.Name).WithHint("try again in a moment")
	}
	if err != nil {
		return err
	}
	decide := d.stage.Reject
	if grant {
		decide = d.stage.Grant
	}
	_, err = decide(ctx, id, principal, a.Plan, comment)
	return err
}
