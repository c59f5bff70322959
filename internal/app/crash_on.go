//go:build crashtest

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// crashSocket names the Unix socket of the test that says when to go on. Without it
// nothing is held.
const crashSocket = "PARRY_CRASH_SOCKET"

// crashInlineLimit is the longest sleep that stays in memory, so that a test need not
// wait a minute for one that is parked.
const crashInlineLimit = "PARRY_CRASH_INLINE"

// crashInline is zero, which is the default, where the environment says nothing.
func crashInline() time.Duration {
	text := os.Getenv(crashInlineLimit)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		panic(fmt.Sprintf("%s is %q; it needs a duration such as 3s", crashInlineLimit, text))
	}
	return d
}

// crashPlace is where a process is, as the test reads it: one line of JSON.
type crashPlace struct {
	// Root is the execution at the top, Label that of the one which writes, "" at the
	// top: executions that run at once each have an order of their own.
	Root  string `json:"root"`
	Label string `json:"label"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Side  string `json:"side"` // of the write: before or after
}

// crashSeen has the place of each execution that was seen: only Root and Label.
var crashSeen sync.Map

func crashPlaceOf(execution string) crashPlace {
	if v, ok := crashSeen.Load(execution); ok {
		p, _ := v.(crashPlace)
		return p
	}
	return crashPlace{Root: execution}
}

func crashSee(execution string, of store.ExecutionOf) {
	if of.Root != "" {
		crashSeen.Store(execution, crashPlace{Root: of.Root, Label: strings.TrimSuffix(of.Prefix, "/")})
	}
}

// crashPoint tells the test where the process is and waits for its word: one line
// out, one byte back. A test that wants the process killed here does not answer.
func crashPoint(p crashPlace, kind, name, side string) {
	p.Kind, p.Name, p.Side = kind, name, side
	path := os.Getenv(crashSocket)
	if path == "" {
		return
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "unix", path)
	if err != nil {
		return // the test has ended
	}
	defer func() { _ = conn.Close() }()
	if err := json.NewEncoder(conn).Encode(p); err != nil {
		return
	}
	_, _ = conn.Read(make([]byte, 1)) // a byte or the end: go on
}

// around holds before and after one durable write of an execution.
func around(execution, kind, name string, write func() error) error {
	return aroundAt(crashPlaceOf(execution), kind, name, write)
}

func aroundAt(p crashPlace, kind, name string, write func() error) error {
	crashPoint(p, kind, name, "before")
	err := write()
	crashPoint(p, kind, name, "after")
	return err
}

// crashStepper holds between what a step did and its checkpoint, and after that.
func crashStepper(id string, x execute.Stepper) execute.Stepper {
	execution, _, _ := strings.Cut(id, "#")
	return heldSteps{x, execution}
}

type heldSteps struct {
	execute.Stepper
	execution string
}

func (h heldSteps) Step(ctx context.Context, name string, fn func(context.Context) ([]byte, error)) ([]byte, error) {
	ran := false
	out, err := h.Stepper.Step(ctx, name, func(ctx context.Context) ([]byte, error) {
		ran = true
		out, err := fn(ctx)
		crashPoint(crashPlaceOf(h.execution), "checkpoint", name, "before")
		return out, err
	})
	if ran {
		crashPoint(crashPlaceOf(h.execution), "checkpoint", name, "after")
	}
	return out, err
}

// crashEngine holds around the start of the next segment.
func crashEngine(x execute.Engine) execute.Engine { return heldEngine{x} }

type heldEngine struct{ execute.Engine }

func (h heldEngine) Start(ctx context.Context, id string, input []byte) error {
	execution, segment, _ := strings.Cut(id, "#")
	return around(execution, "start", segment, func() error { return h.Engine.Start(ctx, id, input) })
}

func (h heldEngine) Schedule(ctx context.Context, at time.Time, id string, input []byte) error {
	execution, segment, _ := strings.Cut(id, "#")
	return around(execution, "timer", segment, func() error { return h.Engine.Schedule(ctx, at, id, input) })
}

// crashTimers holds around the end of a timer, whose segment was started just before.
func crashTimers(x durable.Timers) durable.Timers { return heldTimers{x} }

type heldTimers struct{ durable.Timers }

func (h heldTimers) DeleteTimer(ctx context.Context, id string) error {
	execution, segment, _ := strings.Cut(id, "#")
	return around(execution, "fired", segment, func() error { return h.Timers.DeleteTimer(ctx, id) })
}

// crashExecutions holds around the boundaries of segments, the start and the end of
// children, and the look for signals, after which an execution is parked.
func crashExecutions(x execute.Store) execute.Store { return heldExecutions{x} }

type heldExecutions struct{ execute.Store }

func (h heldExecutions) PutSegment(ctx context.Context, e store.ExecutionRecord, w store.SegmentWrite) error {
	kind := "segment"
	if e.Of.Parent != "" && !e.EndedAt.IsZero() {
		kind = "child-end"
	}
	crashSee(e.ID, e.Of)
	return around(e.ID, kind, fmt.Sprintf("%d %s", e.Segment, e.Status), func() error { return h.Store.PutSegment(ctx, e, w) })
}

func (h heldExecutions) Signals(ctx context.Context, execution string, after int64) (out []store.Signal, err error) {
	err = around(execution, "look", "", func() error {
		out, err = h.Store.Signals(ctx, execution, after)
		return err
	})
	return out, err
}

// CreateExecutions is a write of the parent.
func (h heldExecutions) CreateExecutions(ctx context.Context, all []store.ExecutionRecord, eff store.Effects) error {
	for _, e := range all {
		crashSee(e.ID, e.Of)
	}
	if len(all) == 0 {
		return h.Store.CreateExecutions(ctx, all, eff)
	}
	return around(all[0].Of.Parent, "child-start", fmt.Sprint(len(all)), func() error { return h.Store.CreateExecutions(ctx, all, eff) })
}

func (h heldExecutions) UpdateRemediation(ctx context.Context, r remediation.Remediation, eff store.Effects) error {
	return around(r.Execution, "state", string(r.State), func() error { return h.Store.UpdateRemediation(ctx, r, eff) })
}

// crashRuns holds around the journal of scripts.
func crashRuns(x runStore) runStore { return heldRuns{x} }

type heldRuns struct{ runStore }

func (h heldRuns) AppendScriptCall(ctx context.Context, execution, key string, c store.ScriptCall) error {
	return around(execution, "journal", fmt.Sprintf("%s %d", key, c.N), func() error { return h.runStore.AppendScriptCall(ctx, execution, key, c) })
}

// crashSessions holds around the intent and the outcome of every change. A session is
// that of the execution at the top; whose change it is says the step's label.
func crashSessions(x sessionStore) sessionStore { return heldSessions{x} }

type heldSessions struct{ sessionStore }

func (h heldSessions) RecordIntent(ctx context.Context, c remediation.Change) error {
	return aroundAt(crashChange(c), "intent", c.Call.Step, func() error { return h.sessionStore.RecordIntent(ctx, c) })
}

func (h heldSessions) RecordOutcome(ctx context.Context, c remediation.Change) error {
	return aroundAt(crashChange(c), "outcome", c.Call.Step, func() error { return h.sessionStore.RecordOutcome(ctx, c) })
}

func crashChange(c remediation.Change) crashPlace {
	out := crashPlace{Root: c.Execution}
	crashSeen.Range(func(_, v any) bool {
		p, _ := v.(crashPlace)
		if p.Root == c.Execution && len(p.Label) > len(out.Label) && strings.HasPrefix(c.Call.Step, p.Label+"/") {
			out.Label = p.Label
		}
		return true
	})
	return out
}
