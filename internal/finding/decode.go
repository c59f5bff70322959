package finding

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads documents. It keeps the names of members that it saw, so that
// the same hundred names are not made anew for every finding.
type decoder struct {
	jsontext.Decoder
	names  map[string]string
	wanted func(name string) bool // which members of the document are read, nil = all
}

var decoders = sync.Pool{New: func() any { return &decoder{names: map[string]string{}} }}

// The names that a decoder keeps, and their greatest length: a document can make
// up names without end.
const (
	maxNames    = 2000
	maxNameKept = 64
)

// value reads the next value, which lies below depth objects and lists.
func (d *decoder) value(depth int) (any, error) {
	switch kind := d.PeekKind(); kind {
	case '{', '[':
		if depth == MaxDepth {
			return nil, errors.New("nested too deeply")
		}
		if _, err := d.ReadToken(); err != nil {
			return nil, err
		}
		if kind == '{' {
			return d.object(depth + 1)
		}
		return d.list(depth + 1)
	case '"':
		raw, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		return unquote(raw)
	case '0':
		raw, err := d.ReadValue()
		return json.Number(raw), err
	default:
		t, err := d.ReadToken()
		if err != nil || t.Kind() == 'n' {
			return nil, err
		}
		return t.Bool(), nil
	}
}

func (d *decoder) object(depth int) (map[string]any, error) {
	m := map[string]any{}
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		name, err := d.name(raw)
		if err != nil {
			return nil, err
		}
		if depth == 1 && d.wanted != nil && !d.wanted(name) {
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		if m[name], err = d.value(depth); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return m, err
}

func (d *decoder) list(depth int) ([]any, error) {
	list := []any{}
	for d.PeekKind() != ']' {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.ReadToken()
	return list, err
}

func (d *decoder) name(raw []byte) (string, error) {
	if name, ok := d.names[string(raw)]; ok {
		return name, nil
	}
	name, err := unquote(raw)
	if err == nil && len(name) <= maxNameKept && len(d.names) < maxNames {
		d.names[string(raw)] = name
	}
	return name, err
}

// unquote gives the text of a JSON string, half surrogates replaced as
// encoding/json does it.
func unquote(raw jsontext.Value) (string, error) {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	out, err := jsontext.AppendUnquote(nil, raw)
	text := string(out)
	if err != nil {
		err = json.Unmarshal(raw, &text)
	}
	return text, err
}
