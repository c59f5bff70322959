package filter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

func TestAll107Fields(t *testing.T) {
	t.Parallel()
	count, rules := map[filter.Kind]int{}, map[filter.Kind]int{}
	for name, f := range filter.Fields() {
		count[f.Kind]++
		if f.RuleMax > 0 {
			rules[f.Kind]++
		}
		if f.Name != name || len(f.Paths) == 0 || len(f.Paths[0]) == 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	want := map[filter.Kind]int{
		filter.String: 74, filter.Date: 11, filter.Number: 10, filter.IP: 6, filter.Map: 4, filter.Keyword: 1, filter.Boolean: 1,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	want = map[filter.Kind]int{filter.String: 31, filter.Date: 5, filter.Number: 2, filter.Map: 3}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("fields of automation rules: %s", diff)
	}
}

func values(n int) string {
	return strings.TrimSuffix(strings.Repeat(`{"Value":"x","Comparison":"EQUALS"},`, n), ",")
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`[]`:                                   `Filters: should be an object of lists: json: cannot unmarshal array into Go value of type map[string][]json.RawMessage`,
		`{"Severity":[]}`:                      `Filters.Severity: there is no such field`,
		`{"severitylabel":[{}]}`:               `Filters.severitylabel: there is no such field`,
		`{"SeverityLabel":["x"]}`:              `Filters.SeverityLabel[0]: should be object`,
		`{"SeverityLabel":[{}]}`:               `Filters.SeverityLabel[0].Value: a value that is not blank is needed`,
		`{"SeverityLabel":[{"Value":"HIGH"}]}`: `Filters.SeverityLabel[0].Comparison: should be one of [EQUALS PREFIX NOT_EQUALS PREFIX_NOT_EQUALS CONTAINS NOT_CONTAINS]`,
		`{"SeverityLabel":[{"Value":"HIGH","Comparison":"LIKE"}]}`:                                                           `Filters.SeverityLabel[0].Comparison: should be one of [EQUALS PREFIX NOT_EQUALS PREFIX_NOT_EQUALS CONTAINS NOT_CONTAINS]`,
		`{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS","X":1}]}`:                                                   `Filters.SeverityLabel[0]: unknown field "X"`,
		`{"SeverityLabel":[{"Value":5,"Comparison":"EQUALS"}]}`:                                                              `Filters.SeverityLabel[0]: cannot unmarshal number into Go struct field StringTest.Value of type string`,
		`{"Title":[{"Value":"x","Comparison":"CONTAINS"}]}`:                                                                  `Filters.Title[0].Comparison: CONTAINS works in automation rules only`,
		`{"Title":[{"Value":"x","Comparison":"NOT_CONTAINS"}]}`:                                                              `Filters.Title[0].Comparison: NOT_CONTAINS works in automation rules only`,
		`{"Title":[{"Value":"x","Comparison":"CONTAINS_WORD"}]}`:                                                             `Filters.Title[0].Comparison: CONTAINS_WORD works in GetFindingsV2 only`,
		`{"Title":[{"Value":"x","Comparison":"EQUALS"},{"Value":"y","Comparison":"NOT_EQUALS"}]}`:                            `Filters.Title: EQUALS cannot stand beside NOT_EQUALS or PREFIX_NOT_EQUALS on one field`,
		`{"Title":[{"Value":"x","Comparison":"EQUALS"},{"Value":"y","Comparison":"PREFIX_NOT_EQUALS"}]}`:                     `Filters.Title: EQUALS cannot stand beside NOT_EQUALS or PREFIX_NOT_EQUALS on one field`,
		`{"ResourceTags":[{"Key":"k","Value":"x","Comparison":"EQUALS"},{"Key":"j","Value":"y","Comparison":"NOT_EQUALS"}]}`: `Filters.ResourceTags: EQUALS cannot stand beside NOT_EQUALS or PREFIX_NOT_EQUALS on one field`,
		`{"ResourceTags":[{"Key":"k","Value":"x","Comparison":"PREFIX"}]}`:                                                   `Filters.ResourceTags[0].Comparison: should be one of [EQUALS NOT_EQUALS CONTAINS NOT_CONTAINS]`,
		`{"ResourceTags":[{"Value":"x","Comparison":"EQUALS"}]}`:                                                             `Filters.ResourceTags[0].Key: a value that is not blank is needed`,
		`{"Confidence":[{}]}`:               `Filters.Confidence[0]: at least one of Eq, Gt, Gte, Lt, Lte is needed`,
		`{"Confidence":[{"Eq":"1"}]}`:       `Filters.Confidence[0]: cannot unmarshal string into Go struct field NumberTest.Eq of type float64`,
		`{"UpdatedAt":[{}]}`:                `Filters.UpdatedAt[0]: Start, End or DateRange is needed`,
		`{"UpdatedAt":[{"Start":"today"}]}`: `Filters.UpdatedAt[0].Start: should match format "date-time"`,
		`{"UpdatedAt":[{"Start":"2024-01-01T00:00:00Z","DateRange":{"Value":1,"Unit":"DAYS"}}]}`: `Filters.UpdatedAt[0]: DateRange cannot stand beside Start or End`,
		`{"UpdatedAt":[{"DateRange":{"Value":1,"Unit":"HOURS"}}]}`:                               `Filters.UpdatedAt[0].DateRange.Unit: should be DAYS`,
		`{"UpdatedAt":[{"DateRange":{"Value":0,"Unit":"DAYS"}}]}`:                                `Filters.UpdatedAt[0].DateRange.Value: should be 1 to 36500`,
		`{"UpdatedAt":[{"DateRange":{"Value":1,"Unit":"DAYS","Comparison":"X"}}]}`:               `Filters.UpdatedAt[0].DateRange.Comparison: should be WITHIN or OLDER_THAN`,
		`{"NetworkSourceIpV4":[{"Cidr":"ten"}]}`:                                                 `Filters.NetworkSourceIpV4[0].Cidr: should be an address or a network such as 10.0.0.0/8`,
		`{"Sample":[{"Value":"true"}]}`:                                                          `Filters.Sample[0]: cannot unmarshal string into Go struct field BooleanTest.Value of type bool`,
		`{"Keyword":[{"Value":" "}]}`:                                                            `Filters.Keyword[0].Value: a value that is not blank is needed`,
		`{"Title":[` + values(21) + `]}`:                                                         `Filters.Title: 21 values are more than the limit of 20`,
		elevenFields():                                                                           `Filters: 11 fields are more than the limit of 10`,
		`{"Title":[` + strings.Repeat(" ", filter.MaxBytes) + `]}`:                               `Filters: 262156 bytes are more than the limit of 262144`,
	} {
		_, err := filter.Parse([]byte(in))
		if err == nil {
			t.Errorf("%s was accepted", in)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%.200s: %s", in, diff)
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%.200s: code %s", in, fault.CodeOf(err))
		}
	}
}

