package runbook_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

// TestActionCallsOfWhatIsNotKnown: a document's calls can be listed before any of
// its values is known, and nothing that may be called is left out.
func TestActionCallsOfWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	u := apimodel.Unknown
	for name, tt := range map[string]struct {
		action string
		inputs map[string]any
		want   string
	}{
		"state":      {runbook.ActionChangeState, map[string]any{"InstanceIds": []any{u}, "DesiredState": u, "CheckStateOnly": u}, "StartInstances StopInstances TerminateInstances DescribeInstances DescribeInstanceStatus"},
		"only":       {runbook.ActionChangeState, map[string]any{"InstanceIds": u, "DesiredState": "stopped", "CheckStateOnly": "true"}, "DescribeInstances"},
		"launch":     {runbook.ActionRunInstances, map[string]any{"ImageId": u, "MinInstanceCount": u, "Monitoring": u, "UserData": u, "TagSpecifications": u, "DisableApiTermination": u}, "RunInstances DescribeInstances DescribeInstanceStatus"},
		"tags":       {runbook.ActionCreateTags, map[string]any{"ResourceIds": u, "Tags": u, "ResourceType": u}, "CreateTags AddTagsToResource"},
		"command":    {runbook.ActionRunCommand, map[string]any{"DocumentName": u, "Targets": u, "Parameters": u, "TimeoutSeconds": u}, "SendCommand ListCommands ListCommandInvocations CancelCommand"},
		"stack":      {runbook.ActionCreateStack, map[string]any{"StackName": u, "Parameters": u, "DisableRollback": u, "TimeoutInMinutes": u, "Capabilities": u}, "CreateStack DescribeStacks"},
		"image":      {runbook.ActionDeleteImage, map[string]any{"ImageId": u}, "DescribeImages DeregisterImage DeleteSnapshot"},
		"copy":       {runbook.ActionCopyImage, map[string]any{"SourceImageId": u, "SourceRegion": u, "ImageName": u, "Encrypted": u}, "CopyImage DescribeImages"},
		"function":   {runbook.ActionLambda, map[string]any{"FunctionName": u, "InputPayload": map[string]any{"a": u}, "InvocationType": u}, "Invoke"},
		"machine":    {runbook.ActionStateMachine, map[string]any{"stateMachineArn": u, "input": u}, "StartExecution DescribeExecution StopExecution"},
		"webhook":    {runbook.ActionWebhook, map[string]any{"IntegrationName": u, "Body": u}, "GetParameter"},
		"not a call": {runbook.ActionSleep, map[string]any{"Duration": "PT1S"}, ""},
	} {
		calls, err := runbook.ActionCalls(tt.action, tt.inputs, "token")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var ops []string
		for _, c := range calls {
			ops = append(ops, c.Operation)
			if c.Cancel != slices.Contains([]string{"CancelCommand", "StopExecution"}, c.Operation) {
				t.Errorf("%s: %s: made when cancelled: %v", name, c.Operation, c.Cancel)
			}
		}
		if diff := cmp.Diff(tt.want, strings.Join(ops, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestAListOfOneIsItsItem where an action takes one text: AWS's own documents give
// InstanceIds of one launched instance.
func TestAListOfOneIsItsItem(t *testing.T) {
	t.Parallel()
	inputs := map[string]any{"InstanceId": []any{"i-1"}, "ImageName": "n"}
	calls, err := runbook.ActionCalls(runbook.ActionCreateImage, inputs, "token")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"InstanceId": "i-1", "Name": "n"}, calls[0].Input); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"i-1"}, inputs["InstanceId"]); diff != "" {
		t.Errorf("the step's own inputs were changed: %s", diff)
	}
	two, err := runbook.ActionCalls(runbook.ActionCreateImage, map[string]any{"InstanceId": []any{"i-1", "i-2"}, "ImageName": "n"}, "token")
	if err == nil && two[0].Input["InstanceId"] == "i-1" {
		t.Error("one of two instances was chosen")
	}
}

// TestCallsFixWhatADocumentFixes: what an open plan allows of a command is that
// command, and not any other.
func TestCallsFixWhatADocumentFixes(t *testing.T) {
	t.Parallel()
	doc, err := runbook.Parse([]byte(`
schemaVersion: '0.3'
parameters: {Id: {type: String}, Comment: {type: String, default: ''}}
mainSteps:
- {name: Run, action: 'aws:runCommand', inputs: {DocumentName: AWS-RunShellScript, InstanceIds: ['{{ Id }}'], Comment: '{{ Comment }}', Parameters: {commands: [id, 'echo {{ Id }}']}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	calls, gaps := doc.Calls(runbook.Where{Account: "111122223333", Region: "eu-west-1"}, nil)
	if len(gaps) > 0 || calls[0].Call.Operation != "SendCommand" || !calls[0].Partial {
		t.Fatalf("calls %+v, gaps %v", calls, gaps)
	}
	want := map[string]any{
		"DocumentName": "AWS-RunShellScript", "InstanceIds": []any{apimodel.Unknown}, "Parameters": map[string]any{"commands": []any{"id", "echo " + apimodel.Unknown}},
	}
	if diff := cmp.Diff(want, calls[0].Call.Input); diff != "" {
		t.Error(diff)
	}
	if last := calls[len(calls)-1]; last.Step != "Run~cancel" || last.Call.Operation != "CancelCommand" {
		t.Errorf("last call %+v", last)
	}
}

func FuzzActionCalls(f *testing.F) {
	for _, a := range []string{runbook.ActionRunCommand, runbook.ActionRunInstances, runbook.ActionCreateStack, runbook.ActionCreateTags, runbook.ActionChangeState} {
		f.Add(a, `{"InstanceIds":["i-1"],"DesiredState":"running","Tags":[{"Key":1}],"Parameters":[{"a":null}],"StackName":"s","ImageId":"ami-1","DocumentName":"d","ResourceIds":"x"}`)
	}
	f.Add(runbook.ActionLambda, `{"FunctionName":"f","InputPayload":"\u0000"}`)
	f.Fuzz(func(t *testing.T, action, text string) {
		var inputs map[string]any
		if json.Unmarshal([]byte(text), &inputs) != nil {
			return
		}
		before, err := json.Marshal(inputs)
		if err != nil {
			t.Fatal(err)
		}
		calls, err := runbook.ActionCalls(action, inputs, "token")
		if err == nil {
			for _, c := range calls {
				if c.Service == "" || c.Operation == "" || c.Input == nil {
					t.Errorf("%s: %+v", text, c)
				}
			}
		}
		if after, err := json.Marshal(inputs); err != nil || string(after) != string(before) {
			t.Errorf("the inputs were changed: %s became %s", before, after)
		}
	})
}
