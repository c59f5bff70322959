package store

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/zstd"
)

// maxDocument bounds what a stored frame may unpack to: two findings of the
// greatest size that Security Hub takes, with room to spare.
const maxDocument = 16 << 20

// documents packs and unpacks the documents of findings. Final and original
// document share one frame, because they are nearly the same text: the second
// costs a few bytes.
type documents struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newDocuments() (*documents, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<19), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDocument), zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &documents{enc: enc, dec: dec}, nil
}

func (d *documents) close() {
	d.dec.Close()
	_ = d.enc.Close() // an encoder without a writer has nothing to flush
}

// pack gives the frame of one document.
func (d *documents) pack(doc []byte) []byte {
	return d.enc.EncodeAll(doc, make([]byte, 0, len(doc)/2+64))
}

func (d *documents) unpack(frame []byte) ([]byte, error) {
	return d.dec.DecodeAll(frame, nil)
}

// packPair gives the frame of final and original: the length of final, final,
// original.
func (d *documents) packPair(final, original []byte) []byte {
	both := binary.AppendUvarint(make([]byte, 0, len(final)+len(original)+binary.MaxVarintLen64), uint64(len(final)))
	return d.pack(append(append(both, final...), original...))
}

func (d *documents) unpackPair(frame []byte) (final, original []byte, err error) {
	both, err := d.unpack(frame)
	if err != nil {
		return nil, nil, err
	}
	n, used := binary.Uvarint(both)
	if used <= 0 || n > uint64(len(both)-used) {
		return nil, nil, errors.New("the stored document is damaged")
	}
	both = both[used:]
	return both[:n:n], both[n:], nil
}
