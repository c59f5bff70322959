package apimodel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// magic starts every archive; the digit is the version of the packed form.
const magic = "parry-models-2\n"

// maxRaw is the most that one packed part may unfold to. The largest, the
// shapes of EC2, are under 1 MB.
const maxRaw = 16 << 20

// dictionaryID marks what was packed with the archive's dictionary.
const dictionaryID = 1

// Archive is what WriteArchive packs.
type Archive struct {
	Source     string          // where the models come from
	Partitions json.RawMessage // AWS's partitions, as botocore has them
	// Dictionary is text that is typical for rule sets: rule sets of small
	// services differ in little but a name, so each is packed as its difference.
	Dictionary []byte
	Services   []Packed // sorted by name
}

// Packed is one service in an archive. Its parts are unpacked one by one, each
// when it is first asked for.
type Packed struct {
	Service    *Service
	Paginators map[string]Paginator // by operation
	Waiters    map[string]Waiter    // by name
	Rules      json.RawMessage      // endpoint rule set; nil where there is none
}

// parts are what an archive keeps of a service.
const (
	partModel = iota // packed by codec.go
	partCalls        // callModels as JSON
	partRules        // rule set as JSON
	partCount
)

// entry is what the archive says about a service without unpacking it.
type entry struct {
	name, id, endpointPrefix, signingName string
	operations                            int
	packed                                [partCount][]byte // nil where there is nothing
}

// contents are an archive's table of contents, and what all services share.
type contents struct {
	source                 string
	partitions, dictionary []byte // packed
	entries                []entry
}

// WriteArchive packs a into one archive. The same input gives the same bytes.
func WriteArchive(a Archive) ([]byte, error) {
	plain, err := newEncoder()
	if err != nil {
		return nil, err
	}
	defer func() { _ = plain.Close() }()
	similar, err := newEncoder(zstd.WithEncoderDictRaw(dictionaryID, a.Dictionary))
	if err != nil {
		return nil, err
	}
	defer func() { _ = similar.Close() }()
	head := appendText([]byte(magic), a.Source)
	head = appendText(head, string(plain.EncodeAll(a.Partitions, nil)))
	head = appendText(head, string(plain.EncodeAll(a.Dictionary, nil)))
	head = binary.AppendUvarint(head, uint64(len(a.Services)))
	var body []byte
	for _, p := range a.Services {
		parts, err := p.parts()
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", p.Service.Name, err)
		}
		for _, text := range []string{p.Service.Name, p.Service.ID, p.Service.EndpointPrefix, p.Service.SigningName} {
			head = appendText(head, text)
		}
		head = binary.AppendUvarint(head, uint64(len(p.Service.Operations)))
		for i, raw := range parts {
			enc := similar
			if i == partModel {
				enc = plain
			}
			before := len(body)
			if len(raw) > 0 {
				body = enc.EncodeAll(raw, body)
			}
			head = binary.AppendUvarint(head, uint64(len(body)-before))
		}
	}
	return append(head, body...), nil
}

func newEncoder(more ...zstd.EOption) (*zstd.Encoder, error) {
	enc, err := zstd.NewWriter(nil, append(more, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true), zstd.WithWindowSize(4<<20))...)
	if err != nil {
		return nil, fmt.Errorf("start compressor: %w", err)
	}
	return enc, nil
}

func (p *Packed) parts() (parts [partCount][]byte, err error) {
	if parts[partModel], err = EncodeService(p.Service); err != nil {
		return parts, err
	}
	if len(p.Paginators)+len(p.Waiters) > 0 {
		if parts[partCalls], err = json.Marshal(callModels{Paginators: p.Paginators, Waiters: p.Waiters}); err != nil {
			return parts, err
		}
	}
	if len(p.Rules) > 0 {
		if _, err := ParseRuleSet(p.Rules); err != nil {
			return parts, err
		}
		parts[partRules] = p.Rules
	}
	return parts, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// readContents reads an archive's table of contents.
func readContents(archive []byte) (*contents, error) {
	rest, ok := bytes.CutPrefix(archive, []byte(magic))
	if !ok {
		return nil, fmt.Errorf("%w: not a model archive of this version", errCorrupt)
	}
	r := &indexReader{rest: rest}
	c := &contents{source: r.text(), partitions: r.take(r.number()), dictionary: r.take(r.number())}
	n := r.number()
	if n > len(r.rest) {
		return nil, errCorrupt
	}
	sizes := make([][partCount]int, n)
	c.entries = make([]entry, n)
	for i := range c.entries {
		c.entries[i] = entry{name: r.text(), id: r.text(), endpointPrefix: r.text(), signingName: r.text(), operations: r.number()}
		for part := range sizes[i] {
			sizes[i][part] = r.number()
		}
	}
	for i := range c.entries {
		for part, size := range sizes[i] {
			if size > 0 {
				c.entries[i].packed[part] = r.take(size)
			}
		}
	}
	if r.bad || len(r.rest) != 0 {
		return nil, errCorrupt
	}
	return c, nil
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
