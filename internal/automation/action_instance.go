package automation

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/runbook"
)

// The states of an instance, as DescribeInstances has them.
const (
	statePending      = "pending"
	stateRunning      = "running"
	stateShuttingDown = "shutting-down"
	stateTerminated   = "terminated"
	stateStopped      = "stopped"
)

// maxInstances bounds the instances of one step: DescribeInstances gives no
// second page for instances asked for by id.
const maxInstances = 100

// changeInstanceState is aws:changeInstanceState: it starts, stops or terminates
// instances, unless CheckStateOnly is set, and waits until they are as desired;
// running ones until both status checks are ok. At most 100 instances.
//
// AWS's page: automation-action-changestate.html.
func changeInstanceState() task {
	return task{limit: time.Hour, outputs: []string{"InstanceStates"}, begin: beginInstanceState, look: lookInstanceState}
}

func beginInstanceState(ctx context.Context, d *doing) error {
	ids, err := d.in.list("InstanceIds", maxInstances)
	if err != nil {
		return err
	}
	desired, err := d.in.oneOf("DesiredState", "", stateRunning, stateStopped, stateTerminated)
	if err != nil {
		return err
	}
	only, err := d.in.boolean("CheckStateOnly")
	if err != nil {
		return err
	}
	force, err := d.in.boolean("Force")
	if err != nil {
		return err
	}
	states := make([]any, len(ids))
	for i := range states {
		states[i] = desired
	}
	d.assume = map[string]any{"InstanceStates": states}
	if only {
		return nil
	}
	o := order{service: "ec2", input: map[string]any{"InstanceIds": ids}}
	switch desired {
	case stateRunning:
		o.operation = "StartInstances"
		if d.in.has("AdditionalInfo") {
			o.input["AdditionalInfo"] = d.in["AdditionalInfo"]
		}
	case stateStopped:
		o.operation = "StopInstances"
		if force {
			o.input["Force"] = true
		}
	default:
		o.operation = "TerminateInstances"
	}
	_, err = d.do(ctx, o)
	return err
}

func lookInstanceState(ctx context.Context, d *doing) (sight, error) {
	ids, err := d.in.list("InstanceIds", maxInstances)
	if err != nil {
		return sight{}, err
	}
	desired, err := d.in.text("DesiredState")
	if err != nil {
		return sight{}, err
	}
	s, err := lookAtInstances(ctx, d, ids, desired)
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

// launch gives the input of RunInstances.
func launch(in inputs) (map[string]any, error) {
	if _, err := in.text("ImageId"); err != nil {
		return nil, err
	}
	call := in.rest("MinInstanceCount", "MaxInstanceCount", "IamInstanceProfileArn", "IamInstanceProfileName", "Monitoring", "UserData")
	counts := map[string]any{"MinCount": int64(1)}
	if in.has("MinInstanceCount") {
		counts["MinCount"] = in["MinInstanceCount"]
	}
	counts["MaxCount"] = counts["MinCount"]
	if in.has("MaxInstanceCount") {
		counts["MaxCount"] = in["MaxInstanceCount"]
	}
	if err := typed(counts, runbook.TypeInteger, "MinCount", "MaxCount"); err != nil {
		return nil, err
	}
	least, _ := counts["MinCount"].(int64)
	most, _ := counts["MaxCount"].(int64)
	if least < 1 || most < least || most > maxInstances {
		return nil, badInput("MinInstanceCount and MaxInstanceCount need 1 <= minimum <= maximum <= %d, they are %d and %d", maxInstances, least, most)
	}
	call["MinCount"], call["MaxCount"] = least, most
	if err := typed(call, runbook.TypeBoolean, "DisableApiTermination", "EbsOptimized"); err != nil {
		return nil, err
	}
	for _, name := range []string{"SecurityGroupIds", "SecurityGroups"} {
		if err := typed(call, runbook.TypeStringList, name); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"BlockDeviceMappings", "NetworkInterfaces", "TagSpecifications"} {
		if in.has(name) {
			items, err := in.maps(name)
			if err != nil {
				return nil, err
			}
			call[name] = items
		}
	}
	return call, launchShapes(in, call)
}

// launchShapes makes the inputs that RunInstances takes in another form.
func launchShapes(in inputs, call map[string]any) error {
	profile := map[string]any{}
	for input, member := range map[string]string{"IamInstanceProfileArn": "Arn", "IamInstanceProfileName": "Name"} {
		if in.has(input) {
			profile[member] = in[input]
		}
	}
	if len(profile) > 0 {
		call["IamInstanceProfile"] = profile
	}
	if in.has("Monitoring") {
		on, err := in.boolean("Monitoring")
		if err != nil {
			return err
		}
		call["Monitoring"] = map[string]any{"Enabled": on}
	}
	if !in.has("UserData") {
		return nil
	}
	// The document gives it encoded; the client encodes it, as boto3 does.
	text, err := in.text("UserData")
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return badInput("UserData has to be Base64")
	}
	if call["UserData"] = raw; utf8.Valid(raw) {
		call["UserData"] = string(raw)
	}
	return nil
}

func beginRunInstances(ctx context.Context, d *doing) error {
	call, err := launch(d.in)
	if err != nil {
		return err
	}
	kept, err := d.do(ctx, order{service: "ec2", operation: "RunInstances", input: call, keep: func(out map[string]any) map[string]any {
		ids := []any{}
		for _, i := range listAt(out, "Instances") {
			ids = append(ids, textAt(i, "InstanceId"))
		}
		return map[string]any{"InstanceIds": ids}
	}})
	if err != nil {
		return err
	}
	ids := listAt(kept, "InstanceIds")
	if len(ids) == 0 {
		return finally(nil, "RunInstances answered no instances.")
	}
	if d.unknown && len(ids) == 1 {
		// Planning answers one instance for all that there will be.
		most, _ := call["MaxCount"].(int64)
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
