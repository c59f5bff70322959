package automation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The states of an instance, as DescribeInstances has them.
const (
	stateRunning      = "running"
	stateShuttingDown = "shutting-down"
	stateTerminated   = "terminated"
	stateStopped      = "stopped"
)

// changeInstanceState is aws:changeInstanceState: it starts, stops or terminates
// instances, unless CheckStateOnly is set, and waits until they are as desired;
// running ones until both status checks are ok. At most 100 instances.
//
// AWS's page: automation-action-changestate.html.
func changeInstanceState() task {
	return task{limit: time.Hour, outputs: []string{"InstanceStates"}, begin: beginInstanceState, look: lookInstanceState}
}

func beginInstanceState(ctx context.Context, d *doing) error {
	ids := listAt(d.calls[0].Input, "InstanceIds")
	states := make([]any, len(ids))
	for i := range states {
		states[i] = d.c.inputs["DesiredState"]
	}
	d.assume = map[string]any{"InstanceStates": states}
	if d.calls[0].Operation == "DescribeInstances" {
		return nil // the state is only checked
	}
	_, err := d.first(ctx, nil)
	return err
}

func lookInstanceState(ctx context.Context, d *doing) (sight, error) {
	desired := textAt(d.c.inputs, "DesiredState")
	s, err := lookAtInstances(ctx, d, listAt(d.calls[0].Input, "InstanceIds"), desired)
	var failed stepFailure
	if desired == stateTerminated && errors.As(err, &failed) && slices.Contains(failed.Details["ErrorCode"], "InvalidInstanceID.NotFound") {
		// EC2 forgets a terminated instance after about an hour.
		return sight{done: true, outputs: d.assume}, nil
	}
	return s, err
}

// lookAtInstances says whether all instances are in a state, and running ones
// pass their status checks. Where an instance has gone to a state that leads
// nowhere, waiting has failed.
func lookAtInstances(ctx context.Context, d *doing, ids []any, desired string) (sight, error) {
	out, err := d.ask(ctx, "ec2", "DescribeInstances", map[string]any{"InstanceIds": ids})
	if err != nil {
		return sight{}, err
	}
	byID := map[string]string{}
	for _, r := range listAt(out, "Reservations") {
		for _, i := range listAt(r, "Instances") {
			byID[textAt(i, "InstanceId")] = textAt(i, "State", "Name")
		}
	}
	states, waiting := make([]any, len(ids)), []string{}
	for i, id := range ids {
		name, _ := id.(string)
		state := byID[name]
		states[i] = state
		if state != desired {
			waiting = append(waiting, fmt.Sprintf("%.40s is %q", name, state))
		}
	}
	s := sight{outputs: map[string]any{"InstanceStates": states}}
	for i, state := range states {
		if lost := state == stateTerminated || state == stateShuttingDown && desired != stateTerminated; lost && state != desired {
			return s, finally(s.outputs, "Instance %.40s is %s and will not be %s.", ids[i], state, desired)
		}
	}
	if desired == stateRunning && (len(waiting) == 0 || d.x.run.Planning) {
		unwell, err := statusChecks(ctx, d, ids)
		if err != nil {
			return s, err
		}
		waiting = append(waiting, unwell...)
	}
	s.done = len(waiting) == 0
	s.seen = strings.Join(waiting[:min(len(waiting), 10)], ", ")
	return s, nil
}

// statusChecks lists the instances whose checks are not both ok.
func statusChecks(ctx context.Context, d *doing, ids []any) ([]string, error) {
	out, err := d.ask(ctx, "ec2", "DescribeInstanceStatus", map[string]any{"InstanceIds": ids})
	if err != nil {
		return nil, err
	}
	well := map[string]bool{}
	for _, st := range listAt(out, "InstanceStatuses") {
		well[textAt(st, "InstanceId")] = textAt(st, "InstanceStatus", "Status") == "ok" && textAt(st, "SystemStatus", "Status") == "ok"
	}
	var unwell []string
	for _, id := range ids {
		if name, _ := id.(string); !well[name] {
			unwell = append(unwell, fmt.Sprintf("%.40s has not passed its status checks", name))
		}
	}
	return unwell, nil
}

// runInstances is aws:runInstances: it launches instances and waits until they
// run and pass their status checks. At most 100 instances.
//
// AWS's page: automation-action-runinstance.html.
func runInstances() task {
	return task{outputs: []string{"InstanceIds", "InstanceStates"}, begin: beginRunInstances, look: lookRunInstances}
}

func beginRunInstances(ctx context.Context, d *doing) error {
	kept, err := d.first(ctx, func(out map[string]any) map[string]any {
		ids := []any{}
		for _, i := range listAt(out, "Instances") {
			ids = append(ids, textAt(i, "InstanceId"))
		}
		return map[string]any{"InstanceIds": ids}
	})
	if err != nil {
		return err
	}
	ids := listAt(kept, "InstanceIds")
	if len(ids) == 0 {
		return finally(nil, "RunInstances answered no instances.")
	}
	if d.unknown && len(ids) == 1 {
		// Planning answers one instance for all that there will be.
		most, _ := d.calls[0].Input["MaxCount"].(int64)
		ids = slices.Repeat(ids, int(most))
	}
	states := make([]any, len(ids))
	for i := range states {
		states[i] = stateRunning
	}
	d.assume = map[string]any{"InstanceIds": ids, "InstanceStates": states}
	return nil
}

func lookRunInstances(ctx context.Context, d *doing) (sight, error) {
	ids := listAt(d.notes["RunInstances"], "InstanceIds")
	s, err := lookAtInstances(ctx, d, ids, stateRunning)
	if s.outputs == nil {
		s.outputs = map[string]any{}
	}
	s.outputs["InstanceIds"] = ids
	var failed stepFailure
	if errors.As(err, &failed) {
		failed.outputs = s.outputs
		return s, failed
	}
	for i, state := range listAt(s.outputs, "InstanceStates") {
		if state == stateStopped || state == "stopping" {
			return s, finally(s.outputs, "Instance %.40s is %s after it was launched.", ids[i], state)
		}
	}
	return s, err
}
