package finding

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"unicode/utf8"
)

// encode writes a decoded value as JSON: members sorted, no HTML escapes. It
// is a fifth of the cost of encoding/json's reflection, and every finding that
// comes in is written at least once. A value of a type that no decoder makes
// is left to encoding/json.
func encode(v any) json.RawMessage {
	room, _ := encoders.Get().(*[]byte)
	b := appendValue((*room)[:0], v)
	out := slices.Clone(b)
	if cap(b) <= keptRoom {
		*room = b
	}
	encoders.Put(room)
	return out
}

// encoders keeps the room in which documents are written before their length is known.
var encoders = sync.Pool{New: func() any { return new([]byte) }}

// keptRoom is the greatest room kept: a large finding's goes.
const keptRoom = 64 << 10

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		if v {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case string:
		return appendString(b, v)
	case json.Number:
		if v == "" {
			return append(b, '0')
		}
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, e)
		}
		return append(b, ']')
	case map[string]any:
		return appendObject(b, v)
	default:
		return append(b, fallback(v)...)
	}
}

func appendObject(b []byte, m map[string]any) []byte {
	var room [24]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, k)
		b = append(b, ':')
		b = appendValue(b, m[k])
	}
	return append(b, '}')
}

// appendString copies plain text and leaves everything that needs an escape to
// encoding/json, so that there is one set of rules for escapes.
func appendString(b []byte, s string) []byte {
	i := 0
	for ; i+8 <= len(s) && plain8(s[i:]); i += 8 {
	}
	for ; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c == '"' || c == '\\' || c == 0xe2 || c >= utf8.RuneSelf && !utf8.ValidString(s) {
			return append(b, fallback(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// plain8 reports whether the first eight bytes of s are ASCII that needs no escape.
func plain8(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	quote, slash := x^ones*'"', x^ones*'\\'
	// A byte that is less than what is taken from it borrows into its highest bit.
	return (x|(x-ones*0x20)|(quote-ones)|(slash-ones))&highs == 0
}

// fallback gives null for what JSON cannot say; a decoder makes no such value.
func fallback(v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}
