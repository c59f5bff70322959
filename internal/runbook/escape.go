package runbook

// Escapes names the steps to which only a failure (onFailure: step:X) or a
// cancellation (onCancel: step:X) leads, and what follows from there: those that
// planning, which assumes that steps succeed, does not come to.
func (d *Document) Escapes() map[string]bool {
	if len(d.all) == 0 {
		return nil
	}
	g := newStepGraph(d)
	var start []int
	straight := make([][]int, len(d.all))
	for i, s := range d.all {
		for n, j := range g.next[i] {
			if n == 0 && s.OnFailureStep && d.all[j].Name == s.OnFailure {
				start = append(start, j) // successors has it first
				continue
			}
			straight[i] = append(straight[i], j)
		}
		if j, ok := g.place[s.OnCancel]; ok {
			start = append(start, j)
		}
	}
	usual, escaped := make([]bool, len(d.all)), make([]bool, len(d.all))
	mark(usual, []int{0}, func(i int) []int { return straight[i] })
	mark(escaped, start, func(i int) []int { return g.next[i] })
	out := map[string]bool{}
	for i, s := range d.all {
		if escaped[i] && !usual[i] {
			out[s.Name] = true
		}
	}
	return out
}
