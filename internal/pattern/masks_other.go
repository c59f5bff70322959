//go:build !amd64

package pattern

// maskBlocks fills out with the masks of s, which has a whole block for each.
func maskBlocks(s string, out []masks, c *carry) { maskPortable(s, out, c) }
