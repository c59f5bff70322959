package awsapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"

	"github.com/parry-security/parry/internal/apimodel"
)

// maxDepth bounds the nesting of an answer. The deepest in the models is a
// DynamoDB item, which AWS limits to 32.
const maxDepth = 200

var errTooDeep = errors.New("answer is nested too deeply")

// reading says how scalars of a body are read. botocore takes what a service
// sends and looks at the model only to convert; smithy's typed readers refuse a
// number where the model says text. So a scalar is read in the loosest form
// that the format offers and converted here.
type reading uint8

const (
	asText         reading = iota // XML: everything is text
	asDocument                    // JSON: whatever value is there
	asRestDocument                // JSON of the REST protocol: the same, and numbers may be text
	asTyped                       // CBOR: values carry their types
)

// dynamicOutput receives an answer as a map of boto3's members.
type dynamicOutput struct {
	node   *node
	style  reading
	output map[string]any
}

// Deserialize implements smithy.Deserializable.
func (o *dynamicOutput) Deserialize(d smithy.ShapeDeserializer) error {
	r := &reader{d: d, style: o.style}
	out, err := r.structure(o.node, o.node.schema)
	if err != nil {
		return err
	}
	o.output = out
	return nil
}

type reader struct {
	d     smithy.ShapeDeserializer
	style reading
	depth int
}

func (r *reader) structure(n *node, schema *smithy.Schema) (map[string]any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, errTooDeep
	}
	defer func() { r.depth-- }()
	out := map[string]any{}
	err := smithy.ReadStruct(r.d, schema, func(ms *smithy.Schema) error {
		m := n.bySchem[ms]
		if m == nil {
			return fmt.Errorf("unknown member %q", ms.MemberName())
		}
		v, err := r.member(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if v != nil {
			out[m.Name] = merge(out[m.Name], v)
			for _, twin := range n.twins[m] {
				out[twin.Name] = asTwin(twin, out[m.Name])
			}
		}
		return nil
	})
	return out, err
}

// asTwin gives a value that was read as one member to another that shares its
// element, one of them being a list.
func asTwin(twin *memberNode, v any) any {
	items, isList := v.([]any)
	switch wantList := twin.node.shape.Type == apimodel.List; {
	case wantList && !isList:
		return []any{v}
	case !wantList && isList && len(items) > 0:
		return items[0]
	}
	return v
}

// merge joins the runs of a flattened list or map whose elements are not next
// to each other.
func merge(have, more any) any {
	switch m := more.(type) {
	case []any:
		if h, ok := have.([]any); ok {
			return append(h, m...)
		}
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			for k, v := range m {
				h[k] = v
			}
			return h
		}
	}
	return more
}

func (r *reader) member(m *memberNode) (any, error) {
	switch m.bound {
	case inStatus:
		var code int32
		err := r.d.ReadInt32(m.schema, &code)
		return int64(code), err
	case inHeader, inHeaders:
		return r.header(m)
	case inPayload:
		return r.payload(m)
	}
	return r.value(m)
}

// header reads a member from a header. All scalars are text there.
func (r *reader) header(m *memberNode) (any, error) {
	inner := &reader{d: r.d, style: asText, depth: r.depth}
	if m.JSONValue {
		var text string
		if err := r.d.ReadString(m.schema, &text); err != nil {
			return nil, err
		}
		var v any
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil || !shallow([]byte(text)) {
			return text, nil //nolint:nilerr // not JSON: the text is what there is
		}
		return plain(v), nil
	}
	return inner.value(m)
}

func (r *reader) payload(m *memberNode) (any, error) {
	switch m.node.shape.Type {
	case apimodel.Blob:
		var b []byte
		err := r.d.ReadBlob(m.schema, &b)
		return b, err
	case apimodel.String:
		var text string
		err := r.d.ReadString(m.schema, &text)
		return text, err
	}
	return r.value(m)
}

// value reads what is next as the member's shape. nil means null.
func (r *reader) value(m *memberNode) (any, error) {
	// Text has no null; and a header must not be asked, since the question goes
	// to the body.
	if r.style != asText {
		if null, err := r.d.ReadNil(m.schema); null || err != nil {
			return nil, err
		}
	}
	switch shape := m.node.shape; {
	case shape.Document:
		return r.document(m.schema)
	case shape.Type == apimodel.Structure:
		return r.structure(m.node, m.schema)
	case shape.Type == apimodel.List:
		return r.list(m)
	case shape.Type == apimodel.Map:
		return r.mapping(m)
	}
	switch r.style {
	case asText:
		var text string
		if err := r.d.ReadString(m.schema, &text); err != nil {
			return nil, err
		}
		return fromText(m.node.shape.Type, text)
	case asDocument, asRestDocument:
		v, err := r.document(m.schema)
		if err != nil {
			return nil, err
		}
		return fromJSON(m.node.shape.Type, v, r.style == asRestDocument)
	}
	return r.typed(m)
}

