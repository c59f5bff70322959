package runbook

import (
	"fmt"
	"strconv"
	"strings"
)

// charSet is a set of characters as a class has it: ranges to stand in brackets,
// and expressions that match one character each.
type charSet struct {
	ranges string
	parts  []string
	not    bool
	// single is the character where the set is just one, else -1: it may begin or
	// end a range.
	single rune
}

func oneRune(r rune) charSet { return charSet{ranges: quoteRune(r), single: r} }

func rangesSet(ranges string, not bool) charSet { return charSet{ranges: ranges, not: not, single: -1} }

// expression writes s as an expression that matches one character.
func (s charSet) expression(p *patternParser) string {
	if s.single >= 0 {
		return s.ranges
	}
	var list []string
	if s.ranges != "" {
		not := ""
		if s.not && len(s.parts) == 0 {
			not = "^"
		}
		list = append(list, "["+not+s.ranges+"]")
	}
	list = append(list, s.parts...)
	switch {
	case len(list) == 0:
		// An empty intersection: nothing matches.
		return `[^\s\S]`
	case len(list) == 1 && (!s.not || len(s.parts) == 0):
		return list[0]
	}
	union := "(?:" + strings.Join(list, "|") + ")"
	if !s.not {
		return union
	}
	p.backtracks = true
	return "(?:(?!" + union + `)[\s\S])`
}

// class reads what follows an opening bracket, to its end.
func (p *patternParser) class() (string, error) {
	set, err := p.classSet()
	if err != nil {
		return "", err
	}
	return set.expression(p), nil
}

func (p *patternParser) classSet() (charSet, error) {
	if p.depth++; p.depth > maxPatternDepth {
		return charSet{}, p.errorf("classes are nested more than %d deep", maxPatternDepth)
	}
	defer func() { p.depth-- }()
	not := p.take("^")
	var operands []charSet
	set := charSet{single: -1}
	empty := true
	for {
		switch {
		case p.at >= len(p.text):
			return charSet{}, p.errorf("a class is not closed")
		case p.peek(0) == ']' && !empty:
			p.at++
			return p.intersection(append(operands, set), not), nil
		case p.take("&&"):
			operands = append(operands, set)
			set, empty = charSet{single: -1}, false
			continue
		case p.take("["):
			inner, err := p.classSet()
			if err != nil {
				return charSet{}, err
			}
			set.parts = append(set.parts, inner.expression(p))
		default:
			if err := p.classItem(&set); err != nil {
				return charSet{}, err
			}
		}
		empty = false
	}
}

// intersection gives the characters that are in every operand. Java takes an
// operand with nothing in it, as in [a&&], for one that is not there.
func (p *patternParser) intersection(operands []charSet, not bool) charSet {
	var present []charSet
	for _, o := range operands {
		if o.ranges != "" || len(o.parts) > 0 {
			present = append(present, o)
		}
	}
	switch len(present) {
	case 0:
		return charSet{single: -1, not: not}
	case 1:
		present[0].not = not
		return present[0]
	}
	p.backtracks = true
	var b strings.Builder
	b.WriteString("(?:")
	for i, o := range present {
		if i < len(present)-1 {
			b.WriteString("(?=" + o.expression(p) + ")")
			continue
		}
		b.WriteString(o.expression(p))
	}
	b.WriteString(")")
	return charSet{parts: []string{b.String()}, not: not, single: -1}
}

// classItem reads one character, range or escape into set.
func (p *patternParser) classItem(set *charSet) error {
	from, err := p.classAtom()
	if err != nil {
		return err
	}
	if from.single < 0 {
		if from.not {
			set.parts = append(set.parts, from.expression(p))
			return nil
		}
		set.ranges += from.ranges
		return nil
	}
	next := p.peek(1)
	if p.peek(0) != '-' || next == ']' || next == '[' || next < 0 {
		set.ranges += from.ranges
		return nil
	}
	p.at++
	to, err := p.classAtom()
	if err != nil {
		return err
	}
	if to.single < from.single {
		return p.errorf("a range in a class ends before it begins")
	}
	set.ranges += from.ranges + "-" + to.ranges
	return nil
}

func (p *patternParser) classAtom() (charSet, error) {
	r := p.peek(0)
	p.at++
	if r != '\\' {
		return oneRune(r), nil
	}
	return p.classEscape()
}

// classEscape reads what follows a backslash where it stands for characters,
// inside and outside of classes.
func (p *patternParser) classEscape() (charSet, error) {
	r := p.peek(0)
	p.at++
	switch r {
	case -1:
		return charSet{}, p.errorf("there is nothing after the last backslash")
	case 'd', 'D':
		return rangesSet("0-9", r == 'D'), nil
	case 'w', 'W':
		return rangesSet("a-zA-Z0-9_", r == 'W'), nil
	case 's', 'S':
		return rangesSet(` \t-\r`, r == 'S'), nil
	case 'h', 'H':
		return rangesSet(" \t\u00a0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000", r == 'H'), nil
	case 'v', 'V':
		return rangesSet(`\v\f`+lineEnds, r == 'V'), nil
	case 'p', 'P':
		ranges, err := p.property()
		return rangesSet(ranges, r == 'P'), err
	case 't':
		return oneRune('\t'), nil
	case 'n':
		return oneRune('\n'), nil
	case 'r':
		return oneRune('\r'), nil
	case 'f':
		return oneRune('\f'), nil
	case 'a':
		return oneRune('\a'), nil
	case 'e':
		return oneRune(0x1b), nil
	case '0', 'x', 'u':
		return p.numbered(r)
	}
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return charSet{}, p.errorf(`\%c is not supported`, r)
	}
	return oneRune(r), nil
}

// numbered reads \0n, \xhh, \x{h...} and \uhhhh.
func (p *patternParser) numbered(kind rune) (charSet, error) {
	var text string
	base := 16
	switch {
	case kind == '0':
		base = 8
		for len(text) < 3 && p.peek(0) >= '0' && p.peek(0) <= '7' && (len(text) < 2 || text[0] <= '3') {
			text += string(p.peek(0))
			p.at++
		}
	case kind == 'x' && p.take("{"):
		var err error
		if text, err = p.until('}'); err != nil {
			return charSet{}, err
		}
	default:
		width := 2
		if kind == 'u' {
			width = 4
		}
		text = string(p.text[p.at:min(p.at+width, len(p.text))])
		if len(text) != width {
			return charSet{}, p.errorf(`\%c needs %d hexadecimal digits`, kind, width)
		}
		p.at += width
	}
	code, err := strconv.ParseInt(text, base, 32)
	if err != nil || base == 16 && !isHex(text) || code > 0x10ffff || code >= 0xd800 && code <= 0xdfff {
		return charSet{}, fmt.Errorf("%.20q is not the number of a character", text)
	}
	return oneRune(rune(code)), nil
}
