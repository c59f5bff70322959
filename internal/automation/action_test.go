package automation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
)

func action(name, action, inputs, rest string) string {
	return fmt.Sprintf("- name: %s\n  action: aws:%s\n  inputs: %s\n%s", name, action, inputs, rest)
}

// show gives the outputs of a step as a later one would see them.
func show(refs ...string) string {
	var b strings.Builder
	for _, r := range refs {
		fmt.Fprintf(&b, ", %s: '{{ %s }}'", strings.ReplaceAll(r, ".", ""), r)
	}
	return "- name: Show\n  action: aws:executeAwsApi\n  inputs: {Service: s3, Api: Show" + b.String() + "}\n"
}

func instances(state string, ids ...string) map[string]any {
	list := []any{}
	for _, id := range ids {
		list = append(list, map[string]any{"InstanceId": id, "State": map[string]any{"Name": state}})
	}
	return map[string]any{"Reservations": []any{map[string]any{"Instances": list}}}
}

func checks(status string, ids ...string) map[string]any {
	list := []any{}
	for _, id := range ids {
		list = append(list, map[string]any{"InstanceId": id, "InstanceStatus": map[string]any{"Status": status}, "SystemStatus": map[string]any{"Status": "ok"}})
	}
	return map[string]any{"InstanceStatuses": list}
}

func images(state string) map[string]any {
	return map[string]any{"Images": []any{map[string]any{"ImageId": "ami-1", "State": state, "StateReason": map[string]any{"Message": "no room"}, "BlockDeviceMappings": []any{
		map[string]any{"Ebs": map[string]any{"SnapshotId": "snap-1"}}, map[string]any{"VirtualName": "ephemeral0"}, map[string]any{"Ebs": map[string]any{"SnapshotId": "snap-2"}},
	}}}}
}

func stacks(status string) map[string]any {
	return map[string]any{"Stacks": []any{map[string]any{"StackId": "arn:stack/1", "StackStatus": status, "StackStatusReason": "because"}}}
}

func commands(status string, failed int) map[string]any {
	return map[string]any{"Commands": []any{map[string]any{"CommandId": "c-1", "Status": status, "StatusDetails": status, "ErrorCount": int64(failed), "TargetCount": int64(1)}}}
}

func invocations(outputs ...string) map[string]any {
	var plugins []any
	for _, o := range outputs {
		plugins = append(plugins, map[string]any{"Output": o, "ResponseCode": int64(3)})
	}
	return map[string]any{"CommandInvocations": []any{map[string]any{"CommandPlugins": plugins}}}
}

var noStack = &apimodel.APIError{Service: "CloudFormation", Operation: "DescribeStacks", Code: "ValidationError", Message: "Stack with id x does not exist", HTTPStatus: 400}

type actionCase struct {
	steps   string
	answers map[string][]any
	want    automation.Status
	calls   string         // operations, in order
	first   map[string]any // input of the first call that is no read
	show    map[string]any // what the step Show was given
	failure string         // contained in the message
}

