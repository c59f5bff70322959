package scenarios_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// point is a durable write of a run, before or after it.
type point struct{ kind, name, side string }

func (p point) String() string { return p.side + " " + p.kind + " " + p.name }

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
			line, err := bufio.NewReader(conn).ReadString('\n')
			if f := strings.Split(strings.TrimSpace(line), "\t"); err == nil && len(f) == 4 && g.pass(f[0], point{f[1], f[2], f[3]}) {
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
	if r == nil || g.open {
		return true
	}
	r.points = append(r.points, p)
	if r.at == 0 || len(r.points) < r.at {
		return true
	}
	if !r.held {
		r.held, r.where = true, p
	}
	g.news.Broadcast()
	for !g.open {
		g.news.Wait()
	}
	return false // by now it is killed
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
