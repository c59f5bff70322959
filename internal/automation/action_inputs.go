package automation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/runbook"
)

// inputs are the resolved inputs of a step. What they ask for and does not fit
// is a stepFailure that names the input, never its value.
type inputs map[string]any

func badInput(format string, args ...any) error {
	return stepFailure{inputFailure(fmt.Errorf(format, args...)), nil}
}

// has reports whether an input is given. Documents pass "" for a parameter that
// was left out.
func (in inputs) has(name string) bool {
	v, ok := in[name]
	return ok && v != nil && v != ""
}

func (in inputs) as(name string, t runbook.Type) (any, error) {
	v, err := runbook.Coerce(in[name], t)
	if err != nil {
		return nil, badInput("%s: %w", name, err)
	}
	return v, nil
}

// text gives an input that is required.
func (in inputs) text(name string) (string, error) {
	if !in.has(name) {
		return "", badInput("%s is required", name)
	}
	v, err := in.as(name, runbook.TypeString)
	if err != nil {
		return "", err
	}
	s, _ := v.(string)
	return s, nil
}

// oneOf gives an input that has to be one of some words.
func (in inputs) oneOf(name, fallback string, words ...string) (string, error) {
	if !in.has(name) && fallback != "" {
		return fallback, nil
	}
	s, err := in.text(name)
	if err != nil {
		return "", err
	}
	if !slices.Contains(words, s) {
		return "", badInput("%s has to be one of %s", name, strings.Join(words, ", "))
	}
	return s, nil
}

func (in inputs) boolean(name string) (bool, error) {
	if !in.has(name) {
		return false, nil
	}
	v, err := in.as(name, runbook.TypeBoolean)
	b, _ := v.(bool)
	return b, err
}

// list gives a StringList that is required and has at most limit items.
func (in inputs) list(name string, limit int) ([]any, error) {
	if !in.has(name) {
		return nil, badInput("%s is required", name)
	}
	v, err := in.as(name, runbook.TypeStringList)
	if err != nil {
		return nil, err
	}
	items, _ := v.([]any)
	// A parameter left out that is one of the items.
	items = slices.DeleteFunc(slices.Clone(items), func(item any) bool { return item == "" })
	switch {
	case len(items) == 0:
		return nil, badInput("%s is required and has no items", name)
	case len(items) > limit:
		return nil, badInput("%s has %d items, the limit is %d", name, len(items), limit)
	}
	return items, nil
}

// maps gives a MapList; one map alone is a list of one.
func (in inputs) maps(name string) ([]any, error) {
	if m, ok := in[name].(map[string]any); ok {
		return []any{m}, nil
	}
	v, err := in.as(name, runbook.TypeMapList)
	items, _ := v.([]any)
	return items, err
}

// rest copies the inputs that are those of the call as they stand: all that are
// given but for the named ones. What the operation does not know, the gate
// refuses with botocore's words.
func (in inputs) rest(without ...string) map[string]any {
	out := make(map[string]any, len(in))
	for name := range maps.Keys(in) {
		if in.has(name) && !slices.Contains(without, name) {
			out[name] = in[name]
		}
	}
	return out
}

// typed gives members of a call the type that their operation takes: documents
// write "true" and "30".
func typed(call map[string]any, t runbook.Type, names ...string) error {
	for _, name := range names {
		v, ok := call[name]
		if !ok {
			continue
		}
		c, err := runbook.Coerce(v, t)
		if err != nil {
			return badInput("%s: %w", name, err)
		}
		call[name] = c
	}
	return nil
}

// at follows names and, in lists, numbers through an answer; nil where there is
// nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[key]
		case int:
			l, ok := v.([]any)
			if !ok || key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

func textAt(v any, path ...any) string {
	s, _ := at(v, path...).(string)
	return s
}

func listAt(v any, path ...any) []any {
	l, _ := at(v, path...).([]any)
	return l
}
