package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// Operator joins tests.
type Operator string

// The operators.
const (
	And Operator = "AND"
	Or  Operator = "OR"
)

// Composite is OcsfFindingFilters: tests of a finding in OCSF, in three layers.
// The zero Composite holds for every finding.
type Composite struct {
	Operator Operator
	Groups   []Group
}

// Group is one CompositeFilter. Tests hold one field each.
type Group struct {
	Operator Operator
	Tests    []Criterion
	Nested   []Group
}

// MaxGroups is how many composite filters one list may hold.
const MaxGroups = 10

// ParseOCSF reads the OcsfFindingFilters of GetFindingsV2 and
// GetFindingStatisticsV2. The error names the place.
func ParseOCSF(raw []byte) (Composite, error) {
	return parseOCSF(raw, reader{path: "Filters", ocsf: true})
}

// ParseOCSFCriteria reads those of an automation rule: CONTAINS in place of
// CONTAINS_WORD, and at least one test.
func ParseOCSFCriteria(raw []byte) (Composite, error) {
	c, err := parseOCSF(raw, reader{path: "Criteria.OcsfFindingCriteria", ocsf: true, rule: true})
	if err == nil && len(c.Groups) == 0 {
		err = refuse("Criteria.OcsfFindingCriteria.CompositeFilters", "at least one composite filter is needed")
	}
	return c, err
}

func parseOCSF(raw []byte, r reader) (Composite, error) {
	if len(raw) > MaxBytes {
		return Composite{}, refuse(r.path, "%d bytes are more than the limit of %d", len(raw), MaxBytes)
	}
	var in struct {
		CompositeFilters  []json.RawMessage
		CompositeOperator Operator
	}
	if err := strict(raw, &in); err != nil {
		return Composite{}, refuse(r.path, "%w", err)
	}
	out := Composite{Operator: in.CompositeOperator}
	if out.Operator == "" {
		out.Operator = And
	}
	if err := out.Operator.check(r.path + ".CompositeOperator"); err != nil {
		return Composite{}, err
	}
	var err error
	out.Groups, err = r.groups(in.CompositeFilters, r.path+".CompositeFilters", 2)
	return out, err
}

func (o Operator) check(path string) error {
	if o != And && o != Or {
		return refuse(path, "should be AND or OR")
	}
	return nil
}

// layers is how deep composite filters go, the outermost object being the first.
const layers = 3

