package filter

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// Reason is why one criterion held or did not.
type Reason struct {
	Field   string          `json:"field"`
	Matched bool            `json:"matched"`
	Clauses []Clause        `json:"clauses"`
	Want    json.RawMessage `json:"want"`           // the tests, in AWS's form
	Have    []string        `json:"have"`           // the first values found: untrusted text
	More    int             `json:"more,omitempty"` // values that Have leaves out
}

// Clause is one test of a criterion. Positive clauses are alternatives, of which
// one must hold; the negative ones must all hold.
type Clause struct {
	Want     json.RawMessage `json:"want"` // in AWS's form
	Negative bool            `json:"negative,omitempty"`
	Holds    bool            `json:"holds"`
}

// clauses judges every test of c alone.
func (c Criterion) clauses(doc finding.Finding, now time.Time) []Clause {
	alone := func(one Criterion) Criterion {
		one.Field = c.Field
		return one
	}
	var parts []Criterion
	for _, t := range c.Strings {
		parts = append(parts, alone(Criterion{Strings: []StringTest{t}}))
	}
	for _, t := range c.Dates {
		parts = append(parts, alone(Criterion{Dates: []DateTest{t}}))
	}
	for _, t := range c.Numbers {
		parts = append(parts, alone(Criterion{Numbers: []NumberTest{t}}))
	}
	for _, t := range c.IPs {
		parts = append(parts, alone(Criterion{IPs: []IPTest{t}}))
	}
	for _, t := range c.Maps {
		parts = append(parts, alone(Criterion{Maps: []MapTest{t}}))
	}
	for _, t := range c.Keywords {
		parts = append(parts, alone(Criterion{Keywords: []KeywordTest{t}}))
	}
	for _, t := range c.Booleans {
		parts = append(parts, alone(Criterion{Booleans: []BooleanTest{t}}))
	}
	out := make([]Clause, len(parts))
	for i, p := range parts {
		out[i] = Clause{Want: p.want(), Negative: p.negative(), Holds: p.Match(doc, now)}
	}
	return out
}

// negative reports whether a criterion of one test excludes.
func (c Criterion) negative() bool {
	return len(c.Strings) > 0 && c.Strings[0].Comparison.Negative() || len(c.Maps) > 0 && c.Maps[0].Comparison.Negative()
}

// want writes the tests in AWS's form; the only one without its list.
func (c Criterion) want() json.RawMessage {
	raw, err := json.Marshal(c.tests())
	if err != nil || len(raw) < 2 {
		return json.RawMessage("null") // plain data always marshals
	}
	return raw[1 : len(raw)-1]
}

// mostShown bounds how many values a reason repeats, and how long each may be.
const mostShown = 5

// Explain tests every criterion, without stopping at the first that fails.
func (f Filter) Explain(doc finding.Finding, now time.Time) []Reason {
	out := make([]Reason, 0, len(f.Criteria))
	for _, c := range f.Criteria {
		want, err := json.Marshal(c.tests())
		if err != nil {
			want = json.RawMessage("null")
		}
		r := Reason{Field: c.Field.Name, Matched: c.Match(doc, now), Clauses: c.clauses(doc, now), Want: want, Have: []string{}}
		for _, path := range c.Field.Paths {
			r.collect(c.Field, doc, path)
		}
		out = append(out, r)
	}
	return out
}

func (r *Reason) collect(field Field, doc finding.Finding, path []string) {
	var have []string
	add := func(s string) bool {
		have = append(have, clip(s))
		return true
	}
	if field.Kind == Map {
		field.Pairs(doc, func(k, v string) bool { return add(k + "=" + v) })
		slices.Sort(have) // a map has no order of its own
	} else {
		doc.Values(path, func(v any) bool { return add(fmt.Sprint(v)) })
	}
	r.Have = append(r.Have, have...)
	if over := len(r.Have) - mostShown; over > 0 {
		r.Have, r.More = r.Have[:mostShown], r.More+over
	}
}
