package apimodel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Equal reports whether two images mean the same: policy documents are compared
// as values, lists without order as sets, missing members as their defaults.
func (s ImageSpec) Equal(a, b Image) bool {
	return len(s.Diff(a, b)) == 0
}

// Diff lists what differs between two images, sorted by path. Meaningless
// differences (order, spelling of a policy, display names) are not listed.
func (s ImageSpec) Diff(before, after Image) []MemberChange {
	d := differ{sets: append(slices.Clone(s.row.Sets), "Statement")}
	if s.row.Set != nil {
		d.sets = append(d.sets, last(s.row.Set.Member))
	}
	d.walk("", s.canonical(before), s.canonical(after))
	if len(d.out) == 0 && before.Exists != after.Exists && s.row.AbsentAs == nil {
		d.out = append(d.out, MemberChange{Path: "Exists", Before: compact(before.Exists), After: compact(after.Exists)})
	}
	slices.SortFunc(d.out, func(a, b MemberChange) int { return strings.Compare(a.Path, b.Path) })
	return d.out
}

// canonical brings an image to the one form in which it is compared.
func (s ImageSpec) canonical(img Image) any {
	data := img.Data
	if !img.Exists {
		data = s.row.AbsentAs
	}
	flat, err := plain(data)
	if err != nil || data == nil {
		return nil
	}
	c := s.clean("", s.exploded(flat))
	fillDefaults(c, s.row.Defaults)
	if m, ok := c.(map[string]any); ok && s.row.Moot != nil && !s.template(nil).hold([]string{s.row.Moot.Unless}, m) {
		return without(m, s.row.Moot.Members)
	}
	return c
}

// exploded gives the set of an image as single elements, however AWS groups them.
func (s ImageSpec) exploded(data any) any {
	if s.row.Set == nil || len(s.row.Set.Explode) == 0 {
		return data
	}
	steps, err := parsePath(s.row.Set.Member)
	if err != nil {
		return data
	}
	v, ok := getPath(data, steps)
	if !ok {
		return data
	}
	return putPath(data, steps, s.elements(v))
}

// clean drops what means nothing and reads documents.
func (s ImageSpec) clean(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if slices.Contains(s.row.Ignore, k) {
				continue
			}
			if x = s.clean(k, x); !empty(x) {
				out[k] = x
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, s.clean("", x))
		}
		return out
	case string:
		if slices.Contains(s.row.Documents, name) {
			return canonicalPolicy(v)
		}
		if ending := s.row.Endings[name]; ending != "" && v != "" && !strings.HasSuffix(v, ending) {
			return v + ending
		}
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == "" // AWS answers blank or nothing for the same
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// fillDefaults adds the scalars that a structure which is there leaves out. A
// default list holds one element, meant for every element.
func fillDefaults(v, defaults any) {
	switch d := defaults.(type) {
	case map[string]any:
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		for k, x := range d {
			have, ok := m[k]
			_, isMap := x.(map[string]any)
			_, isList := x.([]any)
			switch {
			case ok:
				fillDefaults(have, x)
			case !isMap && !isList:
				m[k] = x
			}
		}
	case []any:
		list, ok := v.([]any)
		if !ok || len(d) == 0 {
			return
		}
		for _, x := range list {
			fillDefaults(x, d[0])
		}
	}
}

type differ struct {
	sets []string
	out  []MemberChange
}

func (d *differ) walk(path string, a, b any) {
	am, aIsMap := a.(map[string]any)
	bm, bIsMap := b.(map[string]any)
	if (aIsMap || a == nil) && (bIsMap || b == nil) && (aIsMap || bIsMap) {
		names := slices.Collect(maps.Keys(am))
		for k := range bm {
			if _, ok := am[k]; !ok {
				names = append(names, k)
			}
		}
		for _, k := range names {
			d.walk(join(path, k), am[k], bm[k])
		}
		return
	}
	al, aIsList := a.([]any)
	bl, bIsList := b.([]any)
	if (aIsList || a == nil) && (bIsList || b == nil) && (aIsList || bIsList) && slices.Contains(d.sets, last(path)) {
		d.set(path, al, bl)
		return
	}
	d.line(path, compactOrNone(a), compactOrNone(b))
}

func (d *differ) line(path, before, after string) {
	if before != after {
		d.out = append(d.out, MemberChange{Path: path, Before: before, After: after})
	}
}

// set compares two lists without order: what is on both sides is left out, the
// rest is paired by label so that a changed statement is one line.
func (d *differ) set(path string, a, b []any) {
	left, right := multiset(a), multiset(b)
	for k, n := range left {
		common := min(n.count, right[k].count)
		left[k] = item{n.value, n.count - common}
		right[k] = item{right[k].value, right[k].count - common}
	}
	before, after := labelled(left), labelled(right)
	labels := slices.Sorted(maps.Keys(before))
	for l := range after {
		if _, ok := before[l]; !ok {
			labels = append(labels, l)
		}
	}
	for _, l := range labels {
		for i := range max(len(before[l]), len(after[l])) {
			name := l
			if i > 0 {
				name = fmt.Sprintf("%s #%d", l, i+1)
			}
			d.line(path+"["+name+"]", at(before[l], i), at(after[l], i))
		}
	}
}

type item struct {
	value any
	count int
}

func multiset(list []any) map[string]item {
	out := map[string]item{}
	for _, v := range list {
		k := compact(v)
		out[k] = item{v, out[k].count + 1}
	}
	return out
}

func labelled(set map[string]item) map[string][]string {
	out := map[string][]string{}
	for _, text := range slices.Sorted(maps.Keys(set)) {
		for range set[text].count {
			l := label(set[text].value)
			out[l] = append(out[l], text)
		}
	}
	return out
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// label names an element of a set by what people know it by: a statement by
// its Sid, a grant by grantee and permission.
func label(v any) string {
	m, _ := v.(map[string]any)
	if sid, ok := m["Sid"].(string); ok && sid != "" {
		return printable(sid)
	}
	if g, ok := m["Grantee"].(map[string]any); ok {
		for _, name := range []string{"URI", "ID", "EmailAddress"} {
			if who, ok := g[name].(string); ok && who != "" {
				return printable(who[strings.LastIndex(who, "/")+1:]) + " " + printable(fmt.Sprint(m["Permission"]))
			}
		}
	}
	return "element"
}

// printable keeps text that others wrote short and free of control characters
// and brackets, which would make a path ambiguous.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == '[' || r == ']' {
			return '_'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 64 {
		s = string(r[:64])
	}
	return s
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func last(path string) string { return path[strings.LastIndex(path, ".")+1:] }

func compactOrNone(v any) string {
	if v == nil {
		return ""
	}
	return compact(v)
}

// compact prints v as JSON on one line, without escaping for HTML.
func compact(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