var actionCases = map[string]actionCase{
	"instances start and pass their checks": {
		steps: action("A", "changeInstanceState", "{InstanceIds: [i-1, i-2], DesiredState: running}", "") + show("A.InstanceStates"),
		answers: map[string][]any{
			"DescribeInstances":      {apiError("Busy"), instances("pending", "i-1", "i-2"), instances("running", "i-1", "i-2")},
			"DescribeInstanceStatus": {checks("initializing", "i-1", "i-2"), checks("ok", "i-1"), checks("ok", "i-2", "i-1")},
		},
		want: automation.Success, first: map[string]any{"InstanceIds": []any{"i-1", "i-2"}},
		calls: "StartInstances DescribeInstances DescribeInstances DescribeInstances DescribeInstanceStatus DescribeInstances DescribeInstanceStatus DescribeInstances DescribeInstanceStatus Show",
		show:  map[string]any{"AInstanceStates": []any{"running", "running"}},
	},
	"instances stop by force": {
		steps:   action("A", "changeInstanceState", "{InstanceIds: i-1, DesiredState: stopped, Force: 'true', CheckStateOnly: 'false'}", ""),
		answers: map[string][]any{"DescribeInstances": {instances("stopping", "i-1"), instances("stopped", "i-1")}},
		want:    automation.Success, calls: "StopInstances DescribeInstances DescribeInstances", first: map[string]any{"InstanceIds": []any{"i-1"}, "Force": true},
	},
	"an instance that is gone will not stop": {
		steps:   action("A", "changeInstanceState", "{InstanceIds: [i-1], DesiredState: stopped}", "  maxAttempts: 3\n"),
		answers: map[string][]any{"DescribeInstances": {instances("terminated", "i-1")}},
		want:    automation.Failed, calls: "StopInstances DescribeInstances", failure: "is terminated and will not be stopped",
	},
	"a terminated instance may be forgotten": {
		steps:   action("A", "changeInstanceState", "{InstanceIds: [i-1], DesiredState: terminated}", ""),
		answers: map[string][]any{"DescribeInstances": {apiError("InvalidInstanceID.NotFound")}},
		want:    automation.Success, calls: "TerminateInstances DescribeInstances",
	},
	"the state is only checked": {
		steps:   action("A", "changeInstanceState", "{InstanceIds: [i-1], DesiredState: stopped, CheckStateOnly: true}", "  timeoutSeconds: 5\n"),
		answers: map[string][]any{"DescribeInstances": {instances("running", "i-1")}},
		want:    automation.TimedOut, calls: "DescribeInstances DescribeInstances DescribeInstances", failure: `i-1 is "running"`,
	},
	"a state that does not exist": {
		steps: action("A", "changeInstanceState", "{InstanceIds: [i-1], DesiredState: asleep}", ""),
		want:  automation.Failed, failure: "DesiredState has to be one of running, stopped, terminated",
	},
	"instances are launched": {
		steps: action("A", "runInstances", "{ImageId: ami-1, MinInstanceCount: '1', MaxInstanceCount: 2, IamInstanceProfileName: p, Monitoring: 'true', UserData: aGVsbG8=, SubnetId: ''}", "") + show("A.InstanceIds"),
		answers: map[string][]any{
			"RunInstances":      {map[string]any{"Instances": []any{map[string]any{"InstanceId": "i-1"}, map[string]any{"InstanceId": "i-2"}}}},
			"DescribeInstances": {instances("running", "i-1", "i-2")}, "DescribeInstanceStatus": {checks("ok", "i-1", "i-2")},
		},
		want: automation.Success, calls: "RunInstances DescribeInstances DescribeInstanceStatus Show",
		first: map[string]any{"ImageId": "ami-1", "MinCount": int64(1), "MaxCount": int64(2), "IamInstanceProfile": map[string]any{"Name": "p"}, "Monitoring": map[string]any{"Enabled": true}, "UserData": "hello"},
		show:  map[string]any{"AInstanceIds": []any{"i-1", "i-2"}},
	},
	"a launched instance stops": {
		steps: action("A", "runInstances", "{ImageId: ami-1}", "  onFailure: step:Show\n") + show("A.InstanceIds"),
		answers: map[string][]any{
			"RunInstances":      {map[string]any{"Instances": []any{map[string]any{"InstanceId": "i-1"}}}},
			"DescribeInstances": {instances("stopped", "i-1")},
		},
		want: automation.Failed, calls: "RunInstances DescribeInstances Show", failure: "after it was launched",
		show: map[string]any{"AInstanceIds": []any{"i-1"}}, // a step that cleans up needs it
	},
	"user data that is not encoded": {
		steps: action("A", "runInstances", "{ImageId: ami-1, UserData: '#!/bin/sh'}", ""), want: automation.Failed, failure: "UserData has to be Base64",
	},
	"too many instances": {
		steps: action("A", "runInstances", "{ImageId: ami-1, MaxInstanceCount: 5000}", ""), want: automation.Failed, failure: "maximum <= 100",
	},
	"an image is made": {
		steps: action("A", "createImage", "{InstanceId: i-1, ImageName: n, ImageDescription: d, NoReboot: 'true', BlockDeviceMappings: {DeviceName: /dev/sda}}", "") + show("A.ImageId", "A.ImageState"),
		answers: map[string][]any{
			"CreateImage":    {map[string]any{"ImageId": "ami-1"}},
			"DescribeImages": {apiError("InvalidAMIID.NotFound"), map[string]any{"Images": []any{}}, images("pending"), images("available")},
		},
		want: automation.Success, calls: "CreateImage DescribeImages DescribeImages DescribeImages DescribeImages Show",
		first: map[string]any{"InstanceId": "i-1", "Name": "n", "Description": "d", "NoReboot": true, "BlockDeviceMappings": []any{map[string]any{"DeviceName": "/dev/sda"}}},
		show:  map[string]any{"AImageId": "ami-1", "AImageState": "available"},
	},
	"an image fails": {
		steps:   action("A", "copyImage", "{SourceImageId: ami-0, SourceRegion: us-east-1, ImageName: n, Encrypted: 'true', KmsKeyId: k}", "  maxAttempts: 2\n"),
		answers: map[string][]any{"CopyImage": {map[string]any{"ImageId": "ami-1"}}, "DescribeImages": {images("failed")}},
		want:    automation.Failed, calls: "CopyImage DescribeImages", failure: "ami-1 is failed: no room",
		first: map[string]any{"SourceImageId": "ami-0", "SourceRegion": "us-east-1", "Name": "n", "Encrypted": true, "KmsKeyId": "k"},
	},
	"an image and its snapshots are deleted": {
		steps:   action("A", "deleteImage", "{ImageId: ami-1}", "  maxAttempts: 2\n"),
		answers: map[string][]any{"DescribeImages": {images("available")}, "DeleteSnapshot": {map[string]any{}, apiError("InvalidSnapshot.InUse"), map[string]any{}}},
		want:    automation.Success, calls: "DescribeImages DeregisterImage DeleteSnapshot DeleteSnapshot DeleteSnapshot", first: map[string]any{"ImageId": "ami-1"},
	},
	"an image that is not there": {
		steps:   action("A", "deleteImage", "{ImageId: ami-1}", ""),
		answers: map[string][]any{"DescribeImages": {map[string]any{"Images": []any{}}}},
		want:    automation.Failed, calls: "DescribeImages", failure: "ami-1 does not exist",
	},
	"tags of EC2": {
		steps: action("A", "createTags", "{ResourceIds: [i-1, ami-1], Tags: [{Key: a, Value: ''}, {Key: n, Value: 5}]}", ""), want: automation.Success, calls: "CreateTags",
		first: map[string]any{"Resources": []any{"i-1", "ami-1"}, "Tags": []any{map[string]any{"Key": "a", "Value": ""}, map[string]any{"Key": "n", "Value": "5"}}},
	},
	"tags of a parameter": {
		steps: action("A", "createTags", "{ResourceType: Parameter, ResourceIds: [p], Tags: [{Key: a, Value: b}]}", ""), want: automation.Success, calls: "AddTagsToResource",
		first: map[string]any{"ResourceType": "Parameter", "ResourceId": "p", "Tags": []any{map[string]any{"Key": "a", "Value": "b"}}},
	},
	"tags of two parameters": {
		steps: action("A", "createTags", "{ResourceType: Parameter, ResourceIds: [p, q], Tags: [{Key: a, Value: b}]}", ""), want: automation.Failed, failure: "ResourceIds has 2 items, the limit is 1",
	},
	"a command runs": {
		steps: action("A", "runCommand", "{DocumentName: AWS-RunShellScript, InstanceIds: ['{{ Names }}'], Parameters: {commands: ['echo 1'], workingDirectory: '[x]', executionTimeout: 60}, TimeoutSeconds: '600', CloudWatchOutputConfig: {CloudWatchOutputEnabled: 'true'}}", "") + show("A.CommandId", "A.Status", "A.ResponseCode", "A.Output"),
		answers: map[string][]any{
			"SendCommand":  {map[string]any{"Command": map[string]any{"CommandId": "c-1"}}},
			"ListCommands": {commands("Pending", 0), commands("InProgress", 0), commands("Success", 0)}, "ListCommandInvocations": {invocations("one\n")},
		},
		want: automation.Success, calls: "SendCommand ListCommands ListCommands ListCommands ListCommandInvocations Show",
		first: map[string]any{
			"DocumentName": "AWS-RunShellScript", "InstanceIds": []any{"a", "b"}, "TimeoutSeconds": int64(600), "CloudWatchOutputConfig": map[string]any{"CloudWatchOutputEnabled": true},
			"Parameters": map[string]any{"commands": []any{"echo 1"}, "workingDirectory": []any{"[x]"}, "executionTimeout": []any{"60"}},
		},
		show: map[string]any{"ACommandId": "c-1", "AStatus": "Success", "AResponseCode": int64(3), "AOutput": "one\n"},
	},
	"a command of two steps has no code": {
		steps: action("A", "runCommand", "{DocumentName: D, InstanceIds: i-1}", "") + show("A.ResponseCode", "A.Output"),
		answers: map[string][]any{
			"SendCommand":  {map[string]any{"Command": map[string]any{"CommandId": "c-1"}}},
			"ListCommands": {commands("Success", 0)}, "ListCommandInvocations": {invocations("one", "two")},
		},
		want: automation.Success, calls: "SendCommand ListCommands ListCommandInvocations Show", show: map[string]any{"AResponseCode": "", "AOutput": "one\ntwo"},
	},
	"a command to a tag has no output": {
		steps: action("A", "runCommand", "{DocumentName: D, Targets: [{Key: 'tag:a', Values: [b]}]}", "") + show("A.Output"),
		answers: map[string][]any{
			"SendCommand":  {map[string]any{"Command": map[string]any{"CommandId": "c-1"}}},
			"ListCommands": {commands("Success", 0)}, "ListCommandInvocations": {invocations("one")},
		},
		want: automation.Success, calls: "SendCommand ListCommands ListCommandInvocations Show", show: map[string]any{"AOutput": ""},
	},
	"a command fails": {
		steps: action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "  maxAttempts: 3\n  onFailure: step:Show\n") + show("A.Status", "A.Output"),
		answers: map[string][]any{
			"SendCommand":  {map[string]any{"Command": map[string]any{"CommandId": "c-1"}}},
			"ListCommands": {commands("Failed", 1)}, "ListCommandInvocations": {invocations("oh no")},
		},
		want: automation.Failed, calls: "SendCommand ListCommands ListCommandInvocations Show", failure: "ended with Failed (Failed), 1 of 1 targets failed. Output: oh no",
		show: map[string]any{"AStatus": "Failed", "AOutput": "oh no"},
	},
	"one node fails": {
		steps: action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", ""),
		answers: map[string][]any{
			"SendCommand":  {map[string]any{"Command": map[string]any{"CommandId": "c-1"}}},
			"ListCommands": {commands("Success", 1)}, "ListCommandInvocations": {invocations("x")},
		},
		want: automation.Failed, calls: "SendCommand ListCommands ListCommandInvocations", failure: "1 of 1 targets failed",
	},
	"a command to nobody": {
		steps: action("A", "runCommand", "{DocumentName: D}", ""), want: automation.Failed, failure: "InstanceIds is required",
	},
	"a command is refused and tried again": {
		steps: action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "  maxAttempts: 2\n"),
		answers: map[string][]any{
			"SendCommand":  {apiError("InvalidInstanceId"), map[string]any{"Command": map[string]any{"CommandId": "c-1"}}},
			"ListCommands": {commands("Success", 0)}, "ListCommandInvocations": {invocations("x")},
		},
		want: automation.Success, calls: "SendCommand SendCommand ListCommands ListCommandInvocations",
	},
	"a stack is made": {
		steps: action("A", "createStack", "{StackName: s, TemplateBody: '{}', TimeoutInMinutes: '5', ClientRequestToken: t, Capabilities: CAPABILITY_IAM, Parameters: [{ParameterKey: k, ParameterValue: 5}]}", "") + show("A.StackId", "A.StackStatus"),
		answers: map[string][]any{
			"CreateStack": {map[string]any{"StackId": "arn:stack/1"}}, "DescribeStacks": {noStack, stacks("CREATE_IN_PROGRESS"), stacks("CREATE_COMPLETE")},
		},
		want: automation.Success, calls: "CreateStack DescribeStacks DescribeStacks DescribeStacks Show",
		first: map[string]any{"StackName": "s", "TemplateBody": "{}", "TimeoutInMinutes": int64(5), "ClientRequestToken": "t", "Capabilities": []any{"CAPABILITY_IAM"}, "Parameters": []any{map[string]any{"ParameterKey": "k", "ParameterValue": "5"}}},
		show:  map[string]any{"AStackId": "arn:stack/1", "AStackStatus": "CREATE_COMPLETE"},
	},
	"a stack rolls back": {
		steps:   action("A", "createStack", "{StackName: s, TemplateBody: '{}'}", ""),
		answers: map[string][]any{"CreateStack": {map[string]any{"StackId": "arn:stack/1"}}, "DescribeStacks": {stacks("ROLLBACK_IN_PROGRESS"), stacks("ROLLBACK_COMPLETE")}},
		want:    automation.Failed, calls: "CreateStack DescribeStacks DescribeStacks", failure: "The stack is ROLLBACK_COMPLETE: because",
	},
	"a stack is deleted": {
		steps:   action("A", "deleteStack", "{StackName: s, RetainResources.member.N: [b]}", "") + show("A.StackStatus"),
		answers: map[string][]any{"DescribeStacks": {stacks("CREATE_COMPLETE"), stacks("DELETE_IN_PROGRESS"), stacks("DELETE_COMPLETE")}},
		want:    automation.Success, calls: "DescribeStacks DeleteStack DescribeStacks DescribeStacks Show", show: map[string]any{"AStackStatus": "DELETE_COMPLETE"},
	},
	"a stack that is not there is deleted": {
		steps:   action("A", "deleteStack", "{StackName: s}", "") + show("A.StackStatus"),
		answers: map[string][]any{"DescribeStacks": {noStack}},
		want:    automation.Success, calls: "DescribeStacks DeleteStack DescribeStacks Show", show: map[string]any{"AStackStatus": "DELETE_COMPLETE"},
	},
	"a stack cannot be deleted": {
		steps:   action("A", "deleteStack", "{StackName: s}", ""),
		answers: map[string][]any{"DescribeStacks": {stacks("CREATE_COMPLETE"), stacks("DELETE_FAILED")}},
		want:    automation.Failed, calls: "DescribeStacks DeleteStack DescribeStacks", failure: "The stack is DELETE_FAILED: because",
	},
	"a function is invoked": {
		steps: action("A", "invokeLambdaFunction", "{FunctionName: f, InputPayload: {a: '<{{ Count }}>'}, Payload: ignored}", "  outputs: [{Name: Own, Selector: $.StatusCode, Type: Integer}]\n") + show("A.StatusCode", "A.Payload", "A.LogResult", "A.Own"),
		answers: map[string][]any{
			"Invoke": {map[string]any{"StatusCode": int64(200), "Payload": []byte(`{"ok":1}`)}},
		},
		want: automation.Success, calls: "Invoke Show", first: map[string]any{"FunctionName": "f", "Payload": `{"a":"<3>"}`},
		show: map[string]any{"AStatusCode": int64(200), "APayload": `{"ok":1}`, "ALogResult": "", "AOwn": int64(200)},
	},
	"a function reports an error": {
		steps:   action("A", "invokeLambdaFunction", "{FunctionName: f, Payload: '{}'}", "  maxAttempts: 3\n  onFailure: step:Show\n") + show("A.FunctionError"),
		answers: map[string][]any{"Invoke": {map[string]any{"StatusCode": int64(200), "FunctionError": "Unhandled", "Payload": []byte(`{"errorMessage":"no"}`)}}},
		want:    automation.Failed, calls: "Invoke Show", failure: `(Unhandled): {"errorMessage":"no"}`, show: map[string]any{"AFunctionError": "Unhandled"},
	},
	"a function answers too much": {
		steps:   action("A", "invokeLambdaFunction", "{FunctionName: f}", ""),
		answers: map[string][]any{"Invoke": {map[string]any{"StatusCode": int64(200), "Payload": []byte(strings.Repeat("x", 200_001))}}},
		want:    automation.Failed, calls: "Invoke", failure: "answered 200001 bytes, the limit is 200000",
	},
	"a state machine runs": {
		steps: action("A", "executeStateMachine", "{stateMachineArn: m, name: n, input: {a: 1}}", "") + show("A.output", "A.status", "A.startDate"),
		answers: map[string][]any{
			"StartExecution": {map[string]any{"executionArn": "arn:e"}},
			"DescribeExecution": {
				map[string]any{"status": "RUNNING"},
				map[string]any{"status": "SUCCEEDED", "output": `{"b":2}`, "startDate": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
			},
		},
		want: automation.Success, calls: "StartExecution DescribeExecution DescribeExecution Show", first: map[string]any{"stateMachineArn": "m", "name": "n", "input": `{"a":1}`},
		show: map[string]any{"Aoutput": `{"b":2}`, "Astatus": "SUCCEEDED", "AstartDate": "2026-01-02T03:04:05Z"},
	},
	"a state machine fails": {
		steps: action("A", "executeStateMachine", "{stateMachineArn: m}", ""),
		answers: map[string][]any{
			"StartExecution": {map[string]any{"executionArn": "arn:e"}}, "DescribeExecution": {map[string]any{"status": "FAILED", "error": "E", "cause": "C"}},
		},
		want: automation.Failed, calls: "StartExecution DescribeExecution", failure: "is FAILED: E: C",
	},
}

