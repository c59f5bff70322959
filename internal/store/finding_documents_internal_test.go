package store

import (
	"bytes"
	"strings"
	"testing"
)

func TestRoomIsBoundedAndNoTwoDocumentsShareIt(t *testing.T) {
	t.Parallel()
	d, err := newDocuments()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	in := &room{docs: d}
	for round := range 3 {
		var parts [][]byte
		for i := range 3 * maxBlocks * blockSize / 100_000 {
			b := in.take(100_000)
			if len(b) != 0 || cap(b) != 100_000 {
				t.Fatalf("a part of %d bytes with room for %d", len(b), cap(b))
			}
			parts = append(parts, append(b, bytes.Repeat([]byte{byte(i + round)}, 100_000)...))
		}
		parts = append(parts, append(in.take(blockSize+1), strings.Repeat("z", blockSize+1)...))
		for i, p := range parts[:len(parts)-1] {
			if bytes.Count(p, []byte{byte(i + round)}) != len(p) {
				t.Fatalf("part %d was written over", i)
			}
		}
		if len(in.blocks) != maxBlocks {
			t.Errorf("%d blocks are taken, want %d", len(in.blocks), maxBlocks)
		}
		in.release()
		if in.release(); len(in.blocks) != 0 {
			t.Error("blocks are kept after their release")
		}
	}
}

func TestUnpackingInARoomGivesTheSame(t *testing.T) {
	t.Parallel()
	d, err := newDocuments()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	in := &room{docs: d}
	for _, size := range []int{0, 1, 200, 255, 256, 4000, 65_000, blockSize - 80, blockSize, 3 * blockSize} {
		final, original := []byte(strings.Repeat("f", size)), []byte(strings.Repeat("o", size/2))
		for _, frame := range [][]byte{d.packPair(final, original), d.packPair(final, nil)} {
			a, b, err := d.unpackPair(frame)
			if err != nil {
				t.Fatal(err)
			}
			c, e, err := d.unpackPairIn(frame, in)
			if err != nil || !bytes.Equal(a, c) || !bytes.Equal(b, e) {
				t.Errorf("%d bytes: %d and %d, %v; want %d and %d", size, len(c), len(e), err, len(a), len(b))
			}
			frame[len(frame)-1] ^= 0xff
			if _, _, err := d.unpackPairIn(frame, in); err == nil {
				t.Errorf("%d bytes: a damaged frame is read", size)
			}
			if _, _, err := d.unpackPairIn(frame[:len(frame)/2], in); err == nil {
				t.Errorf("%d bytes: half a frame is read", size)
			}
		}
	}
}
