package automation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

const childDocument = `
assumeRole: "{{ Role }}"
parameters: {Name: {type: String, allowedPattern: "^[a-z0-9]+$"}, Role: {type: String, default: ""}}
mainSteps:
- name: Do
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutThing, Name: "{{ Name }}"}
  outputs: [{Name: Id, Selector: $.Id}, {Name: Ids, Selector: $.Ids, Type: StringList}]
outputs: [Do.Ids, Do.Id]
`

func TestChild(t *testing.T) {
	t.Parallel()
	const start = "- name: C\n  action: aws:executeAutomation\n  inputs: {DocumentName: Child, RuntimeParameters: %s}\n"
	show := "- {name: S, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Show, Output: '{{ C.Output }}', Status: '{{ C.Status }}'}}\n"
	for name, tt := range map[string]struct {
		steps  string
		answer any
		want   automation.Status
		text   string
		show   map[string]any
		as     string
	}{
		"its outputs": {fmt.Sprintf(start, "{Name: [a]}") + show, map[string]any{"Id": "i", "Ids": []any{"x", "y"}}, automation.Success, "", map[string]any{"Output": []any{"x", "y", "i"}, "Status": "Success"}, "parent"},
		"its failure": {fmt.Sprintf(start, "{Name: a}") + show, apiError("No"), automation.Failed, "ended with Failed: Step fails when it is Executing. An error occurred (No)", nil, "parent"},
		"its failure, and on": {
			fmt.Sprintf(start, "{Name: a}") + "  onFailure: Continue\n" + show, apiError("No"), automation.Success, "", map[string]any{"Output": []any{"", ""}[1:], "Status": "Failed"}, "parent",
		},
		"a role of its own": {fmt.Sprintf(start, "{Name: a, Role: 'arn:aws:iam::111122223333:role/Own'}"), map[string]any{}, automation.Success, "", nil, "arn:aws:iam::111122223333:role/Own"},
		"no such document":  {strings.Replace(fmt.Sprintf(start, "{}"), "Child", "None", 1), nil, automation.Failed, "", nil, ""},
		"a bad name":        {strings.Replace(fmt.Sprintf(start, "{}"), "Child", "'../x y'", 1), nil, automation.Failed, "is no name of a document", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.document("Child", childDocument)
			w.document("Main", "mainSteps:\n"+tt.steps)
			w.caller.answers["PutThing"] = []any{tt.answer}
			if tt.answer == nil {
				w.caller.answers["PutThing"] = []any{map[string]any{}}
			}
			w.start("Main", nil).run.Role = "parent"
			o := w.finish()
			if o.Status != tt.want || tt.text != "" && !strings.Contains(o.Failure.Message, tt.text) {
				t.Fatalf("%s %+v", o.Status, o.Failure)
			}
			if tt.show != nil {
				if diff := cmp.Diff(tt.show, w.caller.inputs[1]); diff != "" {
					t.Error(diff)
				}
			}
			if tt.as != "" && w.caller.as[0] != tt.as {
				t.Errorf("as %q", w.caller.as[0])
			}
		})
	}
}

func TestAttemptsOfAChild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Child", childDocument)
	w.document("Main", "mainSteps:\n- name: C\n  action: aws:executeAutomation\n  maxAttempts: 3\n  inputs: {DocumentName: Child, RuntimeParameters: {Name: a}}\n")
	w.caller.answers["PutThing"] = []any{apiError("No"), map[string]any{}}
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Success || strings.Join(w.caller.calls, " ") != "C/Do:PutThing C/Do:PutThing" || len(w.executions) != 3 {
		t.Errorf("%+v %v %d", o.Failure, w.caller.calls, len(w.executions))
	}
}