func operations(f *fixture) string {
	var out []string
	for _, c := range f.caller.calls {
		_, op, _ := strings.Cut(c, ":")
		out = append(out, op)
	}
	return strings.Join(out, " ")
}

// inputOf gives the input of the first call that is no read, or of a named one.
func inputOf(f *fixture, operation string) map[string]any {
	for i, op := range strings.Fields(operations(f)) {
		if op == operation || operation == "" && !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List") {
			return f.caller.inputs[i]
		}
	}
	return nil
}

func (c actionCase) setup(t *testing.T) *fixture {
	t.Helper()
	f := setup(t, c.steps)
	for op, list := range c.answers {
		f.caller.answers[op] = slices.Clone(list)
	}
	return f
}

func TestActions(t *testing.T) {
	t.Parallel()
	for name, tt := range actionCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tt.setup(t)
			o, _ := f.finish(t)
			if o.Status != tt.want || operations(f) != tt.calls {
				t.Errorf("ended %s (%+v) after %s\nwant %s after %s", o.Status, o.Failure, operations(f), tt.want, tt.calls)
			}
			if tt.failure != "" && (o.Failure == nil || !strings.Contains(o.Failure.Message, tt.failure)) {
				t.Errorf("failure %+v, want %q", o.Failure, tt.failure)
			}
			if tt.first != nil {
				if diff := cmp.Diff(tt.first, inputOf(f, "")); diff != "" {
					t.Errorf("the call: %s", diff)
				}
			}
			if diff := cmp.Diff(tt.show, inputOf(f, "Show")); tt.show != nil && diff != "" {
				t.Errorf("the outputs: %s", diff)
			}
		})
	}
}

