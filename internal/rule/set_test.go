package rule_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
)

// TestSetIsLikeApply holds the index to the plain loop: random rules over random
// findings, with fields that have one, several or no values. It fails when the
// index drops a candidate, orders them otherwise or ignores a terminal rule.
func TestSetIsLikeApply(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 11))
	for round := range 60 {
		rules := make([]rule.Rule, 40)
		for i := range rules {
			rules[i] = randomRule(t, random, i)
		}
		set := rule.Compile(rules)
		for range 40 {
			doc := randomFinding(t, random)
			custom := doc.WithWorkflow(finding.Notified)
			want, trace := rule.Apply(rules, doc, custom, noon())
			got, short := set.Apply(doc, custom, noon())
			if diff := finding.Diff(want, got); diff != nil {
				t.Fatalf("round %d: %v", round, diff)
			}
			var matched rule.Trace
			for _, s := range trace {
				if s.Matched {
					matched = append(matched, s)
				}
			}
			if diff := cmp.Diff(matched, short); diff != "" {
				t.Fatalf("round %d: %s", round, diff)
			}
			// Matching asks all of them: nothing is applied, so nothing is terminal.
			var all []string
			for _, r := range rule.Sort(rules) {
				if r.Active(noon()) && r.Matches(doc, noon()) {
					all = append(all, r.ID())
				}
			}
			if diff := cmp.Diff(all, set.Matching(doc, noon())); diff != "" {
				t.Fatalf("round %d: %s", round, diff)
			}
		}
	}
}