// Time and cancellation reach the children; the parent ends when they have.
func TestChildIsStopped(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		props string
		want  automation.Status
		path  string
	}{
		"by its parent's time":    {"  timeoutSeconds: 60\n", automation.TimedOut, "C/Undo"},
		"by its parent's cancel":  {"  onCancel: step:Back\n", automation.Cancelled, "C/Undo Back"},
		"time, and on to a step":  {"  timeoutSeconds: 60\n  onFailure: step:Back\n", automation.TimedOut, "C/Undo Back"},
		"the step alone is ended": {"  onFailure: step:Back\n", automation.Failed, "C/Undo Back"},
		"cancelled with no undo":  {"", automation.Cancelled, "C/Undo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.document("Child", "mainSteps:\n- {name: S, action: 'aws:sleep', onCancel: 'step:Undo', inputs: {Duration: PT5H}}\n- {name: Never, action: 'aws:executeAwsApi', isEnd: true, inputs: {Service: s3, Api: N}}\n"+step("Undo", ""))
			w.document("Main", "mainSteps:\n- name: C\n  action: aws:executeAutomation\n"+tt.props+"  inputs: {DocumentName: Child}\n- {name: B, action: 'aws:executeAwsApi', isEnd: true, inputs: {Service: s3, Api: B}}\n"+step("Back", ""))
			kind := automation.SignalCancel
			if name == "the step alone is ended" {
				kind = automation.SignalStopStep
			}
			w.onWait = func(id string, _ automation.Outcome) {
				if id != "exec-1" && !strings.Contains(tt.props, "timeout") && len(w.signals["exec-1"]) == 0 {
					w.put("exec-1", automation.Signal{Kind: kind, By: "eve"})
				}
			}
			w.start("Main", nil)
			o := w.finish()
			if o.Status != tt.want || path(w.caller) != tt.path {
				t.Errorf("%s %v %+v", o.Status, w.caller.calls, o.Failure)
			}
			if took := w.clock.Now().Sub(newClock().Now()); took > 2*time.Minute {
				t.Errorf("took %s", took)
			}
		})
	}
}

// fan starts a run of Child on keys, of which some fail.
func fan(t *testing.T, spec automation.FanSpec, keys []string, failing ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.document("Child", childDocument)
	for _, k := range keys {
		w.targets = append(w.targets, automation.Target{Key: k, Location: -1, Parameters: map[string]any{"Name": []any{k}}})
	}
	for _, k := range failing {
		w.caller.answers["executeAutomation["+k+"]/Do:PutThing"] = []any{apiError("No")}
	}
	spec.Targets, spec.TargetParameterName = []map[string]any{{"Key": "ParameterValues", "Values": []any{"x"}}}, "Name"
	doc, given, err := automation.Fan(w.documents["Child"], "Child", "1", map[string]any{"Name": "ignored"}, spec)
	if err != nil {
		t.Fatal(err)
	}
	w.documents["Main"] = doc
	w.start("Main", given)
	return w
}

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("t%02d", i)
	}
	return out
}

func TestMaxErrors(t *testing.T) {
	t.Parallel()
	all := keys(50)
	for name, tt := range map[string]struct {
		errors  string
		failing int
		want    automation.Status
		calls   int
	}{
		"none allowed: the first stops":   {"0", 50, automation.Failed, 1},
		"none given: the first stops":     {"", 50, automation.Failed, 1},
		"three allowed: the fourth stops": {"3", 50, automation.Failed, 4},
		"a tenth of 50: the sixth stops":  {"10%", 50, automation.Failed, 6},
		"as many as allowed":              {"3", 3, automation.Success, 50},
		"all may fail":                    {"100%", 50, automation.Success, 50},
		"nothing fails":                   {"0", 0, automation.Success, 50},
		"one at the end":                  {"0", -1, automation.Failed, 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failing := all[:max(tt.failing, 0)]
			if tt.failing < 0 {
				failing = all[49:]
			}
			w := fan(t, automation.FanSpec{MaxConcurrency: "1", MaxErrors: tt.errors}, all, failing...)
			o := w.finish()
			if o.Status != tt.want || len(w.caller.calls) != tt.calls || w.most > 1 {
				t.Errorf("%s after %d calls, %d at once: %+v", o.Status, len(w.caller.calls), w.most, o.Failure)
			}
			if tt.want == automation.Failed && !strings.Contains(o.Failure.Message, "on t") {
				t.Errorf("%+v", o.Failure)
			}
		})
	}
}