// TestActionsAreReplayed ends the process after every checkpoint: the run after it
// ends as the undisturbed one, and no change is made twice.
func TestActionsAreReplayed(t *testing.T) {
	t.Parallel()
	crash := errors.New("killed")
	for name, tt := range actionCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := tt.setup(t)
			want := whole.segment(t)
			if want.Status == automation.Waiting {
				return
			}
			for n := range len(whole.journal.done) {
				f := tt.setup(t)
				f.run.Steps = &crashing{journal: f.journal, after: n, err: crash}
				if _, err := f.interpreter.Run(t.Context(), f.run); !errors.Is(err, crash) {
					t.Fatalf("checkpoint %d: %v", n, err)
				}
				f.run.Steps = f.journal
				got := f.segment(t)
				if got.Status != want.Status || operations(f) != operations(whole) {
					t.Errorf("checkpoint %d: %s after %s\nwant %s after %s", n, got.Status, operations(f), want.Status, operations(whole))
				}
				if diff := cmp.Diff(whole.caller.inputs, f.caller.inputs); diff != "" {
					t.Errorf("checkpoint %d: inputs %s", n, diff)
				}
			}
		})
	}
}

// TestATaskGoesOnInLaterSegments: what takes hours is begun once.
func TestATaskGoesOnInLaterSegments(t *testing.T) {
	t.Parallel()
	f := setup(t, action("A", "createImage", "{InstanceId: i-1, ImageName: n}", "  timeoutSeconds: 7200\n")+show("A.ImageId"))
	f.caller.answers["CreateImage"] = []any{map[string]any{"ImageId": "ami-1"}}
	f.caller.answers["DescribeImages"] = append(slicesOf(images("pending"), 40), images("available"))
	o, segments := f.finish(t)
	if n := strings.Count(operations(f), "CreateImage"); o.Status != automation.Success || n != 1 || segments < 10 {
		t.Errorf("%s after %d segments, the image was made %d times", o.Status, segments, n)
	}
	if got := inputOf(f, "Show")["AImageId"]; got != "ami-1" {
		t.Errorf("image %v", got)
	}
}

