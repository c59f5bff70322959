package filter

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/finding"
)

// Match reports whether every criterion holds for doc at time now.
//
// On one field positive values are alternatives and every negative must hold;
// fields must all hold. A field with several values, such as Types, satisfies
// a positive test if any value does and a negative one if none is excluded;
// an absent field fails positives and satisfies negatives.
func (f Filter) Match(doc finding.Finding, now time.Time) bool {
	for _, c := range f.Criteria {
		if !c.Match(doc, now) {
			return false
		}
	}
	return true
}

// Match reports whether the criterion holds for doc at time now.
func (c Criterion) Match(doc finding.Finding, now time.Time) bool {
	switch c.Field.Kind {
	case String:
		return c.matchStrings(doc)
	case Map:
		return c.matchMaps(doc)
	case Number:
		return c.any(doc, func(v any) bool { return matchNumber(c.Numbers, v) })
	case Date:
		return c.any(doc, func(v any) bool { return matchDate(c.Dates, v, now) })
	case IP:
		return c.any(doc, func(v any) bool { return matchIP(c.IPs, v) })
	case Keyword:
		return c.any(doc, func(v any) bool { return matchKeyword(c.Keywords, v) })
	default:
		return c.matchBoolean(doc)
	}
}

// any reports whether test holds for any value of the field.
func (c Criterion) any(doc finding.Finding, test func(any) bool) bool {
	for _, path := range c.Field.Paths {
		found := false
		doc.Values(path, func(v any) bool {
			found = test(v)
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

func (c Criterion) matchStrings(doc finding.Finding) bool {
	positive, needed := false, false
	for _, t := range c.Strings {
		hit := c.any(doc, func(v any) bool {
			s, ok := c.Field.text(v)
			return ok && compare(t.Comparison, s, t.Value)
		})
		if t.Comparison.Negative() {
			if hit {
				return false
			}
			continue
		}
		needed = true
		positive = positive || hit
	}
	return positive || !needed
}

// matchMaps treats all tests of a map field as one field's, whatever their
// keys: two EQUALS on different keys are alternatives, as AWS's text says.
func (c Criterion) matchMaps(doc finding.Finding) bool {
	positive, needed := false, false
	for _, t := range c.Maps {
		hit := false
		c.Field.Pairs(doc, func(k, v string) bool {
			hit = k == t.Key && compare(t.Comparison, v, t.Value)
			return !hit
		})
		if t.Comparison.Negative() {
			if hit {
				return false
			}
			continue
		}
		needed = true
		positive = positive || hit
	}
	return positive || !needed
}

// text gives a value as a text. In OCSF some numbers are texts, such as the score
// of EPSS, and not every writer puts them in quotes.
func (f Field) text(v any) (string, bool) {
	if n, ok := v.(json.Number); ok && f.OCSF {
		return n.String(), true
	}
	s, ok := v.(string)
	return s, ok
}

// compare makes the comparison without its negation: NOT_EQUALS compares as
// EQUALS, and a hit then excludes.
func compare(c Comparison, have, want string) bool {
	switch c {
	case Equals, NotEquals:
		return have == want
	case Prefix, PrefixNotEquals:
		return strings.HasPrefix(have, want)
	case Contains, NotContains:
		return strings.Contains(have, want)
	case ContainsWord:
		return containsWord(have, want)
	}
	return false
}

// containsWord reports whether want stands in have with no letter and no digit
// next to it.
func containsWord(have, want string) bool {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from := 0; want != ""; {
		at := strings.Index(have[from:], want)
		if at < 0 {
			return false
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(have[:at])
		after, size := utf8.DecodeRuneInString(have[at+len(want):])
		if (at == 0 || !word(before)) && (size == 0 || !word(after)) {
			return true
		}
		_, step := utf8.DecodeRuneInString(have[at:])
		from = at + step
	}
	return false
}

func matchNumber(tests []NumberTest, v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	x, err := n.Float64()
	if err != nil {
		return false
	}
	for _, t := range tests {
		if t.holds(x) {
			return true
		}
	}
	return false
}

func (t NumberTest) holds(x float64) bool {
	return (t.Eq == nil || x == *t.Eq) &&
		(t.Gte == nil || x >= *t.Gte) && (t.Lte == nil || x <= *t.Lte) &&
		(t.Gt == nil || x > *t.Gt) && (t.Lt == nil || x < *t.Lt)
}

func matchDate(tests []DateTest, v any, now time.Time) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	at, err := finding.ParseTime(s)
	if err != nil {
		return false
	}
	for _, t := range tests {
		if t.holds(at, now) {
			return true
		}
	}
	return false
}

func (t DateTest) holds(at, now time.Time) bool {
	if t.Range != nil {
		older := at.Before(t.Range.Edge(now))
		return older == (t.Range.Comparison == OlderThan)
	}
	return (t.start.IsZero() || !at.Before(t.start)) && (t.end.IsZero() || !at.After(t.end))
}

func matchIP(tests []IPTest, v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	for _, t := range tests {
		if t.prefix.Contains(a.Unmap()) || t.prefix.Contains(a) {
			return true
		}
	}
	return false
}

func matchKeyword(tests []KeywordTest, v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	for _, t := range tests {
		if strings.Contains(s, t.Value) {
			return true
		}
	}
	return false
}

// matchBoolean counts an absent boolean as false: a finding that does not say
// that it is a sample is none.
func (c Criterion) matchBoolean(doc finding.Finding) bool {
	have := c.any(doc, func(v any) bool { return v == true })
	for _, t := range c.Booleans {
		if t.Value == have {
			return true
		}
	}
	return false
}
