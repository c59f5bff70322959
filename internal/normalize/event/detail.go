package event

import (
	"encoding/json"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/finding"
)

// Doc is an object of a decoded event: maps, lists, strings, json.Number and
// booleans. Reading a member that is not there, or is of another kind, gives
// nothing; the nil Doc reads as empty.
type Doc map[string]any

func (d Doc) at(path []string) any {
	var v any = map[string]any(d)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// Text gives the string at path, or a number or boolean as it is written.
func (d Doc) Text(path ...string) string { return scalar(d.at(path)) }

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// Number gives the number at path, or a string that holds one.
func (d Doc) Number(path ...string) (float64, bool) {
	s := d.Text(path...)
	if s == "" || len(s) > 32 {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// Bool gives the boolean at path, false when there is none.
func (d Doc) Bool(path ...string) bool { return d.Text(path...) == "true" }

// Has reports whether there is a value at path that is not null.
func (d Doc) Has(path ...string) bool { return d.at(path) != nil }

// Doc gives the object at path.
func (d Doc) Doc(path ...string) Doc {
	m, _ := d.at(path).(map[string]any)
	return m
}

// maxList bounds how much of a list is read.
const maxList = 200

// Docs gives the objects of the list at path.
func (d Doc) Docs(path ...string) []Doc {
	list, _ := d.at(path).([]any)
	var out []Doc
	for _, v := range list[:min(len(list), maxList)] {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// Texts gives the scalars of the list at path.
func (d Doc) Texts(path ...string) []string {
	list, _ := d.at(path).([]any)
	var out []string
	for _, v := range list[:min(len(list), maxList)] {
		if s := scalar(v); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Time gives the time at path in Security Hub's form, "" when there is none
// that can be read. See Timestamp.
func (d Doc) Time(path ...string) string { return Timestamp(d.Text(path...)) }

// timeForms are how AWS's services write times into their events: Inspector in
// two forms of its own, Health as HTTP does.
func timeForms() []string {
	return []string{"Mon Jan 02 15:04:05.999999999 MST 2006", "Jan 2, 2006, 3:04:05 PM", time.RFC1123, time.RFC1123Z, "Mon, 2 Jan 2006 15:04:05 MST"}
}

// Timestamp gives a time as ASFF has it. What ASFF allows is kept as it is
// written; the other forms of AWS's events, and seconds or milliseconds since
// 1970, are rewritten.
func Timestamp(s string) string {
	if s == "" || len(s) > 64 {
		return ""
	}
	if _, err := finding.ParseTime(s); err == nil {
		return s
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n < 1e14 {
		if n < 1e11 { // the year 5138 in seconds, 1973 in milliseconds
			n *= 1000
		}
		return finding.FormatTime(time.UnixMilli(int64(n)))
	}
	for _, form := range timeForms() {
		// A zone that is not UTC would be read as UTC; AWS writes no other.
		if t, err := time.Parse(form, s); err == nil {
			return finding.FormatTime(t)
		}
	}
	// Some services leave the zone out; it is UTC.
	if _, err := finding.ParseTime(s + "Z"); err == nil {
		return s + "Z"
	}
	return ""
}

// First gives the first of values that is not empty.
func First(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// Latest gives the latest of times, which are in ASFF's form or empty.
func Latest(times ...string) string {
	var best string
	var at time.Time
	for _, s := range times {
		if t, err := finding.ParseTime(s); err == nil && (best == "" || t.After(at)) {
			best, at = s, t
		}
	}
	return best
}

// Cut gives at most n characters of s, with an ellipsis where some are missing.
func Cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// The limits of ASFF's product fields. Three are left for what Security Hub
// adds itself.
const (
	maxProductFields = 47
	maxFieldKey      = 128
	maxFieldValue    = 2048
)

// Fields are product fields that stay within ASFF's limits.
type Fields map[string]any

// Set adds a field unless it is empty or there is no room.
func (f Fields) Set(key, value string) {
	if value == "" || utf8.RuneCountInString(key) > maxFieldKey || len(f) >= maxProductFields {
		return
	}
	f[key] = Cut(value, maxFieldValue)
}

// Flatten adds every scalar below d as prefix/path/to/it, in the order of
// names; an element of a list is named by its list and number, "name.0_", as
// Security Hub does.
func (f Fields) Flatten(prefix string, d Doc) { f.flatten(prefix, map[string]any(d)) }

func (f Fields) flatten(prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			f.flatten(prefix+"/"+name, v[name])
		}
	case []any:
		for i, e := range v[:min(len(v), maxList)] {
			f.flatten(prefix+"."+strconv.Itoa(i)+"_", e)
		}
	default:
		f.Set(prefix, strings.TrimSpace(scalar(v)))
	}
}

// Set puts v under name in m unless it is empty: "", nil, or an empty list or map.
func Set(m map[string]any, name string, v any) {
	switch x := v.(type) {
	case nil:
		return
	case string:
		if strings.TrimSpace(x) == "" {
			return
		}
	case []any:
		if len(x) == 0 {
			return
		}
	case []string:
		if len(x) == 0 {
			return
		}
	case map[string]any:
		if len(x) == 0 {
			return
		}
	case Fields:
		if len(x) == 0 {
			return
		}
	}
	m[name] = v
}

// Tags reads a list of {key, value} or {Key, Value}.
func Tags(list []Doc) map[string]any {
	out := map[string]any{}
	for _, t := range list {
		if k := First(t.Text("key"), t.Text("Key")); k != "" {
			out[k] = First(t.Text("value"), t.Text("Value"))
		}
	}
	return out
}
