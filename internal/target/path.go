package target

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/fault"
)

// Path is a place in an event, in EventBridge's part of JSONPath. The zero Path is $.
type Path struct {
	text  string
	steps []step
	many  bool // has a star: finds a list
}

// step goes to a member, to an element, or with star to all of either.
type step struct {
	name    string
	index   int
	element bool
	star    bool
}

// ParsePath reads a path.
func ParsePath(text string) (Path, error) {
	p := Path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok || len(text) > MaxPath {
		return p, badPath(text)
	}
	for rest != "" {
		s, n := readStep(rest)
		if n == 0 {
			return p, badPath(text)
		}
		p.steps = append(p.steps, s)
		p.many = p.many || s.star
		rest = rest[n:]
	}
	return p, nil
}

func badPath(text string) error {
	return fault.Errorf(fault.Invalid, op, "%q is not a path that EventBridge knows", text).
		WithHint("write $ and then .name, [0], [*] or .* as often as needed, such as $.detail.resources[0].id; names have letters, digits, -, _ and /")
}

// readStep reads one step and gives its length, 0 for none.
func readStep(text string) (step, int) {
	if text[0] == '.' {
		end := 1
		for end < len(text) && text[end] != '.' && text[end] != '[' {
			if !plain(text[end]) {
				if end == 1 && text[end] == '*' && (len(text) == 2 || text[2] == '.' || text[2] == '[') {
					return step{star: true}, 2
				}
				return step{}, 0
			}
			end++
		}
		if end == 1 {
			return step{}, 0
		}
		return step{name: text[1:end]}, end
	}
	if text[0] != '[' || len(text) < 3 {
		return step{}, 0
	}
	if q := text[1]; q == '\'' || q == '"' {
		name, _, ok := strings.Cut(text[2:], string(q)+"]")
		if !ok || name == "" || strings.ContainsAny(name, "'\"\\") {
			return step{}, 0
		}
		return step{name: name}, len(name) + 4
	}
	inner, _, ok := strings.Cut(text[1:], "]")
	if ok && inner == "*" {
		return step{star: true}, 3
	}
	index, err := strconv.ParseUint(inner, 10, 31)
	if !ok || err != nil {
		return step{}, 0
	}
	return step{index: int(index), element: true}, len(inner) + 2
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/'
}

// String gives the path as it was written.
func (p Path) String() string { return p.text }

// Find gives what the path finds in an event, as the event has it, and nil for nothing.
func (p Path) Find(event []byte) (jsontext.Value, error) {
	found, err := find(event, []Path{p})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// Dynamic gives the value of a parameter for an event. A value that is a path as a whole
// stands for what it finds: the text of a string, the JSON of anything else. Any other
// value stands for itself.
func Dynamic(value string, event []byte) (string, error) {
	p, err := ParsePath(value)
	if err != nil {
		return value, nil //nolint:nilerr // not a path: a text
	}
	found, err := p.Find(event)
	if err != nil {
		return "", err
	}
	if found == nil {
		return "", fault.Errorf(fault.Invalid, op, "the event has nothing at %s, which a parameter of the target takes", value)
	}
	return text(found), nil
}

// text gives the text of a string, and other JSON as it is.
func text(value jsontext.Value) string {
	if value.Kind() != '"' {
		return string(value)
	}
	out, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return string(value) // not a string after all; the event was said to be JSON
	}
	return string(out)
}

// search walks once over an event for many paths.
type search struct {
	event []byte
	dec   *jsontext.Decoder
	found []jsontext.Value
	size  int // of the lists in found
}

// want is a path on the way: what is left of it, and which one it is.
type want struct {
	steps []step
	many  bool
	index int
}

// find gives for each path what it finds.
func find(event []byte, paths []Path) ([]jsontext.Value, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	s := search{event: event, dec: decoder(event), found: make([]jsontext.Value, len(paths))}
	wants := make([]want, len(paths))
	for i, p := range paths {
		wants[i] = want{steps: p.steps, many: p.many, index: i}
	}
	if err := s.value(wants); err != nil {
		return nil, unreadable(err)
	}
	for _, w := range wants {
		if list := s.found[w.index]; w.many && list != nil {
			s.found[w.index] = append(list, ']')
		}
	}
	return s.found, nil
}

func decoder(event []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(event), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func unreadable(err error) error {
	if fault.Is(err, fault.Exhausted) {
		return err
	}
	return fault.E(fault.Invalid, "read event for a target", err)
}

// value reads the next value for those who look for it or for something in it.
func (s *search) value(wants []want) error {
	begin, inside := s.dec.InputOffset(), false
	for _, w := range wants {
		inside = inside || len(w.steps) > 0
	}
	var err error
	switch kind := s.dec.PeekKind(); {
	case inside && (kind == '{' || kind == '['):
		err = s.inside(kind, wants)
	default:
		err = s.dec.SkipValue()
	}
	if err != nil {
		return err
	}
	// What comes before the value is white space and the sign after its neighbour.
	raw := bytes.TrimLeft(s.event[begin:s.dec.InputOffset()], " \t\r\n:,")
	for _, w := range wants {
		if len(w.steps) > 0 {
			continue
		}
		if !w.many {
			s.found[w.index] = raw
			continue
		}
		if err := s.add(w.index, raw); err != nil {
			return err
		}
	}
	return nil
}

// inside reads an object or a list.
func (s *search) inside(kind jsontext.Kind, wants []want) error {
	if _, err := s.dec.ReadToken(); err != nil {
		return err
	}
	for _, w := range wants {
		if len(w.steps) > 0 && w.steps[0].star && s.found[w.index] == nil {
			s.found[w.index] = jsontext.Value("[")
		}
	}
	var below []want
	for i := 0; s.dec.PeekKind() != kind+2 && s.dec.PeekKind() != 0; i++ { // ] and } are two after [ and {
		name := ""
		if kind == '{' {
			token, err := s.dec.ReadToken()
			if err != nil {
				return err
			}
			name = token.String()
		}
		below = below[:0]
		for _, w := range wants {
			if len(w.steps) == 0 {
				continue
			}
			at := w.steps[0]
			if at.star || (kind == '{' && !at.element && at.name == name) || (kind == '[' && at.element && at.index == i) {
				below = append(below, want{steps: w.steps[1:], many: w.many, index: w.index})
			}
		}
		var err error
		if len(below) == 0 {
			err = s.dec.SkipValue()
		} else {
			err = s.value(below)
		}
		if err != nil {
			return err
		}
	}
	_, err := s.dec.ReadToken()
	return err
}

// add puts one more value into the list of a path with a star. All lists together may be
// three times as long as an output: no template gives less than a third of what it
// takes in.
func (s *search) add(index int, raw []byte) error {
	if s.size += len(raw) + 1; s.size > 3*MaxOutput {
		return tooLong()
	}
	if len(s.found[index]) > 1 {
		s.found[index] = append(s.found[index], ',')
	}
	s.found[index] = append(s.found[index], raw...)
	return nil
}

func tooLong() error {
	return fault.Errorf(fault.Exhausted, "render input", "the target's input would be longer than %d bytes", MaxOutput).
		WithHint("let the template take smaller parts of the event")
}
