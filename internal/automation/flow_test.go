package automation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/automation"
)

// path gives the labels of the calls that were made.
func path(c *caller) string {
	var out []string
	for _, call := range c.calls {
		label, _, _ := strings.Cut(call, ":")
		out = append(out, label)
	}
	return strings.Join(out, " ")
}

// body indents steps into a loop.
func body(steps string) string {
	var b strings.Builder
	for line := range strings.Lines(steps) {
		b.WriteString("    " + line)
	}
	return b.String()
}

func TestLoops(t *testing.T) {
	t.Parallel()
	each := "- name: L\n  action: aws:loop\n"
	inputs := "  inputs:\n    Iterators: '{{ Names }}'\n    Steps:\n"
	no := apiError("No")
	for name, tt := range map[string]struct {
		steps   string
		answers map[string][]any
		want    automation.Status
		path    string
		outputs map[string]any // of the last call
	}{
		"over a list": {each + inputs + body(step("A", "")+step("B", "")) + step("C", ""), nil, automation.Success, "A B A#2 B#2 C", nil},
		"the body ends early": {
			each + inputs + body(step("A", "  isEnd: true\n")+step("B", "")) + step("C", ""), nil, automation.Success, "A A#2 C", nil,
		},
		"the loop is the end": {each + "  isEnd: true\n" + inputs + body(step("A", "")) + step("C", ""), nil, automation.Success, "A A#2", nil},
		"the loop goes elsewhere": {
			each + "  nextStep: D\n" + inputs + body(step("A", "")) + step("C", "") + step("D", ""), nil, automation.Success, "A A#2 D", nil,
		},
		"a step of the body aborts": {
			each + "  onFailure: Continue\n" + inputs + body(step("A", "")) + step("C", ""), map[string][]any{"A#2:A": {no}}, automation.Failed, "A A#2", nil,
		},
		"a step of the body continues": {
			each + inputs + body(step("A", "  onFailure: Continue\n")+step("B", "")) + step("C", ""), map[string][]any{"A": {no}}, automation.Success, "A B A#2 B#2 C", nil,
		},
		"a failure inside the body": {
			each + inputs + body(step("A", "  onFailure: step:R\n")+step("B", "  isEnd: true\n")+step("R", "")) + step("C", ""), map[string][]any{"A:A": {no}}, automation.Failed, "A R A#2 B C", nil,
		},
		"a failure leaves the body": {
			each + inputs + body(step("A", "  onFailure: step:D\n  isCritical: false\n")) + step("C", "") + step("D", ""), map[string][]any{"A": {no}}, automation.Success, "A D", nil,
		},
		"nothing to go over": {strings.Replace(each+inputs, "'{{ Names }}'", "[]", 1) + body(step("A", "")) + step("C", ""), nil, automation.Success, "C", nil},
		"in the type of its items": {
			"- name: L\n  action: aws:loop\n  inputs:\n    Iterators: ['1', 2]\n    IteratorDataType: Integer\n    Steps:\n" +
				body("- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: A, V: '{{ L.CurrentIteratorValue }}', N: '{{ L.CurrentIteration }}'}}\n"),
			nil, automation.Success, "A A#2",
			map[string]any{"V": int64(2), "N": int64(2)},
		},
		"at most so often": {strings.Replace(each+inputs, "    Iterators", "    MaxIterations: 1\n    Iterators", 1) + body(step("A", "")) + step("C", ""), nil, automation.Success, "A C", nil},
		"while a condition holds": {
			"- name: L\n  action: aws:loop\n  inputs:\n    MaxIterations: '{{ Count }}'\n    LoopCondition: {Variable: '{{ A.More }}', StringEquals: 'yes'}\n    Steps:\n" +
				body(step("A", "  outputs: [{Name: More, Selector: $.More}]\n")) + step("C", ""),
			map[string][]any{"A": {map[string]any{"More": "yes"}, map[string]any{"More": "no"}}},
			automation.Success, "A A#2 C", nil,
		},
		"the condition holds for ever": {
			"- name: L\n  action: aws:loop\n  inputs:\n    MaxIterations: '{{ Count }}'\n    LoopCondition: {Variable: '{{ Flag }}', BooleanEquals: true}\n    Steps:\n" + body(step("A", "")) + step("C", ""),
			nil, automation.Success, "A A#2 A#3 C", nil,
		},
		"the condition is none": {
			"- name: L\n  action: aws:loop\n  onFailure: step:C\n  inputs:\n    LoopCondition: {Variable: '{{ Name }}', NumericEquals: 1}\n    Steps:\n" + body(step("A", "")) + step("B", "") + step("C", ""),
			nil, automation.Failed, "A C", nil,
		},
		"loops in loops": {
			each + inputs + body("- name: M\n  action: aws:loop\n"+inputs+body(step("A", ""))+step("B", "")) + step("C", ""),
			nil, automation.Success, "A A#2 B A#3 A#4 B#2 C", nil,
		},
		"out of two loops": {
			each + inputs + body("- name: M\n  action: aws:loop\n"+inputs+body(step("A", "  onFailure: step:C\n"))+step("B", "")) + step("C", ""),
			map[string][]any{"A": {no}},
			automation.Failed, "A C", nil,
		},
		"a branch inside the body": {
			each + inputs + body("- name: X\n  action: aws:branch\n  inputs: {Choices: [{Variable: '{{ L.CurrentIteration }}', NumericEquals: 1, NextStep: B}], Default: C}\n"+step("A", "")+step("B", "")) + step("C", ""),
			nil, automation.Success, "B C", nil,
		},
		"into a loop": {
			step("Z", "  onFailure: step:A\n") + each + inputs + body(step("A", "")), map[string][]any{"Z": {no}}, automation.Failed, "Z", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, tt.steps)
			for op, list := range tt.answers {
				f.caller.answers[op] = list
			}
			o, _ := f.finish(t)
			if got := path(f.caller); got != tt.path || o.Status != tt.want {
				t.Errorf("went %q and ended %s, want %q and %s: %+v", got, o.Status, tt.path, tt.want, o.Failure)
			}
			if len(o.State.Frames) != 0 {
				t.Errorf("frames are left: %+v", o.State.Frames)
			}
			if tt.outputs != nil {
				if diff := cmp.Diff(tt.outputs, f.caller.inputs[len(f.caller.inputs)-1]); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestLoopTimesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", `
mainSteps:
- name: L
  action: aws:loop
  timeoutSeconds: 100
  onFailure: step:End
  inputs:
    Iterators: [a, b, c, d, e]
    Steps:
    - {name: S, action: "aws:sleep", inputs: {Duration: PT40S}}
`+step("Never", "")+step("End", ""))
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.TimedOut || path(w.caller) != "End" || o.State.Passes["S"] != 3 {
		t.Errorf("%s %v %+v %v", o.Status, w.caller.calls, o.Failure, o.State.Passes)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	run := func(typ, constraint, value string) automation.Outcome {
		w := newWorld(t)
		w.document("Main", "variables: {V: {type: "+typ+constraint+"}}\nmainSteps:\n- {name: U, action: 'aws:updateVariable', inputs: {Name: 'variable:V', Value: "+value+"}}\n- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: A, V: '{{ variable:V }}'}}\n")
		w.start("Main", nil)
		return w.finish()
	}
	for _, ok := range [][3]string{
		{"String", "", "text"},
		{"Integer", "", "5"},
		{"Boolean", "", "true"},
		{"StringList", "", "[a, b]"},
		{"StringMap", "", "{a: 1}"},
		{"MapList", "", "[{a: 1}]"},
		{"String", ", allowedValues: [a, b]", "b"},
		{"String", ", allowedPattern: '^[a-z]+$'", "abc"},
		{"MapList", "", "[]"},
		{"StringList", "", "[]"},
	} {
		if o := run(ok[0], ok[1], ok[2]); o.Status != automation.Success {
			t.Errorf("%v: %+v", ok, o.Failure)
		}
	}
	long := `"` + strings.Repeat("x", 70<<10) + `"`
	for _, bad := range [][3]string{
		{"Integer", "", "'5'"},
		{"Boolean", "", "'true'"},
		{"String", "", "5"},
		{"String", "", "[a]"},
		{"StringList", "", "a"},
		{"StringMap", "", "[{a: 1}]"},
		{"MapList", "", "[a]"},
		{"String", ", allowedValues: [a, b]", "c"},
		{"String", ", allowedPattern: '^[a-z]+$'", "A"},
		{"StringList", ", maxItems: 1", "[a, b]"},
		{"StringList", "", "[" + strings.Repeat("a,", 50) + "a]"},
		{"StringMap", "", "{" + strings.Repeat("k", 51) + ": 1}"},
		{"String", "", long},
	} {
		if o := run(bad[0], bad[1], bad[2]); o.Status != automation.Failed || o.Failure.Type != automation.FailureInputValidation {
			t.Errorf("%.60v: %+v", bad, o)
		}
	}
}

func TestPlanningWithStandIns(t *testing.T) {
	t.Parallel()
	const standIn = "known after apply"
	read := step("A", "  outputs: [{Name: V, Selector: $.V}, {Name: N, Selector: $.V, Type: Integer}, {Name: L, Selector: $.L, Type: StringList}]\n")
	for name, tt := range map[string]struct{ steps, open string }{
		"a wait counts as met":   {"- {name: W, action: 'aws:waitForAwsResourceProperty', inputs: {Service: s3, Api: A, PropertySelector: $.V, DesiredValues: [x]}}\n", ""},
		"an assertion is open":   {"- {name: W, action: 'aws:assertAwsResourceProperty', inputs: {Service: s3, Api: A, PropertySelector: $.V, DesiredValues: [x]}}\n", "step W asserts"},
		"a branch is open":       {read + "- {name: X, action: 'aws:branch', inputs: {Choices: [{Variable: '{{ A.V }}', StringEquals: a, NextStep: A}]}}\n", "step X branches on {{ A.V }}"},
		"a branch that need not": {read + "- {name: X, action: 'aws:branch', inputs: {Choices: [{Variable: '{{ Name }}', StringEquals: alpha, NextStep: B}, {Variable: '{{ A.V }}', StringEquals: a, NextStep: A}]}}\n" + step("B", ""), ""},
		"a loop is open":         {read + "- name: L\n  action: aws:loop\n  inputs:\n    Iterators: '{{ A.L }}'\n    Steps:\n" + body(step("B", "")), "step L goes over {{ A.L }}"},
		"a condition is open":    {"- name: L\n  action: aws:loop\n  inputs:\n    LoopCondition: {Variable: '{{ A.V }}', StringEquals: a}\n    Steps:\n" + body(read), "step L repeats by {{ A.V }}"},
		"a limit is open":        {read + "- name: L\n  action: aws:loop\n  inputs:\n    Iterators: [a]\n    MaxIterations: '{{ A.N }}'\n    Steps:\n" + body(step("B", "")), "step L repeats up to {{ A.N }} times"},
		"attempts are open":      {read + step("B", "  maxAttempts: '{{ A.N }}'\n"), "step B has limits from {{ A.N }}"},
		"a failure on one":       {read + "- {name: F, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Fail, V: '{{ A.V }}'}}\n", "step F works on what only applying will tell"},
		"a sleep of unknown":     {read + "- {name: S, action: 'aws:sleep', inputs: {Duration: '{{ A.V }}'}}\n" + step("B", ""), ""},
		"people are passed over": {"- {name: P, action: 'aws:approve', inputs: {Approvers: [ann]}}\n- {name: Q, action: 'aws:pause', inputs: {}}\n" + step("B", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, tt.steps)
			f.run.Planning, f.run.Steps = true, nil
			f.run.Unknown = func(v any) bool { return strings.Contains(mustJSON(t, v), standIn) }
			f.caller.answers["A"] = []any{map[string]any{"V": standIn, "L": []any{standIn}}}
			f.caller.answers["Fail"] = []any{apiError("No")}
			o := f.segment(t)
			if tt.open == "" && (o.Status != automation.Success || o.Open != "") || !strings.Contains(o.Open, tt.open) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestHistory: what GetAutomationExecution shows of a step.
func TestHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", `
mainSteps:
- name: Choose
  action: aws:branch
  inputs: {Choices: [{Variable: x, StringEquals: x, NextStep: L}], Default: End}
- name: L
  action: aws:loop
  inputs:
    Iterators: [a, b]
    Steps:
    - {name: A, action: "aws:executeAwsApi", maxAttempts: 2, timeoutSeconds: 30, onFailure: "step:End", inputs: {Service: s3, Api: A}}
- {name: End, action: "aws:executeAwsApi", isEnd: true, isCritical: false, onFailure: Continue, inputs: {Service: s3, Api: End}}
`)
	w.caller.answers["A:A"] = []any{apiError("No"), map[string]any{}}
	w.start("Main", nil)
	w.finish()
	ids := map[string]bool{}
	var lines []string
	for _, r := range w.records {
		if len(r.ID) != 36 {
			t.Errorf("id %q", r.ID)
		}
		ids[r.ID] = true
		if r.Status == automation.InProgress {
			continue
		}
		line := r.Label + " " + string(r.Status) + " " + strings.Join(r.ValidNextSteps, ",")
		if r.Parent != nil {
			line += " in " + r.Parent.Name + " " + r.Parent.IteratorValue
			if !ids[r.Parent.ID] {
				t.Errorf("the parent %s of %s is not known", r.Parent.ID, r.Label)
			}
		}
		lines = append(lines, line)
		if r.Name == "A" && (r.MaxAttempts != 2 || r.TimeoutSeconds != 30 || r.OnFailure != "step:End" || !r.IsCritical || r.Parent == nil) {
			t.Errorf("%+v", r)
		}
	}
	want := []string{
		"Choose Success L,End", "A Failed  in L a", "A Success  in L a", "A#2 Success  in L b", "L Success End", "End Success ",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if len(ids) != 5 {
		t.Errorf("%d ids", len(ids))
	}
}

// TestLargeOutputsGoToBlobs: the state stays small, and later segments find them.
func TestLargeOutputsGoToBlobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	big := strings.Repeat("x", 200<<10)
	w.caller.answers["A"] = []any{map[string]any{"V": big}}
	w.document("Main", "mainSteps:\n"+step("A", "  outputs: [{Name: V, Selector: $.V}]\n")+"- {name: S, action: 'aws:sleep', inputs: {Duration: PT1H}}\n- {name: B, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: B, V: '{{ A.V }}'}}\noutputs: [A.V]\n")
	e := w.start("Main", nil)
	w.onWait = func(string, automation.Outcome) {
		if len(e.state) > 4<<10 {
			t.Errorf("the state has %d bytes", len(e.state))
		}
	}
	o := w.finish()
	if o.Status != automation.Success || w.caller.inputs[1]["V"] != big || o.Outputs["A.V"][0] != big || len(w.blobs) != 1 {
		t.Errorf("%s, %d blobs", o.Status, len(w.blobs))
	}
}

func TestWithoutBlobsOutputsHaveALimit(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", "  outputs: [{Name: V, Selector: $.V}]\n"))
	f.caller.answers["A"] = []any{map[string]any{"V": strings.Repeat("x", 300<<10)}}
	if o := f.segment(t); o.Status != automation.Failed || !strings.Contains(o.Failure.Message, "the limit is 262144") {
		t.Errorf("%+v", o.Failure)
	}
}

// What an action needs and nobody wired is a failure of the step, not a panic.
func TestActionsWithoutTheirPorts(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		script("A", "x", "y"), "- {name: A, action: 'aws:executeAutomation', inputs: {DocumentName: Other}}\n", "- {name: A, action: 'aws:approve', inputs: {Approvers: [ann]}}\n",
	} {
		f := setup(t, s)
		if o := f.segment(t); o.Status != automation.Failed || !strings.Contains(o.Failure.Message, "is not available") {
			t.Errorf("%s: %+v", s, o.Failure)
		}
	}
}
