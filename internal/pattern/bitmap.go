package pattern

import (
	"math/bits"
	"slices"
)

// bitmap is a set of small numbers that is not changed once made; nil is empty.
type bitmap []uint64

func (b bitmap) has(n int32) bool { return len(b) > 0 && b[n>>6]>>(n&63)&1 != 0 }

// with gives a copy that has n too, of the numbers below size.
func (b bitmap) with(n, size int) bitmap {
	out := slices.Clone(b)
	if out == nil {
		out = make(bitmap, (size+63)/64)
	}
	out[n>>6] |= 1 << (n & 63)
	return out
}

func (b bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}
