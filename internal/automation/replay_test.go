package automation_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
)

// scriptCalls makes a handler that makes calls in order and returns their Size.
func scriptCalls(operations ...string) func(context.Context, automation.Script) (automation.ScriptResult, error) {
	return func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
		sizes := []any{}
		for _, op := range operations {
			reply, err := s.Call(ctx, apimodel.Call{Service: "s3", Operation: op, Input: map[string]any{"For": s.Payload}})
			var api *apimodel.APIError
			if errors.As(err, &api) {
				sizes = append(sizes, api.Code)
				continue
			}
			if err != nil {
				return automation.ScriptResult{Failure: &automation.ScriptFailure{Type: "Stop", Message: err.Error(), Stop: err}}, nil
			}
			sizes = append(sizes, reply.Output["Size"])
		}
		return automation.ScriptResult{Payload: map[string]any{"Sizes": sizes}}, nil
	}
}

const scriptForm = "  inputs: {Runtime: python3.11, Handler: %s, Script: 'def x(): pass', InputPayload: {Of: '%s'}}\n"

func script(name, handler, of string) string {
	return "- name: " + name + "\n  action: aws:executeScript\n" + strings.Replace(strings.Replace(scriptForm, "%s", handler, 1), "%s", of, 1)
}

// stories are documents that hold everything a replay can go wrong with.
var stories = map[string]func(w *world){
	"a script in a loop": func(w *world) {
		w.handlers["fix"] = scriptCalls("GetThing", "PutThing", "GetMissing", "PutOther")
		w.caller.answers["GetMissing"] = []any{apiError("NoSuchThing")}
		w.caller.answers["GetThing"] = []any{map[string]any{"Size": int64(1)}}
		w.document("Main", `
parameters:
  Names: {type: StringList, default: [a, b, c]}
variables:
  Last: {type: String, default: none}
mainSteps:
- name: Each
  action: aws:loop
  inputs:
    Iterators: "{{ Names }}"
    Steps:
    - name: Fix
      action: aws:executeScript
      inputs: {Runtime: python3.11, Handler: fix, Script: "def fix(e, c): pass", InputPayload: {Of: "{{ Each.CurrentIteratorValue }}"}}
      outputs: [{Name: First, Selector: "$.Payload.Sizes[0]", Type: Integer}]
    - name: Note
      action: aws:updateVariable
      inputs: {Name: "variable:Last", Value: "{{ Each.CurrentIteratorValue }}"}
    - name: Rest
      action: aws:sleep
      inputs: {Duration: PT5S}
- name: Report
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutReport, Last: "{{ variable:Last }}", N: "{{ Each.CurrentIteration }}"}
outputs: [Fix.OutputPayload, Fix.First, Each.CurrentIteration]
`)
	},
	"children that sleep": func(w *world) {
		w.document("Child", `
parameters: {Name: {type: String}}
mainSteps:
- name: Read
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: GetThing, Name: "{{ Name }}"}
  outputs: [{Name: Size, Selector: $.Size, Type: Integer}]
- name: Sleep
  action: aws:sleep
  inputs: {Duration: PT2H}
- name: Write
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutThing, Name: "{{ Name }}"}
outputs: [Read.Size, Read.Size]
`)
		w.caller.answers["GetThing"] = []any{map[string]any{"Size": int64(7)}}
		w.document("Main", `
mainSteps:
- name: One
  action: aws:executeAutomation
  inputs: {DocumentName: Child, RuntimeParameters: {Name: [first]}}
- name: Two
  action: aws:executeAutomation
  inputs: {DocumentName: Child, RuntimeParameters: {Name: "{{ One.Output }}"}}
  onFailure: step:Clean
- name: Clean
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutClean, Status: "{{ One.Status }}"}
outputs: [One.Output, One.ExecutionId]
`)
	},
	"a run on targets": func(w *world) {
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			w.targets = append(w.targets, automation.Target{Key: key, Location: -1, Parameters: map[string]any{"Name": []any{key}}})
		}
		w.handlers["fix"] = scriptCalls("GetThing", "PutThing")
		w.document("Child", "parameters: {Name: {type: String}, Note: {type: String}}\nmainSteps:\n"+script("Fix", "fix", "{{ Name }}")+"  outputs: [{Name: S, Selector: $.Payload.Sizes, Type: StringList}]\noutputs: [Fix.S]\n")
		doc, parameters, err := automation.Fan(w.documents["Child"], "Child", "", map[string]any{"Note": "{{ global:DATE }}"}, automation.FanSpec{
			TargetParameterName: "Name", Targets: []map[string]any{{"Key": "ParameterValues", "Values": []any{"a", "b", "c", "d", "e"}}}, MaxConcurrency: "3",
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if parameters["Note"] != "{{ global:DATE }}" {
			w.t.Errorf("parameters %v", parameters)
		}
		w.documents["Main"], w.given = doc, parameters
	},
	"waits, branches and circles": func(w *world) {
		busy, ready := items("busy"), items("ready")
		w.caller.answers["DescribeThing"] = []any{busy, busy, busy, ready}
		w.caller.answers["Ask:GetMore"] = []any{map[string]any{"More": true}}
		w.caller.answers["GetMore"] = []any{map[string]any{"More": false}}
		w.document("Main", `
mainSteps:
- name: Ask
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: GetMore}
  outputs: [{Name: More, Selector: $.More, Type: Boolean}]
- name: Put
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutThing}
- name: Wait
  action: aws:waitForAwsResourceProperty
  inputs: {Service: s3, Api: DescribeThing, PropertySelector: "$.Items..State", DesiredValues: [ready]}
- name: Again
  action: aws:branch
  inputs: {Choices: [{Variable: "{{ Ask.More }}", BooleanEquals: true, NextStep: Ask}], Default: Repeat}
- name: Repeat
  action: aws:loop
  inputs:
    MaxIterations: 3
    LoopCondition: {Variable: "{{ Repeat.CurrentIteration }}", NumericLesser: 3}
    Steps:
    - {name: In, action: "aws:executeAwsApi", inputs: {Service: s3, Api: PutIn, When: "{{ global:DATE_TIME }}"}}
- name: End
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutEnd}
outputs: [Repeat.CurrentIteration]
`)
	},
	"people and signals": func(w *world) {
		w.document("Main", `
mainSteps:
- name: Ask
  action: aws:approve
  inputs: {Approvers: [ann, bob, cat], MinRequiredApprovals: 2, NotificationArn: "arn:aws:sns:eu-west-1:111122223333:Automation", Message: "{{ global:REGION }}"}
- name: Hold
  action: aws:pause
  inputs: {}
- name: End
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutEnd, How: "{{ Ask.ApprovalStatus }}"}
outputs: [Ask.ApprovalStatus, Ask.ApproverDecisions]
`)
		kinds := []automation.SignalKind{automation.SignalApprove, automation.SignalApprove, automation.SignalApprove, automation.SignalResume}
		people := []string{"ann", "ann", "bob", "ann"}
		w.onWait = func(id string, o automation.Outcome) {
			if n := len(w.signals[id]); n < len(kinds) {
				w.put(id, automation.Signal{Kind: kinds[n], By: people[n]})
			}
		}
	},
}

// TestKilledAtEveryWrite: the process ends before or after every durable write,
// and the end is that of the undisturbed run: outputs, status, and every change
// once, the one in flight apart.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := newWorld(t)
			story(whole)
			whole.start("Main", whole.given)
			want := whole.finish()
			if want.Status != automation.Success {
				t.Fatalf("undisturbed: %s %+v", want.Status, want.Failure)
			}
			for at := 1; at <= whole.writes; at++ {
				for _, after := range []bool{false, true} {
					w := newWorld(t)
					story(w)
					w.killAt, w.after = at, after
					w.start("Main", w.given)
					got := w.finish()
					if w.kills != 1 {
						t.Fatalf("write %d: killed %d times", at, w.kills)
					}
					if diff := cmp.Diff(want.Outputs, masked(got.Outputs, whole, w)); diff != "" || got.Status != want.Status {
						t.Errorf("write %d, after=%v: %s %s %+v", at, after, got.Status, diff, got.Failure)
					}
					extra := surplus(whole.caller.calls, w.caller.calls)
					if limit := map[bool]int{false: 1, true: 0}[after]; len(extra) > limit {
						t.Errorf("write %d, after=%v: made again: %v", at, after, extra)
					}
				}
			}
		})
	}
}

