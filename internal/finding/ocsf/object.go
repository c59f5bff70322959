package ocsf

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a decoded JSON object: maps, lists, strings, json.Number, booleans.
type object = map[string]any

// at gives the value at a dotted path; it does not enter lists.
func at(o object, path string) any {
	var v any = o
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(object)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// text gives the string at path where it says something, else "".
func text(o object, path string) string {
	s, _ := at(o, path).(string)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return s
}

// first gives the first of paths that holds a text.
func first(o object, paths ...string) string {
	for _, p := range paths {
		if s := text(o, p); s != "" {
			return s
		}
	}
	return ""
}

// objects gives the objects of the list at path; one object is a list of one.
func objects(o object, path string) []object {
	var out []object
	switch v := at(o, path).(type) {
	case object:
		out = append(out, v)
	case []any:
		for _, e := range v {
			if m, ok := e.(object); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

// texts gives the texts of the list at path.
func texts(o object, path string) []any {
	list, _ := at(o, path).([]any)
	var out []any
	for _, e := range list {
		if s, ok := e.(string); ok && strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}

// integer gives the whole number at path, which some writers put in quotes.
func integer(o object, path string) (int, bool) {
	var s string
	switch v := at(o, path).(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	}
	if len(s) > 12 {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// put sets the value at a dotted path, making the objects on the way. Nothing,
// an empty text and an empty list are not written.
func put(o object, path string, v any) {
	switch x := v.(type) {
	case nil:
		return
	case string:
		if x == "" {
			return
		}
	case []any:
		if len(x) == 0 {
			return
		}
	case object:
		if len(x) == 0 {
			return
		}
	}
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		next, ok := o[name].(object)
		if !ok {
			next = object{}
			o[name] = next
		}
		o = next
	}
	o[names[len(names)-1]] = v
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// clone copies v deeply, so that a stored document is never written.
func clone(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}
