package finding

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxProblems bounds the length of one refusal: a finding with thousands of
// bad members is told about the first few.
const maxProblems = 12

// schema says what a member may be. Its messages are worded as Security Hub
// words them, since integrations match on the text.
type schema struct {
	kind     kind
	min, max int // length, items, pairs or value; max 0 means unbounded
	bounded  bool
	enum     []string
	pattern  *regexp.Regexp
	required []string
	members  map[string]*schema
	item     *schema // of an array, or of a map's values
	keyMax   int
	closed   bool // unknown members are refused
}

type kind int

const (
	kindString kind = iota
	kindInteger
	kindNumber
	kindBoolean
	kindObject
	kindArray
	kindDate
)

func (k kind) String() string {
	return [...]string{"string", "integer", "number", "boolean", "object", "array", "string"}[k]
}

// text is a string of lo..hi characters; hi 0 means that AWS names no limit.
func text(lo, hi int) *schema { return &schema{kind: kindString, min: lo, max: hi} }

func matching(lo, hi int, pattern string) *schema {
	return &schema{kind: kindString, min: lo, max: hi, pattern: regexp.MustCompile(pattern)}
}

func oneOf(values ...string) *schema { return &schema{kind: kindString, enum: values} }

func date() *schema { return &schema{kind: kindDate} }

func integer() *schema { return &schema{kind: kindInteger} }

func ratio() *schema { return &schema{kind: kindInteger, max: 100, bounded: true} }

func number() *schema { return &schema{kind: kindNumber} }

func boolean() *schema { return &schema{kind: kindBoolean} }

func list(item *schema, lo, hi int) *schema {
	return &schema{kind: kindArray, item: item, min: lo, max: hi}
}

func mapping(pairs, keyMax, valueMax int) *schema {
	return &schema{kind: kindObject, max: pairs, keyMax: keyMax, item: text(0, valueMax)}
}

func object(members map[string]*schema, required ...string) *schema {
	return &schema{kind: kindObject, members: members, required: required}
}

// problems collects messages up to maxProblems.
type problems []string

func (p *problems) add(path, format string, args ...any) {
	if len(*p) < maxProblems {
		*p = append(*p, path+" "+fmt.Sprintf(format, args...))
	}
}

// check reports what is wrong with v. A null counts as absent, as AWS's
// clients drop it before sending.
func (s *schema) check(v any, path string, p *problems) {
	if v == nil || len(*p) >= maxProblems {
		return
	}
	switch v := v.(type) {
	case string:
		s.checkString(v, path, p)
	case json.Number:
		s.checkNumber(v, path, p)
	case bool:
		s.want(kindBoolean, path, p)
	case []any:
		s.checkArray(v, path, p)
	case map[string]any:
		s.checkObject(v, path, p)
	}
}

// want reports a wrong kind and tells whether the kind was right.
func (s *schema) want(k kind, path string, p *problems) bool {
	if s.kind == k || k == kindString && s.kind == kindDate {
		return true
	}
	p.add(path, "should be %s", s.kind)
	return false
}

func (s *schema) checkString(v, path string, p *problems) {
	if !s.want(kindString, path, p) {
		return
	}
	if s.kind == kindDate {
		if _, err := ParseTime(v); err != nil {
			p.add(path, "%s", err)
		}
		return
	}
	if s.enum != nil {
		if !slices.Contains(s.enum, v) {
			p.add(path, "should be equal to one of the allowed values")
		}
		return
	}
	n := utf8.RuneCountInString(v)
	switch {
	case n < s.min:
		p.add(path, "should NOT be shorter than %d characters", s.min)
	case s.max > 0 && n > s.max:
		p.add(path, "should NOT be longer than %d characters", s.max)
	case s.pattern != nil && !s.pattern.MatchString(v):
		p.add(path, `should match pattern "%s"`, s.pattern)
	case s.min > 0 && strings.TrimSpace(v) == "":
		p.add(path, `should match pattern ".*\S.*"`)
	}
}

func (s *schema) checkNumber(v json.Number, path string, p *problems) {
	if s.kind == kindNumber {
		return
	}
	if !s.want(kindInteger, path, p) {
		return
	}
	n, ok := asInt(v)
	switch {
	case !ok:
		p.add(path, "should be integer")
	case s.bounded && n < s.min:
		p.add(path, "should be >= %d", s.min)
	case s.bounded && n > s.max:
		p.add(path, "should be <= %d", s.max)
	}
}

func (s *schema) checkArray(v []any, path string, p *problems) {
	if !s.want(kindArray, path, p) {
		return
	}
	if len(v) < s.min {
		p.add(path, "should NOT have fewer than %d items", s.min)
	}
	if s.max > 0 && len(v) > s.max {
		p.add(path, "should NOT have more than %d items", s.max)
		return
	}
	for i, e := range v {
		at := fmt.Sprintf("%s[%d]", path, i)
		if e == nil {
			p.add(at, "should be %s", s.item.kind)
			continue
		}
		s.item.check(e, at, p)
	}
}

func (s *schema) checkObject(v map[string]any, path string, p *problems) {
	if !s.want(kindObject, path, p) {
		return
	}
	for _, name := range s.required {
		if v[name] == nil {
			p.add(path, "should have required property '%s'", name)
		}
	}
	if s.max > 0 && len(v) > s.max {
		p.add(path, "should NOT have more than %d properties", s.max)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		s.checkMember(name, v[name], path, p)
	}
}

func (s *schema) checkMember(name string, v any, path string, p *problems) {
	member, known := s.members[name]
	switch {
	case known:
		member.check(v, path+"."+name, p)
	case s.item != nil:
		at := path + "['" + clip(name) + "']"
		if s.keyMax > 0 && utf8.RuneCountInString(name) > s.keyMax {
			p.add(at, "should NOT have a key longer than %d characters", s.keyMax)
			return
		}
		s.item.check(v, at, p)
	case s.closed:
		p.add(path, "should NOT have additional property '%s'", clip(name))
	}
}

// clip shortens a member name, which is untrusted text, for a message.
func clip(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
