package runbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// givenInputs are the resolved inputs of a step. What they ask for and does not
// fit is an error that names the input, never its value. What only running tells
// (apimodel.Unknown) fits everywhere.
type givenInputs map[string]any

func isLater(v any) bool {
	text, ok := v.(string)
	return ok && strings.Contains(text, apimodel.Unknown)
}

// has reports whether an input is given. Documents pass "" for a parameter that
// was left out.
func (in givenInputs) has(name string) bool {
	v, ok := in[name]
	return ok && v != nil && v != ""
}

func (in givenInputs) as(name string, t Type) (any, error) {
	if isLater(in[name]) && t != TypeString && t != TypeStringList {
		return in[name], nil
	}
	v, err := Coerce(in[name], t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// text gives an input that is required.
func (in givenInputs) text(name string) (string, error) {
	if !in.has(name) {
		return "", fmt.Errorf("%s is required", name)
	}
	v, err := in.as(name, TypeString)
	if err != nil {
		return "", err
	}
	s, _ := v.(string)
	return s, nil
}

// oneOf gives an input that has to be one of some words.
func (in givenInputs) oneOf(name, fallback string, words ...string) (string, error) {
	if !in.has(name) && fallback != "" {
		return fallback, nil
	}
	s, err := in.text(name)
	if err != nil {
		return "", err
	}
	if !slices.Contains(words, s) && !isLater(s) {
		return "", fmt.Errorf("%s has to be one of %s", name, strings.Join(words, ", "))
	}
	return s, nil
}

// boolean gives a Boolean, false where it is not given, or what is not known yet.
func (in givenInputs) boolean(name string) (any, error) {
	if !in.has(name) {
		return false, nil
	}
	return in.as(name, TypeBoolean)
}

// list gives a StringList that is required and has at most limit items.
func (in givenInputs) list(name string, limit int) ([]any, error) {
	if !in.has(name) {
		return nil, fmt.Errorf("%s is required", name)
	}
	v, err := in.as(name, TypeStringList)
	if err != nil {
		return nil, err
	}
	items, _ := v.([]any)
	// A parameter left out that is one of the items.
	items = slices.DeleteFunc(slices.Clone(items), func(item any) bool { return item == "" })
	switch {
	case len(items) == 0:
		return nil, fmt.Errorf("%s is required and has no items", name)
	case len(items) > limit:
		return nil, fmt.Errorf("%s has %d items, the limit is %d", name, len(items), limit)
	}
	return items, nil
}

// maps gives a MapList; one map alone is a list of one.
func (in givenInputs) maps(name string) ([]any, error) {
	if m, ok := in[name].(map[string]any); ok {
		return []any{m}, nil
	}
	v, err := in.as(name, TypeMapList)
	if items, ok := v.([]any); ok || err != nil {
		return items, err
	}
	return []any{v}, nil // not known yet
}

// rest copies the inputs that are those of the call as they stand: all that are
// given but for the named ones. What the operation does not know, the gate
// refuses with botocore's words.
func (in givenInputs) rest(without ...string) map[string]any {
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
func typed(call map[string]any, t Type, names ...string) error {
	for _, name := range names {
		v, ok := call[name]
		if !ok || isLater(v) {
			continue
		}
		c, err := Coerce(v, t)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		call[name] = c
	}
	return nil
}

// mapLists puts MapLists into a call, where they are given.
func (in givenInputs) mapLists(call map[string]any, names ...string) error {
	for _, name := range names {
		if !in.has(name) || isLater(in[name]) {
			continue
		}
		items, err := in.maps(name)
		if err != nil {
			return err
		}
		call[name] = items
	}
	return nil
}

// typedItems makes members of the maps in a list texts. The maps are copied.
func typedItems(items []any, names ...string) error {
	for i, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			continue
		}
		m = maps.Clone(m)
		if err := typed(m, TypeString, names...); err != nil {
			return err
		}
		items[i] = m
	}
	return nil
}
