package automation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryPassHasALabelOfItsOwn: the second pass of a step is "#2", in a child
// the parent's label stands before it.
func TestEveryPassHasALabelOfItsOwn(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", "  outputs: [{Name: More, Selector: $.More, Type: Boolean}]\n")+`
- name: Again
  action: aws:branch
  inputs:
    Choices: [{Variable: "{{ A.More }}", BooleanEquals: true, NextStep: A}]
    Default: B
`+step("B", "  isEnd: true\n"))
	f.run.Prefix, f.run.Role = "Parent#2/", "arn:aws:iam::111122223333:role/Fixer"
	f.caller.answers["A"] = []any{map[string]any{"More": true}, map[string]any{"More": true}, map[string]any{"More": false}}
	o, _ := f.finish(t)
	want := "Parent#2/A:A Parent#2/A#2:A Parent#2/A#3:A Parent#2/B:B"
	if diff := cmp.Diff(want, strings.Join(f.caller.calls, " ")); diff != "" || o.Executed != 7 {
		t.Errorf("%d steps, %s", o.Executed, diff)
	}
	for _, as := range f.caller.as {
		if as != f.run.Role {
			t.Errorf("a call was made as %q", as)
		}
	}
}
