package finding

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
)

// Update is one changed attribute, as GetFindingHistory shows it.
type Update struct {
	UpdatedField string `json:"UpdatedField"`
	OldValue     string `json:"OldValue,omitempty"`
	NewValue     string `json:"NewValue,omitempty"`
}

// Diff gives what changed from old to new, by top-level attribute in
// alphabetical order. Top-level timestamps are left out, as AWS does: they
// change with every write and say nothing. So is the document that a finding
// came as: what it says differently, other attributes say too.
func Diff(before, after Finding) []Update {
	names := slices.Collect(maps.Keys(before.doc))
	for k := range after.doc {
		if _, ok := before.doc[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	var out []Update
	for _, name := range names {
		a, b := before.doc[name], after.doc[name]
		if isTimestamp(name) || name == OCSF || name == OCSFChoice || equalValue(a, b) {
			continue
		}
		out = append(out, describe(name, a, b))
	}
	return out
}

func isTimestamp(name string) bool {
	switch name {
	case "CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt", "ProcessedAt":
		return true
	}
	return false
}

// describe shows Severity by its label and Workflow by its status, as AWS's
// own example does, when that is what changed; else the whole member.
func describe(name string, a, b any) Update {
	if lead := leadMember(name); lead != "" {
		x, y := member(a, lead), member(b, lead)
		if x != y {
			return Update{UpdatedField: name, OldValue: x, NewValue: y}
		}
	}
	return Update{UpdatedField: name, OldValue: show(a), NewValue: show(b)}
}

func leadMember(name string) string {
	switch name {
	case "Severity":
		return "Label"
	case "Workflow":
		return "Status"
	}
	return ""
}

func member(v any, name string) string {
	m, _ := v.(map[string]any)
	s, _ := m[name].(string)
	return s
}

// show prints a string as itself and everything else as JSON.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return string(encode(v))
	}
}

// equalValue compares two decoded values; numbers by value, so that 70 and
// 70.0 are equal.
func equalValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValue)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValue)
	case json.Number:
		b, ok := b.(json.Number)
		return ok && equalNumber(a, b)
	default:
		return a == b
	}
}

func equalNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	// A long exponent would make a big number of megabytes.
	if len(a) > 40 || len(b) > 40 {
		return false
	}
	x, err1 := a.Float64()
	y, err2 := b.Float64()
	if err1 != nil || err2 != nil || x != y {
		return false
	}
	p, ok1 := new(big.Int).SetString(a.String(), 10)
	q, ok2 := new(big.Int).SetString(b.String(), 10)
	return !ok1 || !ok2 || p.Cmp(q) == 0
}
