package app

import (
	"context"
	"encoding/json"
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
	steps     stepStore
}

// stepStore keeps the history of steps.
type stepStore interface {
	PutStep(ctx context.Context, s store.Step) error
}

// Dry runs doc to its end without sending a change. It answers plan.Dry.
func (i interpreter) Dry(ctx context.Context, doc *runbook.Document, parameters map[string]any, execution string, where remediation.Remediation, caller plan.Caller) (string, error) {
	out, err := i.engine.Run(ctx, automation.Run{
		Document: doc, Parameters: parameters, Caller: caller, ExecutionID: execution, Planning: true,
		Account: where.Account, Region: where.Region, Partition: i.partition,
	})
	switch {
	case err != nil:
		return "", err
	case out.Abort != nil:
		return "", out.Abort
	case out.Open != "":
		return out.Open, nil
	case out.Status != automation.Success && out.Cause != nil:
		// The class of the cause decides whether planning is tried again.
		return "", fmt.Errorf("the runbook would end with %s: %w", out.Status, out.Cause)
	case out.Status != automation.Success:
		return "", fault.Errorf(fault.Invalid, "plan the runbook", "it would end with %s: %s", out.Status, failure(out.Failure))
	}
	return "", nil
}

// Interpret runs one durable segment. It answers execute.Interpreter.
func (i interpreter) Interpret(ctx context.Context, s execute.Segment) (execute.Result, error) {
	var state *automation.State
	if s.State != nil {
		var err error
		if state, err = automation.DecodeState(s.State); err != nil {
			return execute.Result{}, err
		}
	}
	out, err := i.engine.Run(ctx, automation.Run{
		Document: s.Document, Parameters: s.Parameters, State: state, Caller: s.Caller, Steps: s.Steps,
		Observer: recorder{i.steps}, ExecutionID: s.Execution, Account: s.Where.Account, Region: s.Where.Region, Partition: i.partition,
	})
	if err != nil {
		return execute.Result{}, err
	}
	raw, err := out.State.Encode()
	if err != nil {
		return execute.Result{}, err
	}
	result := execute.Result{Status: string(out.Status), Failure: failure(out.Failure), Abort: out.Abort, State: raw}
	if !out.Status.Ended() && out.Abort == nil {
		result.ResumeAt = out.ResumeAt
	}
	return result, nil
}

func failure(f *automation.Failure) string {
	if f == nil {
		return "no failure was reported"
	}
	return fmt.Sprintf("step %s failed: %s", f.Step, f.Message)
}

// recorder keeps the history of steps in the store.
type recorder struct{ store stepStore }

// Observe writes one attempt of a step; inputs and outputs are sealed by the
// store.
func (r recorder) Observe(ctx context.Context, rec automation.StepRecord) error {
	inputs, err := json.Marshal(rec.Inputs)
	if err != nil {
		return fmt.Errorf("record step %s: %w", rec.Name, err)
	}
	outputs, err := json.Marshal(rec.Outputs)
	if err != nil {
		return fmt.Errorf("record step %s: %w", rec.Name, err)
	}
	step := store.Step{
		Execution: rec.Execution, Seq: rec.Seq, Name: rec.Name, Action: rec.Action, Attempt: rec.Attempt, Status: string(rec.Status),
		Inputs: inputs, Outputs: outputs, StartedAt: rec.StartedAt, EndedAt: rec.EndedAt,
	}
	switch {
	case rec.Failure != nil && rec.Status == automation.Waiting:
		step.Failure = rec.Failure.Message // why it waits
	case rec.Failure != nil:
		step.Failure = failure(rec.Failure)
	}
	return r.store.PutStep(ctx, step)
}
