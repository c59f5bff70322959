package pattern

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/parry-security/parry/internal/fault"
)

// Text is the JSON text of one event that Validate has found right, so that sets
// can be matched against it without looking at every byte again. The zero Text
// matches nothing.
type Text struct {
	raw string
	// unique says that no object has a name twice, and no name a dot or an escape:
	// a path that was seen once does not come again.
	unique bool
	depth  int // of the objects and arrays in it
}

// Validate checks that raw is exactly one JSON object in UTF-8 within the limits
// of an event. An error names line and column.
func Validate(raw []byte) (Text, error) { return ValidateString(string(raw)) }

// scratch is what a validation needs besides the text.
type scratch struct {
	masks []masks
	names []uint64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// ValidateString is Validate for a text that is a string.
func ValidateString(s string) (Text, error) {
	if len(s) <= MaxEventBytes && utf8.ValidString(s) {
		room, _ := scratches.Get().(*scratch)
		v := validator{walk: walk{text: s, masks: room.masks[:0]}, names: room.names[:0]}
		good := v.event()
		if room.masks, room.names = v.masks, v.names; cap(v.masks) <= MaxEventBytes/block/4 {
			scratches.Put(room)
		}
		if good {
			return Text{raw: s, unique: !v.repeated, depth: v.deepest}, nil
		}
	}
	_, err := ParseEvent([]byte(s)) // says what is wrong
	if err == nil {
		err = fault.Errorf(fault.Internal, "parse event", "two readers of JSON disagree about the text").
			WithHint("report this with the event; it was not accepted")
	}
	return Text{}, err
}

// Embed gives the text of the event that head begins and last ends, an object that was
// validated before: head is everything up to the value of the event's last member,
// {"id":"1","detail": for one, and only head is looked at.
func Embed(head string, last Text) (Text, error) {
	around, err := ValidateString(head + "{}}")
	if err != nil {
		return Text{}, err
	}
	if last.raw == "" {
		return Text{}, fault.Errorf(fault.Invalid, "parse event", "the value of the last member is no object")
	}
	if n := len(head) + len(last.raw) + 1; n > MaxEventBytes || last.depth+1 > MaxDepth {
		return Validate([]byte(head + last.raw + "}")) // which says what is wrong
	}
	return Text{raw: head + last.raw + "}", unique: around.unique && last.unique, depth: max(around.depth, last.depth+1)}, nil
}

// Len gives the number of bytes.
func (t Text) Len() int { return len(t.raw) }

// String gives the text as it came.
func (t Text) String() string { return t.raw }

// Bytes gives the text itself: whoever changes a byte changes the Text.
func (t Text) Bytes() []byte { return unsafe.Slice(unsafe.StringData(t.raw), len(t.raw)) }

// validator walks over a whole text and believes nothing.
type validator struct {
	walk
	plain    bool // the text has no control character
	repeated bool
	depth    int
	deepest  int
	names    []uint64 // hashes of the names of the objects around, each one's after the other
}

func (v *validator) event() bool {
	v.plain = plainText(v.text)
	v.masks = maskText(v.text, slices.Grow(v.masks, len(v.text)/block+1), len(v.text)/block+1, &v.carry)
	i := v.space(0)
	if v.at(i) != '{' {
		return false
	}
	i = v.object(i + 1)
	return i >= 0 && v.space(i) == len(v.text)
}

// object reads on after an opening brace and gives the place after the closing
// one, -1 for an error.
func (v *validator) object(i int) int {
	if !v.deeper() {
		return -1
	}
	first := len(v.names)
	if i = v.space(i); v.at(i) != '}' {
		for {
			if v.at(i) != '"' {
				return -1
			}
			end := v.str(i + 1)
			if end < 0 {
				return -1
			}
			v.name(v.text[i+1:end], i+1, end, first)
			if i = v.space(end + 1); v.at(i) != ':' {
				return -1
			}
			if i = v.value(v.space(i + 1)); i < 0 {
				return -1
			}
			if i = v.space(i); v.at(i) == '}' {
				break
			}
			if v.at(i) != ',' {
				return -1
			}
			i = v.space(i + 1)
		}
	}
	v.unlike(first)
	v.names = v.names[:first]
	v.depth--
	return i + 1
}

// deeper enters an object or array.
func (v *validator) deeper() bool {
	v.depth++
	v.deepest = max(v.deepest, v.depth)
	return v.depth <= MaxDepth
}

// fewNames is up to how many names are compared one by one.
const fewNames = 24

// name notes a name of the object whose names begin at first.
func (v *validator) name(s string, from, to, first int) {
	if v.repeated {
		return
	}
	if v.isOdd(from, to) {
		v.repeated = true
		return
	}
	h := hashOf(s)
	if len(v.names)-first < fewNames && slices.Contains(v.names[first:], h) {
		v.repeated = true
	}
	v.names = append(v.names, h)
}

// unlike compares the many names of an object that ends.
func (v *validator) unlike(first int) {
	names := v.names[first:]
	if len(names) <= fewNames || v.repeated {
		return
	}
	slices.Sort(names)
	v.repeated = len(slices.Compact(names)) < len(v.names)-first
}

func (v *validator) array(i int) int {
	if !v.deeper() {
		return -1
	}
	if i = v.space(i); v.at(i) != ']' {
		for {
			if i = v.value(i); i < 0 {
				return -1
			}
			if i = v.space(i); v.at(i) == ']' {
				break
			}
			if v.at(i) != ',' {
				return -1
			}
			i = v.space(i + 1)
		}
	}
	v.depth--
	return i + 1
}

func (v *validator) value(i int) int {
	switch v.at(i) {
	case '{':
		return v.object(i + 1)
	case '[':
		return v.array(i + 1)
	case '"':
		end := v.str(i + 1)
		if end < 0 {
			return -1
		}
		return end + 1
	}
	p := scanner{s: v.text, i: i}
	if _, _, err := p.scalar(); err != nil {
		return -1
	}
	return p.i
}

// str gives the place of the quotation mark that ends the string which begins at i.
func (v *validator) str(i int) int {
	end := v.quote(i)
	if end < 0 {
		return -1
	}
	s := v.text[i:end]
	if !v.plain {
		for j := range len(s) {
			if s[j] < ' ' {
				return -1
			}
		}
	}
	if !v.isOdd(i, end) {
		return end
	}
	for {
		j := strings.IndexByte(s, '\\')
		if j < 0 {
			return end
		}
		if j+1 >= len(s) {
			return -1
		}
		switch s[j+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			s = s[j+2:]
		case 'u':
			if _, ok := hex4(s, j); !ok {
				return -1
			}
			s = s[j+6:]
		default:
			return -1
		}
	}
}
