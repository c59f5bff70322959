package pattern_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// The naive evaluator: written from the specification, by brute force, sharing
// nothing with the package but the grammar. It knows a part of the operators
// and no duplicate keys.

// npat is an ordered object of a pattern: fields are leaves, objects or $or.
type npat []nmember

type nmember struct {
	key  string
	leaf []nalt
	sub  npat
	or   []npat
}

type nalt struct {
	text   string // as it stands in the pattern
	absent bool
	test   func(v any) bool
}

func (p npat) text() string {
	var parts []string
	for _, m := range p {
		var v string
		switch {
		case m.leaf != nil:
			var alts []string
			for _, a := range m.leaf {
				alts = append(alts, a.text)
			}
			v = "[" + strings.Join(alts, ",") + "]"
		case m.or != nil:
			var subs []string
			for _, s := range m.or {
				subs = append(subs, s.text())
			}
			v = "[" + strings.Join(subs, ",") + "]"
		default:
			v = m.sub.text()
		}
		parts = append(parts, fmt.Sprintf("%q:%s", m.key, v))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// expand gives the conjunctions: path to alternatives.
func (p npat) expand(prefix string, in []map[string][]nalt) []map[string][]nalt {
	for _, m := range p {
		switch {
		case m.leaf != nil:
			for _, c := range in {
				c[prefix+m.key] = m.leaf
			}
		case m.or != nil:
			var out []map[string][]nalt
			for _, branch := range m.or {
				var copied []map[string][]nalt
				for _, c := range in {
					d := map[string][]nalt{}
					for k, v := range c {
						d[k] = v
					}
					copied = append(copied, d)
				}
				out = append(out, branch.expand(prefix, copied)...)
			}
			in = out
		default:
			in = m.sub.expand(prefix+m.key+".", in)
		}
	}
	return in
}

// nleaf is a leaf with the index chosen in each array around it, by the array's
// place.
type nleaf struct {
	path string
	v    any
	in   map[string]int
}

func flatten(path, place string, v any, in map[string]int, out *[]nleaf) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			flatten(strings.TrimPrefix(path+"."+k, "."), place+"/"+k, x, in, out)
		}
	case []any:
		for i, x := range v {
			inner := in
			switch x.(type) {
			case map[string]any, []any:
				inner = map[string]int{place: i}
				for k, n := range in {
					inner[k] = n
				}
			}
			flatten(path, fmt.Sprintf("%s/%d", place, i), x, inner, out)
		}
	default:
		*out = append(*out, nleaf{path, v, in})
	}
}

func consistent(a, b map[string]int) bool {
	for k, n := range a {
		if m, ok := b[k]; ok && m != n {
			return false
		}
	}
	return true
}

func naiveMatch(t *testing.T, p npat, event string) bool {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(event))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("event %s: %v", event, err)
	}
	var leaves []nleaf
	flatten("", "", v, nil, &leaves)
	for _, c := range p.expand("", []map[string][]nalt{{}}) {
		var paths []string
		for k := range c {
			paths = append(paths, k)
		}
		sort.Strings(paths)
		if try(paths, c, leaves, nil) {
			return true
		}
	}
	return false
}

// try settles the first path in every possible way.
func try(paths []string, c map[string][]nalt, leaves []nleaf, in map[string]int) bool {
	if len(paths) == 0 {
		return true
	}
	absent := true
	for _, l := range leaves {
		if l.path != paths[0] || !consistent(l.in, in) {
			continue
		}
		absent = false
		for _, a := range c[paths[0]] {
			if a.absent || !a.test(l.v) {
				continue
			}
			merged := map[string]int{}
			for k, n := range in {
				merged[k] = n
			}
			for k, n := range l.in {
				merged[k] = n
			}
			if try(paths[1:], c, leaves, merged) {
				return true
			}
		}
	}
	for _, a := range c[paths[0]] {
		if a.absent && absent && try(paths[1:], c, leaves, in) {
			return true
		}
	}
	return false
}

// naive makes patterns and events out of few names and values, so that they meet
// often.
type naive struct{ *rand.Rand }

func newNaive(seed uint64) naive { return naive{rand.New(rand.NewPCG(seed, 1))} }

func pick[T any](n naive, from ...T) T { return from[n.IntN(len(from))] }

