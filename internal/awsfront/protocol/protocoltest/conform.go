// Package protocoltest holds answers of the AWS APIs that Parry has against AWS's own
// models, in tests.
package protocoltest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
)

// Conform holds an answer against AWS's model of the operation: no member that the model
// does not have, every value of its type, within its bounds, patterns and enumerations.
// It gives the answer as a client reads it.
func Conform(t testing.TB, models *apimodel.Catalog, service, operation string, value any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v: %s", operation, err, raw)
	}
	model, err := models.Service(service)
	if err != nil {
		t.Fatal(err)
	}
	op, ok := model.Operation(operation)
	if !ok {
		t.Fatalf("the model has no %s", operation)
	}
	shape := op.Output
	if shape == nil {
		shape = &apimodel.Shape{Type: apimodel.Structure}
	}
	for _, problem := range against(shape, out, operation) {
		t.Error(problem)
	}
	return out
}

func against(shape *apimodel.Shape, v any, path string) []string {
	switch v := v.(type) {
	case map[string]any:
		return againstObject(shape, v, path)
	case []any:
		if shape.Type != apimodel.List {
			return []string{path + " is a list"}
		}
		out := outside(shape, len(v), path)
		for i, item := range v {
			out = append(out, against(shape.Elem.Shape, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
		return out
	case string:
		return againstText(shape, v, path)
	case bool:
		if shape.Type != apimodel.Boolean {
			return []string{path + " is a Boolean"}
		}
	case float64:
		if shape.Type != apimodel.Integer && shape.Type != apimodel.Long && shape.Type != apimodel.Timestamp {
			return []string{path + " is a number"}
		}
	default:
		return []string{path + " is null"}
	}
	return nil
}

func againstObject(shape *apimodel.Shape, v map[string]any, path string) (out []string) {
	if shape.Type == apimodel.Map {
		out = outside(shape, len(v), path)
		for name, item := range v {
			out = append(out, againstText(shape.Key.Shape, name, path+"."+name)...)
			out = append(out, against(shape.Value.Shape, item, path+"."+name)...)
		}
		return out
	}
	if shape.Type != apimodel.Structure {
		return []string{path + " is an object"}
	}
	for name, item := range v {
		m, ok := shape.Member(name)
		if !ok {
			out = append(out, path+" has no member "+name+" in the model")
			continue
		}
		out = append(out, against(m.Shape, item, path+"."+name)...)
	}
	for _, name := range shape.Required {
		if _, ok := v[name]; !ok {
			out = append(out, path+" lacks "+name)
		}
	}
	return out
}

func againstText(shape *apimodel.Shape, v, path string) []string {
	if shape.Type != apimodel.String {
		return []string{path + " is text"}
	}
	out := outside(shape, len(v), path)
	if len(shape.Enum) > 0 && !slices.Contains(shape.Enum, v) {
		out = append(out, path+" is "+v+", which the model does not list")
	}
	if shape.Pattern != "" {
		if re, err := regexp.Compile("^(?:" + shape.Pattern + ")$"); err == nil && !re.MatchString(v) {
			out = append(out, fmt.Sprintf("%s is %q, which does not match %s", path, v, shape.Pattern))
		}
	}
	return out
}

func outside(shape *apimodel.Shape, n int, path string) []string {
	if least, err := strconv.Atoi(shape.Min); err == nil && n < least {
		return []string{fmt.Sprintf("%s has length %d, less than %d", path, n, least)}
	}
	if most, err := strconv.Atoi(shape.Max); err == nil && n > most {
		return []string{fmt.Sprintf("%s has length %d, more than %d", path, n, most)}
	}
	return nil
}

// Known holds the names of operations against AWS's model of a service, which is not looked
// into before one of them is asked for.
func Known(t testing.TB, models *apimodel.Catalog, service string, operations []string) {
	t.Helper()
	model, err := models.Service(service)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range operations {
		if _, ok := model.Operation(name); !ok {
			t.Errorf("the model of %s has no operation %s", service, name)
		}
	}
}
