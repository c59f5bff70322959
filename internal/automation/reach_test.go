package automation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

const reachStandIn = "known after apply"

// reached plans Main and lists the executions that it may come to have, in one line
// each: where, as whom, and what is known of the references.
func (w *world) reached(t *testing.T, given map[string]any, answered func(string) bool, refs ...string) []string {
	t.Helper()
	e := w.start("Main", given)
	run := e.run
	run.Planning, run.Role = true, "arn:aws:iam::111122223333:role/Parent"
	run.Unknown = func(v any) bool { return strings.Contains(mustJSON(t, v), reachStandIn) }
	planned, err := w.interpreter.Run(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	err = w.interpreter.Reach(t.Context(), run, automation.ReachOptions{Planned: planned, Answered: answered}, func(r automation.Reached) error {
		line := fmt.Sprintf("%s%s/%s as %s", r.Prefix, r.Account, r.Region, strings.TrimPrefix(r.Role, "arn:aws:iam::"))
		if r.Escaped {
			line += " escaped"
		}
		for _, ref := range refs {
			v, err := runbook.Resolve("{{ "+ref+" }}", r.Known)
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %v", strings.ReplaceAll(fmt.Sprint(v), apimodel.Unknown, "?"))
		}
		out = append(out, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const reachChild = `
assumeRole: "{{ Role }}"
parameters: {Name: {type: String}, Role: {type: String, default: ""}}
mainSteps: [{name: Do, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutThing, Name: '{{ Name }}'}}]
`

func TestReachNamesEveryExecution(t *testing.T) {
	t.Parallel()
	target := func(key, account, role string, location int) automation.Target {
		return automation.Target{Key: key, Account: account, Region: "eu-west-1", Role: role, Location: location, Parameters: map[string]any{"Name": key}}
	}
	for name, c := range map[string]struct {
		steps   string
		targets []automation.Target
		want    []string
	}{
		"a child": {
			"- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Child, RuntimeParameters: {Name: '{{ In }}'}}}\n", nil,
			[]string{"C/111122223333/eu-west-1 as 111122223333:role/Parent given "},
		},
		"a child with a role of its own": {
			"- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Child, RuntimeParameters: {Name: a, Role: 'arn:aws:iam::111122223333:role/Own'}}}\n", nil,
			[]string{"C/111122223333/eu-west-1 as 111122223333:role/Own a arn:aws:iam::111122223333:role/Own"},
		},
		"a child whose role only running tells": {
			"- {name: P, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}]}\n" +
				"- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Child, RuntimeParameters: {Name: a, Role: '{{ P.Id }}'}}}\n", nil,
			nil,
		},
		"a child that only a failure leads to": {
			"- {name: A, action: 'aws:executeAwsApi', isEnd: true, onFailure: 'step:C', inputs: {Service: s3, Api: PutIt}}\n" +
				"- {name: C, action: 'aws:executeAutomation', isEnd: true, inputs: {DocumentName: Child, RuntimeParameters: {Name: a}}}\n", nil,
			[]string{"C/111122223333/eu-west-1 as 111122223333:role/Parent escaped a "},
		},
		"targets of accounts, each as its role": {
			"- {name: F, action: 'aws:executeAutomation', inputs: {DocumentName: Child, RuntimeParameters: {Name: x}, TargetLocations: [{Accounts: [ou], Regions: [eu-west-1]}]}}\n",
			[]automation.Target{target("1/e", "000000000001", "arn:aws:iam::000000000001:role/X", 0), target("2/e", "000000000002", "arn:aws:iam::000000000002:role/X", 0)},
			[]string{"F[1/e]/000000000001/eu-west-1 as 000000000001:role/X 1/e ", "F[2/e]/000000000002/eu-west-1 as 000000000002:role/X 2/e "},
		},
		"targets that only running tells": {
			"- {name: P, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}]}\n" +
				"- {name: F, action: 'aws:executeAutomation', inputs: {DocumentName: Child, TargetParameterName: Name, Targets: [{Key: ParameterValues, Values: ['{{ P.Id }}']}]}}\n", nil,
			[]string{"F[]/111122223333/eu-west-1 as 111122223333:role/Parent ? "},
		},
		"accounts that only running tells": {
			"- {name: P, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}]}\n" +
				"- {name: F, action: 'aws:executeAutomation', inputs: {DocumentName: Child, RuntimeParameters: {Name: x}, TargetLocations: [{Accounts: ['{{ P.Id }}'], Regions: [eu-west-1]}]}}\n", nil,
			nil,
		},
		"a document that is not there": {"- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: None}}\n", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.document("Child", reachChild)
			w.document("Main", "parameters: {In: {type: String}}\nmainSteps:\n"+c.steps)
			w.targets = c.targets
			got := w.reached(t, map[string]any{"In": "given"}, nil, "Name", "Role")
			got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "1111") }) // Main itself
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a step answered while planning is known where AWS answered it and where it can
// answer nothing else when the plan is applied.
func TestReachKnowsWhatPlanningSaw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.caller.answers["PutIt"] = []any{map[string]any{"Id": reachStandIn, "N": 0}}
	w.caller.answers["GetIt"] = []any{map[string]any{"Id": "seen"}}
	w.document("Main", `
parameters: {In: {type: String}}
variables: {Kept: {type: String, default: first}, Set: {type: String, default: first}}
mainSteps:
- {name: G, action: 'aws:executeAwsApi', onFailure: 'step:Back', inputs: {Service: s3, Api: GetIt}, outputs: [{Name: Id, Selector: $.Id}]}
- {name: P, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}, {Name: N, Selector: $.N, Type: Integer}]}
- {name: U, action: 'aws:updateVariable', isEnd: true, inputs: {Name: 'variable:Set', Value: second}}
- {name: Back, action: 'aws:executeAwsApi', isEnd: true, inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}]}
`)
	refs := []string{"In", "G.Id", "P.Id", "P.N", "Back.Id", "variable:Kept", "variable:Set", "global:ACCOUNT_ID", "automation:EXECUTION_ID", "global:DATE"}
	answered := func(label string) bool { return label == "G" }
	for name, c := range map[string]struct {
		answered func(string) bool
		want     string
	}{
		"a closed plan": {answered, "given seen " + reachStandIn + " ? ? first ? 111122223333 exec-1 ?"},
		"an open plan":  {nil, "given ? ? ? ? first ? 111122223333 exec-1 ?"},
	} {
		got := w.reached(t, map[string]any{"In": "given"}, c.answered, refs...)
		if diff := cmp.Diff([]string{"111122223333/eu-west-1 as 111122223333:role/Parent " + c.want}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReachIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Main}}\n")
	visit := func(automation.Reached) error { return nil }
	if err := w.interpreter.Reach(t.Context(), w.start("Main", nil).run, automation.ReachOptions{}, visit); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a document that starts itself: %v", err)
	}
	w.document("Wide", "mainSteps:\n- {name: C, action: 'aws:executeAutomation', inputs: {DocumentName: Leaf, TargetMaps: [{Name: [a]}]}}\n")
	w.document("Leaf", "mainSteps:\n- {name: S, action: 'aws:sleep', inputs: {Duration: PT1S}}\n")
	for i := range 10_000 {
		w.targets = append(w.targets, automation.Target{Key: fmt.Sprint(i), Location: -1})
	}
	if err := w.interpreter.Reach(t.Context(), w.run(w.documents["Wide"], nil), automation.ReachOptions{}, visit); !fault.Is(err, fault.Exhausted) || fault.HintOf(err) == "" {
		t.Errorf("10,001 executions: %v", err)
	}
}

// A fan is planned to the end of each target, though one of them cannot be.
func TestPlanningGoesOnPastATargetThatIsOpen(t *testing.T) {
	t.Parallel()
	w := fan(t, automation.FanSpec{}, keys(3))
	w.document("Child", "parameters: {Name: {type: String}}\nmainSteps:\n"+
		"- {name: P, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutIt}, outputs: [{Name: Id, Selector: $.Id}]}\n"+
		"- {name: X, action: 'aws:branch', inputs: {Choices: [{Variable: '{{ P.Id }}', StringEquals: a, NextStep: P}]}}\n")
	w.caller.answers["PutIt"] = []any{map[string]any{"Id": reachStandIn}, map[string]any{"Id": "b"}, map[string]any{"Id": reachStandIn}}
	run := w.executions["exec-1"].run
	run.Planning = true
	run.Unknown = func(v any) bool { return strings.Contains(mustJSON(t, v), reachStandIn) }
	o, err := w.interpreter.Run(t.Context(), run)
	if err != nil || o.OpenAt != "executeAutomation[t00]/X" || len(w.caller.calls) != 3 {
		t.Errorf("open at %q after %v, %v", o.OpenAt, w.caller.calls, err)
	}
}
