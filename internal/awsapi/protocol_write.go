package awsapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"

	"github.com/parry-security/parry/internal/apimodel"
)

// dynamicInput describes a map of boto3's members to a smithy serializer. It is
// validated before, so a value that does not fit is a fault of ours and is
// kept in err.
type dynamicInput struct {
	node *node
	timing
	input map[string]any
	err   error
}

// Serialize implements smithy.Serializable.
func (d *dynamicInput) Serialize(s smithy.ShapeSerializer) {
	w := &writer{s: s, timing: d.timing}
	w.structure(d.node, d.node.schema, d.input)
	d.err = w.err
}

// timing is how a service wants times.
type timing struct {
	timeFormat   string // of the body, where a shape names none
	milliseconds bool   // to the millisecond; botocore asks it of one service
}

type writer struct {
	s smithy.ShapeSerializer
	timing
	err error
}

func (w *writer) fail(m *memberNode, v any) {
	if w.err == nil {
		w.err = fmt.Errorf("member %s: cannot write %T as %s", m.Name, v, m.node.shape.Type)
	}
}

func (w *writer) structure(n *node, schema *smithy.Schema, v map[string]any) {
	w.s.WriteStruct(schema)
	for _, m := range n.members {
		if item, ok := v[m.Name]; ok && item != nil {
			w.member(m, item)
		}
	}
	w.s.CloseStruct()
}

func (w *writer) member(m *memberNode, v any) {
	shape := m.node.shape
	switch {
	case m.JSONValue && m.bound == inHeader: // in a body it is text like any other
		text, err := asciiJSON(v)
		if err != nil {
			w.fail(m, v)
			return
		}
		w.s.WriteString(m.schema, text)
	case shape.Document:
		w.s.WriteDocument(m.schema, document.Opaque{Value: jsonDocument{v}})
	case shape.Type == apimodel.Structure:
		if fields, ok := v.(map[string]any); ok {
			w.structure(m.node, m.schema, fields)
			return
		}
		w.fail(m, v)
	case shape.Type == apimodel.List:
		w.list(m, v)
	case shape.Type == apimodel.Map:
		w.mapping(m, v)
	default:
		w.scalar(m, v)
	}
}

// asciiJSON writes JSON as Python does for a header: without characters that are
// not ASCII, and with < and > as they are.
func asciiJSON(v any) (string, error) {
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	var out strings.Builder
	for _, c := range strings.TrimSuffix(raw.String(), "\n") {
		if c < utf8.RuneSelf {
			out.WriteRune(c)
			continue
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String(), nil
}

// jsonDocument lets smithy write a value of any form as JSON.
type jsonDocument struct{ v any }

// MarshalSmithyDocument implements document.Marshaler.
func (d jsonDocument) MarshalSmithyDocument() ([]byte, error) { return json.Marshal(d.v) }

func (w *writer) list(m *memberNode, v any) {
	items, ok := asList(v)
	if !ok {
		w.fail(m, v)
		return
	}
	if m.bound == inHeader && len(items) == 0 {
		return // a header that says nothing is not sent
	}
	w.s.WriteList(m.schema)
	for _, item := range items {
		if item == nil {
			w.s.WriteNil(m.node.elem.schema)
			continue
		}
		w.member(m.node.elem, item)
	}
	w.s.CloseList()
}

func (w *writer) mapping(m *memberNode, v any) {
	fields, ok := asMap(v)
	if !ok {
		w.fail(m, v)
		return
	}
	keys := make([]string, 0, len(fields))
	for k := range fields {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	w.s.WriteMap(m.schema)
	for _, k := range keys {
		w.s.WriteKey(m.node.key.schema, k)
		if fields[k] == nil {
			w.s.WriteNil(m.node.value.schema)
			continue
		}
		w.member(m.node.value, fields[k])
	}
	w.s.CloseMap()
}

func (w *writer) scalar(m *memberNode, v any) {
	switch m.node.shape.Type {
	case apimodel.String:
		if text, ok := v.(string); ok {
			w.s.WriteString(m.schema, text)
			return
		}
	case apimodel.Integer, apimodel.Long:
		if n, ok := asInt(v); ok {
			w.s.WriteInt64(m.schema, n)
			return
		}
	case apimodel.Float, apimodel.Double:
		if f, ok := asFloat(v); ok {
			if m.bound == inQuery || m.bound == inURI || m.bound == inHeader {
				w.s.WriteString(m.schema, pythonFloat(f)) // these are signed as they are
				return
			}
			w.s.WriteFloat64(m.schema, f)
			return
		}
	case apimodel.Boolean:
		if b, ok := v.(bool); ok {
			w.s.WriteBool(m.schema, b)
			return
		}
	case apimodel.Timestamp:
		if t, ok := asTime(v); ok {
			w.time(m, t)
			return
		}
	case apimodel.Blob:
		if b, ok := asBytes(v); ok {
			w.s.WriteBlob(m.schema, b)
			return
		}
	}
	w.fail(m, v)
}

// pythonFloat writes a float as Python's str does, which is what botocore sends
// outside of bodies.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64), "+") + "inity"
	}
	format := byte('f')
	if abs := math.Abs(f); abs >= 1e16 || abs != 0 && abs < 1e-4 {
		format = 'e'
	}
	text := strconv.FormatFloat(f, format, -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// time writes a time as botocore does: to the microsecond in ISO 8601, and to the
// second in the other forms and in every header.
func (w *writer) time(m *memberNode, t time.Time) {
	t = t.UTC()
	if m.bound == inHeader || m.node.shape.TimestampFormat == "rfc822" {
		t = t.Truncate(time.Second)
	}
	format := m.node.shape.TimestampFormat
	if format == "" {
		format = w.timeFormat
		if m.bound == inQuery || m.bound == inURI {
			format = "iso8601"
		}
	}
	if format != "iso8601" || m.bound == inHeader && m.node.shape.TimestampFormat == "" {
		precision := time.Second
		if w.milliseconds && format == "unixTimestamp" {
			precision = time.Millisecond
		}
		w.s.WriteTime(m.schema, t.Truncate(precision))
		return
	}
	layout := "2006-01-02T15:04:05Z"
	switch {
	case w.milliseconds:
		layout = "2006-01-02T15:04:05.000Z"
	case t.Nanosecond() >= 1000:
		layout = "2006-01-02T15:04:05.000000Z"
	}
	w.s.WriteString(m.schema, t.Format(layout))
}

// The as functions accept what a caller may hold for a type: values as Go has
// them, and as encoding/json makes them.

func asList(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []string:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out, true
	case []map[string]any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out, true
	}
	return nil, false
}

func asMap(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case map[string]string:
		out := make(map[string]any, len(v))
		for k, s := range v {
			out[k] = s
		}
		return out, true
	}
	return nil, false
}

func asInt(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case float64:
		if n := int64(v); float64(n) == v {
			return n, true
		}
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	}
	return 0, false
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	n, ok := asInt(v)
	return float64(n), ok
}

func asBytes(v any) ([]byte, bool) {
	switch v := v.(type) {
	case []byte:
		return v, true
	case string:
		return []byte(v), true
	}
	return nil, false
}

func asTime(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, true
	case string:
		return parseTime(v)
	}
	if f, ok := asFloat(v); ok {
		return fromEpoch(f)
	}
	return time.Time{}, false
}
