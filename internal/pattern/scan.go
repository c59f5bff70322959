package pattern

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// scanner reads JSON text from left to right. Unlike encoding/json it keeps
// duplicate keys, number literals and positions, all of which patterns depend on.
type scanner struct {
	s string
	i int
}

var errEnd = errors.New("the JSON text ends too early")

// syntax gives an error with the place in the text.
func (p *scanner) syntax(format string, args ...any) error {
	at := min(p.i, len(p.s))
	line := 1 + strings.Count(p.s[:at], "\n")
	column := at - strings.LastIndexByte(p.s[:at], '\n')
	return fmt.Errorf("line %d, column %d: %w", line, column, fmt.Errorf(format, args...))
}

// peek skips white space and gives the next byte, 0 at the end.
func (p *scanner) peek() byte {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return c
		}
	}
	return 0
}

// expect consumes c.
func (p *scanner) expect(c byte) error {
	switch p.peek() {
	case c:
		p.i++
		return nil
	case 0:
		return p.syntax("%w, where %q was due", errEnd, c)
	default:
		return p.syntax("found %s where %q was due", p.near(), c)
	}
}

// near quotes the character at the scanner, for messages.
func (p *scanner) near() string {
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return fmt.Sprintf("%q", r)
}

// more says whether a list goes on: it consumes a comma and gives true, or
// consumes end and gives false. first is true before the first element.
func (p *scanner) more(end byte, first bool) (bool, error) {
	c := p.peek()
	switch {
	case c == end:
		p.i++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		if c == 0 {
			return false, p.syntax("%w, where %q or ',' was due", errEnd, end)
		}
		return false, p.syntax("found %s where %q or ',' was due", p.near(), end)
	}
	p.i++
	if p.peek() == end {
		return false, p.syntax("a comma before %q", end)
	}
	return true, nil
}

// key reads a member's name and the colon.
func (p *scanner) key() (string, error) {
	if c := p.peek(); c != '"' {
		if c == 0 {
			return "", p.syntax("%w, where a name in double quotes was due", errEnd)
		}
		return "", p.syntax("found %s where a name in double quotes was due", p.near())
	}
	k, err := p.str()
	if err != nil {
		return "", err
	}
	return k, p.expect(':')
}

// str reads a string; the scanner stands on its opening quote. Without escapes
// the result shares the text's memory.
func (p *scanner) str() (string, error) {
	start := p.i + 1
	for i := start; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.i = i + 1
			return p.s[start:i], nil
		case c == '\\':
			p.i = i
			return p.unescape(start)
		case c < ' ':
			p.i = i
			return "", p.syntax("a control character inside a string; write it as \\u%04x", c)
		}
	}
	p.i = len(p.s)
	return "", p.syntax("%w, inside a string", errEnd)
}

// unescape reads on from the first backslash of a string that began at start.
func (p *scanner) unescape(start int) (string, error) {
	var b strings.Builder
	b.WriteString(p.s[start:p.i])
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			return b.String(), nil
		case c < ' ':
			return "", p.syntax("a control character inside a string; write it as \\u%04x", c)
		case c != '\\':
			b.WriteByte(c)
			p.i++
		default:
			if err := p.escape(&b); err != nil {
				return "", err
			}
		}
	}
	return "", p.syntax("%w, inside a string", errEnd)
}

func (p *scanner) escape(b *strings.Builder) error {
	if p.i+1 >= len(p.s) {
		return p.syntax("%w, inside a string", errEnd)
	}
	c := p.s[p.i+1]
	if c == 'u' {
		r, size := unicodeEscape(p.s[p.i:])
		if size == 0 {
			return p.syntax("\\u needs four hexadecimal digits")
		}
		b.WriteRune(r)
		p.i += size
		return nil
	}
	at := strings.IndexByte(`"\/bfnrt`, c)
	if at < 0 {
		return p.syntax("\\%c is no JSON escape", c)
	}
	b.WriteByte("\"\\/\b\f\n\r\t"[at])
	p.i += 2
	return nil
}

// unicodeEscape reads \uXXXX, and both halves of a surrogate pair, at the beginning
// of s and gives its length, 0 for none. A lone half becomes U+FFFD, as in
// encoding/json.
func unicodeEscape(s string) (r rune, size int) {
	r, ok := hex4(s, 0)
	if !ok {
		return 0, 0
	}
	if r >= 0xd800 && r < 0xdc00 {
		if low, ok := hex4(s, 6); ok && low >= 0xdc00 && low < 0xe000 {
			return (r-0xd800)<<10 | (low - 0xdc00) + 0x10000, 12
		}
	}
	return r, 6 // written as U+FFFD when it is a lone surrogate
}

// hex4 reads \uXXXX at i.
func hex4(s string, i int) (rune, bool) {
	if i+6 > len(s) || s[i] != '\\' || s[i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[i+2 : i+6]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// scalar reads a number or one of the three literals.
func (p *scanner) scalar() (kind, string, error) {
	c := p.peek()
	if c == '-' || c >= '0' && c <= '9' {
		text, err := p.number()
		return kindNumber, text, err
	}
	for _, l := range [...]struct {
		kind kind
		text string
	}{{kindTrue, "true"}, {kindFalse, "false"}, {kindNull, "null"}} {
		if strings.HasPrefix(p.s[p.i:], l.text) {
			p.i += len(l.text)
			return l.kind, l.text, p.boundary()
		}
	}
	if c == 0 {
		return 0, "", p.syntax("%w, where a value was due", errEnd)
	}
	return 0, "", p.syntax("found %s where a JSON value was due", p.near())
}

// number reads a number by JSON's grammar and gives its literal text.
func (p *scanner) number() (string, error) {
	start := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	whole := p.digits()
	if whole == 0 || whole > 1 && p.s[p.i-whole] == '0' {
		return "", p.syntax("not a JSON number")
	}
	if p.i < len(p.s) && p.s[p.i] == '.' {
		p.i++
		if p.digits() == 0 {
			return "", p.syntax("a number needs digits after its point")
		}
	}
	if p.i < len(p.s) && (p.s[p.i] == 'e' || p.s[p.i] == 'E') {
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return "", p.syntax("a number needs digits in its exponent")
		}
	}
	return p.s[start:p.i], p.boundary()
}

func (p *scanner) digits() int {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

// boundary refuses a literal that runs into a word: "truely", "1x".
func (p *scanner) boundary() error {
	if p.i >= len(p.s) || strings.IndexByte(" \t\n\r,]}", p.s[p.i]) >= 0 {
		return nil
	}
	return p.syntax("found %s right after a value", p.near())
}

// appendUnescaped appends what s stands for, the inside of a JSON string that is
// known to be valid, whose first backslash is at i.
func appendUnescaped(b []byte, s string, i int) []byte {
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b = append(b, s[:i]...)
		s = s[i:]
		if s[1] != 'u' {
			b = append(b, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, s[1])])
			s = s[2:]
			continue
		}
		r, size := unicodeEscape(s)
		b = utf8.AppendRune(b, r)
		s = s[size:]
	}
	return append(b, s...)
}