// A child that asks for what the plan does not hold ends the whole run, however
// many may fail: nothing more begins, and the run says which child asked for what.
// One whose resource changed has failed, as any other.
func TestARefusedCallInAChildEndsTheRun(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]error{
		"a refused call": fault.Refused(fault.Errorf(fault.Denied, "apply step executeAutomation[t01]/Do", "s3:PutThing is refused")),
		"AWS's own no":   fault.Errorf(fault.Denied, "assume role", "AccessDenied"),
		"a drift":        fault.Errorf(fault.Conflict, "apply step Do", "superseded"),
	} {
		refused, calls := fault.IsRefused(stop), 5
		if refused {
			calls = 2
		}
		w := fan(t, automation.FanSpec{MaxConcurrency: "1", MaxErrors: "100%"}, keys(5))
		w.caller.answers["executeAutomation[t01]/Do:PutThing"] = []any{stop}
		o := w.finish()
		if len(w.caller.calls) != calls || (o.Abort != nil) != refused || (o.Status == automation.Failed) != refused {
			t.Errorf("%s: %s after %v, %+v", name, o.Status, w.caller.calls, o.Failure)
		}
		if !refused {
			continue
		}
		if !fault.IsRefused(o.Abort) || !fault.Is(o.Abort, fault.Denied) {
			t.Errorf("stopped by %v", o.Abort)
		}
		for _, part := range []string{"on t01", "executeAutomation[t01]/Do", "s3:PutThing"} {
			if !strings.Contains(o.Failure.Message, part) {
				t.Errorf("the run does not name %q: %s", part, o.Failure.Message)
			}
		}
	}
}

// Waves: a canary, then growing groups, each complete before the next begins.
func TestWaves(t *testing.T) {
	t.Parallel()
	spec := automation.FanSpec{MaxConcurrency: "100", Waves: &remediation.Waves{Canary: 2, Growth: 3}}
	w := fan(t, spec, keys(20))
	var launched []int
	w.onWait = func(id string, o automation.Outcome) {
		if f := o.State.Park.Fan; id == "exec-1" && (len(launched) == 0 || launched[len(launched)-1] != f.Launched) {
			launched = append(launched, f.Launched)
		}
	}
	if o := w.finish(); o.Status != automation.Success || !slices.Equal(launched, []int{2, 8, 20}) {
		t.Errorf("%s %v", o.Status, launched)
	}
	w = fan(t, spec, keys(20), "t01")
	if o := w.finish(); o.Status != automation.Failed || len(w.caller.calls) != 2 || !strings.Contains(o.Failure.Message, "18 were not started") {
		t.Errorf("a canary that fails: %d calls, %+v", len(w.caller.calls), o.Failure)
	}
}

