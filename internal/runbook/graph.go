package runbook

import (
	"fmt"
	"slices"
)

// successors lists where the document may go from the i-th of its steps; end
// says that it may end there. A loop leads into its body, whose ends lead back to
// the loop, so that the ways through it are those of an ordinary circle.
func (g *stepGraph) successors(i int) (next []int, end bool) {
	d, s := g.doc, g.doc.all[i]
	add := func(name string) {
		if j, ok := g.place[name]; ok {
			next = append(next, j)
		}
	}
	if s.OnFailureStep {
		add(s.OnFailure)
	}
	if s.Loop != nil {
		add(s.Loop.First().Name)
	}
	fallsThrough := true
	if s.Action == ActionBranch {
		if b, err := ParseBranch(s.Inputs); err == nil {
			for _, c := range b.Choices {
				add(c.NextStep)
			}
			if b.Default != "" {
				add(b.Default)
				fallsThrough = false
			}
		}
	}
	// An aborting failure ends the execution but is not an exit that the author
	// planned, so it does not count as an end here.
	after, follows := d.After(s.Name)
	switch {
	case !fallsThrough:
	case !s.IsEnd && s.NextStep != "":
		add(s.NextStep)
	case !s.IsEnd && follows:
		add(after.Name)
	case s.Within != "":
		add(s.Within)
	default:
		end = true
	}
	return next, end
}

// stepGraph is the steps of a document by their place in its text.
type stepGraph struct {
	doc   *Document
	place map[string]int
}

func newStepGraph(d *Document) *stepGraph {
	g := &stepGraph{doc: d, place: make(map[string]int, len(d.all))}
	for i, s := range d.all {
		g.place[s.Name] = i
	}
	return g
}

// graph finds steps that no path reaches, and steps from which no path ends.
func (c *checker) graph() {
	d, g := c.doc, newStepGraph(c.doc)
	reached := make([]bool, len(d.all))
	reverse := make([][]int, len(d.all))
	start := []int{0}
	var ends []int
	for i, s := range d.all {
		next, end := g.successors(i)
		for _, j := range next {
			reverse[j] = append(reverse[j], i)
		}
		if end {
			ends = append(ends, i)
		}
		if cancel, ok := g.place[s.OnCancel]; ok {
			// A step that only cancelling reaches is reached.
			start = append(start, cancel)
		}
	}
	mark(reached, start, func(i int) []int { next, _ := g.successors(i); return next })
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
