package runbook

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxPattern bounds an allowedPattern; maxWork the work of one match.
const (
	maxPattern = 4096
	maxWork    = 1_000_000
	// maxSlowValue bounds how deep the backtracking engine may call itself.
	maxSlowValue = 16_384
)

// valuePattern is an allowedPattern. It must match the whole value, as Java's
// matches does.
type valuePattern struct {
	fast *regexp.Regexp
	slow matcher // where Go's engine does not know the syntax
}

// compilePattern compiles for Go's engine, which takes linear time, and where
// that does not do (look-around, and repetitions above 1,000, both common in
// published documents) for a bounded backtracking one.
func compilePattern(pattern string) (valuePattern, error) {
	if len(pattern) > maxPattern {
		return valuePattern{}, fmt.Errorf("its pattern has more than %d characters", maxPattern)
	}
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
	if err == nil {
		return valuePattern{fast: re}, nil
	}
	p := &patternParser{text: []rune(pattern)}
	m, slowErr := p.alternatives(0)
	if slowErr == nil && p.at < len(p.text) {
		slowErr = errors.New("a parenthesis is not open")
	}
	if slowErr != nil {
		return valuePattern{}, fmt.Errorf("its pattern cannot be evaluated: %w", slowErr)
	}
	return valuePattern{slow: m}, nil
}

func (v valuePattern) match(text string) (bool, error) {
	if v.fast != nil {
		return v.fast.MatchString(text), nil
	}
	if len(text) > maxSlowValue {
		return false, fmt.Errorf("the value has more than %d bytes, too long for its pattern", maxSlowValue)
	}
	s := &matching{text: []rune(text)}
	ok := v.slow(s, 0, func(end int) bool { return end == len(s.text) })
	if s.work > maxWork {
		return false, errors.New("its pattern takes too long on this value")
	}
	return ok, nil
}

// matching is one value being matched, with the work done so far.
type matching struct {
	text []rune
	work int
}

// matcher tries to match at i and calls k with each end until k is content.
type matcher func(s *matching, i int, k func(end int) bool) bool

// letter matches one character; it is kept apart because most repetitions are
// of one.
type letter func(r rune) bool

func (l letter) matcher() matcher {
	return func(s *matching, i int, k func(int) bool) bool {
		s.work++
		return s.work <= maxWork && i < len(s.text) && l(s.text[i]) && k(i+1)
	}
}

func sequence(list []matcher) matcher {
	return func(s *matching, i int, k func(int) bool) bool {
		return sequenceFrom(list, s, i, k)
	}
}

func sequenceFrom(list []matcher, s *matching, i int, k func(int) bool) bool {
	if len(list) == 0 {
		return k(i)
	}
	return list[0](s, i, func(end int) bool { return sequenceFrom(list[1:], s, end, k) })
}

func either(list []matcher) matcher {
	return func(s *matching, i int, k func(int) bool) bool {
		for _, m := range list {
			if m(s, i, k) {
				return true
			}
		}
		return false
	}
}

// repeated matches m from low to high times, high < 0 = without limit. Order of
// trying does not matter, since only whether the whole matches is asked.
func repeated(m matcher, low, high int) matcher {
	var from func(s *matching, n, i int, k func(int) bool) bool
	from = func(s *matching, n, i int, k func(int) bool) bool {
		if s.work++; s.work > maxWork {
			return false
		}
		if (high < 0 || n < high) && m(s, i, func(end int) bool {
			// An empty round changes nothing, and would go on for ever.
			return (end > i || n < low) && from(s, n+1, end, k)
		}) {
			return true
		}
		return n >= low && k(i)
	}
	return func(s *matching, i int, k func(int) bool) bool { return from(s, 0, i, k) }
}

// repeatedLetter is repeated without recursion.
func repeatedLetter(l letter, low, high int) matcher {
	return func(s *matching, i int, k func(int) bool) bool {
		end := i
		for end < len(s.text) && (high < 0 || end-i < high) && l(s.text[end]) {
			end++
		}
		s.work += end - i
		for ; end-i >= low; end-- {
			if s.work++; s.work > maxWork {
				return false
			}
			if k(end) {
				return true
			}
		}
		return false
	}
}

// look is look-ahead, or look-behind, which tries every start.
func look(m matcher, behind, want bool) matcher {
	return func(s *matching, i int, k func(int) bool) bool {
		found := false
		if behind {
			for start := i; start >= 0 && !found && s.work <= maxWork; start-- {
				found = m(s, start, func(end int) bool { return end == i })
			}
		} else {
			found = m(s, i, func(int) bool { return true })
		}
		return found == want && s.work <= maxWork && k(i)
	}
}

type patternParser struct {
	text []rune
	at   int
}

func (p *patternParser) peek() rune {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return -1
}

func (p *patternParser) take(token string) bool {
	if strings.HasPrefix(string(p.text[p.at:min(p.at+len(token), len(p.text))]), token) {
		p.at += len([]rune(token))
		return true
	}
	return false
}

func (p *patternParser) alternatives(depth int) (matcher, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("it is nested more than %d deep", maxNesting)
	}
	var list []matcher
	for {
		var seq []matcher
		for p.at < len(p.text) && p.peek() != '|' && p.peek() != ')' {
			m, err := p.quantified(depth)
			if err != nil {
				return nil, err
			}
			seq = append(seq, m)
		}
		list = append(list, sequence(seq))
		if !p.take("|") {
			return either(list), nil
		}
	}
}

