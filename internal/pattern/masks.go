package pattern

import (
	"math/bits"
	"strings"
	"unsafe"
)

// masks say about 64 bytes of JSON text, a bit for each byte, lowest first, what
// a walk over the text needs to go from string to string and from bracket to
// bracket without looking at what is between.
type masks struct {
	quotes uint64 // quotation marks that begin or end a string
	open   uint64 // { and [ outside strings
	closed uint64 // } and ] outside strings
	odd    uint64 // \ and . anywhere: names that need a closer look
}

const block = 64

// carry is what one block leaves to the next.
type carry struct {
	escaped  uint64 // 1 when the next byte stands behind a backslash
	inString uint64 // all ones inside a string
}

// maskText appends the masks of the next blocks of s, which are made in order from
// the beginning; what follows the end of s counts as white space.
func maskText(s string, done []masks, blocks int, c *carry) []masks {
	from := len(done)
	to := min(from+blocks, (len(s)+block-1)/block)
	full := min(to, len(s)/block)
	for cap(done) < to {
		done = append(done[:cap(done)], masks{})
	}
	done = done[:to]
	if full > from {
		maskBlocks(s[from*block:full*block], done[from:full], c)
	}
	if to > full && to > from {
		var tail [block]byte
		copy(tail[:], s[full*block:])
		maskTail(&tail, &done[full], c)
	}
	return done
}

// maskPortable is maskBlocks in plain Go, eight bytes at a time.
func maskPortable(s string, out []masks, c *carry) {
	for i := range out {
		var m masks
		var backslashes uint64
		b := s[i*block : (i+1)*block]
		for j := 0; j < block; j += 8 {
			x := load8(b[j : j+8])
			folded := x | 0x2020202020202020 // makes { of [ and } of ]
			m.quotes |= equalBytes(x, '"') << j
			backslashes |= equalBytes(x, '\\') << j
			m.odd |= equalBytes(x, '.') << j
			m.open |= equalBytes(folded, '{') << j
			m.closed |= equalBytes(folded, '}') << j
		}
		m.odd |= backslashes
		m.quotes &^= c.escapes(backslashes)
		inside := prefixXOR(m.quotes) ^ c.inString
		c.inString = uint64(int64(inside) >> 63) //nolint:gosec // spreads the last bit
		m.open &^= inside
		m.closed &^= inside
		out[i] = m
	}
}

// escapes gives the bytes that stand behind an odd number of backslashes, as
// simdjson finds them (Langdale and Lemire, Parsing Gigabytes of JSON per Second, 3.1.1).
func (c *carry) escapes(backslashes uint64) uint64 {
	if backslashes == 0 {
		escaped := c.escaped
		c.escaped = 0
		return escaped
	}
	const even = 0x5555555555555555
	backslashes &^= c.escaped
	follows := backslashes<<1 | c.escaped
	starts := backslashes &^ even &^ follows
	var sum uint64
	sum, c.escaped = bits.Add64(starts, backslashes, 0)
	return (even ^ sum<<1) & follows
}

// load8 gives the first eight bytes of s, the first one lowest.
func load8(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// equalBytes gives a bit for each byte of x that is b.
func equalBytes(x uint64, b byte) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	x ^= uint64(b) * 0x0101010101010101
	zero := ^((x&low + low) | x | low) // 0x80 where a byte is zero
	return (zero >> 7) * 0x0102040810204080 >> 56
}

// prefixXOR gives for each bit the parity of the bits up to it.
func prefixXOR(x uint64) uint64 {
	for n := 1; n < 64; n *= 2 {
		x ^= x << n
	}
	return x
}

// plainText reports whether s has no control character at all, which most JSON
// text on the wire has not.
func plainText(s string) bool {
	for len(s) >= 8 {
		x := load8(s[:8])
		if (x-0x2020202020202020)&^x&0x8080808080808080 != 0 {
			return false
		}
		s = s[8:]
	}
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' }) < 0
}

// maskTail makes the masks of the last bytes of a text, filled up with zeros.
func maskTail(b *[block]byte, out *masks, c *carry) {
	maskBlocks(unsafe.String(&b[0], block), unsafe.Slice(out, 1), c) // nobody changes or keeps b meanwhile
}
