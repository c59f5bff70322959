package script

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Values travel as JSON; python/codec.py is the other side. What JSON has no form
// for is an object with one key: $b bytes, $t time, $d decimal, $f a float that is
// not finite, $o an object whose own keys begin with "$".

var errValue = errors.New("value has no form on the socket")

// encode makes v JSON with tags.
func encode(v any) ([]byte, error) {
	plain, err := tagged(v, 0)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plain); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

func tagged(v any, depth int) (any, error) {
	if depth > maxDepth/3 {
		return nil, fmt.Errorf("%w: nested deeper than %d", errValue, maxDepth/3)
	}
	switch v := v.(type) {
	case []byte:
		return map[string]any{"$b": base64.StdEncoding.EncodeToString(v)}, nil
	case time.Time:
		return map[string]any{"$t": v.UTC().Format(time.RFC3339Nano)}, nil
	case float64:
		switch {
		case math.IsNaN(v):
			return map[string]any{"$f": "nan"}, nil
		case math.IsInf(v, 0):
			return map[string]any{"$f": strconv.FormatFloat(v, 'g', -1, 64)}, nil
		case v == math.Trunc(v) && math.Abs(v) < 1e15:
			return json.Number(strconv.FormatFloat(v, 'f', 1, 64)), nil // stays a float in Python
		}
		return v, nil
	case map[string]any:
		return taggedMap(v, depth)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = tagged(item, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []string:
		return v, nil
	case []map[string]any:
		out := make([]any, len(v))
		for i, item := range v {
			var err error
			if out[i], err = tagged(item, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case nil, bool, string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, json.Number, map[string]string:
		return v, nil
	}
	return nil, fmt.Errorf("%w: %T", errValue, v)
}

func taggedMap(m map[string]any, depth int) (any, error) {
	out := make(map[string]any, len(m))
	escape := false
	for k, item := range m {
		var err error
		if out[k], err = tagged(item, depth+1); err != nil {
			return nil, err
		}
		escape = escape || k != "" && k[0] == '$'
	}
	if !escape {
		return out, nil
	}
	pairs := make([]any, 0, len(out))
	for k, item := range out {
		pairs = append(pairs, []any{k, item})
	}
	return map[string]any{"$o": pairs}, nil
}

// decode reads JSON with tags: integers become int64, other numbers float64, and
// a decimal, which AWS takes where a float stands, float64.
func decode(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, fmt.Errorf("%w: more than one value", errValue)
	}
	return untagged(v)
}

func untagged(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, nil
		}
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			return nil, fmt.Errorf("%w: the number %.40s", errValue, v.String())
		}
		return f, nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = untagged(v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	case map[string]any:
		return untaggedMap(v)
	}
	return v, nil
}

func untaggedMap(m map[string]any) (any, error) {
	if len(m) == 1 {
		for k, item := range m {
			if k != "" && k[0] == '$' {
				return untag(k, item)
			}
		}
	}
	for k, item := range m {
		var err error
		if m[k], err = untagged(item); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func untag(tag string, item any) (any, error) {
	if tag == "$o" {
		return unpaired(item)
	}
	text, ok := item.(string)
	if !ok {
		return nil, fmt.Errorf("%w: tag %.20q without a text", errValue, tag)
	}
	switch tag {
	case "$b":
		return base64.StdEncoding.DecodeString(text)
	case "$t":
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, fmt.Errorf("%w: the time %.60q", errValue, text)
		}
		return at.UTC(), nil
	case "$d", "$f":
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: the number %.40q", errValue, text)
		}
		return f, nil
	}
	return nil, fmt.Errorf("%w: tag %.20q", errValue, tag)
}

func unpaired(item any) (any, error) {
	pairs, ok := item.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: pairs", errValue)
	}
	out := make(map[string]any, len(pairs))
	for _, p := range pairs {
		pair, ok := p.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("%w: pairs", errValue)
		}
		k, ok := pair[0].(string)
		if !ok {
			return nil, fmt.Errorf("%w: pairs", errValue)
		}
		v, err := untagged(pair[1])
		if err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}
