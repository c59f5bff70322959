package runbook

import (
	"strings"
)

// maxVisits bounds the work of one selection, whatever the document.
const maxVisits = 200_000

// Select gives what s selects in doc. A definite selector gives one value, and
// ok is false where it is missing; any other gives a list, empty where nothing
// matches. Values are in plain JSON types.
func (s Selector) Select(doc any) (value any, ok bool) {
	e := &evaluation{root: Normalize(doc)}
	found := e.run([]any{e.root}, s.segs)
	if e.visits > maxVisits {
		return nil, false
	}
	if !s.Definite() {
		if found == nil {
			found = []any{}
		}
		return found, true
	}
	if len(found) == 0 {
		return nil, false
	}
	return found[0], true
}

type evaluation struct {
	root   any
	visits int
}

// visit counts n units of work and reports whether there is budget left.
func (e *evaluation) visit(n int) bool {
	e.visits += n
	return e.visits <= maxVisits
}

func (e *evaluation) run(in []any, segs []segment) []any {
	for _, g := range segs {
		var out []any
		for _, v := range in {
			if !e.visit(1) {
				return nil
			}
			out = e.apply(out, v, g)
		}
		in = out
	}
	return in
}

func (e *evaluation) apply(out []any, v any, g segment) []any {
	switch g.kind {
	case segChild:
		if m, ok := v.(map[string]any); ok {
			if child, found := m[g.name]; found {
				out = append(out, child)
			}
		}
	case segIndex:
		if l, ok := v.([]any); ok && g.index < len(l) {
			out = append(out, l[g.index])
		}
	case segAll:
		out = append(out, children(v)...)
	case segDeep:
		out = e.deep(out, v, g.name)
	case segFilter:
		out = e.filter(out, v, g.filter)
	}
	return out
}

// children gives the values of a map in the order of its keys, or a list's items.
func children(v any) []any {
	switch t := v.(type) {
	case []any:
		return t
	case map[string]any:
		out := make([]any, 0, len(t))
		for _, k := range sortedKeys(t) {
			out = append(out, t[k])
		}
		return out
	}
	return nil
}

// deep collects members called name at every depth. The name "*" takes every
// value and "" every container, for a bracket that follows the two dots.
func (e *evaluation) deep(out []any, v any, name string) []any {
	if !e.visit(1) {
		return out
	}
	m, isMap := v.(map[string]any)
	_, isList := v.([]any)
	switch {
	case name == "" && (isMap || isList):
		out = append(out, v)
	case name == "*":
		out = append(out, children(v)...)
	case isMap:
		if child, found := m[name]; found {
			out = append(out, child)
		}
	}
	for _, c := range children(v) {
		out = e.deep(out, c, name)
	}
	return out
}

// filter keeps the items of a list, or a map itself, for which x holds.
func (e *evaluation) filter(out []any, v any, x *filterExpr) []any {
	switch t := v.(type) {
	case []any:
		for _, item := range t {
			if e.visit(1) && e.holds(x, item) {
				out = append(out, item)
			}
		}
	case map[string]any:
		if e.holds(x, t) {
			out = append(out, t)
		}
	}
	return out
}

func (e *evaluation) holds(x *filterExpr, item any) bool {
	switch x.op {
	case "&&":
		return e.holds(x.left, item) && e.holds(x.right, item)
	case "||":
		return e.holds(x.left, item) || e.holds(x.right, item)
	case "!":
		return !e.holds(x.left, item)
	case "exists":
		_, found := e.operand(x.a, item)
		return found
	}
	a, foundA := e.operand(x.a, item)
	b, foundB := e.operand(x.b, item)
	present := foundA && foundB
	// A missing member equals nothing and is ordered with nothing, so that only
	// the negations hold.
	switch x.op {
	case "==":
		return present && same(a, b)
	case "!=":
		return !present || !same(a, b)
	case "in":
		return present && contains(b, a)
	case "nin":
		return !present || !contains(b, a)
	}
	if !present {
		return false
	}
	order, alike := compare(a, b)
	if !alike {
		return false
	}
	switch x.op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (e *evaluation) operand(o operand, item any) (any, bool) {
	if !o.isPath {
		return o.literal, true
	}
	from := item
	if o.root {
		from = e.root
	}
	found := e.run([]any{from}, o.path)
	if (Selector{segs: o.path}).Definite() {
		if len(found) == 0 {
			return nil, false
		}
		return found[0], true
	}
	return found, len(found) > 0
}

func contains(list, v any) bool {
	l, ok := list.([]any)
	if !ok {
		return false
	}
	for _, item := range l {
		if same(item, v) {
			return true
		}
	}
	return false
}

// same compares two values; a number equals text that reads as that number.
func same(a, b any) bool {
	if order, ok := compare(a, b); ok {
		return order == 0
	}
	return equalValues(a, b)
}

// compare orders numbers by value and texts by bytes.
func compare(a, b any) (int, bool) {
	if x, ok := a.(string); ok {
		if y, isText := b.(string); isText {
			return strings.Compare(x, y), true
		}
	}
	x, okX := asNumber(a)
	y, okY := asNumber(b)
	if !okX || !okY {
		return 0, false
	}
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, true
}

func asNumber(v any) (float64, bool) {
	if s, ok := v.(string); ok {
		v = number(strings.TrimSpace(s))
	}
	switch t := v.(type) {
	case int64:
		return float64(t), true
	case float64:
		return t, true
	}
	return 0, false
}
