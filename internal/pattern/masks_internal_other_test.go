//go:build !amd64

package pattern

// maskWays are all ways to make masks that this machine has.
func maskWays() map[string]func(string, []masks, *carry) {
	return map[string]func(string, []masks, *carry){"portable": maskPortable}
}
