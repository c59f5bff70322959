package script

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzFrame reads any bytes as frames of a script: none is larger than the limit or
// deeper than maxDepth, and what is no JSON ends in an error of decode, not in a panic.
func FuzzFrame(f *testing.F) {
	framed := func(text string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	}
	f.Add(framed(`{"op":"call","args":{"a":[1,2.5,null]}}`))
	f.Add(append(framed(`[]`), framed(`{"a":"\u0000\""}`)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 9, '['})
	f.Fuzz(func(t *testing.T, raw []byte) {
		const limit = 1 << 16
		in := bytes.NewReader(raw)
		for {
			got, err := readFrame(in, limit)
			if len(got) > limit {
				t.Fatalf("%d bytes", len(got))
			}
			if err != nil {
				return
			}
			_, _ = decode(got)
		}
	})
}
