package pattern

import (
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
)

// kind is what a leaf of an event is.
type kind uint8

const (
	kindString kind = iota + 1
	kindNumber
	kindTrue
	kindFalse
	kindNull
)

// Event is a parsed event, ready to be matched against many patterns. It is not
// changed by matching and may be shared.
type Event struct {
	// names is the tree of member names: a path is a way through it. A name with
	// dots is several steps, so that {"a.b":1} and {"a":{"b":1}} have one path.
	names map[edge]int32
	// fields holds the leaves of each path, by its place in the tree.
	fields [][]leaf
	// elements are the array elements that hold objects or arrays. A leaf below
	// one must agree with the other leaves that a pattern uses about which
	// element of an array is meant.
	elements []element
}

// edge leads from a path to a longer one.
type edge struct {
	from int32
	step string
}

type leaf struct {
	kind kind
	text string // a string's characters, or the literal
	num  number // of a number
	in   int32  // innermost element that holds the leaf, noElement for none
}

const noElement int32 = -1

type element struct {
	array  int32 // which array, in order of appearance
	parent int32 // the element around it
	depth  int32 // how many elements are around it
	place  int32 // how many elements of the array are before it; kept by sets only
}

// ParseEvent reads one event, which must be exactly one JSON object.
func ParseEvent(raw []byte) (*Event, error) {
	const op = "parse event"
	if len(raw) > MaxEventBytes {
		return nil, fault.Errorf(fault.Invalid, op, "%d bytes are more than the limit of %d", len(raw), MaxEventBytes).
			WithHint("send large content by reference, for example an S3 object")
	}
	if !utf8.Valid(raw) {
		return nil, fault.Errorf(fault.Invalid, op, "the text is not UTF-8").WithHint("save the text as UTF-8")
	}
	p := eventParser{scanner: scanner{s: string(raw)}, event: &Event{names: make(map[edge]int32, 64), fields: make([][]leaf, 1, 64)}}
	if p.peek() != '{' {
		return nil, fault.E(fault.Invalid, op, p.syntax("an event must be a JSON object"))
	}
	if err := p.object(0, noElement); err != nil {
		return nil, fault.E(fault.Invalid, op, err)
	}
	if p.peek() != 0 || p.i < len(p.s) {
		return nil, fault.E(fault.Invalid, op, p.syntax("text after the event's closing brace"))
	}
	return p.event, nil
}

// field gives the leaves at path, which is split at its dots.
func (e *Event) field(steps []string) []leaf {
	var at int32
	for _, s := range steps {
		next, ok := e.names[edge{at, s}]
		if !ok {
			return nil
		}
		at = next
	}
	return e.fields[at]
}

// under gives the path that step leads to from at.
func (e *Event) under(at int32, step string) int32 {
	for more := true; more; {
		var s string
		s, step, more = strings.Cut(step, ".")
		next, ok := e.names[edge{at, s}]
		if !ok {
			next = int32(len(e.fields)) //nolint:gosec // bounded by MaxEventBytes
			e.names[edge{at, s}] = next
			e.fields = append(e.fields, nil)
		}
		at = next
	}
	return at
}

type eventParser struct {
	scanner
	event  *Event
	depth  int
	arrays int32
}

// object reads the object at path, in array element in; the scanner stands on
// its brace.
func (p *eventParser) object(path, in int32) error {
	if err := p.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := p.more('}', first)
		if err != nil || !more {
			p.depth--
			return err
		}
		key, err := p.key()
		if err != nil {
			return err
		}
		if err := p.value(p.event.under(path, key), in); err != nil {
			return err
		}
	}
}

func (p *eventParser) array(path, in int32) error {
	if err := p.enter(); err != nil {
		return err
	}
	array := p.arrays
	p.arrays++
	for first := true; ; first = false {
		more, err := p.more(']', first)
		if err != nil || !more {
			p.depth--
			return err
		}
		inner := in
		if c := p.peek(); c == '{' || c == '[' {
			inner = int32(len(p.event.elements)) //nolint:gosec // bounded by MaxEventBytes
			outer := element{depth: -1}
			if in != noElement {
				outer = p.event.elements[in]
			}
			p.event.elements = append(p.event.elements, element{array: array, parent: in, depth: outer.depth + 1})
		}
		if err := p.value(path, inner); err != nil {
			return err
		}
	}
}

func (p *eventParser) value(path, in int32) error {
	l := leaf{kind: kindString, in: in}
	var err error
	switch p.peek() {
	case '{':
		return p.object(path, in)
	case '[':
		return p.array(path, in)
	case '"':
		l.text, err = p.str()
	default:
		l.kind, l.text, err = p.scalar()
	}
	if err != nil {
		return err
	}
	if l.kind == kindNumber {
		l.num = parseNumber(l.text)
	}
	p.event.fields[path] = append(p.event.fields[path], l)
	return nil
}

func (p *eventParser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return p.syntax("nested deeper than the limit of %d levels", MaxDepth)
	}
	p.i++
	return nil
}
