package store

import (
	_ "embed" // the dictionary
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// maxDocument bounds what a stored frame may unpack to: two findings of the
// greatest size that Security Hub takes, with room to spare.
const maxDocument = 16 << 20

// dictionary holds findings of the most frequent kinds as they are stored, without
// what differs from one to the next: what a finding has in common with them costs no
// bytes. A frame names the dictionary that it was made with; so a better one gets a
// number of its own, and this stays.
//
//go:embed dictionary/1.txt
var dictionary []byte

const dictionaryID = 1

// packEntryFrom is the length from which an entry of a finding's history is
// compressed: to compress less takes longer than to keep it saves.
const packEntryFrom = 512

// documents packs and unpacks the documents of findings. Final and original
// document share one frame, because they are nearly the same text: the second
// costs a few bytes.
type documents struct {
	enc  *zstd.Encoder // for anything
	find *zstd.Encoder // for findings, with the dictionary
	dec  *zstd.Decoder

	blocks sync.Pool // of *[]byte, for the documents of pages
}

func newDocuments() (*documents, error) {
	options := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1 << 19), zstd.WithLowerEncoderMem(true)}
	enc, err := zstd.NewWriter(nil, options...)
	if err != nil {
		return nil, err
	}
	find, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderDictRaw(dictionaryID, dictionary))...)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDocument), zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderDictRaw(dictionaryID, dictionary))
	if err != nil {
		return nil, err
	}
	return &documents{enc: enc, find: find, dec: dec}, nil
}

func (d *documents) close() {
	d.dec.Close()
	_ = errors.Join(d.enc.Close(), d.find.Close()) // an encoder without a writer has nothing to flush
}

// pack gives the frame of one document.
func (d *documents) pack(doc []byte) []byte {
	return d.enc.EncodeAll(doc, make([]byte, 0, len(doc)/2+64))
}

// packEntry gives an entry of a finding's history, which is JSON, as it is kept.
func (d *documents) packEntry(entry []byte) []byte {
	if len(entry) < packEntryFrom {
		return entry
	}
	return d.pack(entry)
}

// unpackEntry undoes packEntry and packBrief: no frame begins as an object does.
func (d *documents) unpackEntry(kept []byte) ([]byte, error) {
	switch {
	case len(kept) > 0 && kept[0] == '{':
		return kept, nil
	case len(kept) == 0 || kept[0] != briefMark:
		return d.unpack(kept)
	}
	if n, err := s2.DecodedLen(kept[1:]); err != nil || n > maxDocument {
		return nil, errors.New("the stored document is damaged")
	}
	return s2.Decode(nil, kept[1:])
}

// briefMark begins a document that is kept for a moment: S2 packs five times as fast as
// zstd, and less well. Neither JSON nor a frame begins with it.
const briefMark = 's'

// packBrief appends doc as it is kept for a moment.
func packBrief(to, doc []byte) []byte {
	at := len(to) + 1
	to = append(slices.Grow(to, 1+s2.MaxEncodedLen(len(doc))), briefMark)
	return to[:at+len(s2.Encode(to[at:cap(to)], doc))]
}

func (d *documents) unpack(frame []byte) ([]byte, error) {
	return d.dec.DecodeAll(frame, nil)
}

// packPair gives the frame of final and original: the length of final, final,
// original.
func (d *documents) packPair(final, original []byte) []byte {
	both := binary.AppendUvarint(make([]byte, 0, len(final)+len(original)+binary.MaxVarintLen64), uint64(len(final)))
	both = append(append(both, final...), original...)
	return d.find.EncodeAll(both, make([]byte, 0, len(both)/4+64))
}

func (d *documents) unpackPair(frame []byte) (final, original []byte, err error) {
	both, err := d.unpack(frame)
	if err != nil {
		return nil, nil, err
	}
	return splitPair(both)
}

func splitPair(both []byte) (final, original []byte, err error) {
	n, used := binary.Uvarint(both)
	if used <= 0 || n > uint64(len(both)-used) {
		return nil, nil, errors.New("the stored document is damaged")
	}
	both = both[used:]
	return both[:n:n], both[n:], nil
}
