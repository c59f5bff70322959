package pattern

import (
	"encoding/binary"
	"slices"

	"github.com/parry-security/parry/internal/fault"
)

// elementSet is a set of array elements.
type elementSet struct {
	list []int32
	// under gives the members that lie in an element, inArray how many lie in an
	// array. Both are made when a large set is first searched.
	under   map[int32][]int32
	inArray map[int32]int
}

// indexFrom is the size from which a set is worth an index.
const indexFrom = 16

func (s *elementSet) empty() bool { return len(s.list) == 0 }

// outside reports whether no member lies in an array.
func (s *elementSet) outside() bool {
	return len(s.list) == 0 || len(s.list) == 1 && s.list[0] == noElement
}

func (s *elementSet) endsWith(in int32) bool {
	return len(s.list) > 0 && s.list[len(s.list)-1] == in
}

func (s *elementSet) add(in int32) {
	if !s.endsWith(in) {
		s.list = append(s.list, in)
	}
}

// seal drops repetitions.
func (s *elementSet) seal() {
	if len(s.list) > 1 {
		slices.Sort(s.list)
		s.list = slices.Compact(s.list)
	}
}

// choice is a set of array elements, at most one of an array, in ascending
// order: those that the leaves taken so far lie in.
type choice []int32

// chooser finds leaves that may be taken together.
type chooser struct {
	elements []element
	steps    int
}

// settled is a clause with where it is met.
type settled struct {
	*found
	absent bool
}

// spend counts work, so that no event and no pattern can hold up the others.
func (m *chooser) spend(n int) error {
	if m.steps += n; m.steps <= MaxSteps {
		return nil
	}
	return fault.Errorf(fault.Exhausted, "match event", "the event needs more than %d steps for this pattern", MaxSteps).
		WithHint("name fewer fields inside arrays, or fewer alternatives, in the pattern")
}

// choose settles clauses one after the other. Two leaves may be taken together
// unless they lie in different elements of one array; the absence of a field is
// judged among the elements taken before it.
func (m *chooser) choose(clauses []settled) (bool, error) {
	used, err := m.lastUse(clauses)
	if err != nil {
		return false, err
	}
	choices := []choice{nil}
	for i, c := range clauses {
		next := choiceSet{}
		keep := func(at int32) bool { return used[m.elements[at].array] > i }
		for _, ch := range choices {
			if err := m.extend(c.found, c.absent, ch, keep, &next); err != nil {
				return false, err
			}
		}
		if choices = next.choices; len(choices) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// extend adds to next every way to settle a clause after ch.
func (m *chooser) extend(f *found, absent bool, ch choice, keep func(int32) bool, next *choiceSet) error {
	if absent {
		free := true
		err := m.consistent(&f.all, ch, func(int32) error { free = false; return errStop })
		if err != nil {
			return err
		}
		if free {
			next.add(ch, noElement, m.elements, keep)
		}
	}
	return m.consistent(&f.in, ch, func(in int32) error {
		work := 8 + len(ch)
		if in != noElement {
			work += 4 * int(m.elements[in].depth)
		}
		if err := m.spend(work); err != nil {
			return err
		}
		next.add(ch, in, m.elements, keep)
		return nil
	})
}

// lastUse gives for each array the last clause that looks at it: after that, two
// choices that differ in it only are one.
func (m *chooser) lastUse(clauses []settled) (map[int32]int, error) {
	used := map[int32]int{}
	for i, c := range clauses {
		for _, set := range [...]*elementSet{&c.in, &c.all} {
			if err := m.spend(len(set.list)); err != nil {
				return nil, err
			}
			for _, at := range set.list {
				for ; at != noElement; at = m.elements[at].parent {
					array := m.elements[at].array
					if last, ok := used[array]; ok && last == i {
						break // the arrays around it are marked too
					}
					used[array] = i
				}
			}
		}
	}
	return used, nil
}

// errStop ends a search that has its answer.
var errStop = stop{}

type stop struct{}

func (stop) Error() string { return "stop" }

// consistent calls yield for the members of set that agree with ch.
func (m *chooser) consistent(set *elementSet, ch choice, yield func(int32) error) error {
	candidates := set.list
	if len(ch) > 0 && len(candidates) > indexFrom {
		var err error
		if candidates, err = m.near(set, ch); err != nil {
			return err
		}
	}
	for _, in := range candidates {
		ok, err := m.agrees(ch, in)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := yield(in); err != nil {
			if err == errStop { //nolint:errorlint // the very value, never wrapped
				return nil
			}
			return err
		}
	}
	return nil
}

// near gives the members of set that can agree with ch: where all of set lies in
// an array in which ch has chosen, those in the chosen element.
func (m *chooser) near(set *elementSet, ch choice) ([]int32, error) {
	if set.under == nil {
		set.under, set.inArray = map[int32][]int32{}, map[int32]int{}
		for _, in := range set.list {
			for at := in; at != noElement; at = m.elements[at].parent {
				if err := m.spend(4); err != nil {
					return nil, err
				}
				set.under[at] = append(set.under[at], in)
				set.inArray[m.elements[at].array]++
			}
		}
	}
	best := set.list
	for _, at := range ch {
		if set.inArray[m.elements[at].array] != len(set.list) {
			continue
		}
		if here := set.under[at]; len(here) < len(best) {
			best = here
		}
	}
	return best, nil
}

// agrees reports whether no array that holds in is chosen at another element.
func (m *chooser) agrees(ch choice, in int32) (bool, error) {
	if err := m.spend(1); err != nil || len(ch) == 0 {
		return err == nil, err
	}
	for at := in; at != noElement; at = m.elements[at].parent {
		if err := m.spend(len(ch)); err != nil {
			return false, err
		}
		for _, taken := range ch {
			if taken != at && m.elements[taken].array == m.elements[at].array {
				return false, nil
			}
		}
	}
	return true, nil
}

// choiceSet collects different choices.
type choiceSet struct {
	choices []choice
	seen    map[string]bool
	key     []byte
}

// add collects ch with the elements around in, of which it keeps those that keep
// names.
func (s *choiceSet) add(ch choice, in int32, elements []element, keep func(int32) bool) {
	out := make(choice, 0, len(ch)+4)
	for _, at := range ch {
		if keep(at) {
			out = append(out, at)
		}
	}
	for at := in; at != noElement; at = elements[at].parent {
		if keep(at) {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	s.key = s.key[:0]
	for _, at := range out {
		s.key = binary.LittleEndian.AppendUint32(s.key, uint32(at)) //nolint:gosec // never negative
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	if !s.seen[string(s.key)] {
		s.seen[string(s.key)] = true
		s.choices = append(s.choices, out)
	}
}
