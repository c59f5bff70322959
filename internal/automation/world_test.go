package automation_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

// world is everything around executions: what outlives a process, and a switch
// that kills it at one of its durable writes.
type world struct {
	t           *testing.T
	clock       *clock
	interpreter *automation.Interpreter
	caller      *caller
	documents   map[string]*runbook.Document
	handlers    map[string]func(ctx context.Context, s automation.Script) (automation.ScriptResult, error)
	targets     []automation.Target
	find        func(automation.TargetQuery) []automation.Target // over targets
	given       map[string]any                                   // parameters of Main

	executions map[string]*execution
	order      []string
	mail       sync.Mutex // around signals
	signals    map[string][]automation.Signal
	entries    map[string][]automation.JournalEntry
	blobs      map[string][]byte
	asked      []automation.ApprovalRequest
	records    []automation.StepRecord
	// onWait puts signals for an execution that waits for them.
	onWait func(id string, o automation.Outcome)

	writes int  // durable writes so far
	killAt int  // the process ends at this write; 0 = never
	after  bool // the write is made, its answer is lost
	kills  int
	most   int // children that ran at once
}

// execution is what the store keeps of one.
type execution struct {
	run     automation.Run
	state   []byte
	done    map[string][]byte // checkpoints of the segment under way
	outcome *automation.Outcome
	label   string
	parent  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, clock: newClock(), caller: &caller{t: t, answers: map[string][]any{}}, documents: map[string]*runbook.Document{},
		handlers:   map[string]func(context.Context, automation.Script) (automation.ScriptResult, error){},
		executions: map[string]*execution{}, signals: map[string][]automation.Signal{}, entries: map[string][]automation.JournalEntry{}, blobs: map[string][]byte{},
	}
	var err error
	w.interpreter, err = automation.New(automation.Config{Clock: w.clock, Watch: 5 * time.Millisecond, Class: func(c apimodel.Call) apimodel.Class {
		if strings.HasPrefix(c.Operation, "Get") || strings.HasPrefix(c.Operation, "Describe") {
			return apimodel.Read
		}
		return apimodel.Change
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// document parses the body of a document under a name.
func (w *world) document(name, body string) {
	w.t.Helper()
	doc, err := runbook.Parse([]byte("schemaVersion: '0.3'\n" + body))
	if err != nil {
		w.t.Fatal(err)
	}
	w.documents[name] = doc
}

// write is one durable write. It kills the process before or after it.
func (w *world) write(do func()) error {
	w.writes++
	hit := w.killAt == w.writes
	if hit && !w.after {
		w.kills++
		return errKilled
	}
	do()
	if hit {
		w.kills++
		return errKilled
	}
	return nil
}

// Step is the StepRunner of one execution.
type steps struct {
	w *world
	e *execution
}

func (s steps) Step(ctx context.Context, name string, fn func(context.Context) ([]byte, error)) ([]byte, error) {
	if out, ok := s.e.done[name]; ok {
		return out, nil
	}
	out, err := fn(ctx)
	if err != nil {
		return nil, err
	}
	return out, s.w.write(func() { s.e.done[name] = out })
}

func (w *world) Signals(_ context.Context, execution string, after int64) ([]automation.Signal, error) {
	w.mail.Lock()
	defer w.mail.Unlock()
	var out []automation.Signal
	for _, s := range w.signals[execution] {
		if s.N > after {
			out = append(out, s)
		}
	}
	return out, nil
}

func (w *world) put(execution string, s automation.Signal) {
	w.mail.Lock()
	defer w.mail.Unlock()
	s.N, s.At = int64(len(w.signals[execution])+1), w.clock.Now()
	w.signals[execution] = append(w.signals[execution], s)
}

func (w *world) Entries(_ context.Context, key string) ([]automation.JournalEntry, error) {
	return slices.Clone(w.entries[key]), nil
}

func (w *world) Append(_ context.Context, key string, e automation.JournalEntry) error {
	return w.write(func() { w.entries[key] = append(w.entries[key], e) })
}

func (w *world) RunScript(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
	return w.handlers[s.Handler](ctx, s)
}

func (w *world) Ask(_ context.Context, a automation.ApprovalRequest) error {
	w.asked = append(w.asked, a)
	return nil
}

func (w *world) PutBlob(_ context.Context, content []byte) (string, error) {
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	w.blobs[name] = content
	return name, nil
}

func (w *world) Blob(_ context.Context, name string) ([]byte, error) {
	b, ok := w.blobs[name]
	if !ok {
		return nil, fmt.Errorf("no blob %s", name)
	}
	return b, nil
}

func (w *world) Attachment(_ context.Context, _ *runbook.Document, name string) ([]byte, error) {
	if name == "other.py" {
		return nil, fault.Errorf(fault.Denied, "read attachment", "the plan does not hold it")
	}
	return []byte("content of " + name), nil
}

func (w *world) Observe(_ context.Context, r automation.StepRecord) error {
	w.records = append(w.records, r)
	return nil
}

func (w *world) Document(_ context.Context, name, _ string) (*runbook.Document, error) {
	doc, ok := w.documents[name]
	if !ok {
		return nil, fault.Errorf(fault.NotFound, "find document", "there is no document %s", name)
	}
	return doc, nil
}

func (w *world) Targets(_ context.Context, q automation.TargetQuery) ([]automation.Target, error) {
	if w.find != nil {
		return w.find(q), nil
	}
	return slices.Clone(w.targets), nil
}

func (w *world) Start(ctx context.Context, list []automation.Child) error {
	for _, c := range list {
		if w.executions[c.ID] != nil {
			continue
		}
		doc, err := w.Document(ctx, c.Document, c.Version)
		if err != nil {
			return err
		}
		parameters := c.Parameters
		if c.Fan != nil {
			doc, parameters, err = automation.Fan(doc, c.Document, c.Version, c.Parameters, *c.Fan)
		} else {
			parameters, err = doc.ResolveParameters(parameters, nil)
		}
		if err != nil {
			return err
		}
		role, err := automation.ChildRole(c, doc, parameters)
		if err != nil {
			return err
		}
		run := w.run(doc, parameters)
		run.ExecutionID, run.Account, run.Region, run.Role, run.Prefix = c.ID, c.Account, c.Region, role, c.Label+"/"
		w.add(run, c.Label)
		w.executions[c.ID].parent = c.Parent
	}
	running := 0
	for _, e := range w.executions {
		if e.outcome == nil && e.label != "" {
			running++
		}
	}
	w.most = max(w.most, running)
	return nil
}

func (w *world) Children(_ context.Context, ids []string) ([]automation.ChildState, error) {
	var out []automation.ChildState
	for _, id := range ids {
		e := w.executions[id]
		st := automation.ChildState{ID: id, Status: automation.InProgress}
		if e.outcome != nil {
			st.Status, st.Outputs = e.outcome.Status, e.outcome.Outputs
			if e.outcome.Abort != nil {
				st.Stopped, st.Refused = fault.CodeOf(e.outcome.Abort), fault.IsRefused(e.outcome.Abort)
			}
			if e.outcome.Failure != nil {
				st.Failure = e.outcome.Failure.Message
			}
			for _, o := range e.run.Document.Outputs {
				st.OutputOrder = append(st.OutputOrder, o.Text())
			}
		}
		out = append(out, st)
	}
	return out, nil
}

func (w *world) Cancel(_ context.Context, ids []string) error {
	for _, id := range ids {
		w.put(id, automation.Signal{Kind: automation.SignalCancel, By: "parent"})
	}
	return nil
}

// run gives a Run with everything wired.
func (w *world) run(doc *runbook.Document, parameters map[string]any) automation.Run {
	return automation.Run{
		Document: doc, Parameters: parameters, Caller: w.caller, Observer: w, ExecutionID: "exec-1", Account: "111122223333", Region: "eu-west-1",
		Scripts: w, Journal: w, Inbox: w, Children: w, Approvals: w, Attachments: w, Blobs: w,
	}
}

func (w *world) add(run automation.Run, label string) {
	w.executions[run.ExecutionID] = &execution{run: run, done: map[string][]byte{}, label: label}
	w.order = append(w.order, run.ExecutionID)
}

// start makes document the execution exec-1.
func (w *world) start(name string, given map[string]any) *execution {
	w.t.Helper()
	doc := w.documents[name]
	parameters, err := doc.ResolveParameters(given, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.add(w.run(doc, parameters), "")
	return w.executions["exec-1"]
}

// finish runs segments of every execution until exec-1 has ended.
func (w *world) finish() automation.Outcome {
	w.t.Helper()
	for range 5_000 {
		if o := w.executions["exec-1"].outcome; o != nil {
			return *o
		}
		if !w.turn() {
			w.t.Fatal("nothing is due and exec-1 has not ended")
		}
	}
	w.t.Fatal("exec-1 does not end")
	return automation.Outcome{}
}

// turn runs the next segment that is due: of children first, so that a parent
// that only waits is not run in circles.
func (w *world) turn() bool {
	w.t.Helper()
	var sleeping *execution
	var until time.Time
	for i := len(w.order) - 1; i >= 0; i-- {
		e := w.executions[w.order[i]]
		if e.outcome != nil {
			continue
		}
		due, at := w.due(e)
		if due {
			w.segment(e)
			return true
		}
		if !at.IsZero() && (sleeping == nil || at.Before(until)) {
			sleeping, until = e, at
		}
	}
	if sleeping == nil {
		return false
	}
	_ = w.clock.Wait(w.t.Context(), until.Sub(w.clock.Now()))
	w.segment(sleeping)
	return true
}

// due reports whether e has a segment to run: it was not run yet, its time has
// come, or there are signals that it has not read.
func (w *world) due(e *execution) (bool, time.Time) {
	if e.state == nil {
		return true, time.Time{}
	}
	st, err := automation.DecodeState(e.state)
	if err != nil {
		w.t.Fatal(err)
	}
	if list := w.signals[e.run.ExecutionID]; len(list) > 0 && list[len(list)-1].N > st.Signal {
		return true, time.Time{}
	}
	if st.Park == nil {
		return true, time.Time{}
	}
	return !st.Park.Until.IsZero() && !st.Park.Until.After(w.clock.Now()), st.Park.Until
}

// segment runs one segment, again after each kill, and keeps its outcome.
func (w *world) segment(e *execution) {
	w.t.Helper()
	run := e.run
	run.Steps = steps{w, e}
	for {
		if e.state != nil {
			st, err := automation.DecodeState(e.state)
			if err != nil {
				w.t.Fatal(err)
			}
			run.State = st
		}
		o, err := w.interpreter.Run(w.t.Context(), run)
		if errors.Is(err, errKilled) {
			_ = w.clock.Wait(w.t.Context(), time.Second)
			continue
		}
		if err != nil {
			w.t.Fatalf("run %s: %v", run.ExecutionID, err)
		}
		if e.state, err = o.State.Encode(); err != nil {
			w.t.Fatal(err)
		}
		e.done = map[string][]byte{}
		if o.Status.Ended() || o.Open != "" {
			e.outcome = &o
			if e.parent != "" {
				w.put(e.parent, automation.Signal{Kind: automation.SignalChildEnded, Child: run.ExecutionID})
			}
			return
		}
		if w.onWait != nil {
			w.onWait(run.ExecutionID, o)
		}
		return
	}
}
