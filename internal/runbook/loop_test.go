package runbook_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/runbook"
)

const stopAll = `
schemaVersion: "0.3"
parameters:
  InstanceIds: {type: StringList}
variables:
  Stopped: {type: Integer, default: 0}
files:
  helper.zip:
    checksums:
      sha256: E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855
    size: 12
mainSteps:
  - name: EachInstance
    action: aws:loop
    inputs:
      Iterators: "{{ InstanceIds }}"
      IteratorDataType: String
      MaxIterations: 50
      Steps:
        - name: StopOne
          action: aws:changeInstanceState
          onFailure: step:Report
          inputs:
            InstanceIds: ["{{ EachInstance.CurrentIteratorValue }}"]
            DesiredState: stopped
        - name: Count
          action: aws:updateVariable
          isEnd: true
          inputs: {Name: "variable:Stopped", Value: "{{ EachInstance.CurrentIteration }}"}
  - name: Report
    action: aws:loop
    inputs:
      LoopCondition: {Variable: "{{ Look.State }}", StringEquals: stopping}
      Steps:
        - name: Look
          action: aws:executeAwsApi
          inputs: {Service: ec2, Api: DescribeInstances, InstanceIds: "{{ InstanceIds }}"}
          outputs: [{Name: State, Selector: "$.Reservations[0].Instances[0].State.Name", Type: String}]
outputs: [Look.State]
`

func TestLoopBodiesAreSteps(t *testing.T) {
	t.Parallel()
	d := parse(t, stopAll)
	if problems := runbook.Check(d, runbook.CheckOptions{}).Problems; len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
	each, _ := d.Step("EachInstance")
	if each.Loop == nil || each.Loop.DataType != "String" || each.Loop.MaxIterations != int64(50) || each.Loop.Condition != nil || each.Loop.First().Name != "StopOne" {
		t.Errorf("loop %+v", each.Loop)
	}
	count, ok := d.Step("Count")
	if !ok || count.Within != "EachInstance" || !d.Inside(count, "EachInstance") || d.Inside(each, "EachInstance") {
		t.Errorf("body step %+v", count)
	}
	next, ok := d.After("StopOne")
	if !ok || next != count {
		t.Errorf("after StopOne comes %+v", next)
	}
	if after, ok := d.After("Count"); ok {
		t.Errorf("after the body's last step comes %s", after.Name)
	}
	if after, _ := d.After("EachInstance"); after.Name != "Report" || after.Loop.Condition.Operator != "StringEquals" {
		t.Errorf("after the loop comes %+v", after)
	}
	var names []string
	for _, s := range d.All() {
		names = append(names, s.Name)
	}
	if want := []string{"EachInstance", "StopOne", "Count", "Report", "Look"}; !slices.Equal(names, want) {
		t.Errorf("all steps %v, want %v", names, want)
	}
	f := d.Files[0]
	if f.Name != "helper.zip" || f.Size != 12 || !strings.HasPrefix(f.SHA256, "e3b0c442") {
		t.Errorf("file %+v", f)
	}
}

