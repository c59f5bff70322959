package apimodel

import (
	"encoding/json"
	"fmt"
	"strings"
)

// rowTemplate fills the templates of the table.
type rowTemplate struct {
	spec   ImageSpec
	before map[string]any
	chosen []any // elements of a set
	one    any   // the element of an "each" inverse
}

func (s ImageSpec) template(before map[string]any) rowTemplate {
	return rowTemplate{spec: s, before: before}
}

// expand fills a template: a string "$input.A.B|$before.C|x" is the first of
// its alternatives that is there; a member whose template names nothing that is
// there is left out.
func (t rowTemplate) expand(v any) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if got, ok := t.expand(x); ok {
				out[k] = got
			}
		}
		return out, true
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			if got, ok := t.expand(x); ok {
				out = append(out, got)
			}
		}
		return out, true
	case string:
		return t.text(v)
	default:
		return v, true
	}
}

func (t rowTemplate) text(text string) (any, bool) {
	if !strings.HasPrefix(text, "$") {
		return text, true
	}
	for alt := range strings.SplitSeq(text, "|") {
		if v, ok := t.variable(alt); ok {
			return v, true
		}
	}
	return nil, false
}

func (t rowTemplate) variable(name string) (any, bool) {
	root, path, _ := strings.Cut(name, ".")
	switch root {
	case "$input":
		return t.lookup(t.spec.call.Input, path)
	case "$before":
		return t.lookup(t.before, path)
	case "$arn":
		return t.spec.ARN(), true
	case "$account":
		return t.spec.call.Account, true
	case "$elements":
		return t.chosen, true
	case "$keys", "$map", "$blank":
		return t.ofSet(root), true
	case "$element":
		if path == "" {
			return t.one, true
		}
		m, _ := t.one.(map[string]any)
		return t.lookup(m, path)
	}
	return literalOf(name), true
}

// lookup follows a path whose conditions may be templates:
// "Policy.Statement[Sid=$input.StatementId]".
func (t rowTemplate) lookup(m map[string]any, path string) (any, bool) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, false
	}
	for i := range steps {
		if steps[i].key == "" {
			continue
		}
		want, ok := t.text(steps[i].want)
		if !ok {
			return nil, false
		}
		steps[i].want = fmt.Sprint(want)
	}
	return getPath(m, steps)
}

// hold reports whether all terms ("Path", "Path=value", "!Path") hold for m.
func (t rowTemplate) hold(terms []string, m map[string]any) bool {
	for _, term := range terms {
		path, not := strings.CutPrefix(term, "!")
		path, want, valued := cutValue(path)
		v, ok := t.lookup(m, path)
		if list, isList := v.([]any); isList && len(list) == 0 && strings.Contains(path, "[]") {
			ok = false // "A[].B" where no element has a B
		}
		if (ok && (!valued || fmt.Sprint(v) == want)) == not {
			return false
		}
	}
	return true
}

// cutValue parts "Path=value"; an equals sign inside brackets is the path's own.
func cutValue(term string) (path, want string, valued bool) {
	end := strings.LastIndex(term, "]") + 1
	rest, want, valued := strings.Cut(term[end:], "=")
	return term[:end] + rest, want, valued
}

// ofSet gives the chosen elements in the form that an inverse takes.
func (t rowTemplate) ofSet(form string) any {
	key, value := "Key", "Value"
	if set := t.spec.row.Set; set != nil && len(set.Key) > 0 {
		key = set.Key[0]
	}
	keys, pairs := []any{}, map[string]any{}
	for _, e := range t.chosen {
		m, ok := e.(map[string]any)
		if !ok {
			keys = append(keys, e)
			continue
		}
		keys = append(keys, m[key])
		pairs[fmt.Sprint(m[key])] = m[value]
		if form == "$blank" {
			pairs[fmt.Sprint(m[key])] = ""
		}
	}
	if form == "$keys" {
		return keys
	}
	return pairs
}

// literalOf reads the last alternative of a template: JSON where it is JSON
// (false, 0, [], "12"), text otherwise.
func literalOf(text string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	return v
}

// inputPaths lists the input paths that a template names.
func inputPaths(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			out = append(out, inputPaths(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, inputPaths(x)...)
		}
	case string:
		if !strings.HasPrefix(v, "$") {
			return nil
		}
		for alt := range strings.SplitSeq(v, "|") {
			if path, ok := strings.CutPrefix(alt, "$input."); ok {
				out = append(out, path)
			}
		}
	}
	return out
}
