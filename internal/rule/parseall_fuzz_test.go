package rule_test

import (
	"testing"

	"github.com/parry-security/parry/internal/rule"
)

// FuzzParseAll reads any text as a list of rules: no two rules that are kept have one
// name, and every item is a rule or a problem, so none is lost silently.
func FuzzParseAll(f *testing.F) {
	for _, s := range []string{`[]`, `{"Rules":[{"RuleName":"a"},7]}`, `[{"RuleName":"a","RuleOrder":1,"Description":"d","Criteria":{},"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Confidence":1}}]},{"RuleName":"a"}]`, `[[[[`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rules, problems := rule.ParseAll(raw)
		seen := map[string]bool{}
		for _, r := range rules {
			if seen[r.ID()] {
				t.Errorf("%q is there twice", r.ID())
			}
			seen[r.ID()] = true
		}
		for _, p := range problems {
			if p.Err == nil || p.Error() == "" {
				t.Errorf("problem %d says nothing", p.Index)
			}
		}
	})
}
