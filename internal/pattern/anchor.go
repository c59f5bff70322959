package pattern

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// class says how an anchor is looked up.
type class uint8

const (
	isText    class = iota // the value, a string
	isNumber               // the number's double
	isDigits               // the literal of a number that no double holds
	isLiteral              // true, false or null
	isAddress              // the address that the value spells
	isFolded               // the value in lower case
	inBlock                // a block that the address lies in
	begins                 // the first bytes of the value
	ends                   // the last bytes of the value
	classes
)

// sure reports whether a value that has an anchor of the class meets the
// alternative too; with the others it only may.
func (c class) sure() bool { return c < begins }

// anchor is what an event must have so that a clause can be met: a key by which
// the patterns that it concerns are found.
type anchor struct {
	class class
	key   string
}

// cuts are the lengths to which prefixes and suffixes are cut when they are
// anchors: a value is looked up once for each length that is used, no more.
var cuts = [...]int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}

// cut gives the place in cuts of the longest that is not longer than n, -1 for none.
func cut(n int) int {
	at := -1
	for i, c := range cuts {
		if c <= n {
			at = i
		}
	}
	return at
}

// anchors gives for every alternative of c what is to be looked up, false when one
// has nothing.
func (c *clause) anchors() ([]anchor, bool) {
	if c.absent {
		return nil, false
	}
	var out []anchor
	for _, s := range c.exact.all() {
		out = append(out, anchor{isText, s})
	}
	for i := range c.alternatives {
		a, ok := c.alternatives[i].anchor()
		if !ok {
			return nil, false
		}
		out = append(out, a)
	}
	return out, true
}

func (a *alternative) anchor() (anchor, bool) {
	switch a.op {
	case opString:
		return anchor{isText, a.text}, true
	case opLiteral:
		return anchor{isLiteral, a.text}, true
	case opAddress:
		return anchor{isAddress, string(a.block.Addr().AsSlice())}, true
	case opCIDR:
		var b [17]byte
		return anchor{inBlock, string(blockKey(&b, a.block))}, true
	case opNumber:
		if !a.num.exact {
			return anchor{isDigits, a.text}, true
		}
		var b [8]byte
		return anchor{isNumber, string(numberKey(&b, a.num.f))}, true
	case opNumeric:
		if b := a.bounds; b.hasLow && b.hasHigh && b.low == b.high {
			var key [8]byte
			return anchor{isNumber, string(numberKey(&key, b.low))}, true
		}
	case opFold:
		if s, ok := a.fold.lower(); ok {
			return anchor{isFolded, s}, true
		}
	case opPrefix:
		return prefixAnchor(a.text)
	case opSuffix:
		return suffixAnchor(a.text)
	case opWildcard:
		return a.wild.anchor()
	}
	return anchor{}, false
}

func prefixAnchor(s string) (anchor, bool) {
	i := cut(len(s))
	if i < 0 {
		return anchor{}, false
	}
	return anchor{begins, s[:cuts[i]]}, true
}

func suffixAnchor(s string) (anchor, bool) {
	i := cut(len(s))
	if i < 0 {
		return anchor{}, false
	}
	return anchor{ends, s[len(s)-cuts[i]:]}, true
}

// anchor takes the longer of the two ends.
func (w wildcard) anchor() (anchor, bool) {
	first, last := w[0], w[len(w)-1]
	switch {
	case len(w) == 1:
		return anchor{isText, first}, true
	case len(first) >= len(last):
		return prefixAnchor(first)
	default:
		return suffixAnchor(last)
	}
}

// lower gives the text in lower case when it is ASCII, so that only its ASCII
// spellings meet it.
func (f folded) lower() (string, bool) {
	out := make([]byte, 0, len(f))
	for _, forms := range f {
		c := forms[len(forms)-1] // lower case sorts last
		if len(c) != 1 || c[0] >= 0x80 {
			return "", false
		}
		out = append(out, c[0])
	}
	return string(out), true
}

// appendLower appends s with its ASCII letters in lower case.
func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

func numberKey(b *[8]byte, f float64) []byte {
	if f == 0 {
		f = 0 // and not -0
	}
	binary.LittleEndian.PutUint64(b[:], math.Float64bits(f))
	return b[:]
}

func blockKey(b *[17]byte, p netip.Prefix) []byte {
	b[0] = byte(p.Bits()) //nolint:gosec // at most 128
	if p.Addr().Is4() {
		a := p.Addr().As4()
		return b[:1+copy(b[1:], a[:])]
	}
	a := p.Addr().As16()
	return b[:1+copy(b[1:], a[:])]
}
