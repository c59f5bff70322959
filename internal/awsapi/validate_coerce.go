package awsapi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// coerce turns text into the number or truth value that the model asks for, and
// numbers and truth values into text, throughout an input. Runbooks need it:
// their parameters are often text ("true", "30"), and Systems Manager accepts
// them so. What cannot be turned is left for validation to report.
func coerce(m apimodel.Member, v any, depth int) any {
	if depth > maxInputDepth || m.Shape.Document {
		return v
	}
	switch m.Shape.Type {
	case apimodel.Structure:
		fields, ok := asMap(v)
		if !ok {
			return v
		}
		out := make(map[string]any, len(fields))
		for k, item := range fields {
			out[k] = item
			if inner, known := m.Shape.Member(k); known {
				out[k] = coerce(inner, item, depth+1)
			}
		}
		return out
	case apimodel.Map:
		fields, ok := asMap(v)
		if !ok {
			return v
		}
		out := make(map[string]any, len(fields))
		for k, item := range fields {
			out[k] = coerce(m.Shape.Value, item, depth+1)
		}
		return out
	case apimodel.List:
		items, ok := asList(v)
		if !ok {
			return v
		}
		out := make([]any, len(items))
		for i := range items {
			out[i] = coerce(m.Shape.Elem, items[i], depth+1)
		}
		return out
	}
	return coerceScalar(m.Shape.Type, v)
}

func coerceScalar(t apimodel.Type, v any) any {
	text, isText := v.(string)
	trimmed := strings.TrimSpace(text)
	switch t {
	case apimodel.String:
		switch v := v.(type) {
		case bool:
			return strconv.FormatBool(v)
		case int, int32, int64, float32:
			return fmt.Sprint(v)
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	case apimodel.Boolean:
		switch {
		case isText && strings.EqualFold(trimmed, "true"):
			return true
		case isText && strings.EqualFold(trimmed, "false"):
			return false
		}
	case apimodel.Integer, apimodel.Long:
		if n, err := strconv.ParseInt(trimmed, 10, 64); isText && err == nil {
			return n
		}
	case apimodel.Float, apimodel.Double:
		if f, err := strconv.ParseFloat(trimmed, 64); isText && err == nil {
			return f
		}
	}
	return v
}
