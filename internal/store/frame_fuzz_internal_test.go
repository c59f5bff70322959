package store

import (
	"bytes"
	"testing"
)

// FuzzFrame unpacks any bytes as a stored frame: a damaged one is an error, and what is
// unpacked stays within the limit. What is packed comes back as it was.
func FuzzFrame(f *testing.F) {
	d, err := newDocuments()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(d.close)
	f.Add(d.pack([]byte(`{"a":1}`)))
	f.Add(d.packPair([]byte(`{"a":1}`), []byte(`{"a":2}`)))
	f.Add(d.packPair(bytes.Repeat([]byte("x"), 1<<20), nil))
	f.Add(d.packEntry([]byte(`{"a":"` + string(bytes.Repeat([]byte("y"), packEntryFrom)) + `"}`)))
	f.Add([]byte(`{"kept":"as it is"}`))
	f.Add(packBrief(nil, bytes.Repeat([]byte(`{"kept":"for a moment"}`), 99)))
	f.Add([]byte{briefMark, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, unpack := range []func([]byte) ([]byte, error){d.unpack, d.unpackEntry} {
			if out, err := unpack(raw); err == nil && len(out) > max(maxDocument, len(raw)) {
				t.Errorf("%d bytes became %d", len(raw), len(out))
			}
		}
		if doc, original, err := d.unpackPair(raw); err == nil && len(doc)+len(original) > maxDocument {
			t.Errorf("%d bytes became %d and %d", len(raw), len(doc), len(original))
		}
		half := len(raw) / 2
		doc, original, err := d.unpackPair(d.packPair(raw[:half], raw[half:]))
		if err != nil || !bytes.Equal(doc, raw[:half]) || !bytes.Equal(original, raw[half:]) {
			t.Errorf("a pair came back as %q and %q: %v", doc, original, err)
		}
		if out, err := d.unpackEntry(packBrief(nil, raw)); err != nil || !bytes.Equal(out, raw) {
			t.Errorf("a document kept for a moment came back as %q: %v", out, err)
		}
		if out, err := d.unpack(d.pack(raw)); err != nil || !bytes.Equal(out, raw) {
			t.Errorf("a document came back as %q: %v", out, err)
		}
	})
}
