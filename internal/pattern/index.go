package pattern

import (
	"cmp"
	"slices"
)

// index finds the rules that an event meets without asking each. A conjunction is
// found by its anchor: the clause of which the fewest others have the same values.
// What is left of it is a path through a tree of clauses, which conjunctions with
// the same anchor share as far as they go together. An index is immutable.
type index struct {
	rules   []*rule
	named   []string // the rules' names, side by side
	names   names
	clauses []indexed
	fields  []field
	ways    []way
	of      []int32 // the clauses of the ways, one way's after the other, in the order of paths
	steps   []step
	lookups []lookup
	table   []int32 // places in lookups by hash, -1 for none
	always  lookup  // ways that no value leads to
}

// indexed is a clause; what deciding it needs is side by side.
type indexed struct {
	test
	field   int32
	numbers bool // it compares numbers
}

// field says what to do with the values at one path.
type field struct {
	classes  uint16 // of its anchors, a bit each
	lengths  uint64 // of the texts looked for, a bit each, the last for all that are longer
	begins   uint16 // lengths in cuts that prefixes have
	ends     uint16
	v4, v6   []int32 // bits that blocks have
	distinct int     // anchors; for building
}

func (f *field) has(c class) bool { return f.classes>>c&1 != 0 }

// hasText reports whether a text of this length is looked for: most values of an event
// are of no rule's, and need no hash.
func (f *field) hasText(size int) bool { return f.lengths>>min(size, 63)&1 != 0 }

// way is one conjunction of a rule.
type way struct {
	rule     int32
	from, to int32 // in of
}

// step of a decision tree: the clause is met, or the walk goes on at next. The steps
// under one follow it.
type step struct {
	clause int32 // -1 for none
	next   int32
	way    int32 // that is met when one comes to here, -1 for none
	rule   int32 // whose way that is
}

// lookup is an anchor with its tree.
type lookup struct {
	key      string
	field    int32
	class    class
	from, to int32 // in steps
}

// builder makes an index.
type builder struct {
	*index
	number  map[*shared]int32 // places in clauses
	uses    []int             // of clauses, in this index
	anchors [][]anchor        // of clauses
	keys    map[at]*tree      // by anchor
	rest    tree
}

// at is an anchor at a field.
type at struct {
	field int32
	anchor
}

// tree collects the ways with one anchor.
type tree struct {
	uses int
	ways []branch
}

type branch struct {
	way     int32
	clauses []int32 // still to be met, rarest first
}

func newIndex(rules []*rule) *index {
	b := builder{index: &index{rules: rules, names: newNames()}, number: map[*shared]int32{}, keys: map[at]*tree{}}
	for i, r := range rules {
		b.named = append(b.named, r.name)
		for _, clauses := range r.ways {
			from := int32(len(b.of)) //nolint:gosec // bounded by the memory for rules
			for _, c := range clauses {
				b.of = append(b.of, b.clause(c))
			}
			b.ways = append(b.ways, way{rule: int32(i), from: from, to: int32(len(b.of))}) //nolint:gosec // as above
		}
	}
	b.count()
	for i := range b.ways {
		b.place(int32(i)) //nolint:gosec // as above
	}
	b.grow()
	return b.index
}

func (b *builder) clause(c *shared) int32 {
	n, ok := b.number[c]
	if !ok {
		n = int32(len(b.clauses)) //nolint:gosec // as above
		b.number[c] = n
		f := b.names.add(c.clause.steps, int32(len(b.fields))) //nolint:gosec // as above
		if int(f) == len(b.fields) {
			b.fields = append(b.fields, field{})
		}
		numbers := slices.ContainsFunc(c.alternatives, func(a alternative) bool { return a.comparesNumbers() })
		b.clauses = append(b.clauses, indexed{test: c.test, field: f, numbers: numbers})
		b.anchors = append(b.anchors, c.anchors)
		b.uses = append(b.uses, 0)
	}
	b.uses[n]++
	return n
}

func (a *alternative) comparesNumbers() bool {
	if a.op == opAnythingBut {
		return slices.ContainsFunc(a.but, func(x alternative) bool { return x.comparesNumbers() })
	}
	return a.op == opNumber || a.op == opNumeric
}

// count says of every anchor how many conjunctions could be found by it.
func (b *builder) count() {
	for i, c := range b.clauses {
		for _, a := range b.anchors[i] {
			t := b.keys[at{c.field, a}]
			if t == nil {
				t = &tree{}
				b.keys[at{c.field, a}] = t
				b.fields[c.field].distinct++
			}
			t.uses += b.uses[i]
		}
	}
}

// cost estimates the work for conjunctions found by c, -1 when none can be.
func (b *builder) cost(c int32) int {
	if b.anchors[c] == nil {
		return -1
	}
	sum := 0
	for _, a := range b.anchors[c] {
		uses := b.keys[at{b.clauses[c].field, a}].uses
		switch {
		case a.class.sure():
		case len(a.key) < 4: // most values may have it
			uses *= 32
		default:
			uses *= 4
		}
		sum += uses
	}
	return sum
}