// masked is the outputs as they are; times of decisions differ by the kill.
func masked(outputs map[string][]string, whole, _ *world) map[string][]string {
	if _, ok := outputs["Ask.ApproverDecisions"]; ok {
		outputs["Ask.ApproverDecisions"] = whole.executions["exec-1"].outcome.Outputs["Ask.ApproverDecisions"]
	}
	return outputs
}

// surplus lists the calls of got that want does not have; a missing one shows as
// "-call". Reads of a wait depend on the time and are left out.
func surplus(want, got []string) []string {
	count := map[string]int{}
	for _, c := range want {
		count[c]--
	}
	for _, c := range got {
		count[c]++
	}
	var out []string
	for c, n := range count {
		if strings.Contains(c, "Describe") {
			continue
		}
		for range n {
			out = append(out, c)
		}
		if n < 0 {
			out = append(out, "-"+c, "-"+c)
		}
	}
	slices.Sort(out)
	return out
}

// TestPlanHasTheLabelsOfTheRun: what planning calls, step by step, is what the
// run calls.
func TestPlanHasTheLabelsOfTheRun(t *testing.T) {
	t.Parallel()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			undisturbed := newWorld(t)
			story(undisturbed)
			undisturbed.start("Main", undisturbed.given)
			if o := undisturbed.finish(); o.Status != automation.Success {
				t.Fatalf("%s %+v", o.Status, o.Failure)
			}
			w := newWorld(t)
			story(w)
			w.caller.answers["DescribeThing"] = []any{items("ready")}
			e := w.start("Main", w.given)
			e.run.Planning = true
			o, err := w.interpreter.Run(t.Context(), e.run)
			if err != nil || o.Status != automation.Success || o.Open != "" {
				t.Fatalf("%+v %v", o, err)
			}
			if diff := cmp.Diff(changesIn(undisturbed.caller.calls), changesIn(w.caller.calls)); diff != "" {
				t.Error(diff)
			}
			if w.writes != 0 || len(w.asked) != 0 {
				t.Errorf("planning wrote %d times and asked %v", w.writes, w.asked)
			}
			if len(w.documents) > 1 != (len(o.Documents) == 1) {
				t.Errorf("documents %v", o.Documents)
			}
		})
	}
}