func (r reader) groups(list []json.RawMessage, path string, layer int) ([]Group, error) {
	switch {
	case len(list) == 0:
		return nil, nil
	case layer > layers:
		return nil, refuse(path, "composite filters have three layers at most")
	case len(list) > MaxGroups:
		return nil, refuse(path, "%d composite filters are more than the limit of %d", len(list), MaxGroups)
	}
	out := make([]Group, len(list))
	for i, raw := range list {
		var err error
		if out[i], err = r.group(raw, fmt.Sprintf("%s[%d]", path, i), layer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r reader) group(raw json.RawMessage, path string, layer int) (Group, error) {
	var in struct {
		StringFilters, DateFilters, BooleanFilters, NumberFilters, MapFilters, IpFilters, NestedCompositeFilters []json.RawMessage //nolint:revive // AWS spells it so.

		Operator Operator
	}
	if err := strict(raw, &in); err != nil {
		return Group{}, refuse(path, "%w", err)
	}
	g := Group{Operator: in.Operator}
	if g.Operator == "" {
		g.Operator = And
	}
	if err := g.Operator.check(path + ".Operator"); err != nil {
		return Group{}, err
	}
	for _, list := range []struct {
		kind  Kind
		name  string
		items []json.RawMessage
	}{
		{String, "StringFilters", in.StringFilters},
		{Date, "DateFilters", in.DateFilters},
		{Boolean, "BooleanFilters", in.BooleanFilters},
		{Number, "NumberFilters", in.NumberFilters},
		{Map, "MapFilters", in.MapFilters},
		{IP, "IpFilters", in.IpFilters},
	} {
		at := path + "." + list.name
		if len(list.items) > MaxValues {
			return Group{}, refuse(at, "%d filters are more than the limit of %d", len(list.items), MaxValues)
		}
		for i, item := range list.items {
			// Said in so many words the operator joins filter by filter; without one
			// those of one field join as AWS says that they do.
			if err := r.leaf(&g, list.kind, item, fmt.Sprintf("%s[%d]", at, i), in.Operator == ""); err != nil {
				return Group{}, err
			}
		}
	}
	for _, c := range g.Tests {
		if err := checkMix(c, path+" on "+c.Field.Name); err != nil {
			return Group{}, err
		}
	}
	var err error
	if g.Nested, err = r.groups(in.NestedCompositeFilters, path+".NestedCompositeFilters", layer+1); err != nil {
		return Group{}, err
	}
	if len(g.Tests) == 0 && len(g.Nested) == 0 {
		return Group{}, refuse(path, "at least one filter is needed")
	}
	return g, nil
}

// leaf reads one filter of one field into g, with those of the same field where
// join says so.
func (r reader) leaf(g *Group, kind Kind, raw json.RawMessage, path string, join bool) error {
	var in struct {
		FieldName string
		Filter    json.RawMessage
	}
	if err := strict(raw, &in); err != nil {
		return refuse(path, "%w", err)
	}
	field, ok := OCSFField(kind, in.FieldName)
	if !ok {
		return refuse(path+".FieldName", "there is no such field of this type: %q", clip(in.FieldName))
	}
	if len(in.Filter) == 0 {
		return refuse(path+".Filter", "%w", errors.New("is needed"))
	}
	at := -1
	if join {
		at = slices.IndexFunc(g.Tests, func(c Criterion) bool { return c.Field.Name == field.Name && c.Field.Kind == kind })
	}
	if at < 0 {
		g.Tests = append(g.Tests, Criterion{Field: field})
		at = len(g.Tests) - 1
	}
	return r.test(&g.Tests[at], in.Filter, path+".Filter")
}

// Match reports whether the filters hold at time now for view, a finding in OCSF
// (ocsf.View, wrapped by finding.Wrap).
func (c Composite) Match(view finding.Finding, now time.Time) bool {
	return join(c.Operator, len(c.Groups), func(i int) bool { return c.Groups[i].Match(view, now) })
}

// Match reports whether the group holds.
func (g Group) Match(view finding.Finding, now time.Time) bool {
	return join(g.Operator, len(g.Tests)+len(g.Nested), func(i int) bool {
		if i < len(g.Tests) {
			return g.Tests[i].Match(view, now)
		}
		return g.Nested[i-len(g.Tests)].Match(view, now)
	})
}

// join asks n parts in order until the answer is known; no parts hold.
func join(o Operator, n int, holds func(int) bool) bool {
	for i := range n {
		if holds(i) == (o == Or) {
			return o == Or
		}
	}
	return o != Or || n == 0
}

// Verdict is why a group held or did not.
type Verdict struct {
	Operator Operator  `json:"operator"`
	Matched  bool      `json:"matched"`
	Reasons  []Reason  `json:"reasons,omitempty"`
	Groups   []Verdict `json:"groups,omitempty"`
}

// Explain tests every filter, without stopping when the answer is known.
func (c Composite) Explain(view finding.Finding, now time.Time) Verdict {
	v := Verdict{Operator: c.Operator, Matched: c.Match(view, now)}
	for _, g := range c.Groups {
		v.Groups = append(v.Groups, g.explain(view, now))
	}
	return v
}

func (g Group) explain(view finding.Finding, now time.Time) Verdict {
	v := Verdict{Operator: g.Operator, Matched: g.Match(view, now), Reasons: Filter{Criteria: g.Tests}.Explain(view, now)}
	for _, n := range g.Nested {
		v.Groups = append(v.Groups, n.explain(view, now))
	}
	return v
}
