package pattern

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

var wide = cpu.X86.HasAVX2 && cpu.X86.HasPCLMULQDQ

// maskBlocks fills out with the masks of s, which has a whole block for each.
func maskBlocks(s string, out []masks, c *carry) {
	if !wide {
		maskPortable(s, out, c)
		return
	}
	_ = s[len(out)*block-1] // what the assembly reads
	maskAVX2(unsafe.StringData(s), len(out), &out[0], c)
}

// maskAVX2 reads blocks times 64 bytes at p and writes as many masks.
//
//go:noescape
func maskAVX2(p *byte, blocks int, out *masks, c *carry)