func (p *patternParser) quantified(depth int) (matcher, error) {
	l, m, err := p.atom(depth)
	if err != nil {
		return nil, err
	}
	low, high, ok, err := p.quantifier()
	if err != nil {
		return nil, err
	}
	switch {
	case ok && l != nil:
		return repeatedLetter(l, low, high), nil
	case ok:
		return repeated(m, low, high), nil
	case l != nil:
		return l.matcher(), nil
	}
	return m, nil
}

func (p *patternParser) quantifier() (low, high int, ok bool, err error) {
	switch {
	case p.take("*"):
		low, high = 0, -1
	case p.take("+"):
		low, high = 1, -1
	case p.take("?"):
		low, high = 0, 1
	case p.peek() == '{':
		end := p.at
		for end < len(p.text) && p.text[end] != '}' {
			end++
		}
		if end == len(p.text) {
			return 0, 0, false, errors.New("a brace is not closed")
		}
		if low, high, err = counts(string(p.text[p.at+1 : end])); err != nil {
			return 0, 0, false, err
		}
		p.at = end + 1
	default:
		return 0, 0, false, nil
	}
	p.take("?") // lazy: the same, when only a whole match counts
	if p.peek() == '+' {
		return 0, 0, false, errors.New("possessive repetitions are not supported")
	}
	return low, high, true, nil
}

func counts(body string) (low, high int, err error) {
	first, second, ranged := strings.Cut(body, ",")
	low, err = strconv.Atoi(first)
	high = low
	if ranged && err == nil {
		high = -1
		if second != "" {
			high, err = strconv.Atoi(second)
		}
	}
	open := ranged && second == ""
	if err != nil || low < 0 || low > maxWork || high > maxWork || !open && high < low {
		return 0, 0, fmt.Errorf("{%.20s} is not a repetition", body)
	}
	return low, high, nil
}

// atom reads one character, class, anchor or group.
func (p *patternParser) atom(depth int) (letter, matcher, error) {
	r := p.peek()
	p.at++
	switch r {
	case '(':
		m, err := p.group(depth)
		return nil, m, err
	case '[':
		l, err := p.class()
		return l, nil, err
	case '.':
		return func(r rune) bool { return r != '\n' && r != '\r' }, nil, nil
	case '^':
		return nil, func(_ *matching, i int, k func(int) bool) bool { return i == 0 && k(i) }, nil
	case '$':
		return nil, func(s *matching, i int, k func(int) bool) bool { return i == len(s.text) && k(i) }, nil
	case '\\':
		l, err := p.escape()
		return l, nil, err
	case '*', '+', '?', '{':
		return nil, nil, fmt.Errorf("%q has nothing to repeat", r)
	}
	return func(have rune) bool { return have == r }, nil, nil
}

func (p *patternParser) group(depth int) (matcher, error) {
	behind, around, want := false, false, true
	switch {
	case p.take("?:"):
	case p.take("?="):
		around = true
	case p.take("?!"):
		around, want = true, false
	case p.take("?<="):
		around, behind = true, true
	case p.take("?<!"):
		around, behind, want = true, true, false
	case p.peek() == '?':
		return nil, errors.New("this kind of group is not supported")
	}
	m, err := p.alternatives(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, errors.New("a parenthesis is not closed")
	}
	if around {
		m = look(m, behind, want)
	}
	return m, nil
}

// escape reads what follows a backslash.
func (p *patternParser) escape() (letter, error) {
	r := p.peek()
	if r < 0 {
		return nil, errors.New("it ends with a backslash")
	}
	p.at++
	var in letter
	switch r | 0x20 {
	case 'd':
		in = func(r rune) bool { return r >= '0' && r <= '9' }
	case 'w':
		in = func(r rune) bool {
			return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		}
	case 's':
		in = func(r rune) bool { return strings.ContainsRune(" \t\n\v\f\r", r) }
	}
	switch {
	case in != nil && r >= 'a':
		return in, nil
	case in != nil:
		return func(r rune) bool { return !in(r) }, nil
	}
	switch r {
	case 't', 'n', 'r', 'f':
		r = map[rune]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f'}[r]
	default:
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return nil, fmt.Errorf("\\%c is not supported", r)
		}
	}
	return func(have rune) bool { return have == r }, nil
}

// class reads up to the closing bracket.
func (p *patternParser) class() (letter, error) {
	negated := p.take("^")
	var list []letter
	for first := true; first || p.peek() != ']'; first = false {
		if p.at >= len(p.text) {
			return nil, errors.New("a bracket is not closed")
		}
		if p.take("&&") {
			return nil, errors.New("intersections of classes are not supported")
		}
		l, err := p.classItem()
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	p.at++
	return func(r rune) bool {
		for _, l := range list {
			if l(r) {
				return !negated
			}
		}
		return negated
	}, nil
}

func (p *patternParser) classItem() (letter, error) {
	low := p.peek()
	p.at++
	if low == '\\' {
		escaped := p.peek()
		l, err := p.escape()
		if err != nil || strings.ContainsRune("dDwWsStnrf", escaped) {
			return l, err
		}
		low = escaped
	}
	if p.peek() != '-' || p.at+1 >= len(p.text) || p.text[p.at+1] == ']' {
		return func(r rune) bool { return r == low }, nil
	}
	p.at++
	high := p.peek()
	p.at++
	if high == '\\' {
		high = p.peek()
		p.at++
		if strings.ContainsRune("dDwWsS", high) {
			return nil, errors.New("a range ends with a class")
		}
	}
	if high < low {
		return nil, fmt.Errorf("%c-%c is not a range", low, high)
	}
	return func(r rune) bool { return r >= low && r <= high }, nil
}
