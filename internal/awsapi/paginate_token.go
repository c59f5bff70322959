package awsapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
)

// The token with which a listing goes on is botocore's: base64 of a JSON object
// with the tokens of the service, the number of items of the page that were
// given already, and the paths of values that JSON cannot hold.
const (
	truncated   = "boto_truncate_amount"
	encodedKeys = "boto_encoded_keys"
	maxToken    = 1 << 20 // bytes
)

var errToken = errors.New("it is not base64 of a JSON object")

func contains(list []string, text string) bool { return slices.Contains(list, text) }

func encodeToken(token map[string]any) (string, error) {
	var paths [][]any
	plain := withoutBytes(token, nil, &paths)
	if m, ok := plain.(map[string]any); ok && len(paths) > 0 {
		m[encodedKeys] = paths
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(text), nil
}

// withoutBytes copies v with bytes as base64 and notes where they are.
func withoutBytes(v any, path []any, paths *[][]any) any {
	switch v := v.(type) {
	case []byte:
		*paths = append(*paths, slices.Clone(path))
		return base64.StdEncoding.EncodeToString(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range sortedKeys(v) {
			out[k] = withoutBytes(v[k], append(slices.Clone(path), k), paths)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = withoutBytes(v[i], append(slices.Clone(path), i), paths)
		}
		return out
	}
	return v
}

func decodeToken(text string) (map[string]any, error) {
	if len(text) > maxToken {
		return nil, errors.New("it is too long")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !shallow(raw) {
		return nil, errToken
	}
	var token map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&token); err != nil || token == nil {
		return nil, errToken
	}
	token, _ = plain(token).(map[string]any)
	paths, _ := token[encodedKeys].([]any)
	delete(token, encodedKeys)
	for _, p := range paths {
		steps, ok := p.([]any)
		if !ok || !restoreBytes(token, steps) {
			return nil, errToken
		}
	}
	return token, nil
}

// restoreBytes turns the text at a path into bytes.
func restoreBytes(v any, steps []any) bool {
	for i, step := range steps {
		last := i == len(steps)-1
		switch at := v.(type) {
		case map[string]any:
			name, _ := step.(string)
			v = at[name]
			if b, ok := fromBase64(v); last && ok {
				at[name] = b
				return true
			}
		case []any:
			n, ok := step.(int64)
			if !ok || n < 0 || n >= int64(len(at)) {
				return false
			}
			v = at[n]
			if b, ok := fromBase64(v); last && ok {
				at[n] = b
				return true
			}
		default:
			return false
		}
	}
	return false
}

func fromBase64(v any) ([]byte, bool) {
	text, ok := v.(string)
	if !ok {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return b, err == nil
}