// maxPlaces is under how many anchors one rule is put, all its ways together. What
// would be more has another anchor, or none.
const maxPlaces = 1 << 14

// place puts a way under its anchor.
func (b *builder) place(n int32) {
	clauses := b.of[b.ways[n].from:b.ways[n].to]
	best, bestCost := -1, 0
	for i, c := range clauses {
		cost := b.cost(c)
		if cost < 0 || len(b.anchors[c])*len(b.rules[b.ways[n].rule].ways) > maxPlaces {
			continue
		}
		if best < 0 || cost < bestCost || cost == bestCost && b.fields[b.clauses[c].field].distinct > b.fields[b.clauses[clauses[best]].field].distinct {
			best, bestCost = i, cost
		}
	}
	rest := slices.Clone(clauses)
	if best >= 0 {
		rest = slices.Delete(rest, best, best+1)
	}
	slices.SortFunc(rest, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.weight(x), b.weight(y)), cmp.Compare(b.uses[x], b.uses[y]), cmp.Compare(x, y))
	})
	if best < 0 {
		b.rest.ways = append(b.rest.ways, branch{n, rest})
		return
	}
	anchor := clauses[best]
	var sure []int32 // with the anchor itself where it must be asked
	for _, a := range b.anchors[anchor] {
		todo := rest
		if !a.class.sure() {
			if sure == nil {
				sure = append(slices.Clone(rest), anchor)
			}
			todo = sure
		}
		t := b.keys[at{b.clauses[anchor].field, a}]
		t.ways = append(t.ways, branch{n, todo})
	}
}

// weight puts clauses that are quickly decided first.
func (b *builder) weight(c int32) int {
	if len(b.clauses[c].alternatives) == 0 {
		return 0
	}
	return 1
}

// grow lays the trees out and makes the table of anchors.
func (b *builder) grow() {
	for key, t := range b.keys {
		if len(t.ways) == 0 {
			continue
		}
		f := &b.fields[key.field]
		f.classes |= 1 << key.class
		switch key.class {
		case isText:
			f.lengths |= 1 << min(len(key.key), 63)
		case begins:
			f.begins |= 1 << cut(len(key.key))
		case ends:
			f.ends |= 1 << cut(len(key.key))
		case inBlock:
			bits, list := int32(key.key[0]), &f.v4
			if len(key.key) > 5 {
				list = &f.v6
			}
			if !slices.Contains(*list, bits) {
				*list = append(*list, bits)
			}
		}
		l := lookup{key: key.key, field: key.field, class: key.class}
		l.from, l.to = b.lay(t)
		b.lookups = append(b.lookups, l)
	}
	b.always.from, b.always.to = b.lay(&b.rest)
	size := 1
	for size < 2*len(b.lookups) {
		size *= 2
	}
	b.table = make([]int32, size)
	for i := range b.table {
		b.table[i] = -1
	}
	for i := range b.lookups {
		l := &b.lookups[i]
		h := spot(l.field, l.class, hashOf(l.key)) & uint64(size-1)
		for b.table[h] >= 0 {
			h = (h + 1) & uint64(size-1)
		}
		b.table[h] = int32(i) //nolint:gosec // bounded by the memory for rules
	}
	b.steps, b.of, b.ways, b.clauses, b.named, b.lookups = slices.Clone(b.steps), slices.Clone(b.of), slices.Clone(b.ways), slices.Clone(b.clauses), slices.Clone(b.named), slices.Clone(b.lookups)
}

// spot is where the anchor of a class at a field lies in the table.
func spot(field int32, c class, h uint64) uint64 {
	h ^= (uint64(field)*uint64(classes) + uint64(c)) * 0x9e3779b97f4a7c15 //nolint:gosec // no negative field
	return h ^ h>>32
}

func (b *builder) lay(t *tree) (from, to int32) {
	slices.SortStableFunc(t.ways, func(x, y branch) int { return slices.Compare(x.clauses, y.clauses) })
	from = int32(len(b.steps)) //nolint:gosec // as above
	b.branches(t.ways, 0)
	return from, int32(len(b.steps)) //nolint:gosec // as above
}

// branches lays out ways that have their first depth clauses in common.
func (b *builder) branches(ways []branch, depth int) {
	for len(ways) > 0 {
		if len(ways[0].clauses) == depth {
			b.steps = append(b.steps, step{clause: -1, way: ways[0].way, rule: b.ways[ways[0].way].rule, next: int32(len(b.steps)) + 1}) //nolint:gosec // as above
			ways = ways[1:]
			continue
		}
		c := ways[0].clauses[depth]
		n := 1
		for n < len(ways) && ways[n].clauses[depth] == c {
			n++
		}
		under := ways[:n]
		s := step{clause: c, way: -1}
		if len(under[0].clauses) == depth+1 {
			s.way, s.rule = under[0].way, b.ways[under[0].way].rule
			under = under[1:]
		}
		here := len(b.steps)
		b.steps = append(b.steps, s)
		b.branches(under, depth+1)
		b.steps[here].next = int32(len(b.steps)) //nolint:gosec // as above
		ways = ways[n:]
	}
}
