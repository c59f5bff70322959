package pattern

import "unsafe"

// maskWays are all ways to make masks that this machine has.
func maskWays() map[string]func(string, []masks, *carry) {
	ways := map[string]func(string, []masks, *carry){"as chosen": maskBlocks, "portable": maskPortable}
	for name, mask := range map[string]func(*byte, int, *masks, *carry){"AVX2": maskAVX2, "AVX-512": maskAVX512} {
		if name == "AVX2" && wide || wider {
			ways[name] = func(s string, out []masks, c *carry) { mask(unsafe.StringData(s), len(out), &out[0], c) }
		}
	}
	return ways
}
