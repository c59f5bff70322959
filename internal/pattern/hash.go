package pattern

import "hash/maphash"

// seed makes the hashes of this process unforeseeable, so that nobody can write
// events or patterns whose hashes collide.
var seed = maphash.MakeSeed()

func hashOf(s string) uint64 { return maphash.String(seed, s) }

// hashKey is hashOf for both kinds of text.
func hashKey[K string | []byte](key K) uint64 {
	switch key := any(key).(type) {
	case string:
		return maphash.String(seed, key)
	case []byte:
		return maphash.Bytes(seed, key)
	}
	return 0
}
