package apimodel

import (
	"fmt"
	"maps"
	"strings"
)

// Expected gives the image after a call with this input, when it was before.
// Known is false where the table cannot tell: nothing may then be assumed about
// the image but that it may have changed.
func (s ImageSpec) Expected(before Image, input map[string]any) (after Image, known bool) {
	if anyMember(input, s.op.Opaque) || anyMember(input, s.op.Partial) {
		return Image{}, false
	}
	for _, e := range s.op.Expected {
		if e.When != "" {
			v, ok := lookup(input, e.When)
			if !ok || (e.Is != "" && fmt.Sprint(v) != e.Is) {
				continue
			}
		}
		if e.Absent {
			return Image{}, true
		}
		v, _ := expand(e.Set, input, before.Data)
		flat, err := plain(v)
		if err != nil {
			return Image{}, false
		}
		data, _ := flat.(map[string]any)
		return Image{Exists: true, Data: data}, true
	}
	return Image{}, false
}

func anyMember(input map[string]any, members []string) bool {
	for _, m := range members {
		if _, ok := lookup(input, m); ok {
			return true
		}
	}
	return false
}

// Inverse gives the calls that bring before back after c was applied, and what
// they restore. No calls: there is no way back from this call.
func (s ImageSpec) Inverse(before Image, c Call) (calls []Call, restores string) {
	if anyMember(c.Input, s.op.Partial) {
		return nil, ""
	}
	inv := s.inverse(before)
	if inv == nil {
		return nil, ""
	}
	in := s.named(c)
	v, _ := expand(inv.Input, c.Input, before.Data)
	if m, ok := v.(map[string]any); ok {
		maps.Copy(in, m)
	}
	return []Call{{Service: s.row.Service, Operation: inv.Operation, Account: c.Account, Region: c.Region, Input: in}}, s.row.Restores
}

func (s ImageSpec) inverse(before Image) *inverse {
	r := s.row.Restore
	switch {
	case len(r.Cases) > 0:
		if inv, ok := r.Cases[fmt.Sprint(before.Data[r.Member])]; ok {
			return &inv
		}
		return nil
	case before.Exists:
		return r.Present
	default:
		return r.Absent
	}
}

// UndoRank orders the inverses of one plan where their reverse order alone would
// be refused: -1 goes before the others, 1 after them, 0 in reverse order. A
// switch that refuses other changes (Block Public Access) must be turned off
// before those changes are undone, and may be turned on only after.
func (s ImageSpec) UndoRank(before, now Image) int {
	if s.row.Switches == "" {
		return 0
	}
	rank := 0
	was, is := switches(before, s.row.Switches), switches(now, s.row.Switches)
	for name := range is {
		if is[name] && !was[name] {
			return -1
		}
	}
	for name := range was {
		if was[name] && !is[name] {
			rank = 1
		}
	}
	return rank
}

func switches(img Image, member string) map[string]bool {
	out := map[string]bool{}
	m, _ := img.Data[member].(map[string]any)
	for k, v := range m {
		if on, ok := v.(bool); ok {
			out[k] = on
		}
	}
	return out
}

// expand fills a template of the table: a string "$input.A.B|$before.C|x" is the
// first of its alternatives that is there; a member whose template names
// nothing that is there is left out.
func expand(t any, input, before map[string]any) (any, bool) {
	switch t := t.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range t {
			if x, ok := expand(v, input, before); ok {
				out[k] = x
			}
		}
		return out, true
	case []any:
		out := make([]any, 0, len(t))
		for _, v := range t {
			if x, ok := expand(v, input, before); ok {
				out = append(out, x)
			}
		}
		return out, true
	case string:
		return expandText(t, input, before)
	default:
		return t, true
	}
}

func expandText(t string, input, before map[string]any) (any, bool) {
	if !strings.HasPrefix(t, "$") {
		return t, true
	}
	for alt := range strings.SplitSeq(t, "|") {
		var v any
		ok := true
		switch {
		case strings.HasPrefix(alt, "$input."):
			v, ok = lookup(input, alt[len("$input."):])
		case strings.HasPrefix(alt, "$before."):
			v, ok = lookup(before, alt[len("$before."):])
		default:
			v = alt
		}
		if ok {
			return v, true
		}
	}
	return nil, false
}

// lookup follows a dotted path of member names.
func lookup(m map[string]any, path string) (any, bool) {
	var v any = m
	for name := range strings.SplitSeq(path, ".") {
		mm, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = mm[name]; !ok || v == nil {
			return nil, false
		}
	}
	return v, true
}
