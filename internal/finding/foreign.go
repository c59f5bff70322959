package finding

import (
	"bytes"
	"encoding/json"
)

// OCSF is the member under which a finding that came in OCSF keeps that document
// as it came. It is Parry's own: no sender of ASFF may set it, and no answer in
// ASFF shows it.
const OCSF = "Ocsf"

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

// Bare gives f without the document that it came as: ASFF alone.
func (f Finding) Bare() Finding {
	if f.doc[OCSF] == nil {
		return f
	}
	return f.With(OCSF, nil)
}

// Bare gives a stored document without the one that it came as. A document that
// cannot be read is given as it is.
func Bare(doc json.RawMessage) json.RawMessage {
	if !bytes.Contains(doc, []byte(`"`+OCSF+`":`)) {
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
