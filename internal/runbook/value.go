package runbook

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Type is the declared type of a parameter, variable or output.
type Type string

// The types of schema 0.3 that are not resource types.
const (
	TypeString     Type = "String"
	TypeStringList Type = "StringList"
	TypeInteger    Type = "Integer"
	TypeBoolean    Type = "Boolean"
	TypeStringMap  Type = "StringMap"
	TypeMapList    Type = "MapList"
)

func (t Type) basic() bool {
	switch t {
	case TypeString, TypeStringList, TypeInteger, TypeBoolean, TypeStringMap, TypeMapList:
		return true
	}
	return false
}

// Valid reports whether t is a type of schema 0.3, resource types included.
func (t Type) Valid() bool {
	if t.basic() {
		return true
	}
	element, _ := strings.CutSuffix(strings.TrimPrefix(string(t), "List<"), ">")
	parts := strings.Split(element, "::")
	if len(parts) != 4 || parts[0] != "AWS" {
		return false
	}
	for _, p := range parts {
		if !isName(p) {
			return false
		}
	}
	return true
}

// base gives the basic type behind a resource type.
func (t Type) base() Type {
	switch {
	case t.basic():
		return t
	case strings.HasPrefix(string(t), "List<"):
		return TypeStringList
	}
	return TypeString
}

// pattern gives the built-in pattern of a resource type, or "".
func (t Type) pattern() string {
	element, _ := strings.CutSuffix(strings.TrimPrefix(string(t), "List<"), ">")
	switch element {
	case "AWS::EC2::Instance::Id":
		return `^m?i-([a-z0-9]{8}|[a-z0-9]{17})$`
	case "AWS::S3::Bucket::Name":
		return `^[0-9a-z][a-z0-9\-\.]{3,63}$`
	case "AWS::IAM::Role::Arn":
		return `^arn:(aws|aws-cn|aws-us-gov|aws-iso|aws-iso-b):iam::[0-9]{12}:role/.*$`
	}
	return ""
}

// Holds reports whether v, in plain JSON types, is of type t without any
// conversion.
func (t Type) Holds(v any) bool {
	switch t.base() {
	case TypeInteger:
		_, ok := v.(int64)
		return ok
	case TypeBoolean:
		_, ok := v.(bool)
		return ok
	case TypeStringMap:
		_, ok := v.(map[string]any)
		return ok
	case TypeStringList, TypeMapList:
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(item any) bool {
			_, isText := item.(string)
			_, isMap := item.(map[string]any)
			return t.base() == TypeStringList && !isText || t.base() == TypeMapList && !isMap
		})
	}
	_, ok := v.(string)
	return ok
}

// Zero is the value of an output whose selector found nothing: empty, rather
// than a failure, because documents test for it.
func (t Type) Zero() any {
	switch t.base() {
	case TypeStringList, TypeMapList:
		return []any{}
	case TypeStringMap:
		return map[string]any{}
	}
	return ""
}

// TimeFormat is how a timestamp becomes text: ISO 8601 in UTC.
const TimeFormat = "2006-01-02T15:04:05.999Z07:00"

// Normalize gives v in plain JSON types: map[string]any, []any, string, int64,
// float64, bool and nil. Timestamps become ISO 8601 text and bytes base64, which
// is also what they are after a checkpoint.
func Normalize(v any) any {
	switch t := v.(type) {
	case nil, string, bool, int64:
		return v
	case float64:
		if math.IsNaN(t) || math.IsInf(t, 0) {
			return strconv.FormatFloat(t, 'g', -1, 64)
		}
		return t
	case int:
		return int64(t)
	case int32:
		return int64(t)
	case float32:
		return float64(t)
	case json.Number:
		return number(t.String())
	case time.Time:
		return t.UTC().Format(TimeFormat)
	case []byte:
		return base64.StdEncoding.EncodeToString(t)
	}
	return normalizeCompound(v)
}

func normalizeCompound(v any) any {
	switch t := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, item := range t {
			out[k] = Normalize(item)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, item := range t {
			out[i] = Normalize(item)
		}
		return out
	case []string:
		out := make([]any, len(t))
		for i, item := range t {
			out[i] = item
		}
		return out
	case map[string]string:
		out := make(map[string]any, len(t))
		for k, item := range t {
			out[k] = item
		}
		return out
	case []map[string]any:
		out := make([]any, len(t))
		for i, item := range t {
			out[i] = Normalize(item)
		}
		return out
	}
	// Anything else is not a value that AWS answers; its JSON form is.
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	var out any
	if err := DecodeJSON(raw, &out); err != nil {
		return fmt.Sprint(v)
	}
	return out
}

