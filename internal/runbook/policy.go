package runbook

import (
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// Where says in which account and region a document will run; "" = not known.
type Where struct{ Account, Region string }

// StepCall is a call that a step makes when it runs.
type StepCall struct {
	Step string
	Pos  Pos
	Call apimodel.Call // without Input (nil) where nothing of it is known, as in a script
	// Partial says that the call has more members than Input: the action puts them in.
	Partial bool
}

// Gap is a step whose calls a document does not tell.
type Gap struct {
	Step   string `json:"step"`
	Pos    Pos    `json:"position"`
	Reason string `json:"reason"`
}

// Calls lists, for the policy of a document's role, the calls that its steps
// make, with apimodel.Unknown for what only running tells: parameters, variables
// and outputs of other steps. The calls of scripts come from scripts, by step.
// Gaps are the steps that may call more; while there are any the list is not
// complete.
func (d *Document) Calls(at Where, scripts map[string]ScriptFacts) ([]StepCall, []Gap) {
	c := &callLister{at: at, scripts: scripts}
	for _, s := range d.all {
		c.step(s)
	}
	for _, name := range parameterNames(d) {
		c.add("", Pos{}, "ssm", "GetParameters", map[string]any{"Names": []any{name}})
	}
	return c.calls, c.gaps
}

// parameterNames lists the Parameter Store parameters that a document refers to.
func parameterNames(d *Document) []string {
	var out []string
	seen := map[string]bool{}
	note := func(v any) {
		for _, r := range References(v) {
			if r.Kind == RefSSM && !seen[r.Name] {
				seen[r.Name] = true
				out = append(out, r.Name)
			}
		}
	}
	for _, s := range d.all {
		note(s.templates())
	}
	for i := range d.Parameters {
		note(d.Parameters[i].Default)
	}
	return out
}

type callLister struct {
	at      Where
	scripts map[string]ScriptFacts
	calls   []StepCall
	gaps    []Gap
}

// Lookup makes the lister the scope of a document that is not running.
func (c *callLister) Lookup(r Ref) (any, error) {
	if r.Kind == RefGlobal {
		switch {
		case r.Name == "ACCOUNT_ID" && c.at.Account != "":
			return c.at.Account, nil
		case r.Name == "REGION" && c.at.Region != "":
			return c.at.Region, nil
		}
	}
	return apimodel.Unknown, nil
}

func (c *callLister) add(step string, pos Pos, service, operation string, input map[string]any) {
	c.calls = append(c.calls, StepCall{Step: step, Pos: pos, Call: apimodel.Call{
		Service: service, Operation: operation, Account: c.at.Account, Region: c.at.Region, Input: input,
	}})
}

func (c *callLister) gap(step string, pos Pos, format string, args ...any) {
	c.gaps = append(c.gaps, Gap{step, pos, fmt.Sprintf(format, args...)})
}

func (c *callLister) step(s *Step) {
	name, action, pos := s.Name, s.Action, s.Pos
	if action == ActionLoop {
		return // its body is listed step by step
	}
	inputs, err := ResolveInputs(s.Inputs, c)
	if err != nil {
		c.gap(name, pos, "its inputs cannot be read: %v", err)
		return
	}
	switch action {
	case ActionAPI, ActionAssert, ActionWait:
		c.api(name, action, inputs, pos)
		return
	case ActionBranch, ActionSleep, ActionPause, ActionUpdateVariable, ActionWebhook:
		return
	case ActionScript:
		c.script(s)
		return
	case ActionAutomation:
		c.gap(name, pos, "what the document %v calls is not derived; give its file as well", shown(inputs["DocumentName"]))
	case ActionCreateStack, ActionDeleteStack:
		if inputs["RoleARN"] == nil {
			c.gap(name, pos, "what the resources of its stack need is not derived")
		}
	}
	implied, ok := impliedCalls[action]
	if !ok {
		c.gap(name, pos, "action %s is not known", action)
		return
	}
	if action == ActionCreateTags && inputs["ResourceType"] == nil {
		inputs["ResourceType"] = "EC2"
	}
	for _, call := range implied {
		if call.when != "" && !strings.EqualFold(fmt.Sprint(inputs[call.member]), call.when) && inputs[call.member] != apimodel.Unknown {
			continue
		}
		input := map[string]any{}
		for member, from := range call.input {
			if v, given := inputs[from]; given {
				input[member] = v
			}
		}
		c.add(name, pos, call.service, call.operation, input)
		c.calls[len(c.calls)-1].Partial = true
	}
}

// maxGaps bounds how many places of one script are named.
const maxGaps = 10

func (c *callLister) script(s *Step) {
	facts, known := c.scripts[s.Name]
	switch {
	case !known:
		c.gap(s.Name, s.Pos, "what its script calls is not derived")
	case facts.Error != nil:
		c.gap(s.Name, s.Pos, "its script is not Python")
	}
	for i, gap := range facts.Unresolved {
		if i == maxGaps {
			c.gap(s.Name, s.Pos, "%d more places of its script cannot be followed", len(facts.Unresolved)-i)
			break
		}
		c.gap(s.Name, s.scriptPos(gap.Line), "line %d of its script: %.200s", gap.Line, gap.What)
	}
	for _, call := range facts.Calls {
		c.calls = append(c.calls, StepCall{Step: s.Name, Pos: s.scriptPos(call.Line), Call: apimodel.Call{
			Service: call.Service, Operation: call.Operation, Account: c.at.Account, Region: c.at.Region,
		}})
	}
}

func shown(v any) any {
	if text, ok := v.(string); ok && strings.Contains(text, apimodel.Unknown) {
		return "that it starts"
	}
	return v
}

func (c *callLister) api(name, action string, inputs map[string]any, pos Pos) {
	service, _ := inputs["Service"].(string)
	api, _ := inputs["Api"].(string)
	if service == "" || api == "" || strings.Contains(service+api, apimodel.Unknown) {
		c.gap(name, pos, "its Service and Api are not fixed")
		return
	}
	input := map[string]any{}
	for k, v := range inputs {
		if k == "Service" || k == "Api" || action != ActionAPI && (k == "PropertySelector" || k == "DesiredValues") {
			continue
		}
		input[k] = v
	}
	c.add(name, pos, service, api, input)
}

// impliedCall is a call that an action makes by itself. input says which of its
// members come from which of the step's inputs; with when, the call is made only
// where the step's input member has that value.
type impliedCall struct {
	service, operation string
	input              map[string]string
	member, when       string
}

// impliedCalls are the calls of the actions that Systems Manager documents in
// its reference of actions.
var impliedCalls = map[string][]impliedCall{
	ActionApprove: {{service: "sns", operation: "Publish", input: map[string]string{"TopicArn": "NotificationArn"}}},
	ActionChangeState: {
		{service: "ec2", operation: "StartInstances", input: map[string]string{"InstanceIds": "InstanceIds"}, member: "DesiredState", when: "running"},
		{service: "ec2", operation: "StopInstances", input: map[string]string{"InstanceIds": "InstanceIds"}, member: "DesiredState", when: "stopped"},
		{service: "ec2", operation: "TerminateInstances", input: map[string]string{"InstanceIds": "InstanceIds"}, member: "DesiredState", when: "terminated"},
		{service: "ec2", operation: "DescribeInstances"},
		{service: "ec2", operation: "DescribeInstanceStatus"},
	},
	ActionCopyImage: {
		{service: "ec2", operation: "CopyImage", input: map[string]string{"SourceImageId": "SourceImageId"}}, {service: "ec2", operation: "DescribeImages"},
	},
	ActionCreateImage: {
		{service: "ec2", operation: "CreateImage", input: map[string]string{"InstanceId": "InstanceId"}}, {service: "ec2", operation: "DescribeImages"},
	},
	ActionCreateStack: {
		{service: "cloudformation", operation: "CreateStack", input: map[string]string{"StackName": "StackName", "RoleARN": "RoleARN"}},
		{service: "cloudformation", operation: "DescribeStacks", input: map[string]string{"StackName": "StackName"}},
	},
	ActionCreateTags: {
		{service: "ec2", operation: "CreateTags", input: map[string]string{"Resources": "ResourceIds", "Tags": "Tags"}, member: "ResourceType", when: "EC2"},
		{service: "ec2", operation: "DescribeTags"},
		{service: "ssm", operation: "AddTagsToResource", member: "ResourceType", when: "ManagedInstance"},
		{service: "ssm", operation: "AddTagsToResource", member: "ResourceType", when: "MaintenanceWindow"},
		{service: "ssm", operation: "AddTagsToResource", member: "ResourceType", when: "Parameter"},
	},
	ActionDeleteImage: {
		{service: "ec2", operation: "DeregisterImage", input: map[string]string{"ImageId": "ImageId"}},
		{service: "ec2", operation: "DescribeImages"},
		{service: "ec2", operation: "DeleteSnapshot"},
	},
	ActionDeleteStack: {
		{service: "cloudformation", operation: "DeleteStack", input: map[string]string{"StackName": "StackName", "RoleARN": "RoleARN"}},
		{service: "cloudformation", operation: "DescribeStacks", input: map[string]string{"StackName": "StackName"}},
	},
	ActionAutomation: {
		{service: "ssm", operation: "StartAutomationExecution", input: map[string]string{"DocumentName": "DocumentName"}},
		{service: "ssm", operation: "GetAutomationExecution"},
	},
	ActionStateMachine: {
		{service: "stepfunctions", operation: "StartExecution", input: map[string]string{"stateMachineArn": "stateMachineArn"}},
		{service: "stepfunctions", operation: "DescribeExecution"},
		{service: "stepfunctions", operation: "StopExecution"},
	},
	ActionLambda: {{service: "lambda", operation: "Invoke", input: map[string]string{"FunctionName": "FunctionName"}}},
	ActionRunCommand: {
		{service: "ssm", operation: "SendCommand", input: map[string]string{"DocumentName": "DocumentName", "InstanceIds": "InstanceIds"}},
		{service: "ssm", operation: "ListCommands"},
		{service: "ssm", operation: "ListCommandInvocations"},
	},
	ActionRunInstances: {
		{service: "ec2", operation: "RunInstances", input: map[string]string{
			"ImageId": "ImageId", "SubnetId": "SubnetId", "SecurityGroupIds": "SecurityGroupIds", "IamInstanceProfile": "IamInstanceProfileName", "TagSpecifications": "TagSpecifications",
		}},
		{service: "ec2", operation: "DescribeInstances"},
		{service: "ec2", operation: "DescribeInstanceStatus"},
	},
}
