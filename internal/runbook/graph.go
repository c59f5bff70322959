package runbook

import (
	"fmt"
	"slices"
)

// successors lists where the document may go from s; end says that it may end.
func (d *Document) successors(i int) (next []int, end bool) {
	s := &d.Steps[i]
	add := func(name string) {
		if j, ok := d.index[name]; ok {
			next = append(next, j)
		}
	}
	if s.OnFailureStep {
		add(s.OnFailure)
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
	switch {
	case !fallsThrough:
	case s.IsEnd:
		end = true
	case s.NextStep != "":
		add(s.NextStep)
	case i+1 < len(d.Steps):
		next = append(next, i+1)
	default:
		end = true
	}
	return next, end
}

// graph finds steps that no path reaches, and steps from which no path ends.
func (c *checker) graph() {
	d := c.doc
	reached := make([]bool, len(d.Steps))
	reverse := make([][]int, len(d.Steps))
	var ends []int
	for i := range d.Steps {
		next, end := d.successors(i)
		for _, j := range next {
			reverse[j] = append(reverse[j], i)
		}
		if end {
			ends = append(ends, i)
		}
		if cancel, ok := d.index[d.Steps[i].OnCancel]; ok {
			// A step that only cancelling reaches is reached.
			reached[cancel] = true
		}
	}
	start := []int{0}
	for i, r := range reached {
		if r {
			start = append(start, i)
		}
	}
	mark(reached, start, func(i int) []int { next, _ := d.successors(i); return next })
	leaves := make([]bool, len(d.Steps))
	mark(leaves, ends, func(i int) []int { return reverse[i] })
	// A target that does not exist is reported as that, not as a missing exit.
	complete := !slices.ContainsFunc(c.problems, func(p Problem) bool { return p.Code == CodeUnknownStep })
	for i := range d.Steps {
		s := &d.Steps[i]
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
