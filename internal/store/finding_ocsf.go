package store

import (
	"time"

	"github.com/parry-security/parry/internal/filter"
)

// NarrowOCSF compiles f to conditions that every finding which f matches in OCSF
// at time now satisfies, as far as columns know. Exact says that no other finding
// satisfies them, so that rows may be counted without reading documents.
//
// Invariant: a condition may let through too much, never too little. The
// differential test of storetest holds it against Composite.Match.
func NarrowOCSF(f filter.Composite, now time.Time) (where []Condition, exact bool) {
	now = now.Truncate(time.Microsecond) // as the columns are
	parts := make([]bound, len(f.Groups))
	for i, g := range f.Groups {
		parts[i] = boundOf(g, now)
	}
	all := joinBounds(f.Operator, parts)
	if all.size() > maxConditions/2 {
		return nil, false // a scan is slower than a refusal, and right
	}
	return all.where, all.exact
}

// bound is what columns say about a part of a filter: all conditions must hold.
// None says nothing.
type bound struct {
	where []Condition
	exact bool
}

func boundOf(g filter.Group, now time.Time) bound {
	var parts []bound
	for _, c := range g.Tests {
		parts = append(parts, boundOfTest(c, now))
	}
	for _, n := range g.Nested {
		parts = append(parts, boundOf(n, now))
	}
	return joinBounds(g.Operator, parts)
}

func boundOfTest(c filter.Criterion, now time.Time) bound {
	implied, exact := c.Implied(now)
	b := bound{exact: exact && len(implied) > 0}
	for _, i := range implied {
		where, decided := narrowCriterion(i, now)
		b.where = append(b.where, where...)
		b.exact = b.exact && decided && len(where) > 0
	}
	return b
}

// joinBounds joins parts: of alternatives each must say something.
func joinBounds(o filter.Operator, parts []bound) bound {
	out := bound{exact: true}
	or := Condition{}
	open := false
	for _, p := range parts {
		out.exact = out.exact && p.exact
		open = open || len(p.where) == 0
		if o == filter.Or {
			or.Or = append(or.Or, Condition{And: p.where})
			continue
		}
		out.where = append(out.where, p.where...)
	}
	if o == filter.Or && len(parts) > 0 && !open {
		out.where = []Condition{or}
	}
	return out
}

func (b bound) size() int {
	n := 0
	var count func(all []Condition)
	count = func(all []Condition) {
		for _, c := range all {
			n++
			count(c.Or)
			count(c.And)
		}
	}
	count(b.where)
	return n
}
