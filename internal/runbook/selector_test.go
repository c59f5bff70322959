package runbook_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/runbook"
)

const sample = `{
  "Policy": "{}",
  "Stacks": [{"StackStatus": "CREATE_COMPLETE", "Outputs": [{"OutputKey": "a", "OutputValue": "1"}]}, {"StackStatus": "DELETED"}],
  "Grants": [
    {"Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers", "Type": "Group"}, "Permission": "READ", "Size": 5},
    {"Grantee": {"ID": "abc", "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL", "Size": 12},
    {"Grantee": {"URI": "http://acs.amazonaws.com/groups/s3/LogDelivery", "Type": "Group"}, "Permission": "WRITE"}
  ],
  "Outputs": {"preUpgradeBackup.ImageId": ["ami-1"]},
  "Flag": true, "Count": 3, "Ratio": 0.5, "Nothing": null, "Names": ["x", "y"]
}`

func doc(t *testing.T) any {
	t.Helper()
	var v any
	if err := runbook.DecodeJSON([]byte(sample), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	all := "http://acs.amazonaws.com/groups/global/AllUsers"
	absent := struct{}{}
	tests := []struct {
		selector string
		want     any
	}{
		{"$.Policy", "{}"},
		{"Policy", "{}"},
		{"Stacks[0].StackStatus", "CREATE_COMPLETE"},
		{"$.Stacks[1].StackStatus", "DELETED"},
		{"$.Stacks[2].StackStatus", absent},
		{"$.No.Such", absent},
		{"$.Policy.Deeper", absent},
		{"$.Flag", true},
		{"$.Nothing", nil},
		{"$..StackStatus", []any{"CREATE_COMPLETE", "DELETED"}},
		{"$..OutputValue", []any{"1"}},
		{"$..NoSuch", []any{}},
		{"$..Outputs[0].OutputKey", []any{"a"}},
		{"$.Stacks[*].StackStatus", []any{"CREATE_COMPLETE", "DELETED"}},
		{"$.Names.*", []any{"x", "y"}},
		{"$['Outputs']['preUpgradeBackup.ImageId'][0]", "ami-1"},
		{`$["Outputs"]["preUpgradeBackup.ImageId"][0]`, "ami-1"},
		{"$.Outputs.'preUpgradeBackup.ImageId'[0]", "ami-1"},
		{"$.Grants[?(@.Permission == 'READ')].Size", []any{int64(5)}},
		{"$.Grants[?(@.Size > 5)].Permission", []any{"FULL_CONTROL"}},
		{"$.Grants[?(@.Size >= 5 && @.Size < 6.5)].Permission", []any{"READ"}},
		{"$.Grants[?(@.Size)].Permission", []any{"READ", "FULL_CONTROL"}},
		{"$.Grants[?(!@.Size)].Permission", []any{"WRITE"}},
		// A missing member is unequal to everything: canned grants go, owners stay.
		{"$.Grants[?(@.Grantee.URI != '" + all + "')].Permission", []any{"FULL_CONTROL", "WRITE"}},
		{"$.Grants[?(@.Grantee.URI == '" + all + "')].Permission", []any{"READ"}},
		{"$.Grants[?(@.Grantee.URI != '" + all + "' && @.Grantee.URI != 'http://acs.amazonaws.com/groups/s3/LogDelivery')].Permission", []any{"FULL_CONTROL"}},
		{"$.Grants[?(@.Permission in ['READ','WRITE'])].Permission", []any{"READ", "WRITE"}},
		{"$.Grants[?(@.Permission nin ['READ', 'WRITE'])].Permission", []any{"FULL_CONTROL"}},
		{"$.Grants[?(@.Grantee.URI nin ['" + all + "'])].Permission", []any{"FULL_CONTROL", "WRITE"}},
		{"$.Grants[?((@.Size == 5 || @.Size == 12) && !(@.Permission == 'READ'))].Permission", []any{"FULL_CONTROL"}},
		{"$.Grants[?(@.Size == '12')].Permission", []any{"FULL_CONTROL"}},
		{"$.Grants[?(@.Size == $.Count)]", []any{}},
		{"$.Grants[?(@.Size < 'a')].Size", []any{}},
		{`$.Grants[?(@.Permission == "it's")]`, []any{}},
		{`$.Grants[?(@['Permission'] == 'READ')].Size`, []any{int64(5)}},
		{"$..Grantee[?(@.Type == 'Group')].URI", []any{all, "http://acs.amazonaws.com/groups/s3/LogDelivery"}},
	}
	for _, tt := range tests {
		s, err := runbook.ParseSelector(tt.selector)
		if err != nil {
			t.Errorf("%s: %v", tt.selector, err)
			continue
		}
		got, ok := s.Select(doc(t))
		if !ok {
			got = absent
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.selector, diff)
		}
		if s.String() != tt.selector {
			t.Errorf("%q prints as %q", tt.selector, s)
		}
	}
	for _, whole := range []string{"$", "", " $ "} {
		s, err := runbook.ParseSelector(whole)
		got, ok := s.Select(doc(t))
		if err != nil || !ok || !cmp.Equal(doc(t), got) {
			t.Errorf("%q does not select the document", whole)
		}
	}
}

func TestSelectorsAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"$.":                      "character 3: a name is missing",
		"$.a[":                    "an index is a whole number",
		"$.a[1":                   "the bracket is not closed",
		"$.a[-1]":                 "an index is a whole number",
		"$.a[0:2]":                "slices are not supported",
		"$.a['x','y']":            "unions and slices",
		"$.a.length()":            "functions such as length() are not supported",
		"$.a['x":                  "the quote is not closed",
		"$.a[?(@.x == )]":         `"" is not a value`,
		"$.a[?(@.x == y)]":        `"y" is not a value; text is quoted`,
		"$.a[?(@.x in 'y')]":      "in needs a list",
		"$.a[?('x')]":             "a comparison is missing",
		"$.a[?(@.x]":              "the filter is not closed",
		"$.a[?@.x]":               "a filter is written [?(...)]",
		"$.a b":                   `" b" is not understood`,
		strings.Repeat("a", 2000): "more than 1024 characters",
		"$.a[?(" + strings.Repeat("(", 40) + "@.x" + strings.Repeat(")", 40) + ")]": "nested more than 16 deep",
		"$.a[?(" + strings.Repeat("!", 40) + "@.x)]":                                "nested more than 16 deep",
	} {
		if _, err := runbook.ParseSelector(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want %q", text, err, want)
		}
	}
}

// A selection's work is bounded, whatever document and selector come together.
func TestSelectionIsBounded(t *testing.T) {
	t.Parallel()
	wide := make([]any, 2000)
	for i := range wide {
		wide[i] = map[string]any{"a": map[string]any{"b": int64(i)}}
	}
	s, err := runbook.ParseSelector("$..[?(@..b == $..b)]")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, ok := s.Select(map[string]any{"l": wide})
	if took := time.Since(begin); ok || took > 5*time.Second {
		t.Errorf("ok=%v after %s", ok, took)
	}
}

func TestCoerce(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 10, 0, 0, 5e8, time.FixedZone("x", 3600))
	refused := struct{}{}
	for _, tt := range []struct {
		in   any
		typ  runbook.Type
		want any
	}{
		{"x", runbook.TypeString, "x"},
		{at, runbook.TypeString, "2026-05-01T09:00:00.5Z"},
		{int64(7), runbook.TypeString, "7"},
		{true, runbook.TypeString, "true"},
		{map[string]any{"a": "<&>"}, runbook.TypeString, `{"a":"<&>"}`},
		{[]byte("hi"), runbook.TypeString, "aGk="},
		{float64(7), runbook.TypeInteger, int64(7)},
		{"7", runbook.TypeInteger, int64(7)},
		{7.5, runbook.TypeInteger, refused},
		{"many", runbook.TypeInteger, refused},
		{"True", runbook.TypeBoolean, true},
		{"yes", runbook.TypeBoolean, refused},
		{"a", runbook.TypeStringList, []any{"a"}},
		{`["a","b"]`, runbook.TypeStringList, []any{"a", "b"}},
		{[]any{int64(1), "b"}, runbook.TypeStringList, []any{"1", "b"}},
		{[]string{"a"}, runbook.TypeStringList, []any{"a"}},
		{nil, runbook.TypeStringList, refused},
		{map[string]any{"a": 1}, runbook.TypeStringMap, map[string]any{"a": int64(1)}},
		{`{"a":1}`, runbook.TypeStringMap, map[string]any{"a": int64(1)}},
		{[]any{}, runbook.TypeStringMap, refused},
		{[]any{map[string]any{}}, runbook.TypeMapList, []any{map[string]any{}}},
		{[]any{`[{"a":1}]`}, runbook.TypeMapList, []any{map[string]any{"a": int64(1)}}},
		{[]any{"x"}, runbook.TypeMapList, refused},
	} {
		got, err := runbook.Coerce(tt.in, tt.typ)
		if err != nil {
			got = refused
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v as %s: %s", tt.in, tt.typ, diff)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value    any
		definite bool
		desired  string
		want     bool
	}{
		{"available", true, "available", true},
		{"Available", true, "available", false},
		{true, true, "True", true},
		{true, true, "true", true},
		{"True", true, "true", false},
		{int64(3), true, "3", true},
		{[]any{"a", "a"}, false, "a", true},
		{[]any{"a", "b"}, false, "a", false},
		{[]any{}, false, "a", false},
		{[]any{"a"}, true, `["a"]`, true},
		{[]any{"a"}, true, "a", false},
		{nil, true, "", true},
	} {
		if got := runbook.Matches(tt.value, tt.definite, []string{"other", tt.desired}); got != tt.want {
			t.Errorf("Matches(%v, %v, %q) = %v", tt.value, tt.definite, tt.desired, got)
		}
	}
}
