package rule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
)

func second(criteria, update string) []byte {
	return fmt.Appendf(nil, `{"RuleName":"v2","Description":"d","RuleOrder":1.5,"Criteria":{"OcsfFindingCriteria":%s},
		"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":%s}]}`, criteria, update)
}

func exposed(t testing.TB) finding.Finding {
	t.Helper()
	f, err := finding.Parse([]byte(`{"SchemaVersion":"2018-10-08","Id":"f","ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/securityhub","GeneratorId":"g","AwsAccountId":"111111111111",
		"Region":"eu-west-1","ProductName":"Security Hub","Title":"bucket is public","Description":"d","CreatedAt":"2024-04-30T00:00:00Z","UpdatedAt":"2024-05-01T00:00:00Z",
		"Severity":{"Label":"HIGH"},"Compliance":{"Status":"FAILED","SecurityControlId":"S3.8"},"Confidence":40,
		"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::a","Tags":{"env":"prod"}},{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return finding.Create(f)
}

// TestCompositeFilters holds criteria of version 2 to what they say, with the same
// verdict from the plain loop and from the index.
func TestCompositeFilters(t *testing.T) {
	t.Parallel()
	one := func(kind, field, test string) string {
		return fmt.Sprintf(`"%s":[{"FieldName":%q,"Filter":%s}]`, kind, field, test)
	}
	equals := func(v string) string { return fmt.Sprintf(`{"Value":%q,"Comparison":"EQUALS"}`, v) }
	account, other := one("StringFilters", "cloud.account.uid", equals("111111111111")), one("StringFilters", "cloud.account.uid", equals("2"))
	title := one("StringFilters", "finding_info.title", `{"Value":"bucket","Comparison":"PREFIX"}`)
	two := func(field, a, b, operator string) string {
		return fmt.Sprintf(`{"CompositeFilters":[{"StringFilters":[{"FieldName":%[1]q,"Filter":%[2]s},{"FieldName":%[1]q,"Filter":%[3]s}]%[4]s}]}`, field, a, b, operator)
	}
	for criteria, want := range map[string]bool{
		`{"CompositeFilters":[{` + account + `}]}`:                                                                                       true,
		`{"CompositeFilters":[{` + other + `}]}`:                                                                                         false,
		`{"CompositeFilters":[{` + account + `},{` + other + `}]}`:                                                                       false,
		`{"CompositeFilters":[{` + account + `},{` + other + `}],"CompositeOperator":"OR"}`:                                              true,
		`{"CompositeFilters":[{` + other + `},{` + other + `}],"CompositeOperator":"OR"}`:                                                false,
		`{"CompositeFilters":[{` + other + `,"NestedCompositeFilters":[{` + title + `}],"Operator":"OR"}]}`:                              true,
		`{"CompositeFilters":[{` + other + `,"NestedCompositeFilters":[{` + title + `}],"Operator":"AND"}]}`:                             false,
		`{"CompositeFilters":[{` + one("NumberFilters", "severity_id", `{"Gte":4}`) + `}]}`:                                              true,
		`{"CompositeFilters":[{` + one("NumberFilters", "severity_id", `{"Eq":5}`) + `}]}`:                                               false,
		`{"CompositeFilters":[{` + one("StringFilters", "severity", equals("High")) + `}]}`:                                              true,
		`{"CompositeFilters":[{` + one("StringFilters", "status", equals("New")) + `}]}`:                                                 true,
		`{"CompositeFilters":[{` + one("StringFilters", "compliance.status", equals("Fail")) + `}]}`:                                     true,
		`{"CompositeFilters":[{` + one("NumberFilters", "confidence_score", `{"Lt":40}`) + `}]}`:                                         false,
		`{"CompositeFilters":[{` + one("StringFilters", "resources.uid", equals("arn:aws:s3:::b")) + `}]}`:                               true,
		`{"CompositeFilters":[{` + one("StringFilters", "resources.uid", `{"Value":"arn:aws:s3:::b","Comparison":"NOT_EQUALS"}`) + `}]}`: false,
		`{"CompositeFilters":[{` + one("MapFilters", "resources.tags", `{"Key":"env","Value":"prod","Comparison":"EQUALS"}`) + `}]}`:     true,
		`{"CompositeFilters":[{` + one("MapFilters", "resources.tags", `{"Key":"env","Value":"dev","Comparison":"EQUALS"}`) + `}]}`:      false,
		`{"CompositeFilters":[{` + one("DateFilters", "finding_info.created_time_dt", `{"DateRange":{"Value":2,"Unit":"DAYS"}}`) + `}]}`: true,
		`{"CompositeFilters":[{` + one("StringFilters", "malware.name", equals("x")) + `}]}`:                                             false,
		// An operator that is given is taken at its word, also for one field; without one
		// the tests of a field are as in ASFF.
		two("cloud.account.uid", equals("111111111111"), equals("2"), ``):                  true,
		two("cloud.account.uid", equals("111111111111"), equals("2"), `,"Operator":"AND"`): false,
		two("cloud.account.uid", equals("111111111111"), equals("2"), `,"Operator":"OR"`):  true,
	} {
		r, err := rule.ParseV2(second(criteria, `{"SeverityId":5,"StatusId":3,"Comment":"seen"}`))
		if err != nil {
			t.Errorf("%s: %v", criteria, err)
			continue
		}
		doc := exposed(t)
		plain, trace := rule.Apply([]rule.Rule{r}, doc, doc, noon())
		indexed, _ := rule.Compile([]rule.Rule{r}).Apply(doc, doc, noon())
		if got := trace[0].Matched; got != want || r.Matches(doc, noon()) != want {
			t.Errorf("%s: %v", criteria, got)
		}
		if diff := finding.Diff(plain, indexed); diff != nil {
			t.Errorf("%s: the index says %v", criteria, diff)
		}
		if want && (plain.SeverityLabel() != finding.Critical || plain.Workflow() != finding.Suppressed || plain.String("Note", "Text") != "seen" || plain.String("Note", "UpdatedBy") != "v2") {
			t.Errorf("%s made %s", criteria, plain.JSON())
		}
		if reasons := r.Reasons(doc, noon()); len(reasons) == 0 {
			t.Errorf("%s has no reasons", criteria)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rule.ParseV2(text)
		if err != nil {
			t.Fatalf("own output %s is refused: %v", text, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(text, second) {
			t.Errorf("not stable: %s", second)
		}
	}
}

func TestParseV2Refuses(t *testing.T) {
	t.Parallel()
	const good, update = `{"CompositeFilters":[{"StringFilters":[{"FieldName":"severity","Filter":{"Value":"High","Comparison":"EQUALS"}}]}]}`, `{"SeverityId":1}`
	leaf := `{"FieldName":"severity","Filter":{"Value":"High","Comparison":"EQUALS"}}`
	for in, want := range map[string]string{
		string(second(`{}`, update)):                                                                                                      `Criteria.OcsfFindingCriteria.CompositeFilters: at least one composite filter is needed`,
		string(second(`{"CompositeFilters":[{}]}`, update)):                                                                               `Criteria.OcsfFindingCriteria.CompositeFilters[0]: at least one filter is needed`,
		string(second(`{"CompositeFilters":[{"Operator":"XOR"}]}`, update)):                                                               `Criteria.OcsfFindingCriteria.CompositeFilters[0].Operator: should be AND or OR`,
		string(second(`{"CompositeFilters":[{"NestedCompositeFilters":[{"NestedCompositeFilters":[{}]}]}]}`, update)):                     `Criteria.OcsfFindingCriteria.CompositeFilters[0].NestedCompositeFilters[0].NestedCompositeFilters: composite filters have three layers at most`,
		string(second(`{"CompositeFilters":[`+strings.TrimSuffix(strings.Repeat(`{"StringFilters":[`+leaf+`]},`, 11), ",")+`]}`, update)): `Criteria.OcsfFindingCriteria.CompositeFilters: 11 composite filters are more than the limit of 10`,
		string(second(`{"CompositeFilters":[{"StringFilters":[`+strings.TrimSuffix(strings.Repeat(leaf+",", 21), ",")+`]}]}`, update)):    `Criteria.OcsfFindingCriteria.CompositeFilters[0].StringFilters: 21 filters are more than the limit of 20`,
		string(second(strings.Replace(good, "severity", "severity_id", 1), update)):                                                       `Criteria.OcsfFindingCriteria.CompositeFilters[0].StringFilters[0].FieldName: there is no such field of this type: "severity_id"`,
		string(second(strings.Replace(good, "EQUALS", "CONTAINS_WORD", 1), update)):                                                       `Criteria.OcsfFindingCriteria.CompositeFilters[0].StringFilters[0].Filter.Comparison: CONTAINS_WORD works in GetFindingsV2 only`,
		string(second(good, `{}`)):                                                                        `Actions[0].FindingFieldsUpdate: changes nothing`,
		string(second(good, `{"SeverityId":99}`)):                                                         `Actions[0].FindingFieldsUpdate.SeverityId: should be 1 (Informational), 2, 3, 4, 5 (Critical) or 6 (Fatal)`,
		string(second(good, `{"StatusId":5}`)):                                                            `Actions[0].FindingFieldsUpdate.StatusId: should be 1 (New), 2 (In Progress), 3 (Suppressed) or 4 (Resolved)`,
		string(second(good, `{"Comment":""}`)):                                                            `Actions[0].FindingFieldsUpdate.Comment: should have 1 to 512 characters`,
		strings.Replace(string(second(good, update)), "1.5", "1000.5", 1):                                 `RuleOrder: should be a number from 1.0 to 1000.0`,
		strings.Replace(string(second(good, update)), "FINDING_FIELDS_UPDATE", "EXTERNAL_INTEGRATION", 1): `Actions[0].Type: Parry has no connectors; send findings on with bus_rules and channels`,
		strings.Replace(string(second(good, update)), `"RuleOrder"`, `"IsTerminal":true,"RuleOrder"`, 1):  `rule: unknown field "IsTerminal"`,
	} {
		_, err := rule.ParseV2([]byte(in))
		if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

// A rule of version 2 may stand between two of version 1.
func TestBothVersionsAreOneOrder(t *testing.T) {
	t.Parallel()
	v2, err := rule.ParseV2(second(`{"CompositeFilters":[{"StringFilters":[{"FieldName":"finding_info.title","Filter":{"Value":"bucket","Comparison":"PREFIX"}}]}]}`, `{"SeverityId":2}`))
	if err != nil {
		t.Fatal(err)
	}
	rules := []rule.Rule{build(t, "two", 2, "bucket", `{"Confidence":2}`, ""), v2, build(t, "one", 1, "bucket", `{"Severity":{"Label":"CRITICAL"}}`, "")}
	got, trace := rule.Compile(rules).Apply(exposed(t), exposed(t), noon())
	if diff := cmp.Diff([]string{"one", "v2", "two"}, trace.Matched()); diff != "" || got.SeverityLabel() != finding.Low {
		t.Errorf("%s %s", got.SeverityLabel(), diff)
	}
}

func FuzzParseV2(f *testing.F) {
	f.Add(second(`{"CompositeFilters":[{"NumberFilters":[{"FieldName":"severity_id","Filter":{"Gte":4}}],"NestedCompositeFilters":[{"MapFilters":[{"FieldName":"resources.tags","Filter":{"Key":"a","Value":"b","Comparison":"NOT_EQUALS"}}]}],"Operator":"OR"}],"CompositeOperator":"AND"}`, `{"StatusId":4,"Comment":"x"}`))
	doc := exposed(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := rule.ParseV2(raw)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rule.ParseV2(text); err != nil {
			t.Fatalf("own output %s is refused: %v", text, err)
		}
		idempotent(t, []rule.Rule{r}, doc)
	})
}
