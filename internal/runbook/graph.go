package runbook

import (
	"fmt"
	"slices"
)

// stepGraph is the steps of a document by their place in its text, with the ways
// between them.
type stepGraph struct {
	doc   *Document
	place map[string]int
	next  [][]int
	// end says of each step whether the document may end after it.
	end []bool
}

func newStepGraph(d *Document) *stepGraph {
	g := &stepGraph{doc: d, place: make(map[string]int, len(d.all)), next: make([][]int, len(d.all)), end: make([]bool, len(d.all))}
	for i, s := range d.all {
		g.place[s.Name] = i
	}
	for i := range d.all {
		g.next[i], g.end[i] = g.successors(i)
	}
	return g
}

// successors lists where the document may go from the i-th of its steps; end
// says that it may end there. A loop leads into its body, whose ends lead to its
// beginning and out of the loop.
func (g *stepGraph) successors(i int) (next []int, end bool) {
	s := g.doc.all[i]
	add := func(names ...string) {
		for _, name := range names {
			if j, ok := g.place[name]; ok {
				next = append(next, j)
			}
		}
	}
	if s.OnFailureStep {
		add(s.OnFailure)
	}
	if s.Action == ActionBranch {
		if b, err := ParseBranch(s.Inputs); err == nil {
			for _, c := range b.Choices {
				add(c.NextStep)
			}
			if b.Default != "" {
				add(b.Default)
				return next, false
			}
		}
	}
	if s.Loop != nil {
		add(s.Loop.First().Name)
		if s.Loop.Condition != nil {
			// Its body runs at least once, and its ends lead on.
			return next, false
		}
	}
	names, end := g.follow(s)
	add(names...)
	return next, end
}

// follow gives what comes after s has succeeded. An aborting failure ends the
// execution too but is not an exit that the author planned, so it is no end here.
func (g *stepGraph) follow(s *Step) (names []string, end bool) {
	after, follows := g.doc.After(s.Name)
	switch {
	case !s.IsEnd && s.NextStep != "":
		return []string{s.NextStep}, false
	case !s.IsEnd && follows:
		return []string{after.Name}, false
	case s.Within == "":
		return nil, true
	}
	loop, ok := g.doc.Step(s.Within)
	if !ok || loop.Loop == nil {
		return nil, true
	}
	names, end = g.follow(loop)
	return append(names, loop.Loop.First().Name), end
}

// graph finds steps that no path reaches, and steps from which no path ends.
func (c *checker) graph() {
	d, g := c.doc, c.steps
	reached := make([]bool, len(d.all))
	reverse := make([][]int, len(d.all))
	start := []int{0}
	var ends []int
	for i, s := range d.all {
		for _, j := range g.next[i] {
			reverse[j] = append(reverse[j], i)
		}
		if g.end[i] {
			ends = append(ends, i)
		}
		if cancel, ok := g.place[s.OnCancel]; ok {
			// A step that only cancelling reaches is reached.
			start = append(start, cancel)
		}
	}
	mark(reached, start, func(i int) []int { return g.next[i] })
	leaves := make([]bool, len(d.all))
	mark(leaves, ends, func(i int) []int { return reverse[i] })
	// A target that does not exist is reported as that, not as a missing exit.
	complete := !slices.ContainsFunc(c.problems, func(p Problem) bool { return p.Code == CodeUnknownStep })
	for i, s := range d.all {
		switch {
		case !reached[i]:
			c.add(CodeUnreachable, SeverityWarning, s.Pos, s.path, fmt.Sprintf("no path leads to step %s", s.Name), "remove it or name it in nextStep, onFailure or a choice")
		case !leaves[i] && complete:
			c.add(CodeNoExit, SeverityError, s.Pos, s.path, fmt.Sprintf("from step %s no path leads to an end", s.Name), "give one step of the circle isEnd: true or another way out")
		}
	}
}

// mark visits everything that follows from the starting points.
func mark(seen []bool, start []int, next func(int) []int) {
	queue := start
	for _, i := range start {
		seen[i] = true
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, j := range next(i) {
			if !seen[j] {
				seen[j] = true
				queue = append(queue, j)
			}
		}
	}
}

// stepSet is a set of steps by their place.
type stepSet []uint64

func (s stepSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s stepSet) add(i int)      { s[i/64] |= 1 << (i % 64) }

// before gives, for every step, the steps that every way to it has passed; nil
// for a step that no way reaches. It is the usual fixed point of dominators. Sets
// only shrink, and a pass costs steps x steps x steps/64 at most.
func (g *stepGraph) before() []stepSet {
	n := len(g.doc.all)
	words := (n + 63) / 64
	reverse := make([]map[int]bool, n)
	for i := range reverse {
		reverse[i] = map[int]bool{}
	}
	for i, next := range g.next {
		for _, j := range next {
			reverse[j][i] = true
		}
		if j, ok := g.place[g.doc.all[i].OnCancel]; ok {
			reverse[j][i] = true
		}
	}
	out := make([]stepSet, n)
	out[0] = make(stepSet, words)
	for changed := true; changed; {
		changed = false
		for i := 1; i < n; i++ {
			var all stepSet
			for from := range reverse[i] {
				if out[from] == nil {
					continue
				}
				way := slices.Clone(out[from])
				way.add(from)
				if all == nil {
					all = way
					continue
				}
				for w := range all {
					all[w] &= way[w]
				}
			}
			if all != nil && !slices.Equal(all, out[i]) {
				out[i], changed = all, true
			}
		}
	}
	return out
}
