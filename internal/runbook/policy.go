package runbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// Where says in which account and region a document will run; "" = not known.
type Where struct {
	Account, Region string
	// Known, if not nil, gives what is known of parameters, variables and outputs, and
	// apimodel.Unknown for the rest.
	Known Scope
}

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
	if c.at.Known != nil {
		return c.at.Known.Lookup(r)
	}
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
	case ActionBranch, ActionSleep, ActionPause, ActionUpdateVariable:
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
	for _, call := range impliedCalls[action] {
		c.implied(s, call, inputs)
	}
	calls, err := ActionCalls(action, inputs, apimodel.Unknown)
	switch {
	case err != nil:
		c.gap(name, pos, "its inputs cannot be read: %v", err)
	case len(calls) == 0 && impliedCalls[action] == nil:
		c.gap(name, pos, "action %s is not known", action)
	}
	for _, call := range calls {
		label := name
		if call.Cancel {
			label += CancelLabel
		}
		partial := leaveOut(call.Input) || call.Partial
		c.add(label, pos, call.Service, call.Operation, call.Input)
		c.calls[len(c.calls)-1].Partial = partial
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

// CancelLabel stands behind the name of a step in that of the call which ends what
// a cancelled step has begun.
const CancelLabel = "~cancel"

// always are the members that a call of an action has whatever its inputs are.
var always = []string{
	"ClientRequestToken", "DocumentName", "FunctionName", "ImageId", "InstanceId", "InstanceIds", "MaxCount", "MinCount", "Name", "Resources", "ResourceId",
	"ResourceType", "SnapshotId", "SourceImageId", "SourceRegion", "StackName", "Tags", "name", "stateMachineArn",
}

// leaveOut takes from an input the members of which nothing is known and that the
// call may lack: a parameter that they come from may be empty.
func leaveOut(input map[string]any) (left bool) {
	for name, v := range input {
		if v == apimodel.Unknown && !slices.Contains(always, name) {
			delete(input, name)
			left = true
		}
	}
	return left
}

// implied adds a call of which the table names some members.
func (c *callLister) implied(s *Step, call impliedCall, inputs map[string]any) {
	input := map[string]any{}
	for member, from := range call.input {
		if v, given := inputs[from]; given {
			input[member] = v
		}
	}
	c.add(s.Name, s.Pos, call.service, call.operation, input)
	c.calls[len(c.calls)-1].Partial = true
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
// members come from which of the step's inputs.
type impliedCall struct {
	service, operation string
	input              map[string]string
}

// impliedCalls are the calls of the actions that ActionCalls does not list: they
// start children and ask people.
var impliedCalls = map[string][]impliedCall{
	ActionApprove: {{service: "sns", operation: "Publish", input: map[string]string{"TopicArn": "NotificationArn"}}},
	ActionAutomation: {
		{service: "ssm", operation: "StartAutomationExecution", input: map[string]string{"DocumentName": "DocumentName"}},
		{service: "ssm", operation: "GetAutomationExecution"},
	},
}
