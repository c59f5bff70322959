package finding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/fault"
)

// The limits on one finding as it is handed in.
const (
	// MaxBytes is AWS's limit for one serialised finding (240 KB).
	MaxBytes = 240 * 1024
	// MaxDepth bounds nesting. The deepest member of ASFF has 11 levels.
	MaxDepth = 40
	// maxNumber bounds the digits of a number: what a double can tell apart, its
	// sign and exponent take 24 characters.
	maxNumber = 40
)

// Finding is one ASFF document. It is a value: every method that changes
// something gives a changed copy, so a Finding may be shared freely.
//
// Invariant: numbers are kept as json.Number, so that a document is written as
// it was read.
type Finding struct {
	doc map[string]any
}

// Parse reads one finding. It checks size, depth and that the text is exactly
// one JSON object, and nothing about ASFF: that is Validate.
func Parse(raw []byte) (Finding, error) {
	if len(raw) > MaxBytes {
		return Finding{}, fault.Errorf(fault.Invalid, "parse finding", "%d bytes are more than the limit of %d", len(raw), MaxBytes).
			WithHint("drop Resources[].Details from the finding, or split it by resource")
	}
	f, err := Reopen(raw)
	if err != nil {
		return f, err
	}
	if err := checkNumbers(raw); err != nil {
		return Finding{}, fault.E(fault.Invalid, "parse finding", err)
	}
	return f, nil
}

// Reopen is Parse without the limits of size and of numbers, for documents that
// Parry stored: merging and notes may make them a little longer than they came.
func Reopen(raw []byte) (Finding, error) {
	doc, err := decodeObject(raw)
	if err != nil {
		return Finding{}, fault.E(fault.Invalid, "parse finding", err)
	}
	return Finding{doc: doc}, nil
}

// ReopenMembers is Reopen for a few members, those with names; the others are passed
// over, which takes a third of the time. The Finding is for looking at those members
// only.
func ReopenMembers(raw []byte, names ...string) (Finding, error) {
	doc, err := decodeMembers(raw, func(name string) bool { return slices.Contains(names, name) })
	if err != nil {
		return Finding{}, fault.E(fault.Invalid, "parse finding", err)
	}
	return Finding{doc: doc}, nil
}

// decodeObject reads raw as one JSON object within MaxDepth, numbers unchanged. Of
// members of one name the last counts.
func decodeObject(raw []byte) (map[string]any, error) { return decodeMembers(raw, nil) }

// decodeMembers is decodeObject for the members that are wanted, nil = all.
func decodeMembers(raw []byte, wanted func(name string) bool) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	d, _ := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.wanted = wanted
	d.Reset(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	v, err := d.value(0)
	if err != nil {
		return nil, describeJSON(raw, err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON value")
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return doc, nil
}

// checkNumbers refuses numbers that are no finite double, or that are written at
// a length that Python does not read: a client would fail on the whole page that
// holds one such finding. It looks outside strings, at text that is valid JSON.
func checkNumbers(raw []byte) error {
	inString := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(raw) && strings.IndexByte("+-.0123456789eE", raw[end]) >= 0 {
				end++
			}
			if end-i > maxNumber {
				return fmt.Errorf("a number has %d characters, more than %d", end-i, maxNumber)
			}
			if _, err := strconv.ParseFloat(string(raw[i:end]), 64); err != nil {
				return fmt.Errorf("the number %s is out of range", raw[i:end])
			}
			i = end - 1
		}
	}
	return nil
}

// describeJSON adds the line to a syntax error, since findings come from files
// and people read the message.
func describeJSON(raw []byte, err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return err
	}
	at := min(max(int(syntax.ByteOffset), 0), len(raw))
	line := 1 + bytes.Count(raw[:at], []byte{'\n'})
	return fault.Errorf(fault.Invalid, "", "line %d: %w", line, syntax.Err)
}

// FromMap gives a finding over a copy of doc. Tests and normalizers use it.
func FromMap(doc map[string]any) (Finding, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return Finding{}, fault.E(fault.Invalid, "make finding", err)
	}
	return Parse(raw)
}

// JSON gives the document as text: members sorted, no HTML escapes.
func (f Finding) JSON() json.RawMessage {
	doc := f.doc
	if doc == nil {
		doc = map[string]any{}
	}
	return encode(doc)
}

// MarshalJSON makes a Finding usable as a member of other documents.
func (f Finding) MarshalJSON() ([]byte, error) { return f.JSON(), nil }

// UnmarshalJSON is Parse.
func (f *Finding) UnmarshalJSON(raw []byte) error {
	g, err := Parse(raw)
	if err != nil {
		return err
	}
	*f = g
	return nil
}

// IsZero reports whether f holds no document.
func (f Finding) IsZero() bool { return len(f.doc) == 0 }

// clone copies the top level only; what lies below is never written in place.
func (f Finding) clone() Finding {
	doc := make(map[string]any, len(f.doc)+4)
	for k, v := range f.doc {
		doc[k] = v
	}
	return Finding{doc: doc}
}

// With gives f with the top-level member name set to v, which must be made of
// map[string]any, []any, string, json.Number and bool. Nil removes the member.
func (f Finding) With(name string, v any) Finding {
	g := f.clone()
	if v == nil {
		delete(g.doc, name)
	} else {
		g.doc[name] = v
	}
	return g
}

// withMember gives f with member set inside the object name.
func (f Finding) withMember(name, member string, v any) Finding {
	old, _ := f.doc[name].(map[string]any)
	obj := make(map[string]any, len(old)+1)
	for k, x := range old {
		obj[k] = x
	}
	if v == nil {
		delete(obj, member)
	} else {
		obj[member] = v
	}
	if len(obj) == 0 {
		return f.With(name, nil)
	}
	return f.With(name, obj)
}
