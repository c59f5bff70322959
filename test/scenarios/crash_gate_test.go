package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// whileParked is the kind of the place at which a run is parked until a time: its timer
// is written, and nothing of it runs.
const whileParked = "parked"

// point is where an execution is: before or after a durable write.
type point struct {
	Label string `json:"label"` // of a child; "" = the execution at the top
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Side  string `json:"side"`
}

func (p point) String() string {
	text := p.Side + " " + p.Kind + " " + p.Name
	if p.Label != "" {
		text += " of " + p.Label
	}
	return text
}

// place is one of a run's points: the nth of its like. Executions that run at once
// come by in no order, but each one's own places are the same in every run.
type place struct {
	point

	nth int
}

func (p place) String() string { return fmt.Sprintf("%s, no. %d", p.point, p.nth) }

// crashGate is where a server that was built with the tag crashtest asks, at every
// durable write of an execution, whether it may go on. It lets a run pass as many
// points as the run may, and holds it there until the server is killed.
type crashGate struct {
	t    *testing.T
	path string
	l    net.Listener
	wait sync.WaitGroup

	mu   sync.Mutex
	news *sync.Cond
	runs map[string]*crashRun // by execution
	open bool                 // nothing is held
	last time.Time            // something came by
}

func newCrashGate(t *testing.T) *crashGate {
	t.Helper()
	// The path of a socket has to be short.
	dir, err := os.MkdirTemp("", "parry-crash-") //nolint:usetesting // t.TempDir is too long for it
	if err != nil {
		t.Fatal(err)
	}
	g := &crashGate{t: t, path: filepath.Join(dir, "s"), runs: map[string]*crashRun{}, open: true}
	g.news = sync.NewCond(&g.mu)
	if g.l, err = (&net.ListenConfig{}).Listen(context.Background(), "unix", g.path); err != nil {
		t.Fatal(err)
	}
	g.wait.Go(g.serve)
	t.Cleanup(func() {
		g.set(true)
		_ = g.l.Close()
		g.wait.Wait()
		_ = os.RemoveAll(dir)
	})
	return g
}

func (g *crashGate) serve() {
	for {
		conn, err := g.l.Accept()
		if err != nil {
			return
		}
		g.wait.Go(func() {
			defer func() { _ = conn.Close() }()
			var at struct {
				Root string `json:"root"`
				point
			}
			if json.NewDecoder(conn).Decode(&at) == nil && g.pass(at.Root, at.point) {
				_, _ = conn.Write([]byte{1}) // the process may be gone
			}
		})
	}
}

// pass waits until a run may go on at p.
func (g *crashGate) pass(execution string, p point) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	// The first point may come before whoever started the run knows its id.
	for g.runs[execution] == nil && !g.open {
		g.news.Wait()
	}
	g.last = time.Now()
	r := g.runs[execution]
	if r == nil || g.open || p.Kind == "fired" && r.doc.rests == 0 {
		return true // one loop of the server fires all timers: held, it would hold other runs
	}
	p.Label, p.Name = r.text(p.Label), r.text(p.Name)
	at, n := r.arrive(p)
	g.news.Broadcast()
	for !g.open && (r.held || !r.may(p, n)) {
		g.news.Wait()
	}
	if !g.open && at == r.target {
		r.hold(at)
		g.news.Broadcast()
	}
	for !g.open && r.held {
		g.news.Wait()
	}
	if g.open {
		return false // by now it is killed
	}
	r.leave(p)
	g.last = time.Now()
	g.news.Broadcast()
	return true
}

// set opens the gate, or closes it for the runs to come.
func (g *crashGate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open, g.last = open, time.Now()
	g.news.Broadcast()
}

func (g *crashGate) add(r *crashRun) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.runs[r.execution] = r
	g.news.Broadcast()
}

// state tells of a run, and for how long nothing has come by.
func (g *crashGate) state(r *crashRun) (held bool, quiet time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return r.held, time.Since(g.last)
}

// parked reports whether a run waits for a signal. Whoever then puts one says so
// with took.
func (g *crashGate) parked(r *crashRun) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open || r.parked && !r.held
}

func (g *crashGate) took(r *crashRun) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.parked = false
}
