package apimodel

import (
	_ "embed"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/parry-security/parry/internal/fault"
)

//go:embed models.bin
var embedded []byte

// Catalog gives the models of all services, each unpacked when it is first
// asked for and shared from then on. Safe for concurrent use.
type Catalog struct {
	source     string
	entries    []lazyService
	byKey      map[string][]int // folded name -> entries that answer to it
	decoder    *zstd.Decoder
	similar    func() (*zstd.Decoder, error) // for what was packed with the dictionary
	partitions func() (*Partitions, error)
}

type lazyService struct {
	entry
	once    sync.Once
	service *Service
	err     error
}

// Load opens the embedded archive. It reads the table of contents only.
func Load() (*Catalog, error) { return Open(embedded) }

// Open reads the table of contents of an archive that WriteArchive made.
func Open(archive []byte) (*Catalog, error) {
	contents, err := readContents(archive)
	if err != nil {
		return nil, fault.E(fault.Internal, "read API models", err)
	}
	decoder, err := newDecoder()
	if err != nil {
		return nil, fault.E(fault.Internal, "read API models", err)
	}
	c := &Catalog{source: contents.source, entries: make([]lazyService, len(contents.entries)), byKey: map[string][]int{}, decoder: decoder}
	for i := range contents.entries {
		c.entries[i].entry = contents.entries[i]
	}
	c.similar = sync.OnceValues(func() (*zstd.Decoder, error) {
		dictionary, err := decoder.DecodeAll(contents.dictionary, nil)
		if err != nil {
			return nil, err
		}
		return newDecoder(zstd.WithDecoderDictRaw(dictionaryID, dictionary))
	})
	c.partitions = sync.OnceValues(func() (*Partitions, error) {
		raw, err := decoder.DecodeAll(contents.partitions, nil)
		if err != nil {
			return nil, fault.E(fault.Internal, "unpack partitions", err)
		}
		return ParsePartitions(raw)
	})
	// A name wins over a service id, and both over an endpoint prefix, which
	// several services may share.
	c.addKeys(func(e *entry) string { return e.name })
	c.addKeys(func(e *entry) string { return e.id })
	c.addKeys(func(e *entry) string { return e.endpointPrefix })
	return c, nil
}

func newDecoder(more ...zstd.DOption) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, append(more, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRaw))...)
}

func (c *Catalog) addKeys(of func(*entry) string) {
	round := map[string][]int{}
	for i := range c.entries {
		key := foldName(of(&c.entries[i].entry))
		if len(c.byKey[key]) == 0 {
			round[key] = append(round[key], i)
		}
	}
	for key, found := range round {
		c.byKey[key] = found
	}
}

// Source says where the models come from: "botocore 1.43.11".
func (c *Catalog) Source() string { return c.source }

// Services lists boto3's service names in order.
func (c *Catalog) Services() []string {
	names := make([]string, len(c.entries))
	for i := range c.entries {
		names[i] = c.entries[i].name
	}
	return names
}

// Operations counts the operations of all services without unpacking them.
func (c *Catalog) Operations() int {
	n := 0
	for i := range c.entries {
		n += c.entries[i].operations
	}
	return n
}

// Service finds a service by boto3's name, its service id or its endpoint
// prefix, in any case and with or without hyphens. A prefix that several
// services share is refused, with their names.
func (c *Catalog) Service(name string) (*Service, error) {
	found := c.byKey[foldName(name)]
	switch len(found) {
	case 0:
		return nil, fault.Errorf(fault.NotFound, "find API model", "unknown service: %q", name).
			WithHint("use boto3's service name, such as s3 or securityhub")
	case 1:
		return c.load(&c.entries[found[0]])
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = c.entries[f].name
	}
	sort.Strings(names)
	return nil, fault.Errorf(fault.Invalid, "find API model", "service %q is ambiguous", name).
		WithHint("use one of %s", strings.Join(names, ", "))
}

// Find resolves a service and an operation in any spelling.
func (c *Catalog) Find(service, operation string) (*Service, *Operation, error) {
	s, err := c.Service(service)
	if err != nil {
		return nil, nil, err
	}
	op, ok := s.Operation(operation)
	if !ok {
		return nil, nil, fault.Errorf(fault.NotFound, "find API model", "service %s has no operation %q", s.Name, operation).
			WithHint("%s", nearest(s, operation))
	}
	return s, op, nil
}

// Partitions are AWS's separate clouds.
func (c *Catalog) Partitions() (*Partitions, error) { return c.partitions() }

func (c *Catalog) load(e *lazyService) (*Service, error) {
	e.once.Do(func() {
		raw, err := c.decoder.DecodeAll(e.packed[partModel], nil)
		if err == nil {
			e.service, err = DecodeService(raw)
		}
		if err != nil {
			e.err = fault.E(fault.Internal, "unpack API model of "+e.name, err)
			return
		}
		e.service.calls = sync.OnceValues(func() (callModels, error) { return unpack(c, e, partCalls, parseCalls) })
		e.service.rules = sync.OnceValues(func() (*RuleSet, error) { return unpack(c, e, partRules, ParseRuleSet) })
	})
	return e.service, e.err
}

// unpack reads one part of a service; the zero value where it has none.
func unpack[T any](c *Catalog, e *lazyService, part int, parse func([]byte) (T, error)) (v T, err error) {
	if len(e.packed[part]) == 0 {
		return v, nil
	}
	decoder, err := c.similar()
	if err != nil {
		return v, fault.E(fault.Internal, "unpack API model of "+e.name, err)
	}
	raw, err := decoder.DecodeAll(e.packed[part], nil)
	if err != nil {
		return v, fault.E(fault.Internal, "unpack API model of "+e.name, err)
	}
	if v, err = parse(raw); err != nil {
		return v, fault.E(fault.Internal, "read API model of "+e.name, err)
	}
	return v, nil
}

// nearest words a hint with the operations that start alike.
func nearest(s *Service, operation string) string {
	want := foldName(operation)
	var near []string
	for size := len(want); size >= 4 && len(near) == 0; size-- {
		for _, op := range s.Operations {
			if strings.HasPrefix(foldName(op.Name), want[:size]) && len(near) < 5 {
				near = append(near, op.Name)
			}
		}
	}
	if len(near) == 0 {
		return fmt.Sprintf("%s has %d operations", s.Name, len(s.Operations))
	}
	return "did you mean " + strings.Join(near, ", ") + "?"
}
