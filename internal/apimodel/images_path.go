package apimodel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pathStep is one step of a path: a member, and which elements of it where it
// is a list.
type pathStep struct {
	name  string
	list  bool
	index int    // -1 = every element
	key   string // element whose member key is as want says
	want  string
}

// parsePath reads "Reservations[].Instances[InstanceId=$input.InstanceId]".
func parsePath(path string) ([]pathStep, error) {
	var out []pathStep
	for path != "" {
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			return append(out, pathStep{name: path, index: -1}), nil
		}
		step := pathStep{name: path[:end], index: -1}
		sep := path[end]
		path = path[end+1:]
		if sep == '[' {
			inside, rest, ok := cutBracket(path)
			if !ok || step.name == "" {
				return nil, fmt.Errorf("path: %q has no end", path)
			}
			step.list = true
			if key, want, has := strings.Cut(inside, "="); has {
				step.key, step.want = key, want
			} else if inside != "" {
				n, err := strconv.Atoi(inside)
				if err != nil || n < 0 {
					return nil, fmt.Errorf("path: %q is no index", inside)
				}
				step.index = n
			}
			path = strings.TrimPrefix(rest, ".")
		}
		out = append(out, step)
	}
	return out, nil
}

// cutBracket parts a path at the bracket that closes the one before it.
func cutBracket(path string) (inside, rest string, ok bool) {
	depth := 1
	for i, c := range path {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth == 0 {
			return path[:i], path[i+1:], true
		}
	}
	return "", "", false
}

// getPath follows a path, also into text that is a JSON object. Over "[]" it
// gives a list; a condition chooses the first element that fits.
func getPath(v any, steps []pathStep) (any, bool) {
	for i, step := range steps {
		m, ok := object(v)
		if !ok {
			return nil, false
		}
		if v, ok = m[step.name]; !ok || v == nil {
			return nil, false
		}
		if !step.list {
			continue
		}
		list, ok := v.([]any)
		if !ok && step.key != "" {
			list, ok = []any{v}, true // a policy's only statement may stand alone
		}
		if !ok {
			return nil, false
		}
		if step.key != "" {
			at := slices.IndexFunc(list, func(x any) bool {
				m, _ := x.(map[string]any)
				return sameName(m[step.key], step.want)
			})
			if at < 0 {
				return nil, false
			}
			v = list[at]
			continue
		}
		if step.index >= 0 {
			if step.index >= len(list) {
				return nil, false
			}
			v = list[step.index]
			continue
		}
		all := []any{}
		for _, x := range list {
			if got, ok := getPath(x, steps[i+1:]); ok {
				all = append(all, got)
			}
		}
		return all, true
	}
	return v, true
}

// object reads v as an object; text may be the JSON of one.
func object(v any) (map[string]any, bool) {
	text, isText := v.(string)
	if !isText {
		m, ok := v.(map[string]any)
		return m, ok
	}
	var m map[string]any
	err := json.Unmarshal([]byte(text), &m)
	return m, err == nil && m != nil
}

// putPath is getPath backwards: it copies what leads to the place and puts v there.
// Over "[]" v is a list, of which each element makes one; "[0]" makes a list of one.
func putPath(into any, steps []pathStep, v any) any {
	if len(steps) == 0 {
		return v
	}
	step := steps[0]
	old, _ := into.(map[string]any)
	out := make(map[string]any, len(old)+1)
	for k, x := range old {
		out[k] = x
	}
	switch {
	case !step.list:
		out[step.name] = putPath(out[step.name], steps[1:], v)
	case step.index >= 0:
		out[step.name] = []any{putPath(nil, steps[1:], v)}
	default:
		all := []any{}
		for _, x := range listOf(v) {
			all = append(all, putPath(nil, steps[1:], x))
		}
		out[step.name] = all
	}
	return out
}

// lookup follows a path of member names.
func lookup(m map[string]any, path string) (any, bool) {
	steps, err := parsePath(path)
	if err != nil {
		return nil, false
	}
	return getPath(m, steps)
}
