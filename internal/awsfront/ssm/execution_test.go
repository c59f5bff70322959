package ssm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/remediation"
)

// running gives a world with an execution on dev that has done a step and waits
// in another.
func running(t *testing.T) (*world, *ssm.Handler, string) {
	t.Helper()
	w, h := ready(t)
	id := ask(t, h, as("olga", auth.RoleOperator, dev), "StartAutomationExecution", start(nil))["AutomationExecutionId"].(string)
	e := w.executions[id]
	e.Status, e.CurrentStep, e.CurrentAction = "Waiting", "Rest", "aws:sleep"
	w.executions[id] = e
	w.steps[id] = []remediation.StepExecution{
		{
			ID: "step-1", Execution: id, Seq: 1, Name: "Look", Action: "aws:executeAwsApi", Attempt: 2, Status: "Failed", StartedAt: w.now, EndedAt: w.now.Add(time.Second),
			Inputs: map[string]any{"Service": "s3", "N": int64(7)}, Outputs: map[string]any{"Id": []any{map[string]any{"Key": "a"}}, "Text": "x"},
			Failure: "Step fails when it is Executing.", FailureStage: "Invocation", FailureType: "Invocation", FailureDetails: map[string][]string{"ErrorCode": {"NoSuchTagSet"}},
		},
	}
	return w, h, id
}