func changesIn(calls []string) []string {
	var out []string
	for _, c := range calls {
		if !strings.Contains(c, ":Get") && !strings.Contains(c, ":Describe") {
			out = append(out, c)
		}
	}
	slices.Sort(out)
	return out
}

func TestRampDoubles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 40 {
		w.targets = append(w.targets, automation.Target{Key: string(rune('A' + i)), Location: -1})
	}
	w.document("Child", "mainSteps:\n- {name: S, action: 'aws:sleep', inputs: {Duration: PT1H}}\n")
	doc, _, err := automation.Fan(w.documents["Child"], "Child", "", nil, automation.FanSpec{Targets: []map[string]any{{"Key": "x"}}, MaxConcurrency: "50%"})
	if err != nil {
		t.Fatal(err)
	}
	w.documents["Main"] = doc
	w.start("Main", w.given)
	var running []int
	w.onWait = func(id string, o automation.Outcome) {
		if id == "exec-1" {
			running = append(running, len(o.State.Park.Fan.Running))
		}
	}
	began := w.clock.Now()
	if o := w.finish(); o.Status != automation.Success || w.most > 20 {
		t.Errorf("%s with %d at once", o.Status, w.most)
	}
	if took := w.clock.Now().Sub(began); took < 4*time.Hour || took > 10*time.Hour {
		t.Errorf("took %s: %v", took, running)
	}
	if !slices.Contains(running, 1) || !slices.Contains(running, 2) || !slices.Contains(running, 4) || slices.Max(running) > 20 {
		t.Errorf("running %v", running)
	}
}
