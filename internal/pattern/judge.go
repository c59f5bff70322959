package pattern

import (
	"math/bits"
	"slices"

	"github.com/parry-security/parry/internal/fault"
)

// judge says which rules of an index an event meets. It is used for one event
// after the other and keeps its memory.
type judge struct {
	reader
	chooser
	verdicts []verdict // by clause
	spots    []spots   // by clause
	ruled    []uint64  // rules that were met, a bit each
	looked   []uint32  // by lookup: the round in which its tree was walked
	flat     bool      // no array has two elements: all values go together
	spent    int       // steps of the whole event
	limited  bool      // a clause was not settled, for its work
	outer    []int32   // by element: the innermost element around or at it whose array has others, noElement for none
	lower    []byte
	settle   []settled
	found    []found
	matched  []int32
	failed   []int32
}

// verdict is what a clause came to. It is small: the verdicts of thousands of clauses
// are to stay in the processor's nearest memory.
type verdict struct {
	round uint32
	state state
}

// spots are where a clause is met, with inElements.
type spots struct {
	array int32
	mask  uint64 // the places of its elements
}

type state uint8

const (
	unmet      state = iota
	met              // by a value that goes with all others
	inElements       // by values in the first 64 elements of one array, which lies in no other
	anywhere         // where, is for the chooser to say
	unsettled        // it would have been too much work
)

// judge leaves in matched and failed the rules of ix that t meets and those that
// could not be judged. Rules that dead holds are left out.
func (j *judge) judge(t Text, ix *index, dead bitmap) {
	j.read(t, ix)
	j.prepare(ix)
	for i := range j.values {
		v := &j.values[i]
		if f := &ix.fields[v.field]; f.classes != 0 {
			j.look(v, f, dead)
		}
	}
	j.walk(&ix.always, dead)
	if len(j.failed) > 0 { // but not where another way of the rule is met
		slices.Sort(j.failed)
		j.failed = slices.DeleteFunc(slices.Compact(j.failed), func(r int32) bool { return j.met(r) })
	}
}

func (j *judge) prepare(ix *index) {
	grow(&j.verdicts, len(ix.clauses))
	grow(&j.spots, len(ix.clauses))
	grow(&j.ruled, len(ix.rules)/64+1)
	grow(&j.looked, len(ix.lookups))
	if j.round == 1 { // the rounds have begun anew
		clear(j.verdicts)
		clear(j.looked)
	}
	for _, r := range j.matched {
		j.ruled[r>>6] = 0
	}
	j.matched, j.failed = j.matched[:0], j.failed[:0]
	j.spent, j.limited = 0, false
	j.chooser.elements = j.reader.elements
	j.flat = true
	for _, n := range j.arrays {
		j.flat = j.flat && n < 2
	}
	if j.flat {
		return
	}
	j.outer = j.outer[:0]
	for i := range j.reader.elements {
		e := &j.reader.elements[i]
		out := int32(i) //nolint:gosec // bounded by MaxEventBytes
		if j.arrays[e.array] < 2 {
			if out = noElement; e.parent != noElement {
				out = j.outer[e.parent]
			}
		}
		j.outer = append(j.outer, out)
	}
}

func grow[T any](s *[]T, n int) {
	if n > len(*s) {
		*s = make([]T, n)
	}
}

// look finds the trees that a value leads to.
func (j *judge) look(v *value, f *field, dead bitmap) {
	switch v.kind {
	case kindString:
		j.lookText(v, f, dead)
	case kindNumber:
		if f.has(isNumber) {
			if n := v.number(); n.exact {
				var b [8]byte
				lookUp(j, v.field, isNumber, numberKey(&b, n.f), dead)
			}
		}
		if f.has(isDigits) {
			lookUp(j, v.field, isDigits, v.text, dead)
		}
	default:
		if f.has(isLiteral) {
			lookUp(j, v.field, isLiteral, v.text, dead)
		}
	}
}

