//go:build crashtest

package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// crashSocket names the Unix socket of the test that says when to go on. Without it
// nothing is held.
const crashSocket = "PARRY_CRASH_SOCKET"

// crashRoots has the execution at the top for each one that was seen.
var crashRoots sync.Map

// crashPoint tells the test where the process is and waits for its word: one line
// out, one byte back. A test that wants the process killed here does not answer.
func crashPoint(execution, kind, name, side string) {
	path := os.Getenv(crashSocket)
	if path == "" {
		return
	}
	root := execution
	if v, ok := crashRoots.Load(execution); ok {
		root, _ = v.(string)
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "unix", path)
	if err != nil {
		return // the test has ended
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "%s\t%s\t%s\t%s\n", root, kind, name, side); err != nil {
		return
	}
	_, _ = conn.Read(make([]byte, 1)) // a byte or the end: go on
}

// around holds before and after one durable write. That an execution is seen keeps
// which one is at the top.
func around(of store.ExecutionOf, execution, kind, name string, write func() error) error {
	if of.Root != "" {
		crashRoots.Store(execution, of.Root)
	}
	crashPoint(execution, kind, name, "before")
	err := write()
	crashPoint(execution, kind, name, "after")
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
		crashPoint(h.execution, "checkpoint", name, "before")
		return out, err
	})
	if ran {
		crashPoint(h.execution, "checkpoint", name, "after")
	}
	return out, err
}

// crashEngine holds around the start of the next segment.
func crashEngine(x execute.Engine) execute.Engine { return heldEngine{x} }

type heldEngine struct{ execute.Engine }

func (h heldEngine) Start(ctx context.Context, id string, input []byte) error {
	execution, segment, _ := strings.Cut(id, "#")
	return around(store.ExecutionOf{}, execution, "start", segment, func() error { return h.Engine.Start(ctx, id, input) })
}

func (h heldEngine) Schedule(ctx context.Context, at time.Time, id string, input []byte) error {
	execution, segment, _ := strings.Cut(id, "#")
	return around(store.ExecutionOf{}, execution, "timer", segment, func() error { return h.Engine.Schedule(ctx, at, id, input) })
}

// crashExecutions holds around the boundaries of segments, and the start and the end
// of children.
func crashExecutions(x execute.Store) execute.Store { return heldExecutions{x} }

type heldExecutions struct{ execute.Store }

func (h heldExecutions) PutSegment(ctx context.Context, e store.ExecutionRecord, w store.SegmentWrite) error {
	kind := "segment"
	if e.Of.Parent != "" && !e.EndedAt.IsZero() {
		kind = "child-end"
	}
	return around(e.Of, e.ID, kind, fmt.Sprintf("%d %s", e.Segment, e.Status), func() error { return h.Store.PutSegment(ctx, e, w) })
}

func (h heldExecutions) CreateExecutions(ctx context.Context, all []store.ExecutionRecord, eff store.Effects) error {
	for _, e := range all {
		crashRoots.Store(e.ID, e.Of.Root)
	}
	if len(all) == 0 {
		return h.Store.CreateExecutions(ctx, all, eff)
	}
	return around(all[0].Of, all[0].ID, "child-start", fmt.Sprint(len(all)), func() error { return h.Store.CreateExecutions(ctx, all, eff) })
}

func (h heldExecutions) UpdateRemediation(ctx context.Context, r remediation.Remediation, eff store.Effects) error {
	return around(store.ExecutionOf{}, r.Execution, "state", string(r.State), func() error { return h.Store.UpdateRemediation(ctx, r, eff) })
}

// crashRuns holds around the journal of scripts.
func crashRuns(x runStore) runStore { return heldRuns{x} }

type heldRuns struct{ runStore }

func (h heldRuns) AppendScriptCall(ctx context.Context, execution, key string, c store.ScriptCall) error {
	return around(store.ExecutionOf{}, execution, "journal", fmt.Sprintf("%s %d", key, c.N), func() error { return h.runStore.AppendScriptCall(ctx, execution, key, c) })
}

// crashSessions holds around the intent and the outcome of every change.
func crashSessions(x sessionStore) sessionStore { return heldSessions{x} }

type heldSessions struct{ sessionStore }

func (h heldSessions) RecordIntent(ctx context.Context, c remediation.Change) error {
	return around(store.ExecutionOf{}, c.Execution, "intent", c.Call.Step, func() error { return h.sessionStore.RecordIntent(ctx, c) })
}

func (h heldSessions) RecordOutcome(ctx context.Context, c remediation.Change) error {
	return around(store.ExecutionOf{}, c.Execution, "outcome", c.Call.Step, func() error { return h.sessionStore.RecordOutcome(ctx, c) })
}
