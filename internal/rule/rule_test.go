package rule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
)

func noon() time.Time { return time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) }

// build makes a rule that matches title PREFIX match and applies update.
func build(t testing.TB, name string, order int, match, update, more string) rule.Rule {
	t.Helper()
	raw := fmt.Sprintf(`{"RuleName":%q,"Description":"d","RuleOrder":%d,"Criteria":{"Title":[{"Value":%q,"Comparison":"PREFIX"}]},
		"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":%s}]%s}`, name, order, match, update, more)
	r, err := rule.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func document(t testing.TB) finding.Finding {
	t.Helper()
	f, err := finding.Parse([]byte(`{"Id":"f","Title":"public bucket","Severity":{"Label":"HIGH","Normalized":70},"Workflow":{"Status":"NEW"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRulesApplyInOrderAndTheHighestWins(t *testing.T) {
	t.Parallel()
	rules := []rule.Rule{
		build(t, "last", 30, "public", `{"Severity":{"Label":"CRITICAL"}}`, ""),
		build(t, "off", 20, "public", `{"Severity":{"Label":"INFORMATIONAL"}}`, `,"RuleStatus":"DISABLED"`),
		build(t, "other", 15, "private", `{"Severity":{"Label":"INFORMATIONAL"}}`, ""),
		build(t, "first", 10, "public", `{"Severity":{"Label":"LOW"},"Confidence":5}`, ""),
	}
	got, trace := rule.Apply(rules, document(t), document(t), noon())
	if got.SeverityLabel() != finding.Critical {
		t.Errorf("severity %s", got.SeverityLabel())
	}
	want := rule.Trace{
		{Rule: "first", Name: "first", Order: 10, Matched: true, Updates: []finding.Update{
			{UpdatedField: "Confidence", NewValue: "5"}, {UpdatedField: "Severity", OldValue: "HIGH", NewValue: "LOW"},
		}},
		{Rule: "other", Name: "other", Order: 15},
		{Rule: "last", Name: "last", Order: 30, Matched: true, Updates: []finding.Update{{UpdatedField: "Severity", OldValue: "LOW", NewValue: "CRITICAL"}}},
	}
	if diff := cmp.Diff(want, trace); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"first", "last"}, trace.Matched()); diff != "" {
		t.Error(diff)
	}
}

func TestTerminalRuleStopsOnlyWhenItMatches(t *testing.T) {
	t.Parallel()
	rules := []rule.Rule{
		build(t, "no match", 1, "private", `{"Confidence":1}`, `,"IsTerminal":true`),
		build(t, "stops", 2, "public", `{"Confidence":2}`, `,"IsTerminal":true`),
		build(t, "late", 3, "public", `{"Confidence":3}`, ""),
	}
	got, trace := rule.Apply(rules, document(t), document(t), noon())
	if n, _ := got.Int("Confidence"); n != 2 {
		t.Errorf("confidence %d", n)
	}
	if len(trace) != 2 || !trace[1].Stopped || trace[0].Stopped {
		t.Errorf("%+v", trace)
	}
}

func TestEqualOrderIsByTimeOfEdit(t *testing.T) {
	t.Parallel()
	rules := []rule.Rule{
		build(t, "edited last", 5, "public", `{"Confidence":2}`, `,"UpdatedAt":"2024-02-01T00:00:00Z"`),
		build(t, "edited first", 5, "public", `{"Confidence":1}`, `,"UpdatedAt":"2024-01-01T00:00:00Z"`),
	}
	for range 2 {
		got, _ := rule.Apply(rules, document(t), document(t), noon())
		if n, _ := got.Int("Confidence"); n != 2 {
			t.Errorf("confidence %d", n)
		}
		rules[0], rules[1] = rules[1], rules[0]
	}
}

// Criteria see the provider's finding: neither what an earlier rule made of it
// nor what the customer did.
func TestDecisionCriteriaDoNotChain(t *testing.T) {
	t.Parallel()
	second, err := rule.Parse([]byte(`{"RuleName":"second","Description":"d","RuleOrder":2,
		"Criteria":{"SeverityLabel":[{"Value":"CRITICAL","Comparison":"EQUALS"}]},
		"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Workflow":{"Status":"NOTIFIED"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	rules := []rule.Rule{build(t, "first", 1, "public", `{"Severity":{"Label":"CRITICAL"}}`, ""), second}
	got, _ := rule.Apply(rules, document(t), document(t), noon())
	if got.Workflow() != finding.New {
		t.Error("the second rule saw what the first made")
	}
	custom := document(t).With("Severity", map[string]any{"Label": "CRITICAL"})
	if got, _ = rule.Apply(rules[1:], document(t), custom, noon()); got.Workflow() != finding.New {
		t.Error("the rule saw the customer's severity")
	}
	if got, _ = rule.Apply(rules[1:], custom, document(t), noon()); got.Workflow() != finding.Notified {
		t.Error("the rule did not see the provider's severity")
	}
}

// A rule overrides what a customer set: the last write wins.
func TestRuleOverridesTheCustomer(t *testing.T) {
	t.Parallel()
	rules := []rule.Rule{build(t, "suppress", 1, "public", `{"Workflow":{"Status":"SUPPRESSED"}}`, "")}
	got, _ := rule.Apply(rules, document(t), document(t).WithWorkflow(finding.Notified), noon())
	if got.Workflow() != finding.Suppressed {
		t.Error(got.Workflow())
	}
}

func TestNotesThatOverwriteEachOtherStayStill(t *testing.T) {
	t.Parallel()
	rules := []rule.Rule{
		build(t, "a", 1, "public", `{"Note":{"Text":"a","UpdatedBy":"a"}}`, ""),
		build(t, "b", 2, "public", `{"Note":{"Text":"b","UpdatedBy":"b"}}`, ""),
	}
	idempotent(t, rules, document(t))
}

func TestExplainGivesReasons(t *testing.T) {
	t.Parallel()
	rules := []rule.Rule{build(t, "r", 1, "private", `{"Confidence":1}`, "")}
	_, trace := rule.Explain(rules, document(t), document(t), noon())
	if len(trace) != 1 || trace[0].Matched || len(trace[0].Reasons) != 1 || trace[0].Reasons[0].Have[0] != "public bucket" {
		t.Errorf("%+v", trace)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const criteria = `"Criteria":{"Title":[{"Value":"x","Comparison":"EQUALS"}]}`
	const actions = `"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Confidence":1}}]`
	const head = `"RuleName":"r","Description":"d","RuleOrder":1,`
	for in, want := range map[string]string{
		`{`:  `rule: unexpected EOF`,
		`[]`: `rule: cannot unmarshal array into Go value of type rule.document`,
		`{` + head + criteria + `,` + actions + `,"Order":1}`:                                  `rule: unknown field "Order"`,
		`{"Description":"d","RuleOrder":1,` + criteria + `,` + actions + `}`:                   `RuleName: a text that is not blank is needed`,
		`{"RuleName":"r","RuleOrder":1,` + criteria + `,` + actions + `}`:                      `Description: a text that is not blank is needed`,
		`{"RuleName":"r","Description":"d",` + criteria + `,` + actions + `}`:                  `RuleOrder: is missing`,
		`{"RuleName":"r","Description":"d","RuleOrder":0,` + criteria + `,` + actions + `}`:    `RuleOrder: should be an integer from 1 to 1000`,
		`{"RuleName":"r","Description":"d","RuleOrder":1.5,` + criteria + `,` + actions + `}`:  `RuleOrder: should be an integer from 1 to 1000`,
		`{"RuleName":"r","Description":"d","RuleOrder":1001,` + criteria + `,` + actions + `}`: `RuleOrder: should be an integer from 1 to 1000`,
		`{` + head + `"RuleStatus":"ON",` + criteria + `,` + actions + `}`:                     `RuleStatus: should be ENABLED or DISABLED`,
		`{` + head + `"UpdatedAt":"now",` + criteria + `,` + actions + `}`:                     `UpdatedAt: should match format "date-time"`,
		`{` + head + actions + `}`:                    `Criteria: is missing`,
		`{` + head + `"Criteria":{},` + actions + `}`: `Criteria: at least one criterion is needed`,
		`{` + head + `"Criteria":{"Region":[{"Value":"x","Comparison":"EQUALS"}]},` + actions + `}`: `Criteria.Region: an automation rule cannot use this field`,
		`{` + head + `"Criteria":{"Title":[{"Value":"x","Comparison":"IS"}]},` + actions + `}`:      `Criteria.Title[0].Comparison: should be one of [EQUALS PREFIX NOT_EQUALS PREFIX_NOT_EQUALS CONTAINS NOT_CONTAINS]`,
		`{` + head + criteria + `}`:                                                                                                 `Actions: exactly one action is needed, not 0`,
		`{` + head + criteria + `,"Actions":[{},{}]}`:                                                                               `Actions: exactly one action is needed, not 2`,
		`{` + head + criteria + `,"Actions":[{"Type":"DELETE","FindingFieldsUpdate":{}}]}`:                                          `Actions[0].Type: should be FINDING_FIELDS_UPDATE`,
		`{` + head + criteria + `,"Actions":[{"Type":"FINDING_FIELDS_UPDATE"}]}`:                                                    `Actions[0].FindingFieldsUpdate: is missing`,
		`{` + head + criteria + `,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{}}]}`:                           `Actions[0].FindingFieldsUpdate: changes nothing`,
		`{` + head + criteria + `,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Title":"x"}}]}`:                `Actions[0].FindingFieldsUpdate should NOT have additional property 'Title'`,
		`{` + head + criteria + `,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"RecordState":"ARCHIVED"}}]}`:   `Actions[0].FindingFieldsUpdate should NOT have additional property 'RecordState'`,
		`{` + head + criteria + `,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Severity":{"Label":"BAD"}}}]}`: `Actions[0].FindingFieldsUpdate.Severity.Label should be equal to one of the allowed values`,
	} {
		_, err := rule.Parse([]byte(in))
		if err == nil {
			t.Errorf("%s was accepted", in)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: code %s", in, fault.CodeOf(err))
		}
	}
}

func examples(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestParseAllReadsTheExamplesOfAWS(t *testing.T) {
	t.Parallel()
	rules, problems := rule.ParseAll(examples(t))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, r := range rules {
		got = append(got, fmt.Sprint(r.Order, " ", r.Name, " ", r.Enabled, " ", r.Update))
	}
	want := []string{
		`1 Elevate severity for important resources true {"Note":{"Text":"This is a critical S3 bucket, please look into this ASAP","UpdatedBy":"test-user"},"Severity":{"Label":"CRITICAL"}}`,
		`1 sample-rule-name-1 true {"Workflow":{"Status":"RESOLVED"}}`,
		`2 sample-rule-name-2 true {"Workflow":{"Status":"RESOLVED"}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseAllKeepsTheGoodAndNamesTheBad(t *testing.T) {
	t.Parallel()
	good := `{"RuleName":"good","Description":"d","RuleOrder":1,"Criteria":{"Title":[{"Value":"x","Comparison":"EQUALS"}]},"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Confidence":1}}]}`
	bad := strings.Replace(strings.Replace(good, `"good"`, `"bad"`, 1), `"Title"`, `"Titel"`, 1)
	rules, problems := rule.ParseAll([]byte("[" + good + "," + bad + ",5," + good + "]"))
	if len(rules) != 1 || rules[0].Name != "good" {
		t.Errorf("%+v", rules)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		`rule 1 ("bad") is disabled: Criteria.Titel: there is no such field`,
		`rule 2 is disabled: rule: cannot unmarshal number into Go value of type rule.document`,
		`rule 3 ("good") is disabled: RuleName: an earlier rule has this name`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, in := range []string{"", "{}", "[", `{"Rules":5}`} {
		if rules, problems := rule.ParseAll([]byte(in)); len(rules) != 0 || len(problems) != 1 {
			t.Errorf("%q: %d rules, %v", in, len(rules), problems)
		}
	}
}

func FuzzParse(f *testing.F) {
	var d struct{ Rules []json.RawMessage }
	if err := json.Unmarshal(examples(f), &d); err != nil {
		f.Fatal(err)
	}
	for _, raw := range d.Rules {
		f.Add([]byte(raw))
	}
	f.Add([]byte(`{"RuleName":"r","Description":"d","RuleOrder":1000,"IsTerminal":true,"Criteria":{"Confidence":[{"Gte":1}],"UpdatedAt":[{"DateRange":{"Value":1,"Unit":"DAYS"}}]},
		"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Types":[],"UserDefinedFields":{},"Severity":{"Normalized":3.0,"Product":1e9}}}]}`))
	doc := document(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := rule.Parse(raw)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rule.Parse(text)
		if err != nil {
			t.Fatalf("own output %s is refused: %v", text, err)
		}
		second, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, second) {
			t.Fatalf("not stable:\n%s\n%s", text, second)
		}
		idempotent(t, []rule.Rule{r}, doc)
	})
}

// idempotent applies rules twice: the second time changes nothing.
func idempotent(t *testing.T, rules []rule.Rule, doc finding.Finding) {
	t.Helper()
	once, first := rule.Apply(rules, doc, doc, noon())
	twice, second := rule.Apply(rules, doc, once, noon().Add(time.Hour))
	if diff := finding.Diff(once, twice); diff != nil {
		t.Fatalf("applying again changed %v", diff)
	}
	if diff := cmp.Diff(first.Matched(), second.Matched()); diff != "" {
		t.Fatal(diff)
	}
}

// FuzzApply takes any document and a set of overlapping rules.
func FuzzApply(f *testing.F) {
	rules, problems := rule.ParseAll(examples(f))
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	for i, update := range []string{`{"Severity":{"Normalized":10}}`, `{"Workflow":{"Status":"SUPPRESSED"},"Confidence":3}`, `{"Note":{"Text":"a","UpdatedBy":"b"}}`} {
		rules = append(rules, build(f, fmt.Sprint("note", i), i+1, "p", fmt.Sprintf(`{"Note":{"Text":"n%d","UpdatedBy":"b"}}`, i), ""))
		rules = append(rules, build(f, fmt.Sprint("fuzz", i), 10*i+1, "p", update, fmt.Sprintf(`,"IsTerminal":%v`, i == 1)))
	}
	f.Add([]byte(`{"Title":"public","Severity":{"Label":"LOW"},"Note":{"Text":"a"},"Workflow":"x","Confidence":"y"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := finding.Parse(raw)
		if err != nil {
			return
		}
		idempotent(t, rules, doc)
	})
}
