package pattern

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// The widths at which the processor compares bytes: 32 and 64 at a time.
var (
	wide  = cpu.X86.HasAVX2 && cpu.X86.HasPCLMULQDQ
	wider = wide && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL
)

// maskBlocks fills out with the masks of s, which has a whole block for each.
func maskBlocks(s string, out []masks, c *carry) {
	switch {
	case wider:
		_ = s[len(out)*block-1] // what the assembly reads
		maskAVX512(unsafe.StringData(s), len(out), &out[0], c)
	case wide:
		_ = s[len(out)*block-1]
		maskAVX2(unsafe.StringData(s), len(out), &out[0], c)
	default:
		maskPortable(s, out, c)
	}
}

// maskAVX2 reads blocks times 64 bytes at p and writes as many masks.
//
//go:noescape
func maskAVX2(p *byte, blocks int, out *masks, c *carry)

// maskAVX512 is maskAVX2 with a comparison for each block and byte.
//
//go:noescape
func maskAVX512(p *byte, blocks int, out *masks, c *carry)