// TestAnotherAttemptWaitsAnew: a change that was made is not made again; another
// attempt of a step that timed out waits for it once more.
func TestAnotherAttemptWaitsAnew(t *testing.T) {
	t.Parallel()
	f := setup(t, action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "  timeoutSeconds: 120\n  maxAttempts: 2\n"))
	f.caller.answers["SendCommand"] = []any{map[string]any{"Command": map[string]any{"CommandId": "c-1"}}}
	f.caller.answers["ListCommands"] = []any{commands("InProgress", 0)}
	o, _ := f.finish(t)
	took := f.clock.Now().Sub(newClock().Now())
	if n := strings.Count(operations(f), "SendCommand"); o.Status != automation.TimedOut || n != 1 || took < 240*time.Second || took > 260*time.Second {
		t.Errorf("%s after %s, sent %d times", o.Status, took, n)
	}
	if !strings.Contains(o.Failure.Message, "c-1 is InProgress") || o.Failure.Attempt != 2 {
		t.Errorf("failure %+v", o.Failure)
	}
}

// TestATaskIsHeldInTheMiddle: what was done before the stop switch was set is not
// done again when it is off.
func TestATaskIsHeldInTheMiddle(t *testing.T) {
	t.Parallel()
	f := setup(t, action("A", "deleteImage", "{ImageId: ami-1}", ""))
	f.caller.answers["DescribeImages"] = []any{images("available")}
	f.caller.answers["DeleteSnapshot"] = []any{map[string]any{}, held(), held(), map[string]any{}}
	o, segments := f.finish(t)
	if want := "DescribeImages DeregisterImage DeleteSnapshot DeleteSnapshot DeleteSnapshot DeleteSnapshot"; o.Status != automation.Success || segments != 3 || operations(f) != want {
		t.Errorf("%s after %d segments and %s", o.Status, segments, operations(f))
	}
}

