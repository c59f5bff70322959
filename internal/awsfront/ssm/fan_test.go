package ssm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/remediation"
)

// onTargets gives a run of which n targets were begun, one a second, all but the last
// with Success.
func onTargets(t *testing.T, n int, more object) (*world, *ssm.Handler, string) {
	t.Helper()
	w, h := ready(t)
	in := object{"TargetParameterName": "Bucket", "Targets": []object{{"Key": "ParameterValues", "Values": []string{"b-0", "b-1", "b-2"}}}}
	if more != nil {
		in = more
	}
	id := ask(t, h, admin(), "StartAutomationExecution", start(in))["AutomationExecutionId"].(string)
	w.steps[id] = []remediation.StepExecution{{ID: "fan", Execution: id, Name: "executeAutomation", Action: "aws:executeAutomation", Status: "InProgress", StartedAt: w.now}}
	for i := range n {
		e := remediation.Execution{
			ID: fmt.Sprintf("0000000%d-2222-4222-8222-222222222222", i), Parent: id, Root: id, Depth: 1, Document: "Tag-Bucket", Version: "1", Account: dev, Region: "eu-central-1",
			Target: fmt.Sprint("b-", i), Status: "Success", Parameters: map[string][]string{"Bucket": {fmt.Sprint("b-", i)}, "Tags": {"x", "y"}},
			Role: "arn:aws:iam::" + dev + ":role/path/Runner", StartedAt: w.now.Add(time.Duration(i) * time.Second), EndedAt: w.now.Add(time.Minute),
		}
		if i == n-1 {
			e.Status, e.Failure = "Failed", "Step fails when it is Executing."
		}
		w.executions[e.ID] = e
	}
	return w, h, id
}

// TestTargetsAreSteps: what was begun, in the order of AWS's own example, by both
// operations that show steps.
func TestTargetsAreSteps(t *testing.T) {
	t.Parallel()
	w, h, id := onTargets(t, 3, nil)
	e := w.executions[id]
	e.Status, e.EndedAt = "Failed", w.now.Add(time.Hour)
	w.executions[id] = e
	got := ask(t, h, admin(), "GetAutomationExecution", object{"AutomationExecutionId": id})["AutomationExecution"].(object)
	steps := got["StepExecutions"].([]any)
	if len(steps) != 3 || got["StepExecutionsTruncated"] != false {
		t.Fatalf("%v", steps)
	}
	want := object{
		"StepName": "b-2", "Action": "aws:executeAutomation", "ExecutionStartTime": 1772366402.25, "ExecutionEndTime": 1772366460.25, "StepStatus": "Failed",
		"FailureMessage": "Step fails when it is Executing.", "StepExecutionId": "00000002-2222-4222-8222-222222222222",
		"Inputs": object{"Bucket": "b-2", "Tags": `["x","y"]`}, "Outputs": object{"ExecutionId": []any{"00000002-2222-4222-8222-222222222222"}},
	}
	if diff := cmp.Diff(want, steps[2]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(object{"ParameterValues": []any{"b-0", "b-1", "b-2"}, "Truncated": false}, got["ResolvedTargets"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(object{"TotalSteps": 3.0, "SuccessSteps": 2.0, "FailedSteps": 1.0, "CancelledSteps": 0.0, "TimedOutSteps": 0.0}, got["ProgressCounters"]); diff != "" {
		t.Error(diff)
	}
	list := func(c ssm.Caller, more object) (names []string) {
		in := object{"AutomationExecutionId": id, "MaxResults": 2}
		for k, v := range more {
			in[k] = v
		}
		for range 5 {
			page := ask(t, h, c, "DescribeAutomationStepExecutions", in)
			for _, s := range page["StepExecutions"].([]any) {
				names = append(names, s.(object)["StepName"].(string))
			}
			next, ok := page["NextToken"]
			if !ok {
				break
			}
			in["NextToken"] = next
		}
		return names
	}
	by := func(key string, values ...string) object {
		return object{"Filters": []object{{"Key": key, "Values": values}}}
	}
	for name, c := range map[string]struct {
		in   object
		want []string
	}{
		"all":        {nil, []string{"b-0", "b-1", "b-2"}},
		"reverse":    {object{"ReverseOrder": true}, []string{"b-2", "b-1", "b-0"}},
		"status":     {by("StepExecutionStatus", "Success"), []string{"b-0", "b-1"}},
		"name":       {by("StepName", "b-1"), []string{"b-1"}},
		"id":         {by("StepExecutionId", "00000002-2222-4222-8222-222222222222"), []string{"b-2"}},
		"action":     {by("Action", "aws:executeAutomation"), []string{"b-0", "b-1", "b-2"}},
		"no action":  {by("Action", "aws:sleep"), nil},
		"no loop":    {by("ParentStepExecutionId", "fan"), nil},
		"start time": {by("StartTimeAfter", "2026-03-01T12:00:02Z"), []string{"b-2"}},
	} {
		if diff := cmp.Diff(c.want, list(admin(), c.in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestTargetsOfForeignAccounts: who may see the run, but not the accounts of its
// targets, sees its one step.
func TestTargetsOfForeignAccounts(t *testing.T) {
	t.Parallel()
	w, h, id := onTargets(t, 2, nil)
	e := w.executions[id]
	e.Account = prod
	w.executions[id] = e
	rita := as("rita", auth.RoleReader, prod)
	for _, operation := range []string{"GetAutomationExecution", "DescribeAutomationStepExecutions"} {
		got := ask(t, h, rita, operation, object{"AutomationExecutionId": id})
		if inner, ok := got["AutomationExecution"].(object); ok {
			got = inner
		}
		if steps := got["StepExecutions"].([]any); len(steps) != 1 || steps[0].(object)["StepName"] != "executeAutomation" {
			t.Errorf("%s: %v", operation, steps)
		}
	}
}

// TestTargetLocationsOfSteps: a run over accounts says of each step where it is; a
// run of which nothing was begun has the one step that looks for targets.
func TestTargetLocationsOfSteps(t *testing.T) {
	t.Parallel()
	where := object{"TargetLocations": []object{{"Accounts": []string{dev}, "Regions": []string{"eu-central-1"}, "ExecutionRoleName": "Runner"}}}
	_, h, id := onTargets(t, 1, where)
	got := ask(t, h, admin(), "DescribeAutomationStepExecutions", object{"AutomationExecutionId": id})["StepExecutions"].([]any)
	want := object{"Accounts": []any{dev}, "Regions": []any{"eu-central-1"}, "ExecutionRoleName": "Runner"}
	if diff := cmp.Diff(want, got[0].(object)["TargetLocation"]); diff != "" {
		t.Error(diff)
	}
	_, h, id = onTargets(t, 0, where)
	e := ask(t, h, admin(), "GetAutomationExecution", object{"AutomationExecutionId": id})["AutomationExecution"].(object)
	if steps := e["StepExecutions"].([]any); len(steps) != 1 || steps[0].(object)["StepName"] != "executeAutomation" || e["ResolvedTargets"] != nil {
		t.Errorf("%v", e)
	}
}
