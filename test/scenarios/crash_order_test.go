package scenarios_test

import "slices"

// order is how far a run is while the gate is closed, by what has come by. The gate's
// mutex guards it.
//
// The gate orders what children that run at once do, so that every run of a document
// comes to the same points: they end one after the other, each when the parent has
// counted the one before, and how far they are when one of them is killed is said by
// pace. Once the process was killed nothing is kept in order. There are no children of
// children.
type order struct {
	seen     map[point]int
	points   []place
	steps    map[string]int  // of each child: the points that it has come to
	atEnd    map[string]bool // the children that have done all but end
	released map[string]bool // those that may end, or have
	parked   bool            // the execution at the top waits for a signal

	held  bool
	where place
	woken bool // something came by after a run was held while it is parked
	alive int  // children that had begun and not ended when the run was held
}

// pace is how far the others are when one of the children that run at once is killed.
type pace int

// The paces: all are at their points of the same number; the others are at their ends;
// the others have only begun.
const (
	inStep pace = iota
	behind
	ahead
	paces
)

func newOrder() order {
	return order{seen: map[point]int{}, steps: map[string]int{}, atEnd: map[string]bool{}, released: map[string]bool{}}
}

// arrive counts a point, and gives the number that it has among those of its child.
func (r *crashRun) arrive(p point) (at place, n int) {
	r.seen[p]++
	at = place{p, r.seen[p]}
	r.points = append(r.points, at)
	switch {
	case p.Kind == "start": // the parent's doing
	case p.Label != "":
		r.steps[p.Label]++
		n = r.steps[p.Label]
		r.atEnd[p.Label] = r.atEnd[p.Label] || p.Kind == "child-end"
	case p.Kind == "look" && p.Side == "after":
		r.parked = true
	}
	r.woken = r.woken || r.held && r.where.Kind == whileParked
	return at, n
}

// may reports whether the order lets a run go on at p, its child's n-th point; 0 = it
// is the parent's.
func (r *crashRun) may(p point, n int) bool {
	switch {
	case n == 0 || p.Kind == "child-end" && p.Side == "after":
		return true
	case p.Kind == "child-end":
		return r.parked && r.next() == p.Label
	}
	group := r.group(p.Label)
	how := inStep
	if slices.Contains(group, r.target.Label) {
		how = r.pace
	}
	for _, other := range group {
		switch {
		case other == p.Label:
		case r.steps[other] == 0: // they begin together
			return false
		case r.atEnd[other]:
		case how == inStep && r.steps[other] < n, how == behind && p.Label == r.target.Label && n > 1, how == ahead && other == r.target.Label:
			return false
		}
	}
	return true
}

// leave notes that a run goes on at p.
func (r *crashRun) leave(p point) {
	switch {
	case p.Kind == "child-end" && p.Side == "before":
		r.released[p.Label], r.parked = true, false // its end wakes the parent
	case r.target.Kind == whileParked && p.Kind == "look" && p.Side == "after":
		r.hold(r.target)
	}
}

func (r *crashRun) hold(at place) {
	r.held, r.where = true, at
	for child := range r.steps {
		if !r.released[child] {
			r.alive++
		}
	}
}

// group gives the children that run at once with one of them.
func (r *crashRun) group(child string) []string {
	for _, g := range r.doc.atOnce {
		if slices.Contains(g, child) {
			return g
		}
	}
	return nil
}

// next gives the child whose turn it is to end: of those that run at once first the
// one that is to be killed, so that the others are under way.
func (r *crashRun) next() string {
	for _, g := range r.doc.atOnce {
		if slices.Contains(g, r.target.Label) && !r.released[r.target.Label] {
			return r.target.Label
		}
		for _, child := range g {
			if !r.released[child] {
				return child
			}
		}
	}
	for child := range r.steps { // there is one at a time
		if !r.released[child] {
			return child
		}
	}
	return ""
}

// underWay gives how many children a run that was killed at a child's point has to have
// had under way.
func (r *crashRun) underWay() int {
	n := len(r.group(r.where.Label))
	switch {
	case r.where.Kind == "start": // the parent begins them one by one
		return 0
	case r.where.Kind == "child-end" && r.where.Side == "after":
		return n - 1
	}
	return n
}

// fanned gives the labels that step Fan gives its children for some of a run's queues.
func fanned(queues ...string) []string {
	out := make([]string, 0, len(queues))
	for _, q := range queues {
		out = append(out, "Fan[<"+q+">]")
	}
	return out
}
