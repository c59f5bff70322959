package pattern

import (
	"math/bits"
	"strings"
	"unsafe"
)

// reader walks over one event and takes out the values at the paths of an index.
// The names in between and all else is passed over unread.
type reader struct {
	walk
	unique   bool
	ix       *index
	values   []value
	heads    []head // by field
	round    uint32 // which heads are of this event
	elements []element
	arrays   []int32 // elements of each array
	unquoted []byte  // what escapes stand for; strings of values point into it
}

// value is a leaf of the event.
type value struct {
	leaf
	field int32
	next  int32 // of the same field, -1 for none
	read  bool  // num is known
}

// number reads the number of v, which is one.
func (v *value) number() number {
	if !v.read {
		v.num, v.read = parseNumber(v.text), true
	}
	return v.num
}

// head begins the list of a field's values.
type head struct {
	round       uint32
	first, last int32
}

// read takes the values out of t.
func (r *reader) read(t Text, ix *index) {
	r.begin(t, ix)
	if i := r.space(0); r.at(i) == '{' {
		r.object(i+1, 0, noElement, true)
	}
}

func (r *reader) begin(t Text, ix *index) {
	r.text, r.unique, r.ix = t.raw, t.unique, ix
	r.masks, r.carry = r.masks[:0], carry{}
	r.values, r.elements, r.arrays, r.unquoted = r.values[:0], r.elements[:0], r.arrays[:0], r.unquoted[:0]
	if n := len(ix.fields); n > len(r.heads) {
		r.heads = make([]head, n)
	}
	if r.round++; r.round == 0 { // four thousand million events later
		clear(r.heads)
		r.round = 1
	}
}

// done is what the methods below give instead of a place when nothing that the
// index looks at can follow.
const done = -1

// object reads on behind an opening brace, at a node of names and inside an array
// element, and gives the place behind the closing one. last says that nothing
// behind the object is looked at.
func (r *reader) object(i int, node, in int32, last bool) int {
	names := &r.ix.names.nodes[node]
	left := names.children
	for i = r.space(i); r.at(i) == '"'; {
		i++
		var next int32
		quotes, odd := r.near(i)
		size := bits.TrailingZeros64(quotes)
		if odd &= 1<<size - 1; quotes != 0 && odd == 0 {
			next = names.child(r.text[i : i+size])
			i += size + 1
		} else {
			end := r.laterQuote(i)
			if end < 0 {
				return done
			}
			next = r.anyName(node, i, end)
			i = end + 1
		}
		if r.at(i) != ':' {
			i = r.space(i)
		}
		if i++; r.at(i) <= ' ' {
			i = r.space(i)
		}
		if next < 0 {
			i = r.pass(i)
		} else {
			left--
			i = r.value(i, next, in, last && left == 0)
		}
		if i < 0 {
			return done
		}
		if left <= 0 && r.unique {
			if last {
				return done
			}
			return r.leave(i)
		}
		c := r.at(i)
		if c <= ' ' {
			i = r.space(i)
			c = r.at(i)
		}
		if c != ',' {
			break
		}
		if i++; r.at(i) <= ' ' {
			i = r.space(i)
		}
	}
	return i + 1
}

// anyName follows the name between two places: one with dots is several steps.
func (r *reader) anyName(node int32, from, to int) int32 {
	s, more := r.text[from:to], r.isOdd(from, to)
	if more {
		s = r.plain(s)
	}
	for {
		step, rest := s, ""
		if more {
			step, rest, more = strings.Cut(s, ".")
		}
		if node = r.ix.names.nodes[node].child(step); node < 0 || !more {
			return node
		}
		s = rest
	}
}