func TestLoopsThatAreRefused(t *testing.T) {
	t.Parallel()
	const head = "schemaVersion: '0.3'\nmainSteps:\n"
	const body = "Steps: [{name: B, action: 'aws:sleep', inputs: {Duration: PT1S}}]"
	const while = "LoopCondition: {Variable: x, StringEquals: x}, "
	loop := func(inputs string) string {
		return head + "- {name: A, action: 'aws:loop', inputs: {" + inputs + "}}\n"
	}
	tests := map[string]struct{ text, want string }{
		"no inputs":       {head + "- {name: A, action: 'aws:loop', inputs: {}}\n", "exactly one of Iterators and LoopCondition"},
		"both":            {loop(while + "Iterators: [a], " + body), "exactly one of Iterators and LoopCondition"},
		"no steps":        {loop("Iterators: [a]"), "the loop has no Steps"},
		"empty steps":     {loop("Iterators: [a], Steps: []"), "Steps is a list without steps"},
		"iterators":       {loop("Iterators: abc, " + body), "not a list or a reference"},
		"data type":       {loop("Iterators: [a], IteratorDataType: Float, " + body), `IteratorDataType is "Float"`},
		"too many":        {loop(while + "MaxIterations: 101, " + body), "the limit is 100"},
		"none":            {loop(while + "MaxIterations: 0, " + body), "not a whole number above 0"},
		"condition":       {loop("LoopCondition: {Variable: x, Like: x}, " + body), `"Like" is not an operator`},
		"name taken":      {loop(while+body) + "- {name: B, action: 'aws:sleep', inputs: {Duration: PT1S}}\n", `the name "B" is taken`},
		"own name":        {loop(while + "Steps: [{name: A, action: 'aws:sleep', inputs: {Duration: PT1S}}]"), `the name "A" is taken`},
		"attachment path": {"schemaVersion: '0.3'\nfiles: {../x: {size: 1}}\nmainSteps: [{name: B, action: 'aws:sleep', inputs: {Duration: PT1S}}]\n", "cannot be the name of an attachment"},
		"attachment sum":  {"schemaVersion: '0.3'\nfiles: {x: {checksums: {sha256: abc}}}\nmainSteps: [{name: B, action: 'aws:sleep', inputs: {Duration: PT1S}}]\n", "not a SHA-256"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := runbook.Parse([]byte(tt.text))
			var refused *runbook.ParseError
			if !errors.As(err, &refused) || !slices.ContainsFunc(refused.Problems, func(p runbook.Problem) bool { return strings.Contains(p.Message, tt.want) }) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCheckOfLoops(t *testing.T) {
	t.Parallel()
	const head = "schemaVersion: '0.3'\nmainSteps:\n"
	const sleep = "action: 'aws:sleep', inputs: {Duration: PT1S}"
	loop := func(extra, body string) string {
		return head + "- {name: L, action: 'aws:loop', " + extra + "inputs: {Iterators: [a], Steps: [" + body + "]}}\n"
	}
	tests := map[string]struct {
		text string
		want []string
	}{
		"way out by failure": {loop("", "{name: B, onFailure: 'step:C', "+sleep+"}") + "- {name: C, " + sleep + "}\n", nil},
		"way out by next":    {loop("", "{name: B, nextStep: C, "+sleep+"}") + "- {name: C, " + sleep + "}\n", []string{"step_scope warning"}},
		"way in":             {loop("", "{name: B, "+sleep+"}") + "- {name: C, isEnd: true, onFailure: 'step:B', " + sleep + "}\n", []string{"step_scope error"}},
		"branch in":          {loop("", "{name: B, "+sleep+"}") + "- {name: C, isEnd: true, action: 'aws:branch', inputs: {Choices: [{Variable: x, StringEquals: x, NextStep: B}]}}\n", []string{"step_scope error"}},
		"cancel on loop":     {loop("onCancel: 'step:C', ", "{name: B, "+sleep+"}") + "- {name: C, " + sleep + "}\n", []string{"on_cancel error"}},
		"circle in a body":   {loop("", "{name: B, "+sleep+"}, {name: C, nextStep: B, "+sleep+"}"), []string{"no_exit error", "no_exit error"}},
		"unreachable inside": {loop("", "{name: B, isEnd: true, "+sleep+"}, {name: C, "+sleep+"}"), []string{"unreachable_step warning"}},
		"unknown action":     {loop("", "{name: B, action: 'aws:nothing', inputs: {}}"), []string{"unknown_action error"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := runbook.Check(parse(t, tt.text), runbook.CheckOptions{}).Problems
			var got []string
			for _, p := range problems {
				got = append(got, p.Code+" "+string(p.Severity))
			}
			if len(got) != len(tt.want) || slices.ContainsFunc(tt.want, func(w string) bool {
				return !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, w) })
			}) {
				t.Errorf("problems %v, want %v", problems, tt.want)
			}
		})
	}
}
