package service

import "fmt"

// UUID gives the identifier in the form of AWS's that stands for a digest, of which the
// first 16 bytes count: version 8 of RFC 9562, whose bits are the maker's own. The same
// digest gives the same identifier, on every node and in every replay.
func UUID(digest [32]byte) string {
	b := digest[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
