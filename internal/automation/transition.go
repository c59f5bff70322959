package automation

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/runbook"
)

// leave follows the transition of spec/ssm-automation.md section 3.2 after the
// last attempt of s.
func (x *execution) leave(ctx context.Context, s *runbook.Step, r result) error {
	x.keep(s, r)
	switch {
	case r.status == Cancelled && x.state.Cancel != nil:
		if x.state.Cancel.Step == "" {
			return x.cancelled(ctx, s, r.ended)
		}
		return x.end(ctx, Cancelled) // its time is over
	case r.status == Cancelled && x.state.Complete:
		return x.end(ctx, Cancelled)
	case r.status == Success:
		return x.succeeded(ctx, s, r)
	}
	return x.failedStep(ctx, s, r)
}

// keep puts the outputs of a step where later steps find them.
func (x *execution) keep(s *runbook.Step, r result) {
	x.state.Outputs[s.Name] = r.outputs
	delete(x.state.Blobs, s.Name)
	if r.blob != "" {
		x.state.Blobs[s.Name] = r.blob
	}
}

func (x *execution) succeeded(ctx context.Context, s *runbook.Step, r result) error {
	switch {
	case x.state.Complete:
		return x.end(ctx, Success)
	case r.next != "":
		return x.jump(ctx, r.next, Success)
	case s.IsEnd:
		return x.finishBody(s)
	}
	return x.follow(ctx, s)
}

// failedStep is the transition of a failure. OnFailure beats isEnd. A step of a
// loop's body that aborts ends the loop and the execution: the loop takes over
// the onFailure of its steps.
func (x *execution) failedStep(ctx context.Context, s *runbook.Step, r result) error {
	if s.Critical() && x.state.Failure == nil {
		x.state.Failure = r.failure
	}
	switch {
	case x.state.Complete:
		return x.end(ctx, Failed)
	case s.OnFailureStep:
		return x.jump(ctx, s.OnFailure, Failed)
	case s.OnFailure == runbook.OnFailureContinue && s.IsEnd:
		return x.finishBody(s)
	case s.OnFailure == runbook.OnFailureContinue:
		return x.follow(ctx, s)
	case s.IsEnd && s.Within == "" && !s.Critical():
		return x.end(ctx, Failed)
	}
	if x.state.Failure == nil {
		x.state.Failure = r.failure
	}
	return x.end(ctx, Failed)
}

// follow goes to nextStep, or to the next step of the text.
func (x *execution) follow(ctx context.Context, s *runbook.Step) error {
	if s.NextStep != "" {
		return x.jump(ctx, s.NextStep, Success)
	}
	if next, ok := x.run.Document.After(s.Name); ok {
		x.state.Cursor = next.Name
		return nil
	}
	return x.finishBody(s)
}

// finishBody ends what s stands in: the execution, or one iteration of a loop,
// whose step decides how it goes on.
func (x *execution) finishBody(s *runbook.Step) error {
	x.state.Cursor = s.Within
	return nil
}

// jump goes to the step called name and leaves the loops in which it does not
// stand, with the status that they then have.
func (x *execution) jump(ctx context.Context, name string, loops Status) error {
	target, ok := x.run.Document.Step(name)
	if !ok {
		x.lost(name, "there is no such step")
		return x.end(ctx, Failed)
	}
	for i := len(x.state.Frames) - 1; i >= 0 && x.state.Frames[i].Loop != target.Within; i-- {
		if err := x.leaveLoop(ctx, loops); err != nil {
			return err
		}
	}
	if target.Within != "" && len(x.state.Frames) == 0 {
		x.lost(name, "it stands in the body of loop "+target.Within+", which is not under way")
		return x.end(ctx, Failed)
	}
	x.state.Cursor = name
	return nil
}

// lost is the failure of an execution that has nowhere to go.
func (x *execution) lost(name, why string) {
	if x.state.Failure == nil {
		x.state.Failure = &Failure{Step: name, Stage: "Execution", Type: FailureAction, Message: fmt.Sprintf("The execution cannot go on to step %s: %s.", name, why)}
	}
}

// end ends the execution, and the loops under way with status.
func (x *execution) end(ctx context.Context, loops Status) error {
	for len(x.state.Frames) > 0 {
		if err := x.leaveLoop(ctx, loops); err != nil {
			return err
		}
	}
	x.state.Cursor = ""
	return nil
}

// documentOutputs gives each declared output as a list of texts. A step that
// did not run gives an empty list.
func (x *execution) documentOutputs() map[string][]string {
	out := make(map[string][]string, len(x.run.Document.Outputs))
	for _, o := range x.run.Document.Outputs {
		v, ok := x.output(o.Step, o.Name)
		if !ok {
			out[o.Text()] = []string{}
			continue
		}
		out[o.Text()] = texts(v)
	}
	return out
}

// texts gives a value in the form of GetAutomationExecution.
func texts(v any) []string {
	items, isList := v.([]any)
	if !isList {
		items = []any{v}
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		// The values came through JSON, so they have a text.
		if text, err := runbook.Text(item); err == nil {
			out = append(out, text)
		}
	}
	return out
}

// output gives an output of a step that ran.
func (x *execution) output(step, name string) (any, bool) {
	return stepOutput(x.run, x.state, step, name)
}

// stepOutput looks up an output; OutputPayload of a script is made from its
// Payload, so that the state holds it once.
func stepOutput(run *Run, state *State, step, name string) (any, bool) {
	outputs := state.Outputs[step]
	if v, ok := outputs[name]; ok {
		return v, true
	}
	if payload, ok := outputs["Payload"]; ok && name == "OutputPayload" {
		if s, known := run.Document.Step(step); known && s.Action == runbook.ActionScript {
			return map[string]any{"Payload": payload}, true
		}
	}
	return nil, false
}
