package apimodel

import "slices"

// Done is a change that was applied, with the image that it found.
type Done struct {
	Call   Call
	Before Image
}

// UndoCall is one call of the way back.
type UndoCall struct {
	InverseCall
	// Of is the index of the change that it undoes.
	Of int
	// Restores and NotRestored say for people what comes back and what does not.
	Restores    string
	NotRestored string
}

// Undo gives the calls that bring back what the changes, in the order in which
// they were applied, found: last change first, except where AWS would refuse
// that order (UndoRank). Without lists the changes that have no way back.
func Undo(done []Done) (calls []UndoCall, without []int) {
	type ranked struct {
		UndoCall
		rank int
	}
	var list []ranked
	for i := len(done) - 1; i >= 0; i-- {
		d := done[i]
		spec, ok := ImageOf(d.Call)
		if !ok {
			without = append(without, i)
			continue
		}
		inverse, restores := spec.Inverse(d.Before)
		if restores == "" {
			without = append(without, i)
			continue
		}
		after, _ := spec.Expected(d.Before)
		for _, c := range inverse {
			list = append(list, ranked{UndoCall{c, i, restores, spec.NotRestored()}, spec.UndoRank(d.Before, after)})
		}
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return a.rank - b.rank })
	for _, r := range list {
		calls = append(calls, r.UndoCall)
	}
	slices.Sort(without)
	return calls, without
}
