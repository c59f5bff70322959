package finding

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
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
	words    string // the pattern as AWS writes it
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
	return &schema{kind: kindString, min: lo, max: hi, pattern: regexp.MustCompile(escapes.ReplaceAllString(pattern, `\x{$1}`)), words: pattern}
}

// escapes are those of JavaScript's patterns, in which AWS's are written.
var escapes = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`) //nolint:gochecknoglobals // a constant

func oneOf(values ...string) *schema { return &schema{kind: kindString, enum: values} }

func date() *schema { return &schema{kind: kindDate} }

// integer is one of 32 bits, as clients read it.
func integer() *schema {
	return &schema{kind: kindInteger, min: math.MinInt32, max: math.MaxInt32, bounded: true}
}

func ratio() *schema { return &schema{kind: kindInteger, max: 100, bounded: true} }

// sized is a list of lo..hi items; the model says of what.
func sized(lo, hi int) *schema { return &schema{kind: kindArray, min: lo, max: hi} }

func mapping(least, pairs, keyMax, valueMax int) *schema {
	return &schema{kind: kindObject, min: least, max: pairs, keyMax: keyMax, item: text(0, valueMax)}
}

// problems collects messages up to most, and knows where the check is. Its place
// is written out only for a message, so that a valid finding costs no text.
type problems struct {
	list []string
	most int
	// sorted walks objects by name, so that the same finding has the same message.
	sorted bool
	root   string // what the place begins with
	path   []step
}

// step is one level of a place.
type step struct {
	name  string // of a member
	index int    // of an item, where name is ""
	pair  bool   // name is a key of a map, which is anybody's text
}

func (p *problems) enter(s step) { p.path = append(p.path, s) }

func (p *problems) leave() { p.path = p.path[:len(p.path)-1] }

func (p *problems) full() bool { return len(p.list) >= p.most }

// place names where the check is: "data.Resources[0].Details".
func (p *problems) place() string {
	var b strings.Builder
	b.WriteString(p.root)
	for _, s := range p.path {
		switch {
		case s.pair:
			b.WriteString("['" + clip(s.name) + "']")
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		default:
			b.WriteString("." + s.name)
		}
	}
	return b.String()
}

func (p *problems) add(format string, args ...any) {
	if !p.full() {
		p.list = append(p.list, p.place()+" "+fmt.Sprintf(format, args...))
	}
}

// check reports what is wrong with v as member name of where p is.
func (p *problems) check(s *schema, name string, v any) {
	p.enter(step{name: name})
	s.check(v, p)
	p.leave()
}

// fits tells whether v is as s says.
func (s *schema) fits(v any) bool {
	var room [16]step
	p := problems{most: 1, path: room[:0]}
	s.check(v, &p)
	return len(p.list) == 0
}

// check reports what is wrong with v. A null counts as absent, as AWS's
// clients drop it before sending.
func (s *schema) check(v any, p *problems) {
	if v == nil || p.full() {
		return
	}
	switch v := v.(type) {
	case string:
		s.checkString(v, p)
	case json.Number:
		s.checkNumber(v, p)
	case bool:
		s.want(kindBoolean, p)
	case []any:
		s.checkArray(v, p)
	case map[string]any:
		s.checkObject(v, p)
	}
}

// want reports a wrong kind and tells whether the kind was right.
func (s *schema) want(k kind, p *problems) bool {
	if s.kind == k || k == kindString && s.kind == kindDate {
		return true
	}
	p.add("should be %s", s.kind)
	return false
}

func (s *schema) checkString(v string, p *problems) {
	if !s.want(kindString, p) {
		return
	}
	if s.kind == kindDate {
		if _, err := ParseTime(v); err != nil {
			p.add(`should match pattern "%s"`, datePattern)
		}
		return
	}
	if s.enum != nil {
		if !slices.Contains(s.enum, v) {
			p.add("should be equal to one of the allowed values")
		}
		return
	}
	n := len(v)
	if n > s.max || s.min > 1 {
		n = utf8.RuneCountInString(v) // Bytes are at least as many, and cost nothing.
	}
	switch {
	case n < s.min:
		p.add("should NOT be shorter than %d characters", s.min)
	case s.max > 0 && n > s.max:
		p.add("should NOT be longer than %d characters", s.max)
	case s.pattern != nil && !s.pattern.MatchString(v):
		p.add(`should match pattern "%s"`, s.words)
	case s.min > 0 && strings.TrimSpace(v) == "":
		p.add(`should match pattern ".*\S.*"`)
	}
}

func (s *schema) checkNumber(v json.Number, p *problems) {
	if s.kind == kindNumber {
		return
	}
	if !s.want(kindInteger, p) {
		return
	}
	n, ok := asInt(v)
	switch {
	case !ok:
		p.add("should be integer")
	case s.bounded && n < s.min:
		p.add("should be >= %d", s.min)
	case s.bounded && n > s.max:
		p.add("should be <= %d", s.max)
	}
}

func (s *schema) checkArray(v []any, p *problems) {
	if !s.want(kindArray, p) {
		return
	}
	if len(v) < s.min {
		p.add("should NOT have fewer than %d items", s.min)
	}
	if s.max > 0 && len(v) > s.max {
		p.add("should NOT have more than %d items", s.max)
		return
	}
	for i, e := range v {
		p.enter(step{index: i})
		if e == nil {
			p.add("should be %s", s.item.kind)
		} else {
			s.item.check(e, p)
		}
		p.leave()
	}
}

func (s *schema) checkObject(v map[string]any, p *problems) {
	if !s.want(kindObject, p) {
		return
	}
	for _, name := range s.required {
		if v[name] == nil {
			p.add("should have required property '%s'", name)
		}
	}
	if len(v) < s.min {
		p.add("should NOT have fewer than %d properties", s.min)
	}
	if s.max > 0 && len(v) > s.max {
		p.add("should NOT have more than %d properties", s.max)
		return
	}
	if !p.sorted {
		for name, e := range v {
			s.checkMember(name, e, p)
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		s.checkMember(name, v[name], p)
	}
}

func (s *schema) checkMember(name string, v any, p *problems) {
	if s.item != nil {
		p.enter(step{name: name, pair: true})
		if s.keyMax > 0 && utf8.RuneCountInString(name) > s.keyMax {
			p.add("should NOT have a key longer than %d characters", s.keyMax)
		} else {
			s.item.check(v, p)
		}
		p.leave()
		return
	}
	if member, known := s.members[name]; known {
		p.check(member, name, v)
	} else if s.closed {
		p.add("should NOT have additional property '%s'", clip(name))
	}
}

// mend gives v without the parts that are not as s says, nil where nothing is
// left that is.
func (s *schema) mend(v any) any {
	if s.fits(v) {
		return v
	}
	var left any
	switch v := v.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for name, e := range v {
			if member := s.members[name]; member != nil {
				e = member.mend(e)
			} else if s.item != nil {
				e = s.item.mend(e)
			}
			if e != nil {
				kept[name] = e
			}
		}
		left = kept
	case []any:
		kept := make([]any, 0, len(v))
		for _, e := range v {
			if s.item == nil {
				break // no list is wanted here
			}
			if e = s.item.mend(e); e != nil {
				kept = append(kept, e)
			}
		}
		left = kept
	}
	if left == nil || !s.fits(left) {
		return nil
	}
	return left
}

// clip shortens a member name, which is untrusted text, for a message.
func clip(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
