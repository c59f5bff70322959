package store

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDictionary holds what the dictionary is for: findings as Security Hub has them
// take a fifth less, and frames made without it are still read.
func TestDictionary(t *testing.T) {
	t.Parallel()
	d, err := newDocuments()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	files, err := filepath.Glob("../finding/testdata/asff/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d findings to try, %v", len(files), err)
	}
	with, without := 0, 0
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		frame := d.packPair(raw, raw)
		final, original, err := d.unpackPair(frame)
		if err != nil || !bytes.Equal(final, raw) || !bytes.Equal(original, raw) {
			t.Fatalf("%s comes back otherwise: %v", name, err)
		}
		plain := d.pack(raw)
		if again, err := d.unpack(plain); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%s without a dictionary comes back otherwise: %v", name, err)
		}
		with, without = with+len(frame), without+len(plain)
	}
	t.Logf("%d findings: %d bytes, %d without a dictionary", len(files), with, without)
	if with*5 > without*4 {
		t.Errorf("%d bytes with the dictionary, %d without", with, without)
	}
}

// What is stored is read with the dictionary that it was made with: to change a file
// loses findings. A better dictionary is a new file with a number of its own.
func TestDictionaryStays(t *testing.T) {
	t.Parallel()
	const want = "bd5f1683228d3ea81987d6c6184f87e26b212d1070fbae8862777a7dc423ca2b"
	if got := fmt.Sprintf("%x", sha256.Sum256(dictionary)); got != want {
		t.Errorf("dictionary/1.txt has digest %s, want %s: it must stay to the byte, line ends too", got, want)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	d, err := newDocuments()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	long := []byte(`{"a":"` + strings.Repeat("x", packEntryFrom) + `"}`)
	for _, entry := range [][]byte{[]byte(`{}`), long[:packEntryFrom-1], long} {
		kept := d.packEntry(entry)
		if again, err := d.unpackEntry(kept); err != nil || !bytes.Equal(again, entry) {
			t.Errorf("%.20s… comes back as %.20s…, %v", entry, again, err)
		}
	}
	if kept := packBrief([]byte("before"), long)[len("before"):]; len(kept) >= len(long)/2 {
		t.Errorf("%d bytes are kept in %d", len(long), len(kept))
	} else if again, err := d.unpackEntry(kept); err != nil || !bytes.Equal(again, long) {
		t.Errorf("kept for a moment, it comes back as %.20s…, %v", again, err)
	}
	if kept := d.packEntry(long); len(kept) >= len(long) {
		t.Error("a long entry is not compressed")
	}
}