func (j *judge) lookText(v *value, f *field, dead bitmap) {
	s := v.text
	if f.hasText(len(s)) {
		lookUp(j, v.field, isText, s, dead)
	}
	if f.has(isFolded) {
		j.lower = appendLower(j.lower[:0], s)
		lookUp(j, v.field, isFolded, j.lower, dead)
	}
	for m := f.begins; m != 0; m &= m - 1 {
		n := cuts[bits.TrailingZeros16(m)]
		if n > len(s) {
			break
		}
		lookUp(j, v.field, begins, s[:n], dead)
	}
	for m := f.ends; m != 0; m &= m - 1 {
		n := cuts[bits.TrailingZeros16(m)]
		if n > len(s) {
			break
		}
		lookUp(j, v.field, ends, s[len(s)-n:], dead)
	}
	if f.has(isAddress) || f.has(inBlock) {
		j.lookAddress(v, f, dead)
	}
}

func (j *judge) lookAddress(v *value, f *field, dead bitmap) {
	a, ok := parseAddress(v.text)
	if !ok {
		return
	}
	if f.has(isAddress) {
		if a.Is4() {
			b := a.As4()
			lookUp(j, v.field, isAddress, b[:], dead)
		} else {
			b := a.As16()
			lookUp(j, v.field, isAddress, b[:], dead)
		}
	}
	lengths := f.v6
	if a.Is4() {
		lengths = f.v4
	}
	for _, n := range lengths {
		var key [17]byte
		if p, err := a.Prefix(int(n)); err == nil {
			lookUp(j, v.field, inBlock, blockKey(&key, p), dead)
		}
	}
}

// lookUp walks the tree of an anchor.
func lookUp[K string | []byte](j *judge, f int32, c class, key K, dead bitmap) {
	mask := uint64(len(j.ix.table) - 1)
	for h := spot(f, c, hashKey(key)) & mask; ; h = (h + 1) & mask {
		n := j.ix.table[h]
		if n < 0 {
			return
		}
		l := &j.ix.lookups[n]
		if l.field == f && l.class == c && l.key == string(key) {
			if j.looked[n] != j.round {
				j.looked[n] = j.round
				j.walk(l, dead)
			}
			return
		}
	}
}

// walk goes through a tree.
func (j *judge) walk(l *lookup, dead bitmap) {
	steps := j.ix.steps
	for i := l.from; i < l.to; {
		s := &steps[i]
		if s.clause >= 0 && j.ask(s.clause) == unmet {
			i = s.next
			continue
		}
		if s.way >= 0 {
			j.reach(s.way, s.rule, dead)
		}
		i++
	}
}

// reach is called for a way whose clauses are all met, each by itself.
func (j *judge) reach(way, rule int32, dead bitmap) {
	if j.met(rule) || dead.has(rule) {
		return
	}
	if !j.flat || j.limited {
		ok, err := j.together(&j.ix.ways[way])
		if err != nil {
			j.failed = append(j.failed, rule)
			return
		}
		if !ok {
			return
		}
	}
	j.ruled[rule>>6] |= 1 << (rule & 63)
	j.matched = append(j.matched, rule)
}

func (j *judge) met(rule int32) bool { return j.ruled[rule>>6]>>(rule&63)&1 != 0 }

// together reports whether the clauses of w are met by values that go together.
func (j *judge) together(w *way) (bool, error) {
	var arrays [4]int32
	var masks [4]uint64
	n, choose, unknown := 0, false, false
	clauses := j.ix.of[w.from:w.to]
	for _, c := range clauses {
		switch j.ask(c) {
		case unmet:
			return false, nil
		case met:
		case unsettled:
			unknown = true
		case anywhere:
			choose = true
		case inElements:
			where := &j.spots[c]
			if at := slices.Index(arrays[:n], where.array); at >= 0 {
				masks[at] &= where.mask
			} else if n < len(arrays) {
				arrays[n], masks[n] = where.array, where.mask
				n++
			} else {
				choose = true
			}
		}
	}
	if unknown {
		return false, errUnsettled
	}
	for _, m := range masks[:n] {
		if m == 0 {
			return false, nil
		}
	}
	if !choose {
		return true, nil
	}
	return j.choices(clauses)
}

