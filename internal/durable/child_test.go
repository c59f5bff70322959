package durable_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/durable"
)

// envChild makes the test binary a node of its own, to be killed.
const envChild = "PARRY_TEST_DURABLE_CHILD"

// order is what a child is told to do.
type order struct {
	Dir, URL, Node string
	// Work is started by the child; the ones of others it only takes over.
	Work  []string
	Steps int
	Pause time.Duration // in each step
	// Hold is the place at which the child stops for ever, to be killed there:
	// "in/3" inside step 3 when its effect is done, "after/3" when it is recorded.
	Hold string
	// Later schedules the work that long from now instead of starting it.
	Later time.Duration
	// Await is how many pieces of work must be done before the child ends by
	// itself; 0 = never.
	Await int
}

func (o order) place() place { return place{dir: o.Dir, url: o.URL} }

func (o order) log() string { return filepath.Join(o.Dir, "effects.log") }

// child is a node in a process of its own.
func child() {
	if err := childMain(); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func childMain() error {
	ctx := context.Background()
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(envChild)), &o); err != nil {
		return err
	}
	cfg, _, err := o.place().config(ctx, o.Node)
	if err != nil {
		return err
	}
	effects, err := os.OpenFile(o.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cfg.Run = o.body(effects)
	if o.URL != "" {
		cfg.LeaseTTL = lease
	}
	cfg.Timers = holding{cfg.Timers, o}
	e, err := durable.New(cfg)
	if err != nil {
		return err
	}
	if err := e.Service().Start(ctx); err != nil {
		return err
	}
	for _, id := range o.Work {
		if o.Later > 0 {
			err = e.Schedule(ctx, time.Now().Add(o.Later), id, []byte("input of "+id))
		} else {
			err = e.Start(ctx, id, []byte("input of "+id))
		}
		if err != nil {
			return err
		}
	}
	o.hold("started")
	fmt.Println("ready")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-e.Lost():
			fmt.Println("lost")
			return e.Service().Stop(ctx)
		case <-tick.C:
		}
		done, err := e.List(ctx, durable.Filter{Status: durable.Done})
		if err == nil && o.Await > 0 && len(done) >= o.Await {
			fmt.Println("finished")
			return e.Service().Stop(ctx)
		}
	}
}

// body runs the steps. Each writes its effect to the log, and a second line
// when it is known to be recorded.
func (o order) body(effects *os.File) func(context.Context, *durable.Exec) error {
	return func(ctx context.Context, x *durable.Exec) error {
		for i := 1; i <= o.Steps; i++ {
			name := fmt.Sprint("step/", i)
			out, err := x.Step(ctx, name, func(context.Context) ([]byte, error) {
				time.Sleep(o.Pause)
				_, err := fmt.Fprintf(effects, "effect %s %s %s %d\n", x.ID(), name, o.Node, time.Now().UnixMilli())
				o.hold(fmt.Sprint("in/", i))
				return []byte("output of " + name), err
			})
			if err != nil {
				return err
			}
			if string(out) != "output of "+name || string(x.Input()) != "input of "+x.ID() {
				return fmt.Errorf("step %s gave %q", name, out)
			}
			if _, err := fmt.Fprintf(effects, "recorded %s %s %s\n", x.ID(), name, o.Node); err != nil {
				return err
			}
			o.hold(fmt.Sprint("after/", i))
		}
		return nil
	}
}

func (o order) hold(at string) {
	if o.Hold == at {
		fmt.Println("holding")
		select {}
	}
}

// holding stops between starting what a timer is for and deleting it.
type holding struct {
	durable.Timers
	o order
}

func (h holding) DeleteTimer(ctx context.Context, id string) error {
	h.o.hold("timer")
	return h.Timers.DeleteTimer(ctx, id)
}

// node is a child process.
type node struct {
	t    *testing.T
	cmd  *exec.Cmd
	said chan string
	done sync.WaitGroup
}

func launch(t *testing.T, o order) *node {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, cmd: exec.Command(os.Args[0], "-test.run=^$"), said: make(chan string, 1000)}
	n.cmd.Env = append(os.Environ(), envChild+"="+string(raw))
	n.cmd.Stderr = os.Stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.done.Go(func() { n.listen(out) })
	t.Cleanup(n.kill)
	return n
}

func (n *node) listen(out io.Reader) {
	defer close(n.said)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n.said <- lines.Text()
	}
}

// hear waits until the child says word.
func (n *node) hear(word string) {
	n.t.Helper()
	limit := time.After(40 * time.Second)
	for {
		select {
		case line, ok := <-n.said:
			if !ok {
				n.t.Fatalf("node ended before it said %q", word)
			}
			if line == word {
				return
			}
			if strings.HasPrefix(line, "error") {
				n.t.Fatalf("node said %q", line)
			}
		case <-limit:
			n.t.Fatalf("node did not say %q", word)
		}
	}
}

// kill ends the child at once and waits for it.
func (n *node) kill() {
	if n.cmd.ProcessState != nil {
		return
	}
	_ = n.cmd.Process.Kill() // it may have ended by itself
	n.wait()
}

func (n *node) wait() {
	n.done.Wait()
	_ = n.cmd.Wait() // how it ended is judged by what it said
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// effect is one line of the log.
type effect struct {
	work, step, node string
	at               time.Time
}

// readLog gives the effects in order, and which steps were recorded by whom.
func readLog(t *testing.T, path string) (effects []effect, recorded map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	recorded = map[string]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 5 && f[0] == "effect":
			var ms int64
			if _, err := fmt.Sscan(f[4], &ms); err != nil {
				t.Fatal(err)
			}
			effects = append(effects, effect{f[1], f[2], f[3], time.UnixMilli(ms)})
		case len(f) == 4 && f[0] == "recorded":
			key := f[1] + " " + f[2]
			if _, again := recorded[key]; !again {
				recorded[key] = f[3]
			}
		default:
			t.Fatalf("log line %q", line)
		}
	}
	return effects, recorded
}

func count(effects []effect) map[string]int {
	n := map[string]int{}
	for _, e := range effects {
		n[e.work+" "+e.step]++
	}
	return n
}
