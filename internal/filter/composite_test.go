package filter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

const view = `{
	"metadata":{"uid":"k","product":{"name":"Prowler","uid":"prowler"}},"cloud":{"account":{"uid":"111122223333"},"region":"eu-west-1"},
	"severity":"High","severity_id":4,"status":"New","status_id":1,"class_name":"Compliance Finding","activity_id":1,"activity_name":"Create",
	"finding_info":{"uid":"f1","title":"Bucket my-bucket is public","types":["a/b","c"],"created_time_dt":"2024-04-20T12:00:00Z","tags":[{"name":"t","value":"v"}]},
	"resources":[{"uid":"arn:1","type":"AwsS3Bucket","tags":[{"name":"env","value":"prod"},{"name":"team","value":"a"}]},{"uid":"arn:2","type":"Other"}],
	"compliance":{"control":"S3.8","standards":["CIS"],"control_parameters":[{"name":"days","values":["30","60"]}],"assessments":[{"name":"n","meets_criteria":true}]},
	"vulnerabilities":[{"cve":{"uid":"CVE-1","cvss":[{"base_score":9.8}],"epss":{"score":0.5}},"is_exploit_available":true}],
	"evidences":[{"src_endpoint":{"ip":"10.1.2.3","port":22}}]}`

func str(field, comparison, value string) string {
	return `{"FieldName":"` + field + `","Filter":{"Value":"` + value + `","Comparison":"` + comparison + `"}}`
}

func group(operator string, members ...string) string {
	out := "{" + strings.Join(members, ",")
	if operator != "" {
		out += `,"Operator":"` + operator + `"`
	}
	return out + "}"
}

func strs(items ...string) string { return `"StringFilters":[` + strings.Join(items, ",") + `]` }

func composite(operator string, groups ...string) string {
	out := `{"CompositeFilters":[` + strings.Join(groups, ",") + `]`
	if operator != "" {
		out += `,"CompositeOperator":"` + operator + `"`
	}
	return out + "}"
}

