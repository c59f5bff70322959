package durable_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/store/storetest"
)

// The process is killed at every checkpoint, before and after it is written.
// After a restart everything is done, and no completed step was done twice.
func TestKilledAtEveryCheckpoint(t *testing.T) {
	t.Parallel()
	const steps = 4
	points := []string{"started", "timer"}
	for i := 1; i <= steps; i++ {
		points = append(points, fmt.Sprint("in/", i), fmt.Sprint("after/", i))
	}
	if testing.Short() {
		points = []string{"timer", "in/2", "after/3"}
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			o := order{Dir: t.TempDir(), Node: "first", Work: []string{"w#1"}, Steps: steps, Hold: point}
			if point == "started" || point == "timer" {
				o.Later = 200 * time.Millisecond
				// What the timer starts must not come to its first effect before the kill:
				// a step that is under way then is done again, and rightly so.
				o.Pause = 20 * time.Second
			}
			first := launch(t, o)
			first.hear("holding")
			first.kill()

			second := launch(t, order{Dir: o.Dir, Node: "second", Steps: steps, Await: 1})
			second.hear("finished")
			second.wait()

			effects, recorded := readLog(t, o.log())
			if len(recorded) != steps {
				t.Errorf("recorded %v", recorded)
			}
			for step, n := range count(effects) {
				want := 1
				if step == "w#1 step/"+point[len(point)-1:] && point[:2] == "in" {
					want = 2 // the step that was under way
				}
				if n != want {
					t.Errorf("%s was done %d times, want %d", step, n, want)
				}
			}
		})
	}
}

const (
	lease     = 4 * time.Second // of the nodes that share a database
	takeovers = 12
)

// Two equal nodes: one is killed, the other has its work within the lease and
// five seconds.
func TestKilledNodeIsTakenOver(t *testing.T) {
	t.Parallel()
	o := order{Dir: t.TempDir(), URL: storetest.Postgres(t), Node: "first", Steps: 6, Pause: 150 * time.Millisecond}
	for i := range takeovers {
		o.Work = append(o.Work, fmt.Sprintf("w%d#1", i))
	}
	second := launch(t, order{Dir: o.Dir, URL: o.URL, Node: "second", Steps: o.Steps, Pause: o.Pause, Await: takeovers})
	second.hear("ready")
	first := launch(t, o)
	first.hear("ready")
	time.Sleep(250 * time.Millisecond) // lets the work come to its middle; nothing is asserted about where
	killed := time.Now()
	first.kill()
	second.hear("finished")
	second.wait()

	effects, _ := readLog(t, o.log())
	judge(t, effects, o)
	var taken time.Time
	for _, e := range effects {
		if e.node == "second" && (taken.IsZero() || e.at.Before(taken)) {
			taken = e.at
		}
	}
	if taken.IsZero() {
		t.Fatal("the second node did nothing")
	}
	t.Logf("the first step of the second node ended %s after the kill; lease %s", taken.Sub(killed), lease)
	if taken.Sub(killed) > lease+5*time.Second {
		t.Errorf("takeover took %s", taken.Sub(killed))
	}
}

// A node that is suspended past its lease and wakes up does nothing more.
func TestSuspendedNodeStaysOut(t *testing.T) {
	t.Parallel()
	o := order{Dir: t.TempDir(), URL: storetest.Postgres(t), Node: "first", Steps: 6, Pause: 150 * time.Millisecond}
	for i := range takeovers {
		o.Work = append(o.Work, fmt.Sprintf("w%d#1", i))
	}
	second := launch(t, order{Dir: o.Dir, URL: o.URL, Node: "second", Steps: o.Steps, Pause: o.Pause, Await: takeovers})
	second.hear("ready")
	first := launch(t, o)
	first.hear("ready")
	time.Sleep(250 * time.Millisecond) // as above
	first.signal(syscall.SIGSTOP)
	second.hear("finished")
	second.wait()
	first.signal(syscall.SIGCONT)
	first.hear("lost")
	first.wait()
	effects, _ := readLog(t, o.log())
	judge(t, effects, o)
}

// judge finds every step done, and done again only where it was under way in
// the first node: at most one in each piece of work.
func judge(t *testing.T, effects []effect, o order) {
	t.Helper()
	counts := count(effects)
	for _, w := range o.Work {
		again := 0
		for i := 1; i <= o.Steps; i++ {
			n := counts[fmt.Sprintf("%s step/%d", w, i)]
			again += max(n-1, 0)
			if n == 0 {
				t.Errorf("%s step/%d was not done", w, i)
			}
		}
		if again > 1 {
			t.Errorf("%s: %d steps were done again", w, again)
		}
	}
	// A step recorded by the first node is not done by the second.
	_, recorded := readLog(t, o.log())
	for _, e := range effects {
		if e.node == "second" && recorded[e.work+" "+e.step] == "first" {
			t.Errorf("%s %s was recorded by the first node and done again", e.work, e.step)
		}
	}
}
