package apimodel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// magic starts every archive; the digit is the version of the packed form.
const magic = "parry-models-1\n"

// maxRaw is the most that one packed service may unfold to. The largest, EC2,
// is under 1 MB.
const maxRaw = 16 << 20

// entry is what the archive says about a service without unpacking it.
type entry struct {
	name, id, endpointPrefix, signingName string
	operations                            int
	packed                                []byte
}

// WriteArchive packs services, which must be sorted by name, into one archive.
// source names where they come from. The same input gives the same bytes.
func WriteArchive(source string, services []*Service) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true), zstd.WithWindowSize(4<<20))
	if err != nil {
		return nil, fmt.Errorf("start compressor: %w", err)
	}
	defer func() { _ = enc.Close() }()
	head := binary.AppendUvarint(appendText([]byte(magic), source), uint64(len(services)))
	var body []byte
	for _, s := range services {
		raw, err := EncodeService(s)
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", s.Name, err)
		}
		packed := enc.EncodeAll(raw, nil)
		for _, text := range []string{s.Name, s.ID, s.EndpointPrefix, s.SigningName} {
			head = appendText(head, text)
		}
		head = binary.AppendUvarint(head, uint64(len(s.Operations)))
		head = binary.AppendUvarint(head, uint64(len(packed)))
		body = append(body, packed...)
	}
	return append(head, body...), nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// readIndex reads an archive's table of contents.
func readIndex(archive []byte) (source string, entries []entry, err error) {
	rest, ok := bytes.CutPrefix(archive, []byte(magic))
	if !ok {
		return "", nil, fmt.Errorf("%w: not a model archive of this version", errCorrupt)
	}
	r := &indexReader{rest: rest}
	source = r.text()
	n := r.number()
	if n > len(rest) {
		return "", nil, errCorrupt
	}
	sizes := make([]int, n)
	entries = make([]entry, n)
	for i := range entries {
		entries[i] = entry{name: r.text(), id: r.text(), endpointPrefix: r.text(), signingName: r.text(), operations: r.number()}
		sizes[i] = r.number()
	}
	for i := range entries {
		entries[i].packed = r.take(sizes[i])
	}
	if r.bad || len(r.rest) != 0 {
		return "", nil, errCorrupt
	}
	return source, entries, nil
}

type indexReader struct {
	rest []byte
	bad  bool
}

func (r *indexReader) number() int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > 1<<30 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

func (r *indexReader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *indexReader) text() string { return strings.Clone(string(r.take(r.number()))) }