func (r *reader) list(m *memberNode) (any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, errTooDeep
	}
	defer func() { r.depth-- }()
	out := []any{}
	err := smithy.ReadList(r.d, m.schema, func() error {
		v, err := r.value(m.node.elem)
		if err == nil {
			out = append(out, v)
		}
		return err
	})
	return out, err
}

func (r *reader) mapping(m *memberNode) (any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, errTooDeep
	}
	defer func() { r.depth-- }()
	out := map[string]any{}
	err := smithy.ReadMap(r.d, m.schema, func(key string) error {
		v, err := r.value(m.node.value)
		if err == nil {
			out[key] = v
		}
		return err
	})
	return out, err
}

func (r *reader) document(schema *smithy.Schema) (any, error) {
	var v document.Value
	if err := r.d.ReadDocument(schema, &v); err != nil {
		return nil, err
	}
	if o, ok := v.(document.Opaque); ok {
		return plain(o.Value), nil
	}
	return nil, fmt.Errorf("document of type %T", v)
}

// plain turns JSON numbers into int64 or float64, as Python's json does.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// fromText converts the text of an element or a header. Empty text is no value,
// except for strings.
func fromText(t apimodel.Type, text string) (any, error) {
	if t == apimodel.String {
		return text, nil
	}
	text = strings.TrimSpace(text)
	switch t {
	case apimodel.Boolean:
		return strings.EqualFold(text, "true"), nil
	case apimodel.Blob:
		return base64.StdEncoding.DecodeString(text)
	}
	if text == "" {
		return nil, nil //nolint:nilnil // nil is the value: there is none
	}
	switch t {
	case apimodel.Integer, apimodel.Long:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err
	case apimodel.Float, apimodel.Double:
		f, err := strconv.ParseFloat(text, 64)
		return f, err
	case apimodel.Timestamp:
		when, ok := parseTime(text)
		if !ok {
			return nil, fmt.Errorf("unknown form of time %q", clip(text))
		}
		return when, nil
	}
	return text, nil
}

// fromJSON converts a JSON value where the model's type is not JSON's. Like
// botocore it takes any other value as it is, except that the REST protocol
// wants numbers and truth values to be what the model says.
func fromJSON(t apimodel.Type, v any, rest bool) (any, error) {
	text, isText := v.(string)
	switch t {
	case apimodel.Timestamp:
		if when, ok := asTime(v); ok {
			return when, nil
		}
		return nil, fmt.Errorf("unknown form of time %q", clip(fmt.Sprint(v)))
	case apimodel.Blob:
		if isText {
			return base64.StdEncoding.DecodeString(text)
		}
	}
	if !rest {
		return v, nil
	}
	switch t {
	case apimodel.Boolean:
		if isText {
			return strings.EqualFold(text, "true"), nil
		}
	case apimodel.Integer, apimodel.Long:
		if isText {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return n, err
		}
		if f, ok := v.(float64); ok {
			return int64(f), nil
		}
	case apimodel.Float, apimodel.Double:
		if isText { // "NaN", "Infinity"
			f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			return f, err
		}
		if n, ok := v.(int64); ok {
			return float64(n), nil
		}
	}
	return v, nil
}

// typed reads a scalar of a format whose values carry types.
func (r *reader) typed(m *memberNode) (any, error) {
	switch m.node.shape.Type {
	case apimodel.Integer, apimodel.Long:
		var v int64
		err := r.d.ReadInt64(m.schema, &v)
		return v, err
	case apimodel.Float, apimodel.Double:
		var v float64
		err := r.d.ReadFloat64(m.schema, &v)
		return v, err
	case apimodel.Boolean:
		var v bool
		err := r.d.ReadBool(m.schema, &v)
		return v, err
	case apimodel.Timestamp:
		var v time.Time
		err := r.d.ReadTime(m.schema, &v)
		return v.UTC(), err
	case apimodel.Blob:
		var v []byte
		err := r.d.ReadBlob(m.schema, &v)
		return v, err
	}
	var v string
	err := r.d.ReadString(m.schema, &v)
	return v, err
}

// clip bounds text that came from outside before it is put into an error.
func clip(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
