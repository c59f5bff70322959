package filter

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"
)

// Comparison is how a string or map test compares.
type Comparison string

// The comparisons. ContainsWord belongs to the OCSF filters.
const (
	Equals          Comparison = "EQUALS"
	Prefix          Comparison = "PREFIX"
	NotEquals       Comparison = "NOT_EQUALS"
	PrefixNotEquals Comparison = "PREFIX_NOT_EQUALS"
	Contains        Comparison = "CONTAINS"
	NotContains     Comparison = "NOT_CONTAINS"
	ContainsWord    Comparison = "CONTAINS_WORD"
)

// Negative reports whether c excludes.
func (c Comparison) Negative() bool {
	switch c {
	case NotEquals, PrefixNotEquals, NotContains:
		return true
	}
	return false
}

// Filter is a set of criteria that must all hold. The zero Filter holds for
// every finding.
type Filter struct {
	Criteria []Criterion // by field name
}

// Members gives the members of a finding's document that f reads, each once.
func (f Filter) Members() []string {
	var out []string
	for _, c := range f.Criteria {
		for _, path := range c.Field.Paths {
			if !slices.Contains(out, path[0]) {
				out = append(out, path[0])
			}
		}
	}
	return out
}

// Criterion is what is asked of one field. Exactly the list that belongs to
// the field's kind is filled.
type Criterion struct {
	Field    Field
	Strings  []StringTest
	Dates    []DateTest
	Numbers  []NumberTest
	IPs      []IPTest
	Maps     []MapTest
	Keywords []KeywordTest
	Booleans []BooleanTest
}

// StringTest compares a string, with case.
type StringTest struct {
	Value      string     `json:"Value"`
	Comparison Comparison `json:"Comparison"`
}

// MapTest compares the value under a key, with case.
type MapTest struct {
	Key        string     `json:"Key"`
	Value      string     `json:"Value"`
	Comparison Comparison `json:"Comparison"`
}

// NumberTest is a range: all members that are given must hold.
type NumberTest struct {
	Gte *float64 `json:"Gte,omitempty"`
	Lte *float64 `json:"Lte,omitempty"`
	Eq  *float64 `json:"Eq,omitempty"`
	Gt  *float64 `json:"Gt,omitempty"`
	Lt  *float64 `json:"Lt,omitempty"`
}

// DateTest is either a span with inclusive ends, or a range relative to the
// time of evaluation.
type DateTest struct {
	Start string     `json:"Start,omitempty"`
	End   string     `json:"End,omitempty"`
	Range *DateRange `json:"DateRange,omitempty"`

	start, end time.Time
}

// Bounds gives the instants of Start and End; zero means open.
func (t DateTest) Bounds() (start, end time.Time) { return t.start, t.end }

// DateRange is a number of days before the time of evaluation.
type DateRange struct {
	Value      int            `json:"Value"`
	Unit       string         `json:"Unit"` // DAYS
	Comparison DateComparison `json:"Comparison,omitempty"`
}

// DateComparison says on which side of the range a date must lie.
type DateComparison string

// The sides; an empty comparison means Within.
const (
	Within    DateComparison = "WITHIN"
	OlderThan DateComparison = "OLDER_THAN"
)

// Edge gives the instant that the range measures from now.
func (r DateRange) Edge(now time.Time) time.Time {
	return now.Add(-time.Duration(r.Value) * 24 * time.Hour)
}

// IPTest asks whether an address lies in a network.
type IPTest struct {
	Cidr string `json:"Cidr"`

	prefix netip.Prefix
}

// Prefix gives the network.
func (t IPTest) Prefix() netip.Prefix { return t.prefix }

// KeywordTest asks whether a text holds a word; deprecated by AWS.
type KeywordTest struct {
	Value string `json:"Value"`
}

// BooleanTest compares a boolean.
type BooleanTest struct {
	Value bool `json:"Value"`
}

// Criterion gives the criterion on the field with this name.
func (f Filter) Criterion(name string) (Criterion, bool) {
	for _, c := range f.Criteria {
		if c.Field.Name == name {
			return c, true
		}
	}
	return Criterion{}, false
}

// MarshalJSON writes the filter in AWS's form.
func (f Filter) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(f.Criteria))
	for _, c := range f.Criteria {
		out[c.Field.Name] = c.tests()
	}
	return json.Marshal(out)
}

// UnmarshalJSON is Parse.
func (f *Filter) UnmarshalJSON(raw []byte) error {
	g, err := Parse(raw)
	if err != nil {
		return err
	}
	*f = g
	return nil
}

func (c Criterion) tests() any {
	switch c.Field.Kind {
	case String:
		return c.Strings
	case Date:
		return c.Dates
	case Number:
		return c.Numbers
	case IP:
		return c.IPs
	case Map:
		return c.Maps
	case Keyword:
		return c.Keywords
	default:
		return c.Booleans
	}
}
