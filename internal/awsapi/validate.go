package awsapi

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
)

// ParamError says what is wrong with the input of a call, in botocore's words
// (ParamValidationError), for every place at once. Nothing was sent.
type ParamError struct {
	Service, Operation string
	Problems           []ParamProblem
}

// ParamProblem is one wrong place.
type ParamProblem struct {
	Path    string // "PublicAccessBlockConfiguration.BlockPublicAcls", "" = the input itself
	Message string // botocore's line
}

// Error prints botocore's text.
func (e *ParamError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
	}
	return "Parameter validation failed:\n" + strings.Join(lines, "\n")
}

// maxInputDepth bounds the nesting of an input.
const maxInputDepth = 200

// validateInput checks input against its shape.
func validateInput(s *apimodel.Service, op *apimodel.Operation, input map[string]any) error {
	v := &validator{}
	if op.Input != nil {
		v.structure(op.Input, input, "", 0)
	} else {
		for _, name := range sortedKeys(input) {
			v.report("", "Unknown parameter in input: \"%s\", must be one of: ", name)
		}
	}
	if len(v.problems) == 0 {
		return nil
	}
	return &ParamError{Service: s.Name, Operation: op.Name, Problems: v.problems}
}

type validator struct{ problems []ParamProblem }

func (v *validator) report(path, format string, args ...any) {
	v.problems = append(v.problems, ParamProblem{Path: strings.TrimPrefix(path, "."), Message: fmt.Sprintf(format, args...)})
}

// shown is how botocore names a place.
func shown(path string) string {
	if path == "" {
		return "input"
	}
	return strings.TrimPrefix(path, ".")
}

func (v *validator) wrongType(path string, value any, valid ...string) {
	v.report(path, "Invalid type for parameter %s, value: %s, type: %s, valid types: %s",
		shown(path), pythonText(value, false), pythonType(value), strings.Join(valid, ", "))
}

func (v *validator) value(m apimodel.Member, value any, path string, depth int) {
	if depth > maxInputDepth {
		v.report(path, "Invalid value for parameter %s: nested more than %d deep", shown(path), maxInputDepth)
		return
	}
	shape := m.Shape
	switch {
	case m.JSONValue && m.Location == "header":
		if _, err := json.Marshal(value); err != nil {
			v.report(path, "Invalid parameter %s must be json serializable: %s", shown(path), err)
		}
	case shape.Document:
		v.document(value, path, depth)
	case shape.Type == apimodel.Structure:
		if fields, ok := asMap(value); ok {
			v.structure(shape, fields, path, depth)
			return
		}
		v.wrongType(path, value, "<class 'dict'>")
	case shape.Type == apimodel.Map:
		v.mapping(shape, value, path, depth)
	case shape.Type == apimodel.List:
		v.list(shape, value, path, depth)
	default:
		v.scalar(m, value, path)
	}
}

func (v *validator) structure(shape *apimodel.Shape, fields map[string]any, path string, depth int) {
	if shape.Union {
		names := make([]string, len(shape.Members))
		for i, m := range shape.Members {
			names[i] = m.Name
		}
		switch len(fields) {
		case 1:
		case 0:
			v.report(path, "Must set one of the following keys for tagged unionstructure %s: %s.", shown(path), strings.Join(names, ", "))
		default:
			v.report(path, "Invalid number of parameters set for tagged union structure %s. Can only set one of the following keys: %s.", shown(path), strings.Join(names, ", "))
		}
	}
	for _, name := range shape.Required {
		if _, ok := fields[name]; !ok {
			v.report(path, "Missing required parameter in %s: \"%s\"", shown(path), name)
		}
	}
	for _, name := range sortedKeys(fields) {
		if _, ok := shape.Member(name); !ok {
			names := make([]string, len(shape.Members))
			for i, m := range shape.Members {
				names[i] = m.Name
			}
			v.report(path, "Unknown parameter in %s: \"%s\", must be one of: %s", shown(path), name, strings.Join(names, ", "))
		}
	}
	// botocore goes by the order in which the caller wrote the members; a Go map
	// has none, so it is the alphabet's.
	for _, name := range sortedKeys(fields) {
		if m, ok := shape.Member(name); ok {
			v.value(m, fields[name], path+"."+name, depth+1)
		}
	}
}

func (v *validator) mapping(shape *apimodel.Shape, value any, path string, depth int) {
	fields, ok := asMap(value)
	if !ok {
		v.wrongType(path, value, "<class 'dict'>")
		return
	}
	for _, k := range sortedKeys(fields) {
		v.value(shape.Key, k, fmt.Sprintf("%s (key: %s)", path, k), depth+1)
		v.value(shape.Value, fields[k], path+"."+k, depth+1)
	}
}