func TestATaskIsStoppedByTheGate(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"SendCommand", "ListCommands"} {
		f := setup(t, action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "  onFailure: Continue\n  maxAttempts: 3\n")+step("B", ""))
		f.caller.answers["SendCommand"] = []any{map[string]any{"Command": map[string]any{"CommandId": "c-1"}}}
		f.caller.answers[op] = []any{fault.Errorf(fault.Denied, "apply", "not in the plan")}
		if o := f.segment(t); !fault.Is(o.Abort, fault.Denied) || o.Status != automation.Failed || strings.Contains(operations(f), "B") {
			t.Errorf("%s: %+v after %s", op, o, operations(f))
		}
	}
}

// An outage is no failure of the step: the run is interrupted, with nothing said
// about what may have been made.
func TestAnOutageWhileBeginning(t *testing.T) {
	t.Parallel()
	f := setup(t, action("A", "createStack", "{StackName: s}", "  onFailure: Continue\n"))
	f.caller.answers["CreateStack"] = []any{fault.Errorf(fault.Unavailable, "call", "connection refused"), map[string]any{"StackId": "arn:stack/1"}}
	f.caller.answers["DescribeStacks"] = []any{stacks("CREATE_COMPLETE")}
	if _, err := f.interpreter.Run(t.Context(), f.run); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error %v", err)
	}
	o := f.segment(t)
	if o.Status != automation.Success {
		t.Errorf("outcome %+v", o)
	}
	if a, b := f.caller.inputs[0]["ClientRequestToken"], f.caller.inputs[1]["ClientRequestToken"]; a != b || a == nil {
		t.Errorf("tokens %v and %v", a, b)
	}
}

