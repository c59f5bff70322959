package pattern

import "math/bits"

// walk goes over JSON text by its masks.
type walk struct {
	text  string
	masks []masks // of the blocks looked at so far
	carry carry
}

// ahead is how many blocks are looked at together: a kilobyte.
const ahead = 16

// have looks at blocks until it has b, and reports whether there is one.
func (w *walk) have(b int) bool {
	for b >= len(w.masks) {
		had := len(w.masks)
		if w.masks = maskText(w.text, w.masks, ahead, &w.carry); len(w.masks) == had {
			return false
		}
	}
	return true
}

// at gives the byte at i, 0 behind the end.
func (w *walk) at(i int) byte {
	if uint(i) < uint(len(w.text)) { //nolint:gosec // a negative place is none
		return w.text[i]
	}
	return 0
}

// space gives the first place from i on that holds no white space.
func (w *walk) space(i int) int {
	for i < len(w.text) && w.text[i] <= ' ' && (w.text[i] == ' ' || w.text[i] == '\n' || w.text[i] == '\t' || w.text[i] == '\r') {
		i++
	}
	return i
}

// quote gives the place of the first quotation mark from i on that begins or ends
// a string, -1 for none.
func (w *walk) quote(i int) int {
	if m, _ := w.near(i); m != 0 {
		return i + bits.TrailingZeros64(m)
	}
	return w.laterQuote(i)
}

// near gives the quotation marks and the odd characters among the 64 bytes from i
// on, none when not both of their blocks were looked at yet. It is small enough to be
// part of what calls it.
func (w *walk) near(i int) (quotes, odd uint64) {
	b, at := uint(i)/block, uint(i)%block //nolint:gosec // no negative place
	if b+1 < uint(len(w.masks)) {
		m, n := &w.masks[b], &w.masks[b+1]
		return m.quotes>>at | n.quotes<<(block-at), m.odd>>at | n.odd<<(block-at)
	}
	return 0, 0
}

func (w *walk) laterQuote(i int) int {
	skip := uint(i) % block                         //nolint:gosec // as above
	for b := int(uint(i) / block); w.have(b); b++ { //nolint:gosec // as above
		if m := w.masks[b].quotes >> skip << skip; m != 0 {
			return b*block + bits.TrailingZeros64(m)
		}
		skip = 0
	}
	return -1
}

// isOdd reports whether a backslash or a dot stands between two places whose
// blocks were looked at.
func (w *walk) isOdd(from, to int) bool {
	n, at := uint(to-from), uint(from)%block //nolint:gosec // places in order, none negative
	b := uint(from) / block                  //nolint:gosec // as above
	m := w.masks[b].odd >> at
	if n <= block-at {
		return m<<(block-n) != 0 && n > 0
	}
	for end := uint(to) / block; m == 0 && b < end; { //nolint:gosec // as above
		if b++; b < end {
			m = w.masks[b].odd
		}
	}
	if rest := uint(to) % block; m == 0 && rest > 0 { //nolint:gosec // as above
		m = w.masks[b].odd << (block - rest)
	}
	return m != 0
}

// leave gives the place after the bracket that closes the object or array in
// which i lies.
func (w *walk) leave(i int) int {
	depth := 1
	skip := uint(i) % block                         //nolint:gosec // no negative place
	for b := int(uint(i) / block); w.have(b); b++ { //nolint:gosec // as above
		open, closed := w.masks[b].open>>skip<<skip, w.masks[b].closed>>skip<<skip
		skip = 0
		if open|closed == 0 {
			continue
		}
		if n := bits.OnesCount64(closed); n < depth {
			depth += bits.OnesCount64(open) - n
			continue
		}
		for closed != 0 {
			bit := closed & -closed
			depth += bits.OnesCount64(open&(bit-1)) - 1
			if depth == 0 {
				return b*block + bits.TrailingZeros64(bit) + 1
			}
			open &^= bit - 1
			closed &^= bit
		}
		depth += bits.OnesCount64(open)
	}
	return len(w.text)
}