// ask gives the verdict of a clause, which is reached once for an event.
func (j *judge) ask(c int32) state {
	v := &j.verdicts[c]
	if v.round != j.round {
		*v = verdict{j.round, j.decide(&j.ix.clauses[c], &j.spots[c])}
		j.limited = j.limited || v.state == unsettled
	}
	return v.state
}

func (j *judge) decide(c *indexed, where *spots) (s state) {
	first := j.first(c.field)
	if first < 0 {
		if c.absent {
			return met
		}
		return unmet
	}
	steps, absence := 0, c.absent
	for i := first; i >= 0; i = j.values[i].next {
		l := &j.values[i]
		steps += 1 + len(c.alternatives)*(1+len(l.text)>>6)
		if steps > MaxSteps || j.spent+steps > MaxEventSteps {
			return unsettled
		}
		e := noElement
		if !j.flat && l.in != noElement {
			e = j.outer[l.in]
		}
		if e == noElement {
			absence = false // it is there, wherever one looks
		}
		if s == inElements && e != noElement && j.placed(e, where) && where.mask>>j.reader.elements[e].place&1 != 0 {
			continue // another value of this element met the clause
		}
		if c.numbers && l.kind == kindNumber {
			l.number()
		}
		if !c.accepts(&l.leaf) {
			continue
		}
		if s = j.meet(s, where, e); s == met && !c.absent {
			break
		}
	}
	j.spent += steps
	if absence && !j.flat {
		return anywhere // beside some elements and not beside others
	}
	return s
}

// meet gives what a clause in state s comes to by a value in element e.
func (j *judge) meet(s state, where *spots, e int32) state {
	switch {
	case e == noElement || s == met:
		return met
	case s == unmet && j.simple(e):
		*where = spots{j.reader.elements[e].array, 1 << j.reader.elements[e].place}
		return inElements
	case s == inElements && j.placed(e, where):
		where.mask |= 1 << j.reader.elements[e].place
		return inElements
	}
	return anywhere
}

// simple reports whether e is one of the first 64 of an array that lies in no
// other that matters.
func (j *judge) simple(e int32) bool {
	el := &j.reader.elements[e]
	return el.place < 64 && (el.parent == noElement || j.outer[el.parent] == noElement)
}

func (j *judge) placed(e int32, where *spots) bool {
	return j.reader.elements[e].array == where.array && j.simple(e)
}

var errUnsettled = fault.Errorf(fault.Exhausted, "match event", "the event needs more than %d steps for this pattern, or %d for all", MaxSteps, MaxEventSteps).
	WithHint("name fewer fields inside arrays, or fewer alternatives, in the pattern")

// choices settles the clauses of a way with all arrays they lie in.
func (j *judge) choices(clauses []int32) (bool, error) {
	grow(&j.found, len(clauses))
	j.settle, j.chooser.steps = j.settle[:0], 0
	for i, n := range clauses {
		c, f := &j.ix.clauses[n], &j.found[i]
		f.reset()
		for at := j.first(c.field); at >= 0; at = j.values[at].next {
			l := &j.values[at]
			if c.absent {
				f.all.add(l.in)
			}
			if f.in.endsWith(l.in) {
				continue
			}
			if err := j.spend(1 + len(c.alternatives)*(1+len(l.text)>>6)); err != nil {
				return false, err
			}
			if c.numbers && l.kind == kindNumber {
				l.number()
			}
			if c.accepts(&l.leaf) {
				f.in.add(l.in)
			}
		}
		f.in.seal()
		f.all.seal()
		j.settle = append(j.settle, settled{found: f, absent: c.absent})
	}
	if j.spent > MaxEventSteps {
		return false, errUnsettled
	}
	ok, err := j.choose(j.settle)
	j.spent += j.chooser.steps
	return ok, err
}
