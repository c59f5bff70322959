package apimodel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// The packed form of a service is a table of its strings followed by its
// fields. One set of walk functions both writes and reads it, so that the two
// cannot drift apart: they run once to collect the strings, once to write, and
// on the other side once to read.

type codecMode uint8

const (
	collecting codecMode = iota
	writing
	reading
)

// errCorrupt is every fault of a packed model; the archive is embedded, so only
// a broken build or a fuzzer sees it.
var errCorrupt = errors.New("packed model is damaged")

// maxShapes is far above the largest service (EC2 has about 4,000): a damaged
// count must not allocate gigabytes.
const maxShapes = 100_000

type codec struct {
	mode   codecMode
	count  map[string]int // collecting
	index  map[string]int // writing
	out    []byte         // writing
	in     []byte         // reading
	table  []string       // reading
	shapes []*Shape       // reading
	number map[*Shape]int // writing
	err    error
}

// EncodeService packs s. The same service always gives the same bytes.
func EncodeService(s *Service) ([]byte, error) {
	c := &codec{mode: collecting, count: map[string]int{}, number: map[*Shape]int{}}
	for i, sh := range s.Shapes {
		c.number[sh] = i
	}
	c.service(s)
	table := make([]string, 0, len(c.count))
	for str := range c.count {
		table = append(table, str)
	}
	// Neighbours that look alike compress best, so the table is alphabetical.
	sort.Strings(table)
	c.mode, c.index = writing, make(map[string]int, len(table))
	c.out = binary.AppendUvarint(nil, uint64(len(table)))
	for i, str := range table {
		c.index[str] = i
		c.out = binary.AppendUvarint(c.out, uint64(len(str)))
	}
	c.out = append(c.out, strings.Join(table, "")...)
	c.service(s)
	return c.out, c.err
}

// DecodeService unpacks what EncodeService packed.
func DecodeService(packed []byte) (*Service, error) {
	c := &codec{mode: reading, in: packed}
	c.strings()
	s := &Service{}
	c.service(s)
	if c.err == nil && len(c.in) != 0 {
		c.err = fmt.Errorf("%w: %d bytes left over", errCorrupt, len(c.in))
	}
	if c.err != nil {
		return nil, c.err
	}
	s.index()
	return s, nil
}

func (c *codec) strings() {
	n := c.length(1)
	lengths, total := make([]int, n), 0
	for i := range lengths {
		lengths[i] = c.length(0)
		total += lengths[i]
		if total > len(c.in) {
			c.fail()
			return
		}
	}
	if c.err != nil || total > len(c.in) {
		c.fail()
		return
	}
	text := string(c.in[:total])
	c.in = c.in[total:]
	c.table = make([]string, n)
	for i, l := range lengths {
		c.table[i], text = text[:l], text[l:]
	}
}

func (c *codec) fail() {
	if c.err == nil {
		c.err = errCorrupt
	}
}

// length reads a count of things of at least size bytes each, so that a
// damaged count cannot make the reader allocate more than the input could hold.
func (c *codec) length(size int) int {
	v := 0
	c.int(&v)
	if v < 0 || (size > 0 && v > len(c.in)/size) {
		c.fail()
		return 0
	}
	return v
}

func (c *codec) int(v *int) {
	switch c.mode {
	case writing:
		c.out = binary.AppendUvarint(c.out, uint64(*v))
	case reading:
		u, n := binary.Uvarint(c.in)
		if n <= 0 || u > 1<<31 || c.err != nil {
			c.fail()
			*v = 0
			return
		}
		*v, c.in = int(u), c.in[n:]
	}
}

func (c *codec) str(v *string) {
	switch c.mode {
	case collecting:
		c.count[*v]++
	case writing:
		i := c.index[*v]
		c.int(&i)
	case reading:
		i := 0
		c.int(&i)
		if i >= len(c.table) {
			c.fail()
			return
		}
		*v = c.table[i]
	}
}

func (c *codec) strs(v *[]string) {
	each(c, v, 1, c.str)
}

// slice writes or reads the number of elements.
func (c *codec) slice(have, size int) int {
	if c.mode == reading {
		return c.length(size)
	}
	c.int(&have)
	return have
}

// fields writes or reads which optional fields are there. Strings and lists
// that are there follow in order; a flag is its bit alone.
func (c *codec) fields(fs ...any) {
	mask := 0
	if c.mode != reading {
		for i, f := range fs {
			if present(f) {
				mask |= 1 << i
			}
		}
	}
	c.int(&mask)
	for i, f := range fs {
		if mask&(1<<i) != 0 {
			c.field(f)
		}
	}
}

func present(f any) bool {
	switch v := f.(type) {
	case *string:
		return *v != ""
	case *int:
		return *v != 0
	case *bool:
		return *v
	case *[]string:
		return len(*v) > 0
	case **Shape:
		return *v != nil
	case *[]*Shape:
		return len(*v) > 0
	case *[]Member:
		return len(*v) > 0
	case *Member:
		return v.Shape != nil
	case *XMLNamespace:
		return *v != XMLNamespace{}
	case *[]Scope:
		return len(*v) > 0
	case *[]ContextParam:
		return len(*v) > 0
	}
	return false
}