// DecodeJSON decodes raw with integers as int64, so that a value is the same
// before and after a checkpoint.
func DecodeJSON(raw []byte, out *any) error {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return err
	}
	if dec.More() {
		return fmt.Errorf("there is text after the end of the JSON value")
	}
	*out = Normalize(v)
	return nil
}

// Coerce gives v as type t, by the conversions that AWS's documents rely on.
func Coerce(v any, t Type) (any, error) {
	v = Normalize(v)
	switch t.base() {
	case TypeString:
		return coerceString(v)
	case TypeInteger:
		if i, ok := asInteger(v); ok {
			return i, nil
		}
	case TypeBoolean:
		if b, ok := asBoolean(v); ok {
			return b, nil
		}
	case TypeStringList:
		return coerceStringList(v)
	case TypeStringMap:
		if m, ok := asMap(v); ok {
			return m, nil
		}
	case TypeMapList:
		if l, ok := asMapList(v); ok {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%s is not %s", describe(v), t)
}

func coerceString(v any) (any, error) {
	s, err := Text(v)
	if err != nil {
		return nil, fmt.Errorf("%s is not text: %w", describe(v), err)
	}
	return s, nil
}

func coerceStringList(v any) (any, error) {
	switch t := v.(type) {
	case []any:
		out := make([]any, len(t))
		for i, item := range t {
			s, err := Text(item)
			if err != nil {
				return nil, fmt.Errorf("item %d is not text: %w", i, err)
			}
			out[i] = s
		}
		return out, nil
	case string:
		if l, ok := jsonOf(t, '[').([]any); ok {
			return coerceStringList(l)
		}
		return []any{t}, nil
	case nil, map[string]any:
		return nil, fmt.Errorf("%s is not StringList", describe(v))
	}
	s, err := Text(v)
	return []any{s}, err
}

// asInteger reads whole numbers and their text.
func asInteger(v any) (int64, bool) {
	switch t := v.(type) {
	case int64:
		return t, true
	case int:
		return int64(t), true
	case float64:
		if t == math.Trunc(t) && math.Abs(t) < 1<<53 {
			return int64(t), true
		}
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64)
		return i, err == nil
	}
	return 0, false
}

func asBoolean(v any) (bool, bool) {
	switch t := v.(type) {
	case bool:
		return t, true
	case string:
		switch strings.ToLower(strings.TrimSpace(t)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

func asMap(v any) (map[string]any, bool) {
	switch t := v.(type) {
	case map[string]any:
		return t, true
	case string:
		m, ok := jsonOf(t, '{').(map[string]any)
		return m, ok
	case []any:
		// The wire form of a StringMap is a list with one JSON text.
		if len(t) == 1 {
			if s, isText := t[0].(string); isText {
				m, ok := jsonOf(s, '{').(map[string]any)
				return m, ok
			}
		}
	}
	return nil, false
}

func asMapList(v any) ([]any, bool) {
	switch t := v.(type) {
	case string:
		l, ok := jsonOf(t, '[').([]any)
		if !ok {
			return nil, false
		}
		return asMapList(l)
	case []any:
		if len(t) == 1 {
			if s, isText := t[0].(string); isText {
				if l, ok := jsonOf(s, '[').([]any); ok {
					return asMapList(l)
				}
			}
		}
		out := make([]any, len(t))
		for i, item := range t {
			m, ok := asMap(item)
			if !ok {
				return nil, false
			}
			out[i] = m
		}
		return out, true
	}
	return nil, false
}

// jsonOf decodes text that begins with open, or gives nil.
func jsonOf(text string, open byte) any {
	text = strings.TrimSpace(text)
	if text == "" || text[0] != open {
		return nil
	}
	var v any
	if err := DecodeJSON([]byte(text), &v); err != nil {
		return nil
	}
	return v
}

// describe names a value for a message without printing what may be secret.
func describe(v any) string {
	switch t := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("a text of %d characters", len([]rune(t)))
	case bool:
		return "a Boolean"
	case int64, float64:
		return "a number"
	case []any:
		return fmt.Sprintf("a list of %d", len(t))
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("a %T", v)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
