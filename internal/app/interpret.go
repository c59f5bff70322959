package app

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// interpreter gives the one automation interpreter to plan, which runs it dry,
// and to execute, which runs it durably.
type interpreter struct {
	engine    *automation.Interpreter
	partition string
	steps     *stepWriter
	runs      *runs
}

// Dry runs doc to its end without sending a change. It answers plan.Dry.
func (i interpreter) Dry(ctx context.Context, doc *runbook.Document, parameters map[string]any, execution string, where remediation.Remediation, caller plan.Caller) (string, error) {
	run := automation.Run{
		Document: doc, Parameters: parameters, Caller: caller, ExecutionID: execution, Planning: true,
		Account: where.Account, Region: where.Region, Partition: i.partition, Date: where.CreatedAt,
	}
	if i.runs != nil {
		run.Webhooks = i.runs.webhooks
	}
	out, err := i.engine.Run(ctx, run)
	if err != nil {
		return "", err
	}
	return planned(out)
}

// planned says where planning stopped, "" when it came to a good end. A document
// that would fail is an error whose class decides whether planning is tried again.
func planned(out automation.Outcome) (open string, err error) {
	switch {
	case out.Abort != nil:
		return "", out.Abort
	case out.Open != "":
		return out.Open, nil
	case out.Status != automation.Success && out.Cause != nil:
		return "", fmt.Errorf("the runbook would end with %s: %w", out.Status, out.Cause)
	case out.Status != automation.Success:
		return "", fault.Errorf(fault.Invalid, "plan the runbook", "it would end with %s: %s", out.Status, failure(out.Failure))
	}
	return "", nil
}

// Interpret runs one durable segment. It answers execute.Interpreter.
func (i interpreter) Interpret(ctx context.Context, s execute.Segment) (execute.Result, error) {
	run, refused, err := i.durableRun(s)
	switch {
	case err != nil:
		return execute.Result{}, err
	case refused != "":
		return execute.Result{Status: string(automation.Failed), Failure: refused}, nil
	}
	log := i.steps.open(s)
	run.Observer = log
	out, err := i.engine.Run(ctx, run)
	steps := log.close()
	if err != nil {
		return execute.Result{}, err
	}
	raw, err := out.State.Encode()
	if err != nil {
		return execute.Result{}, err
	}
	result := execute.Result{
		Status: string(out.Status), Failure: failure(out.Failure), Abort: out.Abort, State: raw, Signal: out.State.Signal,
		Write: store.SegmentWrite{Steps: steps.steps, Effects: store.Effects{Outbox: store.Bundle(steps.events)}},
	}
	if !out.Status.Ended() && out.Abort == nil {
		result.Parked, result.ResumeAt = true, out.ResumeAt
		if at, ok := run.Document.Step(out.State.Cursor); ok {
			result.CurrentStep, result.CurrentAction = at.Name, at.Action
		}
		return result, nil
	}
	result.Ended = store.ExecutionResult{Outputs: out.Outputs}
	for _, o := range run.Document.Outputs {
		result.Ended.OutputOrder = append(result.Ended.OutputOrder, o.Text())
	}
	if out.Failure != nil {
		result.Ended.Failure = out.Failure.Message
	}
	return result, nil
}

// durableRun is the interpreter's view of a segment. refused is why the execution
// cannot begin at all.
func (i interpreter) durableRun(s execute.Segment) (run automation.Run, refused string, err error) {
	run = automation.Run{
		Document: s.Document, Parameters: s.Parameters, Caller: s.Caller, Steps: s.Steps, ExecutionID: s.Execution,
		Account: s.Of.Account, Region: s.Of.Region, Partition: i.partition, Role: s.Of.Role, Prefix: s.Of.Prefix,
		Date: s.Where.CreatedAt,
	}
	if s.State != nil {
		if run.State, err = automation.DecodeState(s.State); err != nil {
			return run, "", err
		}
	}
	switch {
	case s.Of.Parent != "" && len(s.Of.Fan) > 0:
		run.Document, run.Parameters, err = fanned(s.Document, s.Of.Document, s.Of.Version, s.Of.Parameters, s.Of.Fan)
	case s.Of.Parent != "":
		run.Parameters, err = s.Document.ResolveParameters(s.Of.Parameters, plan.StoredIn(s.Plan, s.Of.Account, s.Of.Region))
	case s.Where.Kind == remediation.KindRun:
		err = rootRun(&run, s)
	case s.Where.Kind == remediation.KindUndo:
		run.Caller = placed{s.Caller, s.Plan}
	}
	if err != nil {
		return run, err.Error(), nil //nolint:nilerr // what is wrong with a run is its fate, given as text
	}
	if i.runs != nil {
		i.runs.equip(&run, s)
	}
	return run, "", nil
}

// rootRun makes run what somebody asked for: the document, or the one that starts it
// on its targets.
func rootRun(run *automation.Run, s execute.Segment) error {
	asked := s.Plan.Run
	run.Interactive = asked.Mode == "Interactive"
	var err error
	if run.Role, err = plan.RoleOf(s.Document, asked.Parameters); err != nil || !asked.OnTargets() {
		return err
	}
	run.Document, run.Parameters, err = fanOf(asked, s.Document)
	return err
}

func failure(f *automation.Failure) string {
	if f == nil {
		return "no failure was reported"
	}
	return fmt.Sprintf("step %s failed: %s", f.Step, f.Message)
}
