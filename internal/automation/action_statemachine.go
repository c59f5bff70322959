package automation

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/runbook"
)

var stateMachineOutputs = []string{"executionArn", "input", "name", "output", "startDate", "stateMachineArn", "status", "stopDate"}

// executeStateMachine is aws:executeStateMachine: StartExecution, then looks until
// the execution has ended; anything but SUCCEEDED fails the step. Without a name
// it gives one that a restart gives again, by which Step Functions knows a start
// that was repeated.
//
// AWS's page: automation-action-executeStateMachine.html.
func executeStateMachine() task {
	return task{
		outputs: stateMachineOutputs, begin: beginStateMachine, look: lookStateMachine,
		cancel: func(d *doing) (string, string, map[string]any) {
			return "stepfunctions", "StopExecution", map[string]any{
				"executionArn": textAt(d.notes["StartExecution"], "executionArn"), "cause": "the automation was cancelled",
			}
		},
	}
}

func beginStateMachine(ctx context.Context, d *doing) error {
	kept, err := d.first(ctx, func(out map[string]any) map[string]any {
		return map[string]any{"executionArn": textAt(out, "executionArn")}
	})
	if err != nil {
		return err
	}
	if textAt(kept, "executionArn") == "" {
		return finally(nil, "StartExecution answered no execution.")
	}
	d.assume = map[string]any{"executionArn": kept["executionArn"], "status": "SUCCEEDED"}
	for _, name := range []string{"name", "stateMachineArn", "input"} {
		if v, ok := d.calls[0].Input[name]; ok {
			d.assume[name] = v
		}
	}
	return nil
}

func lookStateMachine(ctx context.Context, d *doing) (sight, error) {
	s := sight{outputs: map[string]any{}, seen: "the execution is not shown yet"}
	out, err := d.ask(ctx, "stepfunctions", "DescribeExecution", map[string]any{"executionArn": textAt(d.notes["StartExecution"], "executionArn")})
	if err != nil {
		return s, err
	}
	for _, name := range stateMachineOutputs {
		if v := runbook.Normalize(out[name]); v != nil {
			s.outputs[name] = v
		}
	}
	status := textAt(s.outputs, "status")
	s.seen = fmt.Sprintf("the execution is %s", status)
	switch status {
	case "SUCCEEDED":
		s.done = true
	case "FAILED", "TIMED_OUT", "ABORTED":
		return s, finally(s.outputs, "The execution of the state machine is %s: %.100s: %.500s", status, textAt(out, "error"), textAt(out, "cause"))
	}
	return s, nil
}
