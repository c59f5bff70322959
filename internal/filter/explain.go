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
	Want    json.RawMessage `json:"want"`           // the tests, in AWS's form
	Have    []string        `json:"have"`           // the first values found: untrusted text
	More    int             `json:"more,omitempty"` // values that Have leaves out
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
		r := Reason{Field: c.Field.Name, Matched: c.Match(doc, now), Want: want, Have: []string{}}
		for _, path := range c.Field.Paths {
			r.collect(c.Field.Kind, doc, path)
		}
		out = append(out, r)
	}
	return out
}

func (r *Reason) collect(kind Kind, doc finding.Finding, path []string) {
	var have []string
	add := func(s string) bool {
		have = append(have, clip(s))
		return true
	}
	if kind == Map {
		doc.NamedPairs(path, func(k, v string) bool { return add(k + "=" + v) })
		slices.Sort(have) // a map has no order of its own
	} else {
		doc.Values(path, func(v any) bool { return add(fmt.Sprint(v)) })
	}
	r.Have = append(r.Have, have...)
	if over := len(r.Have) - mostShown; over > 0 {
		r.Have, r.More = r.Have[:mostShown], r.More+over
	}
}
