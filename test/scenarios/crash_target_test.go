package scenarios_test

import "testing"

// crashBatch is how many executions are killed with one process, children among them:
// each run is held at its own point when the process dies. More would fill the workers
// that hold them, and the machine.
const crashBatch = 40

// executions gives how many a run of a document is, itself and its children.
func (d crashDocument) executions() int {
	n := 1
	for _, g := range d.atOnce {
		n += len(g)
	}
	return n
}

// tally counts the points at which runs were killed.
type tally struct {
	kinds, documents map[string]int
	atOnce           int // of those with three children under way or more
}

func newTally() *tally { return &tally{kinds: map[string]int{}, documents: map[string]int{}} }

func (y *tally) count(r *crashRun) {
	y.kinds[r.where.Kind]++
	y.documents[r.doc.name]++
	if r.alive >= 3 {
		y.atOnce++
	}
}

func (y *tally) log(t *testing.T, docs []crashDocument) {
	t.Helper()
	all := 0
	for _, d := range docs {
		all += y.documents[d.name]
	}
	t.Logf("killed at %d points, %d of them with three children under way: %v, %v", all, y.atOnce, y.documents, y.kinds)
}

// target is a place of a document at which a run is killed.
type target struct {
	doc   crashDocument
	at    place
	pace  pace
	tries int
}

// crashTargets lists every n-th point, those of all documents in turn; of a document
// with many children fewer. The points of the one loop that ends timers are left to
// killParked: who is held there holds others.
func crashTargets(docs []crashDocument, whole map[string]*crashRun, n int) []target {
	var out []target
	most := 0
	for _, d := range docs {
		most = max(most, len(whole[d.name].points))
	}
	for i := range most {
		for k, d := range docs {
			step := n
			if len(d.atOnce) > 0 && n > 1 {
				step *= 5
			}
			if i >= len(whole[d.name].points) || (i+1+k)%step != 0 {
				continue
			}
			if at := whole[d.name].points[i]; at.Kind != "fired" {
				out = append(out, target{doc: d, at: at, pace: pace(i/step) % paces})
			}
		}
	}
	return everyKind(out, docs, whole)
}

// everyKind adds a point of each kind that is not among some.
func everyKind(some []target, docs []crashDocument, whole map[string]*crashRun) []target {
	have := map[string]bool{"fired": true}
	for _, g := range some {
		have[g.at.Kind] = true
	}
	for _, d := range docs {
		for _, at := range whole[d.name].points {
			if !have[at.Kind] {
				have[at.Kind] = true
				some = append(some, target{doc: d, at: at})
			}
		}
	}
	return some
}

// spread makes batches that hold few points of the same place: what starts segments
// is handled by few workers, and those that are held start no others.
func spread(todo []target) [][]target {
	weight := 0
	for _, g := range todo {
		weight += g.doc.executions()
	}
	out := make([][]target, (weight+crashBatch-1)/crashBatch)
	for i, g := range todo {
		out[i%len(out)] = append(out[i%len(out)], g)
	}
	return out
}