// Locations have rates of their own, and targets inside them.
func TestLocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Child", childDocument)
	for i := range 12 {
		account := fmt.Sprintf("%012d", i)
		w.targets = append(w.targets, automation.Target{Key: account + "/eu-west-1", Account: account, Region: "eu-west-1", Role: "arn:aws:iam::" + account + ":role/X", Location: i / 6})
	}
	w.caller.answers["executeAutomation[000000000000/eu-west-1]/Do:PutThing"] = []any{apiError("No")}
	doc, given, err := automation.Fan(w.documents["Child"], "Child", "", map[string]any{"Name": "a"}, automation.FanSpec{Locations: []map[string]any{
		{"Accounts": []any{"ou-1"}, "TargetLocationMaxConcurrency": "2", "TargetLocationMaxErrors": "0"}, {"Accounts": []any{"ou-2"}, "TargetLocationMaxConcurrency": "3"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.documents["Main"] = doc
	w.start("Main", given)
	most := []int{0, 0}
	w.onWait = func(id string, o automation.Outcome) {
		if id == "exec-1" {
			for i, p := range o.State.Park.Fan.Places {
				most[i] = max(most[i], p.Running)
			}
		}
	}
	o := w.finish()
	if o.Status != automation.Failed || most[0] > 2 || most[1] > 3 || most[1] < 2 {
		t.Errorf("%s, at most %v: %+v", o.Status, most, o.Failure)
	}
	second := 0
	for i, c := range w.caller.accounts {
		if w.caller.as[i] != "arn:aws:iam::"+c+":role/X" {
			t.Errorf("in %s as %s", c, w.caller.as[i])
		}
		if c >= "000000000006" {
			second++
		}
	}
	if second != 6 {
		t.Errorf("the second location made %d calls: the errors of the first are not its own", second)
	}
}

func TestTargetsInsideLocations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Child", childDocument)
	w.targets = []automation.Target{{Key: "1/eu", Account: "000000000001", Region: "eu-west-1", Location: 0}, {Key: "2/eu", Account: "000000000002", Region: "eu-west-1", Location: 0}}
	inner := []automation.Target{{Key: "a", Location: -1, Parameters: map[string]any{"Name": "a"}}, {Key: "b", Location: -1, Parameters: map[string]any{"Name": "b"}}}
	w.find = func(q automation.TargetQuery) []automation.Target {
		if len(q.Locations) > 0 {
			return w.targets
		}
		return inner
	}
	doc, given, err := automation.Fan(w.documents["Child"], "Child", "", nil, automation.FanSpec{
		TargetParameterName: "Name", Targets: []map[string]any{{"Key": "tag:X", "Values": []any{"y"}}}, MaxConcurrency: "2", Locations: []map[string]any{{"Accounts": []any{"1", "2"}, "TargetsMaxConcurrency": "1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.documents["Main"] = doc
	w.start("Main", given)
	o := w.finish()
	calls := slices.Sorted(slices.Values(w.caller.calls))
	want := []string{
		"executeAutomation[1/eu]/executeAutomation[a]/Do:PutThing", "executeAutomation[1/eu]/executeAutomation[b]/Do:PutThing",
		"executeAutomation[2/eu]/executeAutomation[a]/Do:PutThing", "executeAutomation[2/eu]/executeAutomation[b]/Do:PutThing",
	}
	if diff := cmp.Diff(want, calls); diff != "" || o.Status != automation.Success {
		t.Errorf("%+v %s", o.Failure, diff)
	}
}

func TestFanRefuses(t *testing.T) {
	t.Parallel()
	doc, err := runbook.Parse([]byte("schemaVersion: '0.3'\n" + childDocument))
	if err != nil {
		t.Fatal(err)
	}
	some := []map[string]any{{"Key": "k"}}
	for name, tt := range map[string]struct {
		name  string
		given map[string]any
		spec  automation.FanSpec
	}{
		"no targets":         {"Child", nil, automation.FanSpec{}},
		"a name with braces": {"{{ x }}", nil, automation.FanSpec{Targets: some}},
		"another parameter":  {"Child", map[string]any{"No": 1}, automation.FanSpec{Targets: some}},
		"another target":     {"Child", nil, automation.FanSpec{Targets: some, TargetParameterName: "No"}},
	} {
		if _, _, err := automation.Fan(doc, tt.name, "", tt.given, tt.spec); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for name, spec := range map[string]automation.FanSpec{
		"no number": {MaxConcurrency: "many"}, "none at once": {MaxConcurrency: "0"}, "over all": {MaxErrors: "101%"}, "below none": {MaxErrors: "-1"}, "with a sign": {MaxConcurrency: "+1"},
	} {
		w := fan(t, spec, keys(2))
		if o := w.finish(); o.Status != automation.Failed || o.Failure.Type != automation.FailureInputValidation || len(w.caller.calls) != 0 {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for name, list := range map[string][]string{"nothing found": nil, "found twice": {"a", "a"}, "without a name": {""}} {
		w := fan(t, automation.FanSpec{}, list)
		if o := w.finish(); o.Status != automation.Failed || o.Failure.Type != automation.FailureInputValidation {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// Text of people is never a template.
func TestTargetsAreNoTemplates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Child", childDocument)
	var got automation.TargetQuery
	w.find = func(q automation.TargetQuery) []automation.Target { got = q; return nil }
	doc, given, err := automation.Fan(w.documents["Child"], "Child", "", map[string]any{"Role": "{{ automation:EXECUTION_ID }}"}, automation.FanSpec{
		TargetParameterName: "Name", Targets: []map[string]any{{"Key": "ParameterValues", "Values": []any{"{{ global:ACCOUNT_ID }}"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.documents["Main"] = doc
	w.start("Main", given)
	w.finish()
	if diff := cmp.Diff([]map[string]any{{"Key": "ParameterValues", "Values": []any{"{{ global:ACCOUNT_ID }}"}}}, got.Targets); diff != "" {
		t.Error(diff)
	}
	if given["Role"] != "{{ automation:EXECUTION_ID }}" {
		t.Errorf("%v", given)
	}
}

// Documents that start themselves end.
func TestDocumentsThatStartThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Main}}\n")
	e := w.start("Main", nil)
	e.run.Planning = true
	o, err := w.interpreter.Run(t.Context(), e.run)
	if err != nil || o.Status != automation.Failed || !strings.Contains(o.Failure.Message, "more than 10 deep") {
		t.Errorf("%+v %v", o, err)
	}
}

func TestPlanningChildren(t *testing.T) {
	t.Parallel()
	const standIn = "known after apply"
	plan := func(child, steps string) automation.Outcome {
		w := newWorld(t)
		w.document("Child", child)
		w.document("Main", "mainSteps:\n"+steps)
		w.caller.answers["PutIt"] = []any{map[string]any{"Id": standIn}}
		e := w.start("Main", nil)
		e.run.Planning = true
		e.run.Unknown = func(v any) bool { return strings.Contains(mustJSON(t, v), standIn) }
		o, err := w.interpreter.Run(t.Context(), e.run)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	put := "- {name: P, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}]}\n"
	open := "mainSteps:\n" + put + "- {name: X, action: 'aws:branch', inputs: {Choices: [{Variable: '{{ P.Id }}', StringEquals: a, NextStep: P}]}}\n"
	start := "- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Child, RuntimeParameters: %s}}\n"
	if o := plan(open, fmt.Sprintf(start, "{}")); o.OpenAt != "C/X" || !strings.Contains(o.Open, "step C/X branches") || len(o.Documents) != 1 {
		t.Errorf("%+v", o)
	}
	if o := plan(childDocument, put+fmt.Sprintf(start, "{Name: '{{ P.Id }}'}")); o.OpenAt != "C" || !strings.Contains(o.Open, "only applying will tell") {
		t.Errorf("a constraint that cannot be tested: %+v", o)
	}
	if o := plan(childDocument, put+"- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: '{{ P.Id }}'}}\n"); o.OpenAt != "C" {
		t.Errorf("a document that is not known: %+v", o)
	}
	if o := plan(childDocument, fmt.Sprintf(start, "{Name: 'NOT ALLOWED'}")); o.Status != automation.Failed || !strings.Contains(o.Failure.Message, "Name") {
		t.Errorf("%+v", o)
	}
}

// What the gate stops in a child stops the parent too, whatever its document says
// about failures; on targets it is one failure among others.
func TestStopsReachTheParent(t *testing.T) {
	t.Parallel()
	stop := fault.Errorf(fault.Conflict, "change", "the resource is not what the plan saw")
	w := newWorld(t)
	w.document("Child", childDocument)
	w.document("Main", "mainSteps:\n- name: C\n  action: aws:executeAutomation\n  onFailure: Continue\n  inputs: {DocumentName: Child, RuntimeParameters: {Name: a}}\n"+step("B", ""))
	w.caller.answers["PutThing"] = []any{stop}
	w.start("Main", nil)
	if o := w.finish(); !fault.Is(o.Abort, fault.Conflict) || len(w.caller.calls) != 1 || !strings.Contains(o.Abort.Error(), "not what the plan saw") {
		t.Errorf("%+v %v", o, w.caller.calls)
	}
	w = fan(t, automation.FanSpec{MaxErrors: "1", MaxConcurrency: "1"}, keys(3))
	w.caller.answers["executeAutomation[t01]/Do:PutThing"] = []any{stop}
	if o := w.finish(); o.Status != automation.Success || len(w.caller.calls) != 3 {
		t.Errorf("%+v %v", o, w.caller.calls)
	}
}

// A plan goes on past targets that would fail as long as the run would.
func TestPlanningWithinMaxErrors(t *testing.T) {
	t.Parallel()
	for limit, want := range map[string]automation.Status{"1": automation.Success, "0": automation.Failed} {
		w := fan(t, automation.FanSpec{MaxErrors: limit}, keys(3), "t01")
		run := w.executions["exec-1"].run
		run.Planning = true
		o, err := w.interpreter.Run(t.Context(), run)
		if err != nil || o.Status != want || len(w.caller.calls) != map[string]int{"1": 3, "0": 2}[limit] {
			t.Errorf("MaxErrors %s: %s %v %v", limit, o.Status, w.caller.calls, err)
		}
	}
}

// A key cannot pass for another label.
func TestKeysInLabels(t *testing.T) {
	t.Parallel()
	w := fan(t, automation.FanSpec{}, []string{"a]/Do#2"})
	w.targets[0].Parameters = map[string]any{"Name": "a"}
	if o := w.finish(); o.Status != automation.Success || w.caller.calls[0] != "executeAutomation[a%5D/Do%232]/Do:PutThing" {
		t.Errorf("%+v %v", o.Failure, w.caller.calls)
	}
}