func (c *codec) field(f any) {
	switch v := f.(type) {
	case *string:
		c.str(v)
	case *int:
		c.int(v)
	case *bool:
		*v = true
	case *[]string:
		c.strs(v)
	case **Shape:
		c.ref(v)
	case *[]*Shape:
		each(c, v, 1, c.ref)
	case *[]Member:
		each(c, v, 3, c.member)
	case *Member:
		c.member(v)
	case *XMLNamespace:
		c.str(&v.URI)
		c.str(&v.Prefix)
	case *[]Scope:
		each(c, v, 3, func(s *Scope) {
			c.str(&s.Partition)
			c.str(&s.Region)
			c.str(&s.SigningName)
		})
	case *[]ContextParam:
		each(c, v, 2, func(p *ContextParam) {
			c.str(&p.Name)
			c.fields(&p.Value, &p.Path, &p.Bool)
		})
	}
}

// each writes or reads a list whose elements take at least size bytes.
func each[T any](c *codec, list *[]T, size int, element func(*T)) {
	n := c.slice(len(*list), size)
	if c.mode == reading {
		*list = make([]T, n)
	}
	for i := range *list {
		element(&(*list)[i])
	}
}

func (c *codec) ref(v **Shape) {
	i := 0
	if c.mode != reading {
		i = c.number[*v]
	}
	c.int(&i)
	if c.mode != reading {
		return
	}
	if i >= len(c.shapes) {
		c.fail()
		return
	}
	*v = c.shapes[i]
}

func (c *codec) member(m *Member) {
	c.str(&m.Name)
	c.ref(&m.Shape)
	c.fields(&m.LocationName, &m.Location, &m.QueryName, &m.XMLNamespace,
		&m.IdempotencyToken, &m.JSONValue, &m.HostLabel, &m.Flattened,
		&m.Streaming, &m.XMLAttribute, &m.Deprecated, &m.EventPayload, &m.EventHeader, &m.ContextParam)
}

func (c *codec) service(s *Service) {
	c.fields(&s.Name, &s.ID, &s.APIVersion, &s.EndpointPrefix, &s.SigningName,
		&s.SignatureVersion, &s.Protocol, &s.Protocols, &s.JSONVersion, &s.TargetPrefix,
		&s.GlobalEndpoint, &s.XMLNamespace, &s.Auth, &s.QueryCompatible, &s.Scopes, &s.ClientContext)
	n := c.slice(len(s.Shapes), 3)
	if n > maxShapes {
		c.fail()
		return
	}
	if c.mode == reading {
		// One block for all shapes: a service has up to ten thousand.
		block := make([]Shape, n)
		s.Shapes = make([]*Shape, n)
		for i := range block {
			s.Shapes[i] = &block[i]
		}
		c.shapes = s.Shapes
	}
	for _, sh := range s.Shapes {
		c.shape(sh)
	}
	n = c.slice(len(s.Operations), 2)
	if c.mode == reading {
		s.Operations = make([]*Operation, n)
	}
	for i := range s.Operations {
		if c.mode == reading {
			s.Operations[i] = &Operation{}
		}
		c.operation(s.Operations[i])
	}
}

func (c *codec) shape(s *Shape) {
	c.str(&s.Name)
	t := int(s.Type)
	c.int(&t)
	s.Type = Type(t) //nolint:gosec // checked on the next line
	if t >= len(typeNames) {
		c.fail()
	}
	c.fields(&s.Members, &s.Required, &s.Elem, &s.Key, &s.Value, &s.Min, &s.Max, &s.Enum, &s.Pattern,
		&s.Payload, &s.TimestampFormat, &s.LocationName, &s.XMLNamespace, &s.ErrorCode, &s.ErrorStatus,
		&s.Exception, &s.Fault, &s.SenderFault, &s.Retryable, &s.Sensitive, &s.Union, &s.Document,
		&s.EventStream, &s.Event, &s.Streaming, &s.Flattened, &s.Deprecated, &s.RequiresLength, &s.Sparse, &s.Wrapper)
	if c.mode == reading && c.err == nil && !s.whole() {
		c.fail()
	}
}

// whole reports whether a container has the members that its type needs, so
// that no reader of the model has to ask again.
func (s *Shape) whole() bool {
	switch s.Type {
	case List:
		return s.Elem.Shape != nil
	case Map:
		return s.Key.Shape != nil && s.Value.Shape != nil
	}
	return true
}

func (c *codec) operation(o *Operation) {
	c.str(&o.Name)
	wire := o.WireName
	if wire == o.Name {
		wire = "" // the usual case costs nothing
	}
	c.fields(&wire, &o.Method, &o.URI, &o.ResponseCode, &o.Input, &o.Output, &o.InputName, &o.InputXMLNS,
		&o.ResultWrapper, &o.Errors, &o.AuthType, &o.Auth, &o.HostPrefix,
		&o.Checksum.MD5, &o.Checksum.Required, &o.Checksum.AlgorithmMember, &o.Checksum.ModeMember,
		&o.ReadOnly, &o.Idempotent, &o.Deprecated, &o.UnsignedPayload, &o.Context)
	if c.mode != reading {
		return
	}
	if o.WireName = wire; wire == "" {
		o.WireName = o.Name
	}
}