func TestCompositeMatch(t *testing.T) {
	t.Parallel()
	high, low, fresh := str("severity", "EQUALS", "High"), str("severity", "EQUALS", "Low"), str("status", "EQUALS", "New")
	one := func(list string) string { return composite("", group("", list)) }
	for in, want := range map[string]bool{
		`{}`:            true,
		one(strs(high)): true,
		one(strs(low)):  false,
		// An operator that is said joins filter by filter, also on one field.
		composite("", group("AND", strs(high, low))): false,
		composite("", group("OR", strs(high, low))):  true,
		composite("", group("OR", strs(str("severity", "NOT_EQUALS", "High"), str("severity", "NOT_EQUALS", "Low")))):  true,
		composite("", group("AND", strs(str("severity", "NOT_EQUALS", "High"), str("severity", "NOT_EQUALS", "Low")))): false,
		// Decision: without one, those of one field join as AWS says of a field.
		composite("", group("", strs(high, low))):        true,
		composite("", group("", strs(high, low, fresh))): true,
		composite("", group("", strs(low, fresh))):       false,
		// layers
		composite("AND", group("", strs(high)), group("", strs(low))):                                                false,
		composite("OR", group("", strs(high)), group("", strs(low))):                                                 true,
		composite("", group("AND", strs(high), `"NestedCompositeFilters":[`+group("OR", strs(low, fresh))+`]`)):      true,
		composite("", group("AND", strs(high), `"NestedCompositeFilters":[`+group("AND", strs(low, fresh))+`]`)):     false,
		composite("", group("OR", `"NestedCompositeFilters":[`+group("", strs(low))+`,`+group("", strs(fresh))+`]`)): true,
		// kinds
		one(`"NumberFilters":[{"FieldName":"severity_id","Filter":{"Gte":4}}]`):                                                        true,
		one(`"NumberFilters":[{"FieldName":"vulnerabilities.cve.cvss.base_score","Filter":{"Gt":9.8}}]`):                               false,
		one(`"DateFilters":[{"FieldName":"finding_info.created_time_dt","Filter":{"DateRange":{"Value":12,"Unit":"DAYS"}}}]`):          true,
		one(`"BooleanFilters":[{"FieldName":"vulnerabilities.is_exploit_available","Filter":{"Value":true}}]`):                         true,
		one(`"BooleanFilters":[{"FieldName":"vulnerabilities.is_fix_available","Filter":{"Value":true}}]`):                             false,
		one(`"IpFilters":[{"FieldName":"evidences.src_endpoint.ip","Filter":{"Cidr":"10.0.0.0/8"}}]`):                                  true,
		one(`"MapFilters":[{"FieldName":"resources.tags","Filter":{"Key":"env","Value":"prod","Comparison":"EQUALS"}}]`):               true,
		one(`"MapFilters":[{"FieldName":"resources.tags","Filter":{"Key":"name","Value":"env","Comparison":"EQUALS"}}]`):               false,
		one(`"MapFilters":[{"FieldName":"resources.tags","Filter":{"Key":"env","Value":"dev","Comparison":"NOT_EQUALS"}}]`):            true,
		one(`"MapFilters":[{"FieldName":"compliance.control_parameters","Filter":{"Key":"days","Value":"60","Comparison":"EQUALS"}}]`): true,
		one(strs(str("vulnerabilities.cve.epss.score", "EQUALS", "0.5"))):                                                              true,
		one(strs(str("resources.type", "NOT_EQUALS", "Other"))):                                                                        false,
		one(strs(str("finding_info.types", "PREFIX", "a"))):                                                                            true,
		one(strs(str("comment", "NOT_EQUALS", "x"))):                                                                                   true,
		one(strs(str("comment", "EQUALS", "x"))):                                                                                       false,
		one(strs(str("finding_info.title", "CONTAINS_WORD", "bucket"))):                                                                true,
		one(strs(str("finding_info.title", "CONTAINS_WORD", "Bucket my"))):                                                             true,
		one(strs(str("finding_info.title", "CONTAINS_WORD", "pub"))):                                                                   false,
		one(strs(str("finding_info.title", "CONTAINS_WORD", "Public"))):                                                                false,
	} {
		f, err := filter.ParseOCSF([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		doc := document(t, view)
		if got := f.Match(doc, noon()); got != want {
			t.Errorf("%s: got %v", in, got)
		}
		if got := f.Explain(doc, noon()); got.Matched != want {
			t.Errorf("%s: explained as %v", in, got.Matched)
		}
	}
}

func TestCompositeRefuses(t *testing.T) {
	t.Parallel()
	high := str("severity", "EQUALS", "High")
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	for in, want := range map[string]string{
		`[]`:                                    "Filters: should be object",
		`{"X":1}`:                               `unknown field "X"`,
		composite("XOR", group("", strs(high))): "Filters.CompositeOperator: should be AND or OR",
		composite("", group("XOR", strs(high))): "Filters.CompositeFilters[0].Operator: should be AND or OR",
		composite("", `{}`):                     "Filters.CompositeFilters[0]: at least one filter is needed",
		composite("", many(11, group("", strs(high)))): "11 composite filters are more than the limit of 10",
		composite("", group("", strs(many(21, high)))): "StringFilters: 21 filters are more than the limit of 20",
		composite("", group("", `"NestedCompositeFilters":[`+group("", `"NestedCompositeFilters":[`+group("", strs(high))+`]`)+`]`)):       "three layers",
		composite("", group("", strs(str("Severity", "EQUALS", "x")))):                                                                     `StringFilters[0].FieldName: there is no such field of this type: "Severity"`,
		composite("", group("", strs(str("severity_id", "EQUALS", "4")))):                                                                  "there is no such field",
		composite("", group("", strs(str("severity", "CONTAINS", "x")))):                                                                   "use CONTAINS_WORD",
		composite("", group("", strs(str("severity", "NOT_CONTAINS", "x")))):                                                               "should be one of",
		composite("", group("", strs(str("severity", "EQUALS", " ")))):                                                                     "not blank",
		composite("", group("", strs(high, str("severity", "NOT_EQUALS", "x")))):                                                           "on severity: EQUALS cannot stand beside NOT_EQUALS",
		composite("", group("", `"StringFilters":[{"FieldName":"severity"}]`)):                                                             "Filter: is needed",
		composite("", group("", `"MapFilters":[{"FieldName":"resources.tags","Filter":{"Key":"a","Value":"b","Comparison":"CONTAINS"}}]`)): "automation rules only",
	} {
		if _, err := filter.ParseOCSF([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

// Rules say CONTAINS where queries say CONTAINS_WORD.
func TestCompositeCriteria(t *testing.T) {
	t.Parallel()
	if _, err := filter.ParseOCSFCriteria([]byte(composite("", group("", strs(str("finding_info.title", "CONTAINS", "x")))))); err != nil {
		t.Error(err)
	}
	for in, want := range map[string]string{
		`{}`: "at least one composite filter",
		composite("", group("", strs(str("finding_info.title", "CONTAINS_WORD", "x")))): "works in GetFindingsV2 only",
	} {
		if _, err := filter.ParseOCSFCriteria([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

// The fields are those of AWS's model, all of them and no others.
func TestOCSFFieldsAreTheModels(t *testing.T) {
	t.Parallel()
	catalog, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	_, op, err := catalog.Find("securityhub", "GetFindingsV2")
	if err != nil {
		t.Fatal(err)
	}
	member := func(s *apimodel.Shape, names ...string) *apimodel.Shape {
		for _, n := range names {
			m, ok := s.Member(n)
			if !ok {
				t.Fatalf("%s has no %s", s.Name, n)
			}
			if s = m.Shape; s.Elem.Shape != nil {
				s = s.Elem.Shape
			}
		}
		return s
	}
	for name, kind := range map[string]filter.Kind{
		"StringFilters": filter.String, "DateFilters": filter.Date, "BooleanFilters": filter.Boolean,
		"NumberFilters": filter.Number, "MapFilters": filter.Map, "IpFilters": filter.IP,
	} {
		want := member(op.Input, "Filters", "CompositeFilters", name, "FieldName").Enum
		if len(want) == 0 {
			t.Fatalf("%s: the model names no field", name)
		}
		for _, field := range want {
			if _, ok := filter.OCSFField(kind, field); !ok {
				t.Errorf("%s: %s is missing", name, field)
			}
		}
		if got := filter.OCSFFields(kind); len(got) != len(want) {
			t.Errorf("%s: %d fields, the model has %d", name, len(got), len(want))
		}
	}
}

func FuzzParseOCSF(f *testing.F) {
	f.Add([]byte(composite("OR", group("", strs(str("severity", "EQUALS", "High"))))))
	f.Add([]byte(composite("", group("AND", `"MapFilters":[{"FieldName":"resources.tags","Filter":{"Key":"a","Value":"b","Comparison":"EQUALS"}}]`))))
	doc, err := finding.Parse([]byte(view))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := filter.ParseOCSF(raw)
		if err != nil {
			return
		}
		if c.Match(doc, noon()) != c.Explain(doc, noon()).Matched {
			t.Error("explained otherwise")
		}
		for _, g := range c.Groups {
			if !slices.Contains([]filter.Operator{filter.And, filter.Or}, g.Operator) {
				t.Errorf("operator %q", g.Operator)
			}
		}
	})
}
