package filter_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

func noon() time.Time { return time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) }

func document(t testing.TB, s string) finding.Finding {
	t.Helper()
	f, err := finding.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// matches parses in as a rule's criteria, which may use every operator, or as a
// query when the field is none of a rule's.
func matches(t testing.TB, in string, doc finding.Finding) bool {
	t.Helper()
	f, err := filter.ParseCriteria([]byte(in))
	if err != nil {
		if f, err = filter.Parse([]byte(in)); err != nil {
			t.Fatal(err)
		}
	}
	return f.Match(doc, noon())
}

const sample = `{
	"Id":"f1","Title":"Bucket is public","Confidence":42,"AwsAccountId":"111122223333",
	"Types":["TTPs/Discovery","Effects/Data Exposure"],
	"Severity":{"Label":"HIGH","Normalized":70,"Product":7.5},
	"CreatedAt":"2024-04-20T12:00:00Z","UpdatedAt":"2024-05-01T11:00:00+00:00",
	"Network":{"SourceIpV4":"10.1.2.3","SourceIpV6":"2001:db8::1","SourcePort":443},
	"Resources":[
		{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::one","Tags":{"env":"prod","team":"a"}},
		{"Type":"AwsEc2Instance","Id":"i-1","Details":{"AwsEc2Instance":{"IpV4Addresses":["1.1.1.1","2.2.2.2"],"LaunchedAt":"2024-01-01T00:00:00Z"},"Other":{"k":"v"}}}],
	"Compliance":{"Status":"FAILED","SecurityControlId":"S3.8","AssociatedStandards":[{"StandardsId":"standards/x"}],"SecurityControlParameters":[{"Name":"n","Value":["1","2"]}]},
	"Workflow":{"Status":"NEW"},"RecordState":"ACTIVE","UserDefinedFields":{"a":"b"}
}`

func TestMatch(t *testing.T) {
	t.Parallel()
	doc := document(t, sample)
	for in, want := range map[string]bool{
		// strings
		`{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]}`:                                                  true,
		`{"SeverityLabel":[{"Value":"high","Comparison":"EQUALS"}]}`:                                                  false,
		`{"SeverityLabel":[{"Value":"LOW","Comparison":"EQUALS"},{"Value":"HIGH","Comparison":"EQUALS"}]}`:            true,
		`{"SeverityLabel":[{"Value":"LOW","Comparison":"EQUALS"},{"Value":"HI","Comparison":"PREFIX"}]}`:              true,
		`{"SeverityLabel":[{"Value":"LOW","Comparison":"NOT_EQUALS"},{"Value":"HIGH","Comparison":"NOT_EQUALS"}]}`:    false,
		`{"SeverityLabel":[{"Value":"LOW","Comparison":"NOT_EQUALS"},{"Value":"MEDIUM","Comparison":"NOT_EQUALS"}]}`:  true,
		`{"Title":[{"Value":"is pub","Comparison":"CONTAINS"}]}`:                                                      true,
		`{"Title":[{"Value":"Is Pub","Comparison":"CONTAINS"}]}`:                                                      false,
		`{"Title":[{"Value":"is pub","Comparison":"NOT_CONTAINS"}]}`:                                                  false,
		`{"Title":[{"Value":"Bucket","Comparison":"PREFIX_NOT_EQUALS"}]}`:                                             false,
		`{"Title":[{"Value":"bucket","Comparison":"PREFIX_NOT_EQUALS"}]}`:                                             true,
		`{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}],"Title":[{"Value":"x","Comparison":"EQUALS"}]}`:    false,
		`{"ResourceType":[{"Value":"Aws","Comparison":"PREFIX"},{"Value":"AwsS3Bucket","Comparison":"NOT_EQUALS"}]}`:  false,
		`{"ResourceType":[{"Value":"Aws","Comparison":"PREFIX"},{"Value":"AwsIamPolicy","Comparison":"NOT_EQUALS"}]}`: true,
		`{"ComplianceSecurityControlParametersValue":[{"Value":"2","Comparison":"EQUALS"}]}`:                          true,
		`{"ComplianceAssociatedStandardsId":[{"Value":"standards/x","Comparison":"EQUALS"}]}`:                         true,
		// arrays: any element for a positive, no element for a negative
		`{"Type":[{"Value":"Effects","Comparison":"PREFIX"}]}`:            true,
		`{"Type":[{"Value":"Effects","Comparison":"PREFIX_NOT_EQUALS"}]}`: false,
		`{"Type":[{"Value":"TTPs/Other","Comparison":"NOT_EQUALS"}]}`:     true,
		// absent
		`{"NoteText":[{"Value":"x","Comparison":"EQUALS"}]}`:       false,
		`{"NoteText":[{"Value":"x","Comparison":"NOT_EQUALS"}]}`:   true,
		`{"NoteText":[{"Value":"x","Comparison":"NOT_CONTAINS"}]}`: true,
		// numbers
		`{"Confidence":[{"Gte":40,"Lte":50}]}`: true,
		`{"Confidence":[{"Gte":43,"Lte":50}]}`: false,
		`{"Confidence":[{"Eq":1},{"Eq":42}]}`:  true,
		`{"Confidence":[{"Gt":42}]}`:           false,
		`{"Confidence":[{"Lt":42.5}]}`:         true,
		`{"SeverityProduct":[{"Eq":7.5}]}`:     true,
		`{"NetworkSourcePort":[{"Eq":443}]}`:   true,
		`{"Criticality":[{"Gte":0}]}`:          false,
		// dates
		`{"CreatedAt":[{"DateRange":{"Value":12,"Unit":"DAYS"}}]}`:                                                       true,
		`{"CreatedAt":[{"DateRange":{"Value":10,"Unit":"DAYS"}}]}`:                                                       false,
		`{"CreatedAt":[{"DateRange":{"Value":10,"Unit":"DAYS","Comparison":"OLDER_THAN"}}]}`:                             true,
		`{"CreatedAt":[{"DateRange":{"Value":12,"Unit":"DAYS","Comparison":"OLDER_THAN"}}]}`:                             false,
		`{"UpdatedAt":[{"Start":"2024-05-01T00:00:00Z"}]}`:                                                               true,
		`{"UpdatedAt":[{"End":"2024-05-01T13:00:00+02:00"}]}`:                                                            true,
		`{"UpdatedAt":[{"End":"2024-05-01T12:59:59+02:00"}]}`:                                                            false,
		`{"UpdatedAt":[{"Start":"2020-01-01T00:00:00Z","End":"2020-02-01T00:00:00Z"},{"Start":"2024-05-01T00:00:00Z"}]}`: true,
		`{"ResourceAwsEc2InstanceLaunchedAt":[{"Start":"2024-01-01T00:00:00Z"}]}`:                                        true,
		`{"NoteUpdatedAt":[{"Start":"2024-01-01T00:00:00Z"}]}`:                                                           false,
		// addresses
		`{"NetworkSourceIpV4":[{"Cidr":"10.0.0.0/8"}]}`:                            true,
		`{"NetworkSourceIpV4":[{"Cidr":"10.1.2.3"}]}`:                              true,
		`{"NetworkSourceIpV4":[{"Cidr":"192.168.0.0/16"},{"Cidr":"10.1.0.0/16"}]}`: true,
		`{"NetworkSourceIpV4":[{"Cidr":"2001:db8::/32"}]}`:                         false,
		`{"NetworkSourceIpV6":[{"Cidr":"2001:db8::/32"}]}`:                         true,
		`{"ResourceAwsEc2InstanceIpV4Addresses":[{"Cidr":"2.2.2.0/24"}]}`:          true,
		// maps
		`{"ResourceTags":[{"Key":"env","Value":"prod","Comparison":"EQUALS"}]}`:     true,
		`{"ResourceTags":[{"Key":"env","Value":"dev","Comparison":"EQUALS"}]}`:      false,
		`{"ResourceTags":[{"Key":"env","Value":"prod","Comparison":"NOT_EQUALS"}]}`: false,
		`{"ResourceTags":[{"Key":"cost","Value":"1","Comparison":"NOT_EQUALS"}]}`:   true,
		`{"ResourceTags":[{"Key":"env","Value":"ro","Comparison":"CONTAINS"}]}`:     true,
		`{"ResourceTags":[{"Key":"env","Value":"ro","Comparison":"NOT_CONTAINS"}]}`: false,
		`{"UserDefinedFields":[{"Key":"a","Value":"b","Comparison":"EQUALS"}]}`:     true,
		`{"ResourceDetailsOther":[{"Key":"k","Value":"v","Comparison":"EQUALS"}]}`:  true,
		`{"ProductFields":[{"Key":"k","Value":"v","Comparison":"EQUALS"}]}`:         false,
		// the rest
		`{"Keyword":[{"Value":"public"}]}`:     true,
		`{"Keyword":[{"Value":"arn:aws:s3"}]}`: true,
		`{"Keyword":[{"Value":"private"}]}`:    false,
		`{"Sample":[{"Value":true}]}`:          false,
	} {
		if got := matches(t, in, doc); got != want {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

// Two EQUALS on different keys of one map field are alternatives: AWS's text
// speaks of the filter field, not of the key.
func TestDecisionMapKeysAreAlternatives(t *testing.T) {
	t.Parallel()
	in := `{"ResourceTags":[{"Key":"env","Value":"prod","Comparison":"EQUALS"},{"Key":"team","Value":"zzz","Comparison":"EQUALS"}]}`
	if !matches(t, in, document(t, sample)) {
		t.Error("env=prod OR team=zzz holds")
	}
	in = `{"ResourceTags":[{"Key":"env","Value":"dev","Comparison":"NOT_EQUALS"},{"Key":"team","Value":"a","Comparison":"NOT_EQUALS"}]}`
	if matches(t, in, document(t, sample)) {
		t.Error("negatives on different keys must all hold")
	}
}

func TestDecisionDateEndsAreInclusive(t *testing.T) {
	t.Parallel()
	doc := document(t, sample)
	for in, want := range map[string]bool{
		`{"CreatedAt":[{"Start":"2024-04-20T12:00:00Z","End":"2024-04-20T12:00:00Z"}]}`: true,
		`{"CreatedAt":[{"Start":"2024-04-20T12:00:00.001Z"}]}`:                          false,
		`{"CreatedAt":[{"End":"2024-04-20T11:59:59.999Z"}]}`:                            false,
		// 11 days before noon() is the very instant: WITHIN holds, OLDER_THAN does not.
		`{"CreatedAt":[{"DateRange":{"Value":11,"Unit":"DAYS","Comparison":"WITHIN"}}]}`:     true,
		`{"CreatedAt":[{"DateRange":{"Value":11,"Unit":"DAYS","Comparison":"OLDER_THAN"}}]}`: false,
	} {
		if got := matches(t, in, doc); got != want {
			t.Errorf("%s: got %v, want %v", in, got, want)
		}
	}
}

// A relative range slides with the time of evaluation.
func TestDateRangeIsRelativeToEvaluation(t *testing.T) {
	t.Parallel()
	f, err := filter.Parse([]byte(`{"CreatedAt":[{"DateRange":{"Value":12,"Unit":"DAYS"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, sample)
	if !f.Match(doc, noon()) || f.Match(doc, noon().Add(48*time.Hour)) {
		t.Error("the range did not slide")
	}
}

// A date ahead of the evaluation counts as within, so that a clock that runs
// ahead does not hide fresh findings.
func TestDecisionFutureDatesAreWithin(t *testing.T) {
	t.Parallel()
	doc := document(t, `{"CreatedAt":"2024-05-02T12:00:00Z"}`)
	if !matches(t, `{"CreatedAt":[{"DateRange":{"Value":1,"Unit":"DAYS"}}]}`, doc) {
		t.Error("not within")
	}
}

// Documentation of automation rules lists Eq, Gte and Lte only; the model has
// Gt and Lt as well, and Parry takes them.
func TestDecisionRulesMayUseGtAndLt(t *testing.T) {
	t.Parallel()
	if _, err := filter.ParseCriteria([]byte(`{"Confidence":[{"Gt":1,"Lt":9}]}`)); err != nil {
		t.Error(err)
	}
}

func TestDecisionAbsentSampleIsFalse(t *testing.T) {
	t.Parallel()
	if !matches(t, `{"Sample":[{"Value":false}]}`, document(t, sample)) {
		t.Error("a finding that does not say it is a sample is none")
	}
}

// Criteria on two resource fields need not hold for the same resource.
func TestDecisionResourcesAreNotCorrelated(t *testing.T) {
	t.Parallel()
	in := `{"ResourceType":[{"Value":"AwsEc2Instance","Comparison":"EQUALS"}],"ResourceTags":[{"Key":"env","Value":"prod","Comparison":"EQUALS"}]}`
	if !matches(t, in, document(t, sample)) {
		t.Error("type of one resource and tag of the other")
	}
}

func TestExamplesOfAWS(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/finding.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := document(t, string(raw))
	if raw, err = os.ReadFile("testdata/filters.json"); err != nil {
		t.Fatal(err)
	}
	var filters []json.RawMessage
	if err := json.Unmarshal(raw, &filters); err != nil {
		t.Fatal(err)
	}
	want := []bool{true, false, false}
	for i, in := range filters {
		f, err := filter.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(doc, noon()); got != want[i] {
			t.Errorf("filter %d: got %v", i, got)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	f, err := filter.Parse([]byte(`{"SeverityLabel":[{"Value":"LOW","Comparison":"EQUALS"}],"ResourceTags":[{"Key":"env","Value":"prod","Comparison":"EQUALS"}],"Type":[{"Value":"TTPs","Comparison":"PREFIX"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []filter.Reason{
		{Field: "ResourceTags", Matched: true, Want: json.RawMessage(`[{"Key":"env","Value":"prod","Comparison":"EQUALS"}]`), Clauses: []filter.Clause{{Want: json.RawMessage(`{"Key":"env","Value":"prod","Comparison":"EQUALS"}`), Holds: true}}, Have: []string{"env=prod", "team=a"}},
		{Field: "SeverityLabel", Want: json.RawMessage(`[{"Value":"LOW","Comparison":"EQUALS"}]`), Clauses: []filter.Clause{{Want: json.RawMessage(`{"Value":"LOW","Comparison":"EQUALS"}`)}}, Have: []string{"HIGH"}},
		{Field: "Type", Matched: true, Want: json.RawMessage(`[{"Value":"TTPs","Comparison":"PREFIX"}]`), Clauses: []filter.Clause{{Want: json.RawMessage(`{"Value":"TTPs","Comparison":"PREFIX"}`), Holds: true}}, Have: []string{"TTPs/Discovery", "Effects/Data Exposure"}},
	}
	if diff := cmp.Diff(want, f.Explain(document(t, sample), noon())); diff != "" {
		t.Error(diff)
	}
}

// Every clause is judged alone; one that excludes says so.
func TestExplainClauses(t *testing.T) {
	t.Parallel()
	f, err := filter.Parse([]byte(`{"Type":[{"Value":"TTPs","Comparison":"PREFIX"},{"Value":"Nothing","Comparison":"PREFIX"},{"Value":"TTPs/Discovery","Comparison":"NOT_EQUALS"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Explain(document(t, sample), noon())[0]
	var holds, negative []bool
	for _, c := range got.Clauses {
		holds, negative = append(holds, c.Holds), append(negative, c.Negative)
	}
	if got.Matched || !slices.Equal(holds, []bool{true, false, false}) || !slices.Equal(negative, []bool{false, false, true}) {
		t.Errorf("%+v", got)
	}
}