func elevenFields() string {
	var parts []string
	for _, name := range []string{"Id", "Title", "Description", "Region", "Type", "GeneratorId", "ProductArn", "AwsAccountId", "RecordState", "WorkflowStatus", "SeverityLabel"} {
		parts = append(parts, fmt.Sprintf(`"%s":[%s]`, name, values(1)))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{
		`{}`: 0, `null`: 0, `{"Title":[]}`: 0, `{"Title":null}`: 0,
		`{"Title":[` + values(20) + `]}`: 1,
	} {
		f, err := filter.Parse([]byte(in))
		if err != nil || len(f.Criteria) != want {
			t.Errorf("%.100s: %d criteria, %v", in, len(f.Criteria), err)
		}
	}
}

func TestCriteriaOfRules(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}`:           `Criteria: at least one criterion is needed`,
		`{"Title":[]}`: `Criteria.Title: at least one value is needed`,
		`{"Region":[{"Value":"x","Comparison":"EQUALS"}]}`:                                              `Criteria.Region: an automation rule cannot use this field`,
		`{"SeverityNormalized":[{"Eq":1}]}`:                                                             `Criteria.SeverityNormalized: an automation rule cannot use this field`,
		`{"ProductFields":[{"Key":"a","Value":"b","Comparison":"EQUALS"}]}`:                             `Criteria.ProductFields: an automation rule cannot use this field`,
		`{"Title":[` + values(100) + `]}`:                                                               "",
		`{"Title":[` + values(101) + `]}`:                                                               `Criteria.Title: 101 values are more than the limit of 100`,
		`{"Description":[` + values(21) + `]}`:                                                          `Criteria.Description: 21 values are more than the limit of 20`,
		elevenFields():                                                                                  `Criteria.Region: an automation rule cannot use this field`,
		`{"Title":[{"Value":"x","Comparison":"CONTAINS"},{"Value":"y","Comparison":"EQUALS"}]}`:         `Criteria.Title: CONTAINS can stand beside CONTAINS only`,
		`{"Title":[{"Value":"x","Comparison":"CONTAINS"},{"Value":"y","Comparison":"NOT_CONTAINS"}]}`:   `Criteria.Title: CONTAINS can stand beside CONTAINS only`,
		`{"Title":[{"Value":"x","Comparison":"NOT_CONTAINS"},{"Value":"y","Comparison":"NOT_EQUALS"}]}`: `Criteria.Title: NOT_CONTAINS can stand beside NOT_CONTAINS only`,
		`{"Title":[{"Value":"x","Comparison":"CONTAINS"},{"Value":"y","Comparison":"CONTAINS"}]}`:       "",
	} {
		_, err := filter.ParseCriteria([]byte(in))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.100s: %s", in, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/filters.json"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var all []json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil {
			f.Fatal(err)
		}
		for _, one := range all {
			f.Add([]byte(one))
		}
	}
	f.Add([]byte(`{"UpdatedAt":[{"Start":"2024-01-01T00:00:00.5+01:00"},{"DateRange":{"Value":3,"Unit":"DAYS"}}],"Confidence":[{"Gte":1e2,"Lt":5}]}`))
	f.Add([]byte(`{"NetworkSourceIpV4":[{"Cidr":"10.9.9.9/8"}],"Sample":[{"Value":true}],"Keyword":[{"Value":"x"}],"ResourceTags":[{"Key":"k","Value":"v","Comparison":"NOT_CONTAINS"}]}`))
	doc, err := finding.Parse([]byte(sample))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, parse := range []func([]byte) (filter.Filter, error){filter.Parse, filter.ParseCriteria} {
			first, err := parse(raw)
			if err != nil {
				continue
			}
			text, err := json.Marshal(first)
			if err != nil {
				t.Fatal(err)
			}
			second, err := parse(text)
			if err != nil {
				t.Fatalf("own output %s is refused: %v", text, err)
			}
			again, err := json.Marshal(second)
			if err != nil || !bytes.Equal(text, again) {
				t.Fatalf("not stable: %s, %s, %v", text, again, err)
			}
			all := true
			for _, r := range first.Explain(doc, noon()) {
				all = all && r.Matched
			}
			if got := first.Match(doc, noon()); got != all || got != second.Match(doc, noon()) {
				t.Fatalf("match %v, explained %v", got, all)
			}
		}
	})
}
