package finding

import (
	"bytes"
	"encoding/json"
)

// OCSF is the member under which a finding that came in OCSF keeps that document
// as it came. It is Parry's own: no sender of ASFF may set it, and no answer in
// ASFF shows it.
const OCSF = "Ocsf"

// OCSFChoice is the member that keeps what a customer chose in OCSF where ASFF has
// one word for several: {"severity_id": 6} is CRITICAL. Parry's own as well.
const OCSFChoice = "OcsfChoice"

// Decode reads raw as one JSON object of at most MaxBytes and MaxDepth; numbers
// stay as they are written.
func Decode(raw []byte) (map[string]any, error) {
	f, err := Parse(raw)
	return f.doc, err
}

// Wrap gives a document that is decoded already the methods of a finding. It
// checks nothing, and doc belongs to the finding from then on.
func Wrap(doc map[string]any) Finding { return Finding{doc: doc} }

// Members gives the decoded document. It is the finding's own: do not write it.
func (f Finding) Members() map[string]any { return f.doc }

// Bare gives f without Parry's own members: ASFF alone.
func (f Finding) Bare() Finding {
	if f.IsBare() {
		return f
	}
	return f.With(OCSF, nil).With(OCSFChoice, nil)
}

// IsBare reports whether f is ASFF alone.
func (f Finding) IsBare() bool { return f.doc[OCSF] == nil && f.doc[OCSFChoice] == nil }

// Bare gives a stored document without Parry's own members. A document that
// cannot be read is given as it is.
func Bare(doc json.RawMessage) json.RawMessage {
	if !bytes.Contains(doc, []byte(`"`+OCSF)) {
		return doc
	}
	f, err := Reopen(doc)
	if err != nil {
		return doc
	}
	return f.Bare().JSON()
}

// NamedPairs is Pairs for lists of objects with a name and a value or values,
// which is how OCSF writes tags. A map is read as Pairs reads it.
func (f Finding) NamedPairs(path []string, yield func(key, value string) bool) {
	namedPairs(any(f.doc), path, yield)
}

func namedPairs(v any, path []string, yield func(key, value string) bool) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if !namedPairs(e, path, yield) {
				return false
			}
		}
	case map[string]any:
		if len(path) > 0 {
			return namedPairs(v[path[0]], path[1:], yield)
		}
		name, named := v["name"].(string)
		if !named {
			return pairs(v, nil, yield)
		}
		if s, ok := v["value"].(string); ok && !yield(name, s) {
			return false
		}
		values, _ := v["values"].([]any)
		for _, e := range values {
			if s, ok := e.(string); ok && !yield(name, s) {
				return false
			}
		}
	}
	return true
}
