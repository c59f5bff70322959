package actions

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/automation"
)

// TestActionsOnMoto runs each action on one moto, in an account's one region.
func TestActionsOnMoto(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto")
	}
	t.Parallel()
	w := newWorld(t)
	t.Run("group", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *world){
			"instances": instancesOnMoto, "images": imagesOnMoto, "tags": tagsOnMoto, "commands": commandsOnMoto,
			"stacks": stacksOnMoto, "functions": functionsOnMoto, "state machines": machinesOnMoto, "webhooks": webhooksOnMoto,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, w)
			})
		}
	})
}

func (w *world) instance(t *testing.T) string {
	t.Helper()
	id, _ := at(w.setup(t, "ec2", "RunInstances", map[string]any{"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1}), "Instances.0.InstanceId").(string)
	return id
}

func (w *world) state(t *testing.T, id string) any {
	t.Helper()
	out, err := w.read(t, "ec2", "DescribeInstances", map[string]any{"InstanceIds": []any{id}})
	if err != nil {
		t.Fatal(err)
	}
	return at(out, "Reservations.0.Instances.0.State.Name")
}

func instancesOnMoto(t *testing.T, w *world) {
	r := w.do(t, "launch", `
- {name: A, action: 'aws:runInstances', inputs: {ImageId: ami-12345678, InstanceType: t3.micro, MinInstanceCount: '2', MaxInstanceCount: 2, UserData: IyEvYmluL3No, TagSpecifications: [{ResourceType: instance, Tags: [{Key: by, Value: test}]}]}}
- {name: B, action: 'aws:changeInstanceState', inputs: {InstanceIds: ['{{ A.InstanceIds }}'], DesiredState: stopped, Force: 'true'}}
`, options{})
	r.succeeds(t)
	ids, _ := r.output("InstanceIds").([]any)
	if len(ids) != 2 {
		t.Fatalf("launched %v", ids)
	}
	id, _ := ids[1].(string)
	if got := w.state(t, id); got != "stopped" {
		t.Errorf("the instance is %v", got)
	}
	out, err := w.read(t, "ec2", "DescribeInstanceAttribute", map[string]any{"InstanceId": id, "Attribute": "userData"})
	if got := at(out, "UserData.Value"); err != nil || got != "IyEvYmluL3No" {
		t.Errorf("the user data is %v (%v)", got, err)
	}
	w.do(t, "start", "- {name: A, action: 'aws:changeInstanceState', inputs: {InstanceIds: ['{{ Id }}'], DesiredState: running}}\n", options{parameters: map[string]any{"Id": id}}).succeeds(t)
	w.do(t, "check", "- {name: A, action: 'aws:changeInstanceState', inputs: {InstanceIds: ['{{ Id }}'], DesiredState: running, CheckStateOnly: true}}\n", options{parameters: map[string]any{"Id": id}}).succeeds(t)
	w.do(t, "end", "- {name: A, action: 'aws:changeInstanceState', inputs: {InstanceIds: ['{{ Id }}'], DesiredState: terminated}}\n", options{parameters: map[string]any{"Id": id}}).succeeds(t)
	if got := w.state(t, id); got != "terminated" {
		t.Errorf("the instance is %v", got)
	}
}

func imagesOnMoto(t *testing.T, w *world) {
	id := w.instance(t)
	r := w.do(t, "image", `
- {name: A, action: 'aws:createImage', inputs: {InstanceId: '{{ Id }}', ImageName: one, ImageDescription: d, NoReboot: 'true'}}
- {name: B, action: 'aws:copyImage', inputs: {SourceImageId: '{{ A.ImageId }}', SourceRegion: us-east-1, ImageName: two}}
- {name: C, action: 'aws:createTags', inputs: {ResourceIds: ['{{ B.ImageId }}'], Tags: [{Key: a, Value: b}]}}
`, options{parameters: map[string]any{"Id": id}})
	r.succeeds(t)
	image, _ := r.output("ImageId").(string)
	if r.output("ImageState") != "available" || !strings.HasPrefix(image, "ami-") {
		t.Fatalf("outputs %v", r.outcome.State.Outputs)
	}
	out, err := w.read(t, "ec2", "DescribeImages", map[string]any{"ImageIds": []any{image}})
	snapshot := at(out, "Images.0.BlockDeviceMappings.0.Ebs.SnapshotId")
	if err != nil || snapshot == nil || at(out, "Images.0.Name") != "one" {
		t.Fatalf("%v: %v", err, out)
	}
	r = w.do(t, "unimage", "- {name: A, action: 'aws:deleteImage', inputs: {ImageId: '{{ Id }}'}}\n", options{parameters: map[string]any{"Id": image}})
	r.succeeds(t)
	if diff := cmp.Diff([]string{"A:DeregisterImage", "A:DeleteSnapshot"}, r.made); diff != "" {
		t.Error(diff)
	}
	if _, err := w.read(t, "ec2", "DescribeSnapshots", map[string]any{"SnapshotIds": []any{snapshot}}); err == nil || !strings.Contains(err.Error(), "InvalidSnapshot.NotFound") {
		t.Errorf("the snapshot is still there: %v", err)
	}
}

func tagsOnMoto(t *testing.T, w *world) {
	w.setup(t, "ssm", "PutParameter", map[string]any{"Name": "tagged", "Type": "String", "Value": "v"})
	w.do(t, "tags", "- {name: A, action: 'aws:createTags', inputs: {ResourceType: Parameter, ResourceIds: [tagged], Tags: [{Key: a, Value: b}]}}\n", options{}).succeeds(t)
	out, err := w.read(t, "ssm", "ListTagsForResource", map[string]any{"ResourceType": "Parameter", "ResourceId": "tagged"})
	if err != nil || at(out, "TagList.0.Value") != "b" {
		t.Errorf("%v: %v", err, out)
	}
}

func commandsOnMoto(t *testing.T, w *world) {
	id := w.instance(t)
	with := options{parameters: map[string]any{"Id": id}}
	command := func(lines, rest string) string {
		return "- name: A\n  action: aws:runCommand\n  inputs: {DocumentName: AWS-RunShellScript, InstanceIds: ['{{ Id }}'], Parameters: {commands: " + lines + "}}\n" + rest
	}
	r := w.do(t, "command", command("[sleep 1, echo hello]", ""), with)
	r.succeeds(t)
	if r.output("Output") != "hello" || r.output("ResponseCode") != int64(0) || r.output("Status") != "Success" {
		t.Errorf("outputs %v", r.outcome.State.Outputs)
	}
	r = w.do(t, "failing", command("[echo no, exit 3]", "  maxAttempts: 2\n"), with)
	if f := r.outcome.Failure; r.outcome.Status != automation.Failed || r.outcome.Abort != nil || !strings.Contains(f.Message, "Output: no") || r.output("ResponseCode") != int64(3) {
		t.Errorf("%s %+v, outputs %v", r.outcome.Status, f, r.outcome.State.Outputs)
	}
	if len(r.made) != 1 {
		t.Errorf("made %v", r.made)
	}
}

const template = `{"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "Name"}}}}, "Parameters": {"Name": {"Type": "String"}}}`

func stacksOnMoto(t *testing.T, w *world) {
	body, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	r := w.do(t, "stack", "- {name: A, action: 'aws:createStack', inputs: {StackName: made, TimeoutInMinutes: '5', Parameters: [{ParameterKey: Name, ParameterValue: from-a-stack}], TemplateBody: "+string(body)+"}}\n", options{})
	r.succeeds(t)
	if r.output("StackStatus") != "CREATE_COMPLETE" {
		t.Errorf("outputs %v", r.outcome.State.Outputs)
	}
	topics := func() string {
		out, err := w.read(t, "sns", "ListTopics", nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(out["Topics"])
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if !strings.Contains(topics(), "from-a-stack") {
		t.Errorf("topics %s", topics())
	}
	r = w.do(t, "unstack", "- {name: A, action: 'aws:deleteStack', inputs: {StackName: made}}\n", options{})
	r.succeeds(t)
	if strings.Contains(topics(), "from-a-stack") || r.output("StackStatus") != "DELETE_COMPLETE" {
		t.Errorf("topics %s, outputs %v", topics(), r.outcome.State.Outputs)
	}
	// One document that makes a stack and takes it away by its name.
	w.do(t, "both", "- {name: A, action: 'aws:createStack', inputs: {StackName: brief, Parameters: [{ParameterKey: Name, ParameterValue: brief}], TemplateBody: "+string(body)+"}}\n"+
		"- {name: B, action: 'aws:deleteStack', inputs: {StackName: brief}}\n", options{}).succeeds(t)
}

func (w *world) role(t *testing.T, name, service string) string {
	t.Helper()
	trust := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "` + service + `"}, "Action": "sts:AssumeRole"}]}`
	arn, _ := at(w.setup(t, "iam", "CreateRole", map[string]any{"RoleName": name, "AssumeRolePolicyDocument": trust}), "Role.Arn").(string)
	return arn
}

func functionsOnMoto(t *testing.T, w *world) {
	role := w.role(t, "functions", "lambda.amazonaws.com")
	for name, handler := range map[string]string{"echo": "index.handler", "broken": "index.fail"} {
		w.setup(t, "lambda", "CreateFunction", map[string]any{
			"FunctionName": name, "Role": role, "Runtime": "python3.12", "Handler": handler, "Code": map[string]any{"ZipFile": emptyZip},
		})
	}
	r := w.do(t, "invoke", "- {name: A, action: 'aws:invokeLambdaFunction', inputs: {FunctionName: echo, Payload: '{\"answer\": 5}'}}\n"+
		"- {name: B, action: 'aws:invokeLambdaFunction', inputs: {FunctionName: echo, InputPayload: {was: '{{ A.Payload }}', code: '{{ A.StatusCode }}', a: '<1>'}}}\n", options{})
	r.succeeds(t)
	if r.output("Payload") != "5" || r.outcome.State.Outputs["B"]["Payload"] != `{"a": "<1>", "code": 200, "was": "5"}` {
		t.Errorf("outputs %v", r.outcome.State.Outputs)
	}
	r = w.do(t, "broken", "- {name: A, action: 'aws:invokeLambdaFunction', maxAttempts: 3, inputs: {FunctionName: broken, Payload: '{}'}}\n", options{})
	if r.outcome.Status != automation.Failed || r.outcome.Abort != nil || len(r.made) != 1 || r.output("FunctionError") != "Unhandled" {
		t.Errorf("%s %+v after %v", r.outcome.Status, r.outcome.Failure, r.made)
	}
}

// emptyZip is the archive without files.
var emptyZip = append([]byte("PK\x05\x06"), make([]byte, 18)...)

func machinesOnMoto(t *testing.T, w *world) {
	role := w.role(t, "machines", "states.amazonaws.com")
	machine := func(name, definition string) string {
		arn, _ := at(w.setup(t, "stepfunctions", "CreateStateMachine", map[string]any{"name": name, "roleArn": role, "definition": definition}), "stateMachineArn").(string)
		return arn
	}
	run := func(name, arn string) run {
		return w.do(t, name, "- {name: A, action: 'aws:executeStateMachine', inputs: {stateMachineArn: '{{ Id }}', input: '{\"n\": 1}'}}\n", options{parameters: map[string]any{"Id": arn}})
	}
	r := run("machine", machine("good", `{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}`))
	r.succeeds(t)
	if out, _ := r.output("output").(string); !strings.Contains(out, `"n"`) || r.output("status") != "SUCCEEDED" {
		t.Errorf("outputs %v", r.outcome.State.Outputs)
	}
	r = run("bad-machine", machine("bad", `{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}}`))
	if f := r.outcome.Failure; r.outcome.Status != automation.Failed || r.outcome.Abort != nil || !strings.Contains(f.Message, "is FAILED: E: C") {
		t.Errorf("%s %+v", r.outcome.Status, f)
	}
}

func webhooksOnMoto(t *testing.T, w *world) {
	w.setup(t, "ssm", "PutParameter", map[string]any{
		"Name": "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/chat", "Type": "SecureString",
		"Value": `{"description": "d", "url": "https://hooks.example.com/s3cret", "headers": {"X-A": "b"}}`,
	})
	hooks := &posts{}
	r := w.do(t, "hook", "- {name: A, action: 'aws:invokeWebhook', inputs: {IntegrationName: chat, Body: '{\"text\": \"hello\"}'}}\n", options{hooks: hooks})
	r.succeeds(t)
	if len(hooks.list) != 1 || hooks.list[0].URL != "https://hooks.example.com/s3cret" || hooks.list[0].Body != `{"text": "hello"}` || hooks.list[0].Headers["X-A"] != "b" {
		t.Errorf("posted %+v", hooks.list)
	}
	if r.output("ResponseCode") != int64(200) {
		t.Errorf("outputs %v", r.outcome.State.Outputs)
	}
}