func TestTokensAreOfOnePass(t *testing.T) {
	t.Parallel()
	token := func(execution string, passes int) string {
		f := setup(t, action("A", "executeStateMachine", "{stateMachineArn: m}", ""))
		f.run.ExecutionID = execution
		f.run.State = automation.NewState(f.run.Document)
		f.run.State.Passes["A"] = passes
		f.caller.answers["StartExecution"] = []any{map[string]any{"executionArn": "arn:e"}}
		f.caller.answers["DescribeExecution"] = []any{map[string]any{"status": "SUCCEEDED"}}
		f.segment(t)
		name, _ := inputOf(f, "StartExecution")["name"].(string)
		return name
	}
	first := token("exec-1", 0)
	if len(first) == 0 || len(first) > 80 || token("exec-1", 0) != first || token("exec-2", 0) == first || token("exec-1", 1) == first {
		t.Errorf("token %q", first)
	}
}

const later = "<later>"

// isLater is a stand-in for the planner's word on its own answers.
func isLater(v any) bool {
	raw, err := json.Marshal(v)
	return err == nil && strings.Contains(string(raw), `\u003clater`)
}

// TestActionsArePlanned: each change is made known once, what depends on it counts
// as met, and later steps get outputs of the shape that they will have.
func TestActionsArePlanned(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps   string
		answers map[string]map[string]any
		calls   string
		show    map[string]any
	}{
		"changeInstanceState": {
			action("A", "changeInstanceState", "{InstanceIds: [i-1, i-2], DesiredState: stopped}", "") + show("A.InstanceStates"),
			map[string]map[string]any{"DescribeInstances": instances("running", "i-1", "i-2")},
			"A:StopInstances A:DescribeInstances Show:Show",
			map[string]any{"AInstanceStates": []any{"stopped", "stopped"}},
		},
		"runInstances": {
			action("A", "runInstances", "{ImageId: ami-1, MinInstanceCount: 2}", "") + show("A.InstanceIds", "A.InstanceStates"),
			map[string]map[string]any{"RunInstances": {"Instances": []any{map[string]any{"InstanceId": later}}}},
			"A:RunInstances A:DescribeInstances A:DescribeInstanceStatus Show:Show",
			map[string]any{"AInstanceIds": []any{later, later}, "AInstanceStates": []any{"running", "running"}},
		},
		"copyImage": {
			action("A", "copyImage", "{SourceImageId: ami-0, SourceRegion: us-east-1, ImageName: n}", "") + show("A.ImageId", "A.ImageState"),
			map[string]map[string]any{"CopyImage": {"ImageId": later}},
			"A:CopyImage A:DescribeImages Show:Show",
			map[string]any{"AImageId": later, "AImageState": "available"},
		},
		"deleteImage": {
			action("A", "deleteImage", "{ImageId: ami-1}", ""),
			map[string]map[string]any{"DescribeImages": images("available")},
			"A:DescribeImages A:DeregisterImage A:DeleteSnapshot A:DeleteSnapshot", nil,
		},
		"runCommand": {
			action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "") + show("A.CommandId", "A.Status", "A.Output"),
			map[string]map[string]any{"SendCommand": {"Command": map[string]any{"CommandId": later}}, "ListCommands": {"Commands": []any{map[string]any{"Status": later}}}, "ListCommandInvocations": invocations(later)},
			"A:SendCommand A~cancel:CancelCommand A:ListCommands A:ListCommandInvocations Show:Show",
			map[string]any{"ACommandId": later, "AStatus": "Success", "AOutput": later},
		},
		"createStack": {
			action("A", "createStack", "{StackName: s}", "") + show("A.StackId", "A.StackStatus"),
			map[string]map[string]any{"CreateStack": {"StackId": later}},
			"A:CreateStack A:DescribeStacks Show:Show",
			map[string]any{"AStackId": later, "AStackStatus": "CREATE_COMPLETE"},
		},
		"deleteStack": {
			action("A", "deleteStack", "{StackName: s}", "") + show("A.StackStatus"),
			map[string]map[string]any{"DescribeStacks": stacks("DELETE_FAILED")},
			"A:DescribeStacks A:DeleteStack A:DescribeStacks Show:Show",
			map[string]any{"AStackStatus": "DELETE_COMPLETE"},
		},
		"invokeLambdaFunction": {
			action("A", "invokeLambdaFunction", "{FunctionName: f}", "") + show("A.Payload"),
			map[string]map[string]any{"Invoke": {"StatusCode": int64(0), "LogResult": "<later A.LogResult>"}},
			"A:Invoke Show:Show",
			map[string]any{"APayload": "<later A.Payload>"},
		},
		"executeStateMachine": {
			action("A", "executeStateMachine", "{stateMachineArn: m, name: n}", "") + show("A.executionArn", "A.output", "A.status"),
			map[string]map[string]any{"StartExecution": {"executionArn": later}, "DescribeExecution": {"status": later, "output": later}},
			"A:StartExecution A~cancel:StopExecution A:DescribeExecution Show:Show",
			map[string]any{"AexecutionArn": later, "Aoutput": later, "Astatus": "SUCCEEDED"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, tt.steps)
			f.run.Planning, f.run.Steps, f.run.Unknown = true, nil, isLater
			for op, out := range tt.answers {
				f.caller.answers[op] = []any{out}
			}
			o := f.segment(t)
			if o.Status != automation.Success || o.Open != "" {
				t.Fatalf("outcome %+v %+v", o, o.Failure)
			}
			if got := strings.Join(f.caller.calls, " "); got != tt.calls {
				t.Errorf("calls %s, want %s", got, tt.calls)
			}
			if diff := cmp.Diff(tt.show, inputOf(f, "Show")); tt.show != nil && diff != "" {
				t.Error(diff)
			}
			if took := f.clock.Now().Sub(newClock().Now()); took != 0 {
				t.Errorf("planning waited %s", took)
			}
		})
	}
}

