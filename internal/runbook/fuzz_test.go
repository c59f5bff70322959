package runbook_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

// FuzzParse: no panic; what parses also checks, resolves, prints, and parses
// again to the same steps.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		blockPublicAccess, parameters, "", "{", "a: &a [*a]", "{\"schemaVersion\":\"0.3\",\"mainSteps\":[{\"name\":\"A\",\"action\":\"aws:sleep\",\"inputs\":{\"Duration\":\"PT1S\"}}]}",
		"schemaVersion: 0.3\nmainSteps:\n- name: A\n  action: aws:branch\n  inputs:\n    Choices:\n    - {Not: {Variable: '{{ x }}', StringEquals: 1.50}, NextStep: A}\n",
	} {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{
		stopAll,
		"schemaVersion: '0.3'\nassumeRole: '{{ R }}'\nvariables: {V: {type: MapList}}\nparameters: {R: {type: 'List<AWS::EC2::Instance::Id>', default: '{{ssm:/x}}', allowedPattern: '(?!a)[b&&c]++'}}\nmainSteps:\n" +
			"- {name: A, action: 'aws:executeAwsApi', onCancel: 'step:B', inputs: {Service: ec2, Api: describe_instances, Filters: [{Name: '{{ R }}', Values: '{{ variable:V }}'}], MaxResults: x}, outputs: [{Name: O, Selector: '$..Tags[?(@.Key == \"a\")].Value', Type: StringList}]}\n" +
			"- {name: B, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: h, Script: 'def h(e, c): pass', InputPayload: {a: '{{ A.O }}'}}}\n" +
			"- {name: C, action: 'aws:updateVariable', inputs: {Name: 'variable:V', Value: ['{{ B.Payload }}']}}\n" +
			"- {name: D, action: 'aws:createTags', inputs: {ResourceIds: ['{{ A.O }}'], Tags: [{Key: a, Value: b}]}}\noutputs: [A.O]\n",
	} {
		f.Add([]byte(seed))
	}
	models, err := apimodel.Load()
	if err != nil {
		f.Fatal(err)
	}
	facts := runbook.ScriptFacts{Calls: []runbook.ScriptCall{{Service: "s3", Operation: "get_object", Line: 1 << 30}}, Unresolved: []runbook.ScriptGap{{Line: -1}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := runbook.Parse(raw)
		if err != nil {
			return
		}
		scripts := map[string]runbook.ScriptFacts{}
		for name := range d.Scripts() {
			scripts[name] = facts
		}
		r := runbook.Check(d, runbook.CheckOptions{Models: models, Scripts: scripts})
		for _, p := range r.Problems {
			if p.Line < 1 || p.Column < 1 || p.Fix == "" || p.Message == "" || !slices.Contains(runbook.Codes(), p.Code) {
				t.Errorf("problem %+v", p)
			}
		}
		if len(r.Steps) != len(d.All()) {
			t.Errorf("%d impacts of %d steps", len(r.Steps), len(d.All()))
		}
		_, _ = d.ResolveParameters(nil, nil)
		printed, err := d.JSON()
		if err != nil {
			t.Fatalf("print: %v", err)
		}
		again, err := runbook.Parse(printed)
		if err != nil {
			t.Fatalf("parse what was printed: %v\n%s", err, printed)
		}
		if len(again.Steps) != len(d.Steps) {
			t.Fatalf("%d steps became %d", len(d.Steps), len(again.Steps))
		}
		for i := range d.Steps {
			if diff := cmp.Diff(d.Steps[i].Inputs, again.Steps[i].Inputs); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// FuzzSelector: no panic, and a selector that parses gives a list exactly when
// it is not definite.
func FuzzSelector(f *testing.F) {
	for _, seed := range []string{
		"$", "$.a.b[0]", "$..x", "a['b c']", "$.Grants[?(@.Grantee.URI != 'x' && (@.a in ['b',1] || !@.c))].y", "$.Outputs.'a.b'[0]", "$..[?(@..b==$..b)]", "$.a[*].*",
	} {
		f.Add(seed, sample)
	}
	f.Fuzz(func(t *testing.T, text, document string) {
		s, err := runbook.ParseSelector(text)
		if err != nil {
			return
		}
		var v any
		if err := runbook.DecodeJSON([]byte(document), &v); err != nil {
			return
		}
		got, ok := s.Select(v)
		if _, isList := got.([]any); ok && !s.Definite() && !isList {
			t.Errorf("%q gave %T", text, got)
		}
	})
}

// FuzzResolve: text without references stays as it is, and what is put in is
// not expanded again.
func FuzzResolve(f *testing.F) {
	f.Add("{{ Name }} and {{{x}} {{ a.b }}")
	f.Add("{{ {{ Name }} }}")
	f.Fuzz(func(t *testing.T, text string) {
		if !runbook.ParseTemplate(text).HasReferences() {
			got, err := runbook.Resolve(text, scope())
			if err != nil || got != text {
				t.Errorf("%q became %v, %v", text, got, err)
			}
			return
		}
		_, _ = runbook.Resolve(text, scope())
	})
}
