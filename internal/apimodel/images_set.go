package apimodel

import (
	"maps"
	"slices"
)

// setDelta is what a call really changes of a set.
type setDelta struct {
	before   []any // elements as they were
	after    []any
	added    []any // were not there
	replaced []any // were there with another value: the old ones
	removed  []any // were there
}

// delta compares the elements that the call names with those that are there. An
// element that was there before is not added, and one that was not is not
// removed, so the inverse touches neither.
func (s ImageSpec) delta(before Image) (setDelta, bool) {
	is, _ := lookup(before.Data, s.row.Set.Member)
	d := setDelta{before: s.elements(is)}
	d.after = slices.Clone(d.before)
	out, ok := s.fromCall(s.op.Remove, before)
	in, ok2 := s.fromCall(s.op.Add, before)
	for _, e := range out {
		s.take(&d, e)
	}
	for _, e := range in {
		m, _ := e.(map[string]any)
		if v := m["Value"]; s.row.Set.Blank && (v == nil || v == "") {
			s.take(&d, e)
			continue
		}
		i := s.index(d.after, e)
		switch {
		case i < 0:
			d.added = append(d.added, e)
			d.after = append(d.after, e)
		case compact(s.significant(d.after[i])) != compact(s.significant(e)):
			d.replaced = append(d.replaced, d.after[i])
			d.after[i] = e
		}
	}
	return d, ok && ok2
}

// take removes an element from the set if it is there.
func (s ImageSpec) take(d *setDelta, e any) {
	if i := s.index(d.after, e); i >= 0 {
		d.removed = append(d.removed, d.after[i])
		d.after = slices.Delete(d.after, i, i+1)
	}
}

func (s ImageSpec) index(list []any, e any) int {
	key := s.elementKey(e)
	return slices.IndexFunc(list, func(x any) bool { return s.elementKey(x) == key })
}

// fromCall gives the elements that a template of the row names.
func (s ImageSpec) fromCall(t any, before Image) ([]any, bool) {
	if t == nil {
		return nil, true
	}
	named, ok := s.template(before.Data).expand(t)
	flat, err := plain(named)
	if !ok {
		flat = nil // the call leaves the member out
	}
	out := s.elements(flat)
	for member, t := range s.row.Set.Across {
		out = s.across(out, member, t)
	}
	return out, err == nil
}

// across gives, for each element, one with each value that the call lists.
func (s ImageSpec) across(elements []any, member, t string) []any {
	v, _ := s.template(nil).text(t)
	values := listOf(v)
	out := make([]any, 0, len(elements)*len(values))
	for _, value := range values {
		for _, e := range elements {
			m, _ := e.(map[string]any)
			m = maps.Clone(m)
			if m == nil {
				m = map[string]any{}
			}
			m[member] = value
			out = append(out, m)
		}
	}
	return out
}

// elements lists what a set holds. A map is a list of Key and Value, and a list
// of keys stands for the elements that have them.
func (s ImageSpec) elements(v any) []any {
	var out []any
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, map[string]any{"Key": k, "Value": v[k]})
		}
		return out
	}
	for _, e := range listOf(v) {
		m, ok := e.(map[string]any)
		switch {
		case ok:
			out = append(out, s.explode(m)...)
		case len(s.row.Set.Key) > 0:
			out = append(out, map[string]any{s.row.Set.Key[0]: e})
		default:
			out = append(out, e)
		}
	}
	return out
}

// explode makes one element of each item of the element's list members, so that
// {443, [a, b]} is {443, [a]} and {443, [b]}.
func (s ImageSpec) explode(e map[string]any) []any {
	if len(s.row.Set.Explode) == 0 {
		return []any{e}
	}
	var out []any
	rest := maps.Clone(e)
	for _, m := range s.row.Set.Explode {
		delete(rest, m)
	}
	for _, m := range s.row.Set.Explode {
		for _, x := range listOf(e[m]) {
			atom := maps.Clone(rest)
			atom[m] = []any{x}
			out = append(out, atom)
		}
	}
	if out == nil {
		return []any{rest}
	}
	return out
}

// elementKey tells the elements of a set apart.
func (s ImageSpec) elementKey(e any) string {
	m, ok := e.(map[string]any)
	if !ok || len(s.row.Set.Key) == 0 {
		return compact(s.significant(e))
	}
	var key []any
	for _, name := range s.row.Set.Key {
		v, _ := lookup(m, name)
		key = append(key, v)
	}
	return compact(key)
}

// significant drops what does not tell elements apart.
func (s ImageSpec) significant(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if slices.Contains(s.row.Set.Unkeyed, k) || slices.Contains(s.row.Ignore, k) {
				continue
			}
			if x = s.significant(x); !empty(x) {
				out[k] = x
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = s.significant(x)
		}
		return out
	}
	return v
}

func (s ImageSpec) setChanged(before Image) (Image, bool) {
	d, ok := s.delta(before)
	steps, err := parsePath(s.row.Set.Member)
	if !ok || err != nil {
		return Image{}, false
	}
	is, _ := lookup(before.Data, s.row.Set.Member)
	var to any = d.after
	if _, isMap := is.(map[string]any); isMap || s.op.addsMap(s) {
		pairs := map[string]any{}
		for _, e := range d.after {
			m, _ := e.(map[string]any)
			k, _ := m["Key"].(string)
			pairs[k] = m["Value"]
		}
		to = pairs
	}
	return image(putPath(before.Data, steps, to))
}

// addsMap reports whether the call names its elements as a map, which is then
// the form of the set.
func (o operation) addsMap(s ImageSpec) bool {
	v, _ := s.template(nil).expand(o.Add)
	_, isMap := v.(map[string]any)
	return isMap
}

// setInverse takes out what the call put in, and puts back what it took out.
func (s ImageSpec) setInverse(before Image) ([]InverseCall, bool) {
	d, ok := s.delta(before)
	if !ok {
		return nil, false
	}
	r := s.restore()
	out, ok := s.each(r.Remove, before, d.added)
	in, ok2 := s.each(r.Add, before, slices.Concat(d.replaced, d.removed))
	return slices.Concat(out, in), ok && ok2
}

func (s ImageSpec) each(inv *inverse, before Image, elements []any) ([]InverseCall, bool) {
	switch {
	case len(elements) == 0:
		return nil, true
	case inv == nil, !s.template(before.Data).hold(inv.When, before.Data):
		return nil, false
	case !inv.Each:
		t := s.template(before.Data)
		t.chosen = elements
		return []InverseCall{s.back(*inv, t)}, true
	}
	var calls []InverseCall
	for _, e := range elements {
		t := s.template(before.Data)
		t.one, t.chosen = e, []any{e}
		calls = append(calls, s.back(*inv, t))
	}
	return calls, true
}
