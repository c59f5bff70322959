package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// executions shows the runs of the store in the words of Systems Manager. It
// answers ssm.Executions and ssm.Plans.
type executions struct{ store *store.Store }

// AutomationExecution gives the execution with id.
func (x executions) AutomationExecution(ctx context.Context, id string) (remediation.Execution, error) {
	e, err := x.store.Execution(ctx, id)
	if err != nil {
		return remediation.Execution{}, err
	}
	out := executionOf(e)
	out.Variables, err = variablesOf(e)
	return out, err
}

// variablesOf gives the variables as the last segment that ended left them.
func variablesOf(e store.ExecutionRecord) (map[string][]string, error) {
	if len(e.State) == 0 {
		return nil, nil
	}
	state, err := automation.DecodeState(e.State)
	if err != nil {
		return nil, fault.E(fault.Internal, "read the variables of execution "+e.ID, err)
	}
	return wireOf(state.Variables), nil
}

// executionOf is a row as people see it.
func executionOf(e store.ExecutionRecord) remediation.Execution {
	return remediation.Execution{
		ID: e.ID, Remediation: e.Remediation, Parent: e.Of.Parent, Root: e.Of.Root, Depth: e.Of.Depth, Document: e.Of.Document, Version: e.Of.Version,
		Account: e.Of.Account, Region: e.Of.Region, Role: e.Of.Role, Mode: e.Of.Mode, Status: e.Status, Failure: e.Result.Failure,
		Parameters: wireOf(e.Of.Parameters), Outputs: e.Result.Outputs, CurrentStep: e.CurrentStep, CurrentAction: e.CurrentAction, Target: e.Of.Target,
		Asked: e.Of.Run, OnTargets: len(e.Of.Fan) > 0 || e.Of.Run != nil && e.Of.Run.OnTargets(), StartedBy: e.Of.StartedBy, StartedAt: e.StartedAt, EndedAt: e.EndedAt,
	}
}

// wireOf gives parameters as lists of text; nil for none, as the API leaves out
// what is empty.
func wireOf(values map[string]any) map[string][]string {
	if len(values) == 0 {
		return nil
	}
	return runbook.ToWire(values)
}

// ListAutomationExecutions gives a page, the latest started first.
func (x executions) ListAutomationExecutions(ctx context.Context, f remediation.ExecutionFilter, limit int, cursor string) ([]remediation.Execution, string, error) {
	rows, next, err := x.store.ListExecutions(ctx, store.ExecutionFilter{
		Accounts: f.Accounts, Statuses: f.Statuses, IDs: f.IDs, Parents: f.Parents, Actions: f.Actions, Targets: f.Targets, Prefixes: f.DocumentPrefix, Top: f.TopLevel,
		StartedAfter: f.StartedAfter, StartedBefore: f.StartedBefore, CrossAccount: f.CrossAccount, Oldest: f.Oldest,
	}, limit, cursor)
	out := make([]remediation.Execution, 0, len(rows))
	for _, r := range rows {
		out = append(out, executionOf(r))
	}
	return out, next, err
}

// ListStepExecutions gives a page of the steps of an execution, in their order. A
// page of a filter that the store does not have may be short, not empty before the
// end.
func (x executions) ListStepExecutions(ctx context.Context, execution string, f remediation.StepFilter, limit int, cursor string) ([]remediation.StepExecution, string, error) {
	for {
		rows, next, err := x.store.StepPage(ctx, execution, store.StepFilter{
			IDs: f.IDs, Names: f.Names, Actions: f.Actions, Statuses: f.Statuses, StartedAfter: f.StartedAfter, StartedBefore: f.StartedBefore, Reverse: f.Reverse,
		}, limit, cursor)
		if err != nil {
			return nil, "", err
		}
		out := make([]remediation.StepExecution, 0, len(rows))
		for _, r := range rows {
			s, err := stepExecutionOf(r)
			if err != nil {
				return nil, "", err
			}
			if inLoop(s, f) {
				out = append(out, s)
			}
		}
		if len(out) > 0 || next == "" {
			return out, next, nil
		}
		cursor = next // An execution has at most 10,000 steps.
	}
}

func inLoop(s remediation.StepExecution, f remediation.StepFilter) bool {
	return (len(f.ParentSteps) == 0 || slices.Contains(f.ParentSteps, s.ParentStep)) &&
		(len(f.Iterations) == 0 || slices.Contains(f.Iterations, s.Iteration)) &&
		(len(f.IteratorValues) == 0 || s.ParentStep != "" && slices.Contains(f.IteratorValues, s.IteratorValue))
}