func TestGetExecution(t *testing.T) {
	t.Parallel()
	_, h, id := running(t)
	got := ask(t, h, as("rita", auth.RoleReader, dev), "GetAutomationExecution", object{"AutomationExecutionId": id})["AutomationExecution"].(object)
	pending := got["StepExecutions"].([]any)[1].(object)["StepExecutionId"]
	want := object{
		"AutomationExecutionId": id, "DocumentName": "Tag-Bucket", "DocumentVersion": "1", "ExecutionStartTime": 1772366401.25, "AutomationExecutionStatus": "Waiting",
		"Mode": "Auto", "ExecutedBy": "arn:aws:iam::" + hub + ":user/parry/olga", "CurrentStepName": "Rest", "CurrentAction": "aws:sleep",
		"Parameters": object{"Bucket": []any{"my-bucket"}}, "StepExecutionsTruncated": false,
		"StepExecutions": []any{
			object{
				"StepName": "Look", "Action": "aws:executeAwsApi", "TimeoutSeconds": 30.0, "OnFailure": "step:Rest", "MaxAttempts": 1.0, "StepStatus": "Failed",
				"ExecutionStartTime": 1772366400.25, "ExecutionEndTime": 1772366401.25, "StepExecutionId": "step-1", "IsEnd": false, "IsCritical": true,
				"NextStep": "Rest", "ValidNextSteps": []any{"Rest"}, "Inputs": object{"Service": `"s3"`, "N": "7"},
				"Outputs": object{"Id": []any{`{"Key":"a"}`}, "Text": []any{"x"}}, "FailureMessage": "Step fails when it is Executing.",
				"FailureDetails": object{"FailureStage": "Invocation", "FailureType": "Action", "Details": object{"ErrorCode": []any{"NoSuchTagSet"}}},
			},
			object{
				"StepName": "Rest", "Action": "aws:sleep", "OnFailure": "Abort", "MaxAttempts": 1.0, "StepStatus": "Pending", "StepExecutionId": pending,
				"IsEnd": true, "IsCritical": true,
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPendingNamesWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	olga := as("olga", auth.RoleOperator, dev)
	id := ask(t, h, olga, "StartAutomationExecution", start(nil))["AutomationExecutionId"].(string)
	get := func() object {
		return ask(t, h, olga, "GetAutomationExecution", object{"AutomationExecutionId": id})["AutomationExecution"].(object)
	}
	if got := get(); got["AutomationExecutionStatus"] != "Pending" || !strings.Contains(got["FailureMessage"].(string), "parry remediation show rem-") {
		t.Errorf("%v", got)
	}
	e := w.executions[id]
	e.Status, e.Failure, e.EndedAt = "Cancelled", "rejected by bob: not today; see: parry remediation show rem-1", w.now
	w.executions[id] = e
	if got := get(); got["AutomationExecutionStatus"] != "Cancelled" || got["FailureMessage"] != e.Failure {
		t.Errorf("%v", got)
	}
}

// TestForeignExecutionsAreUnknown: every operation on an execution of another
// account answers as if there were none, and lists leave it out.
func TestForeignExecutionsAreUnknown(t *testing.T) {
	t.Parallel()
	w, h, id := running(t)
	w.approvers = []string{"eve"}
	e := object{"AutomationExecutionId": id}
	with := func(more object) object {
		out := object{"AutomationExecutionId": id}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	strangers := []ssm.Caller{as("eve", auth.RoleAdmin, prod), as("eve", auth.RoleAdmin)}
	inside := as("eve", auth.RoleAdmin, auth.All)
	inside.Parent = &ssm.Parent{Execution: uuid2, Account: prod}
	for _, eve := range append(strangers, inside) {
		for _, c := range []struct {
			operation string
			in        object
		}{
			{"GetAutomationExecution", e},
			{"DescribeAutomationStepExecutions", e},
			{"StopAutomationExecution", e},
			{"SendAutomationSignal", with(object{"SignalType": "Approve"})},
			{"SendAutomationSignal", with(object{"SignalType": "Reject"})},
			{"SendAutomationSignal", with(object{"SignalType": "Resume"})},
			{"SendAutomationSignal", with(object{"SignalType": "StartStep", "Payload": object{"StepName": []string{"Rest"}}})},
			{"SendAutomationSignal", with(object{"SignalType": "StopStep", "Payload": object{"StepExecutionId": []string{"step-1"}}})},
		} {
			foreign := refused(t, h, eve, c.operation, c.in, "AutomationExecutionNotFoundException")
			c.in["AutomationExecutionId"] = uuid2
			if none := refused(t, h, eve, c.operation, c.in, "AutomationExecutionNotFoundException"); strings.ReplaceAll(none, uuid2, id) != foreign {
				t.Errorf("%s tells a foreign execution from none: %q, %q", c.operation, foreign, none)
			}
			c.in["AutomationExecutionId"] = id
		}
		for _, in := range []object{{}, {"Filters": []object{{"Key": "ExecutionId", "Values": []string{id}}}}} {
			if all := ask(t, h, eve, "DescribeAutomationExecutions", in)["AutomationExecutionMetadataList"].([]any); len(all) > 0 {
				t.Errorf("listed: %v", all)
			}
		}
		refused(t, h, eve, "ListTagsForResource", object{"ResourceType": "Automation", "ResourceId": id}, "InvalidResourceId")
	}
	if len(w.signals)+len(w.decisions)+len(w.cancelled) > 0 {
		t.Errorf("%v %v %v", w.signals, w.decisions, w.cancelled)
	}
}

func TestDescribeExecutions(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	olga := as("olga", auth.RoleOperator, auth.All)
	for i := range 5 {
		ask(t, h, olga, "StartAutomationExecution", start(object{"Tags": []object{{"Key": ssm.AccountTag, "Value": []string{dev, prod}[i%2]}}}))
	}
	ask(t, h, olga, "StartAutomationExecution", start(object{"TargetLocations": []object{{"Accounts": []string{dev}, "Regions": []string{"eu-west-1"}}}}))
	list := func(c ssm.Caller, in object) (all []string) {
		for range 10 {
			page := ask(t, h, c, "DescribeAutomationExecutions", in)
			for _, e := range page["AutomationExecutionMetadataList"].([]any) {
				m := e.(object)
				all = append(all, fmt.Sprint(w.executions[m["AutomationExecutionId"].(string)].Account, " ", m["AutomationType"]))
			}
			next, ok := page["NextToken"]
			if !ok {
				return all
			}
			in["NextToken"] = next
		}
		return all
	}
	if got := list(olga, object{"MaxResults": 2}); len(got) != 6 || got[0] != hub+" CrossAccount" {
		t.Errorf("%v", got)
	}
	if diff := cmp.Diff([]string{dev + " Local", dev + " Local", dev + " Local"}, list(as("rita", auth.RoleReader, dev), object{"MaxResults": 1})); diff != "" {
		t.Error(diff)
	}
	only := func(key string, values ...string) object {
		return object{"Filters": []object{{"Key": key, "Values": values}}}
	}
	for name, c := range map[string]struct {
		in   object
		want int
	}{
		"status": {only("ExecutionStatus", "Pending"), 6}, "other status": {only("ExecutionStatus", "Success", "Failed"), 0},
		"after": {only("StartTimeAfter", "2026-03-01T12:00:04Z"), 3}, "seconds": {only("StartTimeAfter", "1772366404"), 3},
		"type": {only("AutomationType", "CrossAccount"), 1}, "parent": {only("ParentExecutionId", uuid1), 0},
	} {
		if got := list(olga, c.in); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for code, in := range map[string]object{"InvalidFilterKey": only("OpsItemId", "x"), "InvalidFilterValue": only("StartTimeBefore", "yesterday"), "ValidationException": only("Color", "red")} {
		refused(t, h, olga, "DescribeAutomationExecutions", in, code)
	}
	next := ask(t, h, olga, "DescribeAutomationExecutions", object{"MaxResults": 1})["NextToken"]
	refused(t, h, as("rita", auth.RoleReader, dev), "DescribeAutomationExecutions", object{"NextToken": next}, "InvalidNextToken")
	changed := only("ExecutionStatus", "Pending")
	changed["NextToken"] = next
	refused(t, h, olga, "DescribeAutomationExecutions", changed, "InvalidNextToken")
}

func TestDescribeSteps(t *testing.T) {
	t.Parallel()
	w, h, id := running(t)
	loop := remediation.StepExecution{ID: "loop", Execution: id, Name: "Each", Action: "aws:loop", Status: "Success", Attempt: 1}
	w.steps[id] = append(w.steps[id], loop)
	for i := range 3 {
		w.steps[id] = append(w.steps[id], remediation.StepExecution{
			ID: fmt.Sprint("body-", i), Execution: id, Name: "Body", Action: "aws:sleep", Status: "Success", Attempt: 1,
			ParentStep: "loop", ParentStepName: "Each", Iteration: i + 1, IteratorValue: fmt.Sprint("v", i),
		})
	}
	rita := as("rita", auth.RoleReader, dev)
	list := func(in object) (all []string) {
		in["AutomationExecutionId"] = id
		for range 10 {
			page := ask(t, h, rita, "DescribeAutomationStepExecutions", in)
			for _, s := range page["StepExecutions"].([]any) {
				all = append(all, s.(object)["StepExecutionId"].(string))
			}
			next, ok := page["NextToken"]
			if !ok {
				return all
			}
			in["NextToken"] = next
		}
		return all
	}
	if diff := cmp.Diff([]string{"body-2", "body-1", "body-0", "loop", "step-1"}, list(object{"ReverseOrder": true, "MaxResults": 2})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"body-0", "body-1", "body-2"}, list(object{"Filters": []object{{"Key": "ParentStepExecutionId", "Values": []string{"loop"}}}})); diff != "" {
		t.Error(diff)
	}
	got := ask(t, h, rita, "DescribeAutomationStepExecutions", object{"AutomationExecutionId": id, "Filters": []object{{"Key": "StepExecutionId", "Values": []string{"body-1"}}}})
	if diff := cmp.Diff(object{"StepExecutionId": "loop", "StepName": "Each", "Action": "aws:loop", "Iteration": 2.0, "IteratorValue": "v1"},
		got["StepExecutions"].([]any)[0].(object)["ParentStepDetails"]); diff != "" {
		t.Error(diff)
	}
	refused(t, h, rita, "DescribeAutomationStepExecutions", object{"AutomationExecutionId": id, "Filters": []object{{"Key": "ParentStepIteration", "Values": []string{"x"}}}}, "InvalidFilterValue")
}

// TestManySteps: GetAutomationExecution gives a hundred and says that there are
// more.
func TestManySteps(t *testing.T) {
	t.Parallel()
	w, h, id := running(t)
	for i := range 150 {
		w.steps[id] = append(w.steps[id], remediation.StepExecution{ID: fmt.Sprint("s", i), Execution: id, Name: "Rest", Action: "aws:sleep", Status: "Success"})
	}
	got := ask(t, h, admin(), "GetAutomationExecution", object{"AutomationExecutionId": id})["AutomationExecution"].(object)
	if n := len(got["StepExecutions"].([]any)); n != 100 || got["StepExecutionsTruncated"] != true {
		t.Errorf("%d, %v", n, got["StepExecutionsTruncated"])
	}
}