func randomRule(t *testing.T, r *rand.Rand, i int) rule.Rule {
	t.Helper()
	tests := func(values ...string) []any {
		var out []any
		comparison := []string{"EQUALS", "EQUALS", "EQUALS", "PREFIX", "NOT_EQUALS"}[r.IntN(5)]
		for range 1 + r.IntN(3) {
			out = append(out, map[string]any{"Value": values[r.IntN(len(values))], "Comparison": comparison})
		}
		return out
	}
	criteria := map[string]any{}
	for len(criteria) == 0 {
		for field, values := range map[string][]string{
			"AwsAccountId": {"111111111111", "222222222222", "333333333333"}, "SeverityLabel": {"LOW", "HIGH"},
			"ResourceId": {"a", "b", "c", "d"}, "Type": {"x", "y"}, "Title": {"one", "two", "three"}, "RecordState": {"ACTIVE"},
		} {
			if r.IntN(3) == 0 {
				criteria[field] = tests(values...)
			}
		}
		if r.IntN(6) == 0 {
			criteria["ResourceTags"] = []any{map[string]any{"Key": "env", "Value": []string{"prod", "dev"}[r.IntN(2)], "Comparison": []string{"EQUALS", "NOT_EQUALS"}[r.IntN(2)]}}
		}
	}
	raw, err := json.Marshal(map[string]any{
		"RuleName": fmt.Sprint("rule ", i), "Description": "d", "RuleOrder": 1 + r.IntN(20), "IsTerminal": r.IntN(8) == 0, "Criteria": criteria,
		"RuleStatus": []string{"ENABLED", "ENABLED", "ENABLED", "DISABLED"}[r.IntN(4)],
		"Actions":    []any{map[string]any{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": map[string]any{"Confidence": r.IntN(100), "Note": map[string]any{"Text": fmt.Sprint(i), "UpdatedBy": "r"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := rule.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if r.IntN(10) == 0 {
		parsed.ExpiresAt = noon().Add(time.Duration(r.IntN(3)-1) * time.Second)
	}
	return parsed
}

func randomFinding(t *testing.T, r *rand.Rand) finding.Finding {
	t.Helper()
	some := func(values ...string) string { return values[r.IntN(len(values))] }
	doc := map[string]any{
		"Id": "f", "AwsAccountId": some("111111111111", "222222222222", "333333333333"), "Severity": map[string]any{"Label": some("LOW", "HIGH")},
		"Types": []any{some("x", "y", "z"), some("x", "xyz")}, "RecordState": "ACTIVE",
	}
	if r.IntN(4) > 0 {
		doc["Title"] = some("one", "two", "three", "tw")
	}
	var resources []any
	for range r.IntN(4) {
		resources = append(resources, map[string]any{"Type": "Other", "Id": some("a", "b", "c", "d", "e"), "Tags": map[string]any{"env": some("prod", "dev", "test"), "prod": "env"}})
	}
	if resources != nil {
		doc["Resources"] = resources
	}
	f, err := finding.FromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExpiredRuleTakesNoPart(t *testing.T) {
	t.Parallel()
	r := build(t, "soon over", 1, "public", `{"Confidence":1}`, fmt.Sprintf(`,"ExpiresAt":%q`, noon().Format(time.RFC3339)))
	set := rule.Compile([]rule.Rule{r})
	for at, want := range map[time.Time]int{noon().Add(-time.Nanosecond): 1, noon(): 0, noon().Add(time.Hour): 0} {
		if _, trace := set.Apply(document(t), document(t), at); len(trace) != want {
			t.Errorf("at %s: %d rules", at, len(trace))
		}
		if _, trace := rule.Apply([]rule.Rule{r}, document(t), document(t), at); len(trace) != want {
			t.Errorf("Apply at %s: %d rules", at, len(trace))
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for tags, want := range map[string]string{
		`{"owner":"team-a","a=b":""}`:              "",
		`{"aws:x":"y"}`:                            "Tags: a key should be 1 to 128 letters, digits or + - = . _ : /, and not begin with aws:",
		`{"a b":"y"}`:                              "Tags: a key should be 1 to 128 letters, digits or + - = . _ : /, and not begin with aws:",
		`{"a":"` + strings.Repeat("x", 257) + `"}`: "Tags: the value of a has more than 256 characters",
	} {
		_, err := rule.Parse([]byte(`{"RuleName":"r","Description":"d","RuleOrder":1,"Criteria":{"Title":[{"Value":"x","Comparison":"EQUALS"}]},
			"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Confidence":1}}],"Tags":` + tags + `}`))
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%s: %s", tags, got)
		}
	}
}

// manyRules gives n rules as an organization may have them: most name an account
// and a control, some a control only, some a prefix.
func manyRules(t testing.TB, n int) []rule.Rule {
	t.Helper()
	rules := make([]rule.Rule, n)
	for i := range rules {
		criteria := fmt.Sprintf(`{"RecordState":[{"Value":"ACTIVE","Comparison":"EQUALS"}],"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}],
			"AwsAccountId":[{"Value":"%012d","Comparison":"EQUALS"}],"GeneratorId":[{"Value":"security-control/S3.%d","Comparison":"EQUALS"}]}`, i%500, i%100)
		if i%500 == 499 {
			criteria = fmt.Sprintf(`{"Title":[{"Value":"S3.%d ","Comparison":"PREFIX"}]}`, i)
		}
		var err error
		rules[i], err = rule.Parse(fmt.Appendf(nil, `{"RuleName":"rule %d","Description":"d","RuleOrder":%d,"Criteria":%s,
			"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Severity":{"Label":"LOW"}}}]}`, i, 1+i%1000, criteria))
		if err != nil {
			t.Fatal(err)
		}
	}
	return rules
}

func BenchmarkSet(b *testing.B) {
	doc, err := finding.Parse([]byte(`{"Id":"f","AwsAccountId":"000000000007","GeneratorId":"security-control/S3.7","Title":"S3.7 public bucket","RecordState":"ACTIVE",
		"Severity":{"Label":"HIGH","Normalized":70},"Workflow":{"Status":"NEW"},"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::x"}]}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{0, 1000, 10_000} {
		set := rule.Compile(manyRules(b, n))
		b.Run(fmt.Sprint(n, " rules"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Apply(doc, doc, noon())
			}
		})
	}
}