// stepExecutionOf is a step as people see it.
func stepExecutionOf(p store.Step) (remediation.StepExecution, error) {
	s := remediation.StepExecution{
		ID: p.ID, Execution: p.Execution, Seq: p.Seq, Name: p.Name, Action: p.Action, Attempt: p.Attempt, Status: p.Status,
		StartedAt: p.StartedAt, EndedAt: p.EndedAt, Failure: p.Failure, Label: p.Name,
	}
	if s.ID == "" { // of a version that gave out none
		s.ID = fmt.Sprintf("%s-%d", p.Execution, p.Seq)
	}
	for _, part := range []struct {
		raw []byte
		to  *map[string]any
	}{{p.Inputs, &s.Inputs}, {p.Outputs, &s.Outputs}} {
		if len(part.raw) > 0 {
			var v any
			if err := runbook.DecodeJSON(part.raw, &v); err != nil { // whole numbers stay whole
				return s, fault.E(fault.Internal, "read step "+p.Name+" of "+p.Execution, err)
			}
			*part.to, _ = v.(map[string]any)
		}
	}
	if len(p.Detail) == 0 {
		return s, nil
	}
	var rec automation.StepRecord
	if err := json.Unmarshal(p.Detail, &rec); err != nil {
		return s, fault.E(fault.Internal, "read step "+p.Name+" of "+p.Execution, err)
	}
	detailed(&s, rec)
	return s, nil
}

// detailed adds what the interpreter told of the step.
func detailed(s *remediation.StepExecution, rec automation.StepRecord) {
	if rec.Label != "" {
		s.Label = rec.Label
	}
	s.Declared, s.NextStep, s.IsEnd, s.IsCritical, s.OnFailure = true, rec.NextStep, rec.IsEnd, rec.IsCritical, rec.OnFailure
	s.MaxAttempts, s.TimeoutSeconds, s.ValidNextSteps = rec.MaxAttempts, rec.TimeoutSeconds, rec.ValidNextSteps
	if f := rec.Failure; f != nil {
		s.Failure, s.FailureStage, s.FailureType, s.FailureDetails = f.Message, f.Stage, string(f.Type), f.Details
	}
	if p := rec.Parent; p != nil {
		s.ParentStep, s.ParentStepName, s.Iteration, s.IteratorValue = p.ID, p.Name, p.Iteration, p.IteratorValue
	}
}

// Remediation gives the remediation that an execution belongs to.
func (x executions) Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error) {
	return x.store.Remediation(ctx, id)
}

// Plan gives a plan by its hash.
func (x executions) Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error) {
	return x.store.Plan(ctx, hash)
}

// DocumentText gives the text that e runs, as it was pinned: kept with the request,
// for a child in the plan.
func (x executions) DocumentText(ctx context.Context, e remediation.Execution) (string, error) {
	if a := e.Asked; a != nil {
		if a.Document.Content != "" {
			return a.Document.Content, nil
		}
		raw, err := x.store.Blob(ctx, a.Document.Revision)
		return string(raw), err
	}
	r, err := x.store.Remediation(ctx, e.Remediation)
	if err != nil {
		return "", err
	}
	plan, err := x.store.Plan(ctx, r.PlanHash)
	if err != nil {
		return "", err
	}
	for _, d := range append([]remediation.Runbook{plan.Runbook}, plan.Documents...) {
		if d.Name == e.Document {
			return d.Content, nil
		}
	}
	return "", fault.E(fault.NotFound, "read document of execution "+e.ID, store.ErrNotFound)
}

// stopNow ends an execution that was never planned.
func (x executions) stopNow(ctx context.Context, e remediation.Execution, principal string, now time.Time) error {
	eff := store.Effects{Audit: []store.AuditRecord{{At: now, Actor: principal, Action: "execution.stopped", Object: e.ID}}}
	return x.store.EndExecution(ctx, store.ExecutionEnd{
		ID: e.ID, Status: string(automation.Cancelled), Failure: "It was stopped by " + principal + " before it began.", At: now,
	}, eff)
}

// announceExecution gives the event of an execution that came into its status. Of a
// fix, or an undo, its remediation tells.
func (s *Server) announceExecution(e store.ExecutionRecord) (store.Effects, error) {
	if e.Of.Run == nil && e.Of.Parent == "" {
		return store.Effects{}, nil
	}
	return store.AnnounceExecution(executionOf(e), s.cfg.Organization.Partition, e.Segment, s.clock.Now())
}