func (n naive) pattern(depth int) npat {
	var p npat
	for _, key := range []string{"a", "b", "c", "d"} {
		switch r := n.IntN(8); {
		case r < 3:
			p = append(p, nmember{key: key, leaf: n.leaf()})
		case r == 3 && depth > 0:
			p = append(p, nmember{key: key, sub: n.pattern(depth - 1)})
		case r == 4 && depth > 0:
			p = append(p, nmember{key: "$or", or: []npat{n.pattern(depth - 1), n.pattern(0)}})
		}
	}
	if len(p) == 0 {
		p = npat{{key: pick(n, "a", "b"), leaf: n.leaf()}}
	}
	return p
}

func (n naive) leaf() []nalt {
	var out []nalt
	for range 1 + n.IntN(2) {
		out = append(out, n.alternative())
	}
	return out
}

func str(test func(string) bool) func(any) bool {
	return func(v any) bool { s, ok := v.(string); return ok && test(s) }
}

func not(test func(any) bool) func(any) bool { return func(v any) bool { return !test(v) } }

func num(test func(*big.Rat) bool) func(any) bool {
	return func(v any) bool {
		text, ok := v.(json.Number)
		if !ok {
			return false
		}
		r, ok := new(big.Rat).SetString(text.String())
		return ok && test(r)
	}
}

func (n naive) alternative() nalt {
	s := pick(n, "", "x", "xy", "yx", "xyx", "Xy")
	d := pick(n, "0", "1", "1.5", "-2")
	r, _ := new(big.Rat).SetString(d)
	equal := num(func(v *big.Rat) bool { return v.Cmp(r) == 0 })
	switch n.IntN(13) {
	case 0:
		return nalt{text: fmt.Sprintf("%q", s), test: str(func(v string) bool { return v == s })}
	case 1:
		return nalt{text: d, test: equal}
	case 2:
		return nalt{text: "null", test: func(v any) bool { return v == nil }}
	case 3:
		return nalt{text: fmt.Sprintf(`{"prefix":%q}`, s), test: str(func(v string) bool { return strings.HasPrefix(v, s) })}
	case 4:
		return nalt{text: fmt.Sprintf(`{"suffix":%q}`, s), test: str(func(v string) bool { return strings.HasSuffix(v, s) })}
	case 5:
		return nalt{text: fmt.Sprintf(`{"equals-ignore-case":%q}`, s), test: str(func(v string) bool { return strings.EqualFold(v, s) })}
	case 6:
		w := pick(n, "*", "x*", "*x", "x*x", "*y*", "*x*y*", "xyx")
		re := regexp.MustCompile("^" + strings.ReplaceAll(w, "*", ".*") + "$")
		return nalt{text: fmt.Sprintf(`{"wildcard":%q}`, w), test: str(re.MatchString)}
	case 7:
		return nalt{text: fmt.Sprintf(`{"anything-but":[%q]}`, s), test: not(str(func(v string) bool { return v == s }))}
	case 8:
		return nalt{text: fmt.Sprintf(`{"anything-but":%s}`, d), test: not(equal)}
	case 9:
		return nalt{text: `{"anything-but":{"prefix":["x"]}}`, test: not(str(func(v string) bool { return strings.HasPrefix(v, "x") }))}
	case 10:
		return nalt{text: fmt.Sprintf(`{"numeric":["<=",%s]}`, d), test: num(func(v *big.Rat) bool { return v.Cmp(r) <= 0 })}
	case 11:
		return nalt{text: `{"exists":true}`, test: func(any) bool { return true }}
	default:
		return nalt{text: `{"exists":false}`, absent: true}
	}
}

func (n naive) event() string { return n.object(3) }

func (n naive) object(depth int) string {
	var parts []string
	for _, key := range []string{"b", "a", "d", "c"} {
		if n.IntN(3) > 0 {
			parts = append(parts, fmt.Sprintf("%q:%s", key, n.value(depth)))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (n naive) value(depth int) string {
	if depth > 0 && n.IntN(2) == 0 {
		if n.IntN(2) == 0 {
			return n.object(depth - 1)
		}
		var items []string
		for range n.IntN(4) {
			items = append(items, n.value(depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	return pick(n, `""`, `"x"`, `"xy"`, `"yx"`, `"xyx"`, `"XY"`, "0", "-0.0", "1", "1e0", "1.5", "15e-1", "-2", "null", "true", `"1"`)
}
