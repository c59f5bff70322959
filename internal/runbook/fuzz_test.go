package runbook_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

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
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := runbook.Parse(raw)
		if err != nil {
			return
		}
		runbook.Check(d, runbook.CheckOptions{})
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