func (v *validator) list(shape *apimodel.Shape, value any, path string, depth int) {
	items, ok := asList(value)
	if !ok {
		v.wrongType(path, value, "<class 'list'>", "<class 'tuple'>")
		return
	}
	v.length(shape, false, value, len(items), path)
	for i, item := range items {
		v.value(shape.Elem, item, fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
}

// length checks the least length; hostLabel members must not be empty.
func (v *validator) length(shape *apimodel.Shape, hostLabel bool, value any, have int, path string) {
	least, limited := least(shape, hostLabel)
	if limited && float64(have) < least {
		_ = value // botocore prints the length, not the value
		v.report(path, "Invalid length for parameter %s, value: %d, valid min length: %s", shown(path), have, strconv.FormatFloat(least, 'f', -1, 64))
	}
}

func least(shape *apimodel.Shape, hostLabel bool) (float64, bool) {
	if shape.Min != "" {
		f, err := strconv.ParseFloat(shape.Min, 64)
		return f, err == nil
	}
	return 1, hostLabel
}

func (v *validator) scalar(m apimodel.Member, value any, path string) {
	switch shape := m.Shape; shape.Type {
	case apimodel.String:
		text, ok := value.(string)
		if !ok {
			v.wrongType(path, value, "<class 'str'>")
			return
		}
		v.length(shape, m.HostLabel, value, utf8.RuneCountInString(text), path)
	case apimodel.Integer, apimodel.Long:
		n, ok := asInt(value)
		if !ok {
			v.wrongType(path, value, "<class 'int'>")
			return
		}
		v.atLeast(shape, float64(n), strconv.FormatInt(n, 10), path)
	case apimodel.Float, apimodel.Double:
		f, ok := asFloat(value)
		if !ok {
			v.wrongType(path, value, "<class 'float'>", "<class 'decimal.Decimal'>", "<class 'int'>")
			return
		}
		v.atLeast(shape, f, pythonText(value, false), path)
	case apimodel.Boolean:
		if _, ok := value.(bool); !ok {
			v.wrongType(path, value, "<class 'bool'>")
		}
	case apimodel.Timestamp:
		if _, ok := asTime(value); !ok {
			v.wrongType(path, value, "<class 'datetime.datetime'>", "timestamp-string")
		}
	case apimodel.Blob:
		if _, ok := asBytes(value); !ok {
			v.wrongType(path, value, "<class 'bytes'>", "<class 'bytearray'>", "file-like object")
		}
	}
}

func (v *validator) atLeast(shape *apimodel.Shape, have float64, text, path string) {
	if low, limited := least(shape, false); limited && have < low {
		v.report(path, "Invalid value for parameter %s, value: %s, valid min value: %s", shown(path), text, shape.Min)
	}
}

// document accepts what JSON can hold.
func (v *validator) document(value any, path string, depth int) {
	if depth > maxInputDepth {
		v.report(path, "Invalid value for document parameter %s: nested more than %d deep", shown(path), maxInputDepth)
		return
	}
	switch t := value.(type) {
	case nil, string, bool, int, int32, int64, float32, float64, json.Number:
	case map[string]any:
		for _, k := range sortedKeys(t) {
			v.document(t[k], k, depth+1)
		}
	case []any:
		for i := range t {
			v.document(t[i], fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
	default:
		v.report(path, "Invalid type for document parameter %s, value: %s, type: %s, valid types: <class 'str'>, <class 'int'>, <class 'bool'>, <class 'float'>, <class 'list'>, <class 'dict'>",
			shown(path), pythonText(value, false), pythonType(value))
	}
}

// pythonType names a value's type as botocore's messages do.
func pythonType(v any) string {
	name := "object"
	switch v := v.(type) {
	case nil:
		name = "NoneType"
	case string:
		name = "str"
	case bool:
		name = "bool"
	case int, int32, int64:
		name = "int"
	case float64:
		name = "float"
		if _, ok := asInt(v); ok {
			name = "int" // encoding/json makes a float64 of every number
		}
	case json.Number:
		name = "float"
		if _, err := v.Int64(); err == nil {
			name = "int"
		}
	case []byte:
		name = "bytes"
	case time.Time:
		name = "datetime.datetime"
	case []any, []string, []map[string]any:
		name = "list"
	case map[string]any, map[string]string:
		name = "dict"
	}
	return "<class '" + name + "'>"
}

// maxShown bounds how much of a wrong value a message repeats.
const maxShown = 1000

// pythonText prints a value as Python's str does, or as repr inside containers.
func pythonText(v any, inside bool) string {
	text := pythonForm(v, inside)
	if len(text) > maxShown && !inside {
		text = strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	return text
}

func pythonForm(v any, inside bool) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		if inside {
			return pythonQuote(v)
		}
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case float64:
		if n, ok := asInt(v); ok {
			return strconv.FormatInt(n, 10)
		}
		return pythonFloat(v)
	case []byte:
		return "b'" + strings.Trim(strconv.QuoteToASCII(string(v)), `"`) + "'"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = pythonText(v[i], true)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range sortedKeys(v) {
			parts = append(parts, pythonText(k, true)+": "+pythonText(v[k], true))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// pythonQuote quotes text as Python's repr does: with double quotes where it
// holds single ones alone.
func pythonQuote(text string) string {
	quote := "'"
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, c := range text {
		switch {
		case c == '\\' || string(c) == quote:
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String() + quote
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