func (r *reader) array(i int, node, in int32) int {
	id := int32(len(r.arrays)) //nolint:gosec // bounded by MaxEventBytes
	r.arrays = append(r.arrays, 0)
	deep := r.ix.names.nodes[node].children > 0
	i = r.space(i)
	for i < len(r.text) && r.text[i] != ']' {
		inner := in
		if c := r.text[i]; c == '[' || c == '{' && deep {
			inner = r.element(id, in)
		}
		if i = r.value(i, node, inner, false); i < 0 {
			return done
		}
		if i = r.space(i); r.at(i) != ',' {
			break
		}
		i = r.space(i + 1)
	}
	return i + 1
}

// element adds an element to an array that lies in another.
func (r *reader) element(array, in int32) int32 {
	depth := int32(0)
	if in != noElement {
		depth = r.elements[in].depth + 1
	}
	r.elements = append(r.elements, element{array: array, parent: in, depth: depth, place: r.arrays[array]})
	r.arrays[array]++
	return int32(len(r.elements)) - 1 //nolint:gosec // bounded by MaxEventBytes
}

// value reads the value at i, which stands at a node.
func (r *reader) value(i int, node, in int32, last bool) int {
	name := &r.ix.names.nodes[node]
	switch r.at(i) {
	case '{':
		if name.children > 0 {
			return r.object(i+1, node, in, last)
		}
		return r.leave(i + 1)
	case '[':
		return r.array(i+1, node, in)
	case '"':
		i++
		quotes, odd := r.near(i)
		size := bits.TrailingZeros64(quotes)
		end := i + size
		if odd &= 1<<size - 1; quotes == 0 {
			if end = r.laterQuote(i); end < 0 {
				return done
			}
			odd = 1 // or not: plain looks
		}
		if f := name.field; f >= 0 {
			s := r.text[i:end]
			if odd != 0 {
				s = r.plain(s)
			}
			r.keep(f, kindString, s, in)
		}
		return end + 1
	}
	end := r.scalarEnd(i)
	if f := name.field; f >= 0 {
		k := kindNumber // read when a clause asks for it
		switch r.at(i) {
		case 't':
			k = kindTrue
		case 'f':
			k = kindFalse
		case 'n':
			k = kindNull
		}
		r.keep(f, k, r.text[i:end], in)
	}
	return end
}

// pass gives the place behind the value at i.
func (r *reader) pass(i int) int {
	switch r.at(i) {
	case '{', '[':
		return r.leave(i + 1)
	case '"':
		end := r.quote(i + 1)
		if end < 0 {
			return done
		}
		return end + 1
	}
	return r.scalarEnd(i)
}

// scalarEnd gives the place behind a number or literal.
func (r *reader) scalarEnd(i int) int {
	for i < len(r.text) {
		if c := r.text[i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
			break
		}
		i++
	}
	return i
}

func (r *reader) keep(f int32, k kind, text string, in int32) {
	n := int32(len(r.values)) //nolint:gosec // bounded by MaxEventBytes
	if len(r.values) == cap(r.values) {
		r.values = append(r.values, value{})
	} else {
		r.values = r.values[:n+1]
	}
	v := &r.values[n] // its number is of an older event until it is read
	v.kind, v.text, v.in, v.field, v.next, v.read = k, text, in, f, -1, false
	h := &r.heads[f]
	if h.round != r.round {
		*h = head{r.round, n, n}
		return
	}
	r.values[h.last].next = n
	h.last = n
}

// first gives the first value of a field, -1 for none; the others follow by next.
func (r *reader) first(f int32) int32 {
	if h := &r.heads[f]; h.round == r.round {
		return h.first
	}
	return -1
}

// plain gives what the inside of a JSON string stands for.
func (r *reader) plain(s string) string {
	at := strings.IndexByte(s, '\\')
	if at < 0 {
		return s
	}
	from := len(r.unquoted)
	r.unquoted = appendUnescaped(r.unquoted, s, at)
	out := r.unquoted[from:]
	// The bytes are not written again before the next event is read: append adds
	// behind them, or copies them elsewhere.
	return unsafe.String(unsafe.SliceData(out), len(out))
}
