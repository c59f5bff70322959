package buspolicy

import (
	"fmt"
	"slices"
	"strings"
)

// glyphs is a text with wildcards, in which a * that a variable brought along is no
// wildcard.
type glyphs []glyph

// glyph is a character that stands for itself, or with wild the * or ? that it is.
type glyph struct {
	char rune
	wild bool
}

func (g glyphs) text() string {
	var out strings.Builder
	for _, c := range g {
		out.WriteRune(c.char)
	}
	return out.String()
}

// match compares with a value: * stands for any run of characters, ? for one.
func (g glyphs) match(value []rune) bool {
	p, v, star, mark := 0, 0, -1, 0
	for v < len(value) {
		switch {
		case p < len(g) && g[p].wild && g[p].char == '*':
			star, mark = p, v
			p++
		case p < len(g) && (g[p].wild || g[p].char == value[v]):
			p++
			v++
		case star >= 0:
			mark++
			p, v = star+1, mark
		default:
			return false
		}
	}
	for p < len(g) && g[p].wild && g[p].char == '*' {
		p++
	}
	return p == len(g)
}

// matchARN compares part by part: a wildcard does not reach over the first five colons.
func (g glyphs) matchARN(value string) bool {
	parts := strings.SplitN(value, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return false
	}
	if len(g) == 1 && g[0] == (glyph{'*', true}) {
		return true
	}
	for _, part := range parts[:5] {
		colon := slices.Index(g, glyph{char: ':'})
		if colon < 0 || !g[:colon].match([]rune(part)) {
			return false
		}
		g = g[colon+1:]
	}
	return g.match([]rune(parts[5]))
}

// expand puts in what variables stand for in a request, and reports whether each stands
// for something. wild says that * and ? are wildcards.
func expand(text string, r *Request, wild bool) (glyphs, bool) {
	var out glyphs
	literal := func(s string) {
		for _, c := range s {
			out = append(out, glyph{char: c})
		}
	}
	for text != "" {
		before, rest, found := strings.Cut(text, "${")
		for _, c := range before {
			out = append(out, glyph{char: c, wild: wild && (c == '*' || c == '?')})
		}
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		text = after
		if name == "*" || name == "?" || name == "$" {
			literal(name)
			continue
		}
		key, _ := canonical(name)
		values := r.values(key)
		if len(values) != 1 {
			return nil, false
		}
		literal(values[0])
	}
	return out, true
}

// checkVariables refuses variables that expand could not put in.
func checkVariables(text, version string) error {
	for {
		_, rest, found := strings.Cut(text, "${")
		if !found {
			return nil
		}
		name, after, closed := strings.Cut(rest, "}")
		key, known := canonical(name)
		switch {
		case version != "2012-10-17":
			return fmt.Errorf(`%q has a variable, for which the policy has to have "Version": "2012-10-17"`, text)
		case !closed:
			return fmt.Errorf("the variable in %q is not closed", text)
		case name != "*" && name != "?" && name != "$" && (!known || key == PrincipalOrgPaths || key == TargetArn):
			return fmt.Errorf("the variable ${%s} is not supported", name)
		}
		text = after
	}
}