// Where planning cannot tell, the plan is open and says which step it is.
func TestActionsLeaveThePlanOpen(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps string
		open  string
	}{
		"a state that is only checked": {action("A", "changeInstanceState", "{InstanceIds: [i-1], DesiredState: stopped, CheckStateOnly: true}", ""), `step A waits; planning sees: i-1 is "running"`},
		"snapshots of a new image": {
			action("N", "createImage", "{InstanceId: i-1, ImageName: n}", "") + action("A", "deleteImage", "{ImageId: '{{ N.ImageId }}'}", ""), "step A deletes the snapshots of an image",
		},
		"a state from an answer": {
			step("R", "  outputs: [{Name: S, Selector: $.S, Type: String}]\n") + action("A", "changeInstanceState", "{InstanceIds: [i-1], DesiredState: '{{ R.S }}'}", ""), "step A works on what only applying will tell",
		},
	} {
		f := setup(t, tt.steps)
		f.run.Planning, f.run.Steps, f.run.Unknown = true, nil, isLater
		f.caller.answers["DescribeInstances"] = []any{instances("running", "i-1")}
		f.caller.answers["CreateImage"] = []any{map[string]any{"ImageId": later}}
		f.caller.answers["DescribeImages"] = []any{map[string]any{"Images": []any{map[string]any{"ImageId": later}}}}
		f.caller.answers["R"] = []any{map[string]any{"S": later}}
		if o := f.segment(t); !strings.Contains(o.Open, tt.open) {
			t.Errorf("%s: %+v %+v", name, o, o.Failure)
		}
	}
}

// TestALongInvocationHasItsTime: the call's limit is the step's, at most 300 s.
func TestALongInvocationHasItsTime(t *testing.T) {
	t.Parallel()
	for rest, want := range map[string]time.Duration{"": 300 * time.Second, "  timeoutSeconds: 20\n": 20 * time.Second, "  timeoutSeconds: 900\n": 300 * time.Second} {
		f := setup(t, action("A", "invokeLambdaFunction", "{FunctionName: f}", rest))
		var left time.Duration
		f.caller.answers["Invoke"] = []any{func(ctx context.Context) (apimodel.Reply, error) {
			end, _ := ctx.Deadline()
			left = time.Until(end)
			return apimodel.Reply{Output: map[string]any{"StatusCode": int64(200)}}, nil
		}}
		if o := f.segment(t); o.Status != automation.Success || left > want || left < want-10*time.Second {
			t.Errorf("%q: %s with %s to go", rest, o.Status, left)
		}
	}
}
