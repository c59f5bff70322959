package execute_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

const childText = "schemaVersion: '0.3'\nmainSteps: [{name: Inner, action: 'aws:sleep', inputs: {Duration: PT1S}}]\n"

// aRun makes rem-1 a document that somebody started as execution exe, with a child
// document in its plan.
func aRun(t *testing.T, results ...execute.Result) *world {
	t.Helper()
	w := setup(t, results...)
	r := w.remediations["rem-1"]
	r.Kind, r.Runbook, r.Execution = remediation.KindRun, "Close", "exe"
	w.remediations["rem-1"] = r
	w.executions["exe"] = store.ExecutionRecord{
		ID: "exe", Remediation: "rem-1", Status: "Pending", StartedAt: noon.Add(-time.Hour),
		Of: store.ExecutionOf{Root: "exe", Document: "Close", Account: r.Account, Region: "us-east-1", StartedBy: "alice"},
	}
	w.rehash(t, func(p *remediation.Plan) {
		p.Kind, p.Run = remediation.KindRun, &remediation.Run{Execution: "exe", Account: r.Account, Region: "us-east-1"}
		p.Documents = []remediation.Runbook{{Name: "child", Revision: runbook.Revision([]byte(childText)), Content: childText}}
	})
	return w
}

// begin hands rem-1 to the stage and runs its first segment.
func (w *world) begin(t *testing.T) {
	t.Helper()
	if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`)); err != nil {
		t.Fatal(err)
	}
	w.run(t, w.input(t, "exe#1"))
}

func (w *world) input(t *testing.T, id string) []byte {
	t.Helper()
	input, ok := w.engine.started[id]
	if !ok {
		t.Fatalf("%s was not started", id)
	}
	return input
}

func (w *world) wake(t *testing.T, id string) {
	t.Helper()
	payload, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.stage.Wake(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
}

func child(id string) store.ExecutionRecord {
	return store.ExecutionRecord{ID: id, Remediation: "rem-1", Of: store.ExecutionOf{
		Parent: "exe", Root: "exe", Document: "child", Prefix: "Start/", Label: "Start", Depth: 1, Account: "222233334444", Region: "eu-west-1", Role: "arn:r",
	}}
}

func parked(until time.Time) execute.Result {
	return execute.Result{Status: "Waiting", State: []byte("half way"), Parked: true, ResumeAt: until, CurrentStep: "Ask", CurrentAction: "aws:approve"}
}

var success = execute.Result{Status: "Success", Ended: store.ExecutionResult{Outputs: map[string][]string{"Inner.Out": {"1"}}}}

func TestARunKeepsTheExecutionThatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := aRun(t, success)
	w.begin(t)
	e := w.executions["exe"]
	if e.Status != "Success" || !e.StartedAt.Equal(noon.Add(-time.Hour)) || e.Of.StartedBy != "alice" || e.EndedAt.IsZero() {
		t.Errorf("execution = %+v", e)
	}
	if s := w.script.segments[0]; s.Of.Region != "us-east-1" || s.Plan == nil || s.Number != 1 {
		t.Errorf("segment = %+v", s)
	}
	if w.remediations["rem-1"].State != remediation.Verifying {
		t.Errorf("it is %s", w.remediations["rem-1"].State)
	}
}

func TestASignalWakesWhatIsParkedAndNothingElse(t *testing.T) {
	t.Parallel()
	w := aRun(t, parked(time.Time{}), success)
	w.begin(t)
	if len(w.engine.scheduled) > 0 {
		t.Errorf("it waits for a signal, and is scheduled: %v", w.engine.scheduled)
	}
	if e := w.executions["exe"]; !e.Parked || e.Segment != 2 || e.CurrentStep != "Ask" {
		t.Errorf("execution = %+v", e)
	}
	if err := w.stage.Signal(t.Context(), store.Signal{Execution: "exe", Kind: "Approve", By: "bob"}); err != nil {
		t.Fatal(err)
	}
	w.wake(t, "exe")
	if diff := cmp.Diff(map[string]time.Time{"exe#2": noon}, w.engine.scheduled); diff != "" {
		t.Fatal(diff)
	}
	w.run(t, w.input(t, "exe#2"))
	if w.executions["exe"].Status != "Success" {
		t.Errorf("execution = %+v", w.executions["exe"])
	}
	clear(w.engine.scheduled)
	w.wake(t, "exe") // it has ended
	w.wake(t, "unknown")
	if len(w.engine.scheduled) > 0 {
		t.Errorf("scheduled %v", w.engine.scheduled)
	}
}

// TestNoSignalIsLostBetweenReadingAndParking: it comes after the interpreter has
// looked and before the row says that it is parked.
func TestNoSignalIsLostBetweenReadingAndParking(t *testing.T) {
	t.Parallel()
	w := aRun(t, parked(noon.Add(time.Hour)))
	w.script.during = func() {
		if err := w.stage.Signal(t.Context(), store.Signal{Execution: "exe", Kind: "Cancel"}); err != nil {
			t.Error(err)
		}
		w.wake(t, "exe") // not parked yet: this alone would lose it
	}
	w.begin(t)
	if diff := cmp.Diff(map[string]time.Time{"exe#2": noon}, w.engine.scheduled); diff != "" {
		t.Error(diff)
	}
}

// TestNoSignalIsPutOffToTheTimeOfItsWait: whenever it comes while an execution is
// parked until a time, the execution goes on at once.
func TestNoSignalIsPutOffToTheTimeOfItsWait(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"parking", "scheduling", "looking"} {
		t.Run("after "+when, func(t *testing.T) {
			t.Parallel()
			w := aRun(t, parked(noon.Add(7*24*time.Hour)))
			w.after[when] = func() {
				if err := w.stage.Signal(t.Context(), store.Signal{Execution: "exe", Kind: "Approve", By: "bob"}); err != nil {
					t.Error(err)
				}
				w.wake(t, "exe")
			}
			w.begin(t)
			if len(w.after) > 0 {
				t.Fatal("it never came")
			}
			if diff := cmp.Diff(map[string]time.Time{"exe#2": noon}, w.engine.scheduled); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAChildTellsItsParent(t *testing.T) {
	t.Parallel()
	w := aRun(t, parked(time.Time{}), success)
	w.begin(t)
	for range 2 { // the parent's step may run again
		if err := w.stage.StartChildren(t.Context(), []store.ExecutionRecord{child("kid")}); err != nil {
			t.Fatal(err)
		}
	}
	w.run(t, w.input(t, "kid#1"))
	seg := w.script.segments[1]
	if seg.Document.Steps[0].Name != "Inner" || seg.Of.Prefix != "Start/" || seg.Of.Role != "arn:r" || seg.Of.Account != "222233334444" {
		t.Errorf("segment = %+v", seg)
	}
	if e := w.executions["kid"]; e.Status != "Success" || e.EndedAt.IsZero() || e.Result.Outputs["Inner.Out"] == nil {
		t.Errorf("child = %+v", e)
	}
	if got := w.signals["exe"]; len(got) != 1 || got[0].Kind != "ChildEnded" || got[0].Child != "kid" || !got[0].Late {
		t.Errorf("signals = %+v", got)
	}
	if w.remediations["rem-1"].State != remediation.Running {
		t.Errorf("the child moved its remediation to %s", w.remediations["rem-1"].State)
	}
	w.run(t, w.input(t, "kid#1")) // after a crash
	if len(w.signals["exe"]) != 1 || len(w.script.segments) != 2 {
		t.Error("a child that ended ran again")
	}
}

func TestAChildOutsideThePlanDoesNotRun(t *testing.T) {
	t.Parallel()
	w := aRun(t, parked(time.Time{}))
	w.begin(t)
	foreign := child("kid")
	foreign.Of.Document = "another"
	if err := w.stage.StartChildren(t.Context(), []store.ExecutionRecord{foreign}); err != nil {
		t.Fatal(err)
	}
	w.run(t, w.input(t, "kid#1"))
	if e := w.executions["kid"]; e.Status != "Failed" || !strings.Contains(e.Result.Failure, "holds no document") {
		t.Errorf("child = %+v", e)
	}
	if len(w.script.segments) != 1 {
		t.Error("it was interpreted")
	}
}

func TestChildrenEndWithTheirRemediation(t *testing.T) {
	t.Parallel()
	w := aRun(t, parked(time.Time{}), execute.Result{Status: "Cancelled", Failure: "stopped"})
	w.begin(t)
	if err := w.stage.StartChildren(t.Context(), []store.ExecutionRecord{child("kid"), child("late")}); err != nil {
		t.Fatal(err)
	}
	w.run(t, mustJSON(t, map[string]any{"remediation": "rem-1", "execution": "exe", "segment": 2, "started_at": noon}))
	if r := w.remediations["rem-1"]; r.State != remediation.Cancelled {
		t.Fatalf("it is %s (%s)", r.State, r.Reason)
	}
	for _, id := range []string{"kid", "late"} {
		if got := w.signals[id]; len(got) != 1 || got[0].Kind != "Cancel" {
			t.Errorf("%s: signals = %+v", id, got)
		}
	}
	// One whose first segment comes only now does nothing.
	w.run(t, w.input(t, "late#1"))
	if e := w.executions["late"]; e.Status != "Cancelled" || e.EndedAt.IsZero() {
		t.Errorf("child = %+v", e)
	}
	if err := w.stage.Abandon(t.Context(), w.input(t, "kid#1"), errors.New("broken")); err != nil {
		t.Fatal(err)
	}
	if e := w.executions["kid"]; e.Status != "Failed" || !strings.Contains(e.Result.Failure, "broken") {
		t.Errorf("child = %+v", e)
	}
}

// TestAStoppedChildStopsItsOwnChildren, and says whether it asked for what it may
// not do: AWS's no is another one.
func TestAStoppedChildStopsItsOwnChildren(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		abort   error
		refused bool
	}{
		"for a call outside of the plan": {fault.Refused(fault.Errorf(fault.Denied, "apply step Inner", "not in the plan")), true},
		"by AWS":                         {fault.Errorf(fault.Denied, "assume role", "AccessDenied"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := aRun(t, parked(time.Time{}), parked(time.Time{}), execute.Result{Status: "Failed", Abort: c.abort})
			w.begin(t)
			grandchild := child("grandkid")
			grandchild.Of.Parent, grandchild.Of.Depth = "kid", 2
			if err := w.stage.StartChildren(t.Context(), []store.ExecutionRecord{child("kid"), grandchild}); err != nil {
				t.Fatal(err)
			}
			w.run(t, w.input(t, "kid#1"))
			w.run(t, mustJSON(t, map[string]any{"remediation": "rem-1", "execution": "kid", "segment": 2, "started_at": noon, "child": true}))
			if e := w.executions["kid"]; e.Status != "Failed" || e.Result.Stopped != "denied" || e.Result.Refused != c.refused {
				t.Errorf("child = %+v", e)
			}
			if got := w.signals["grandkid"]; len(got) != 1 || got[0].Kind != "Cancel" {
				t.Errorf("signals = %+v", got)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestARunMayLastLongerThanItsPlanMayWait(t *testing.T) {
	t.Parallel()
	w := aRun(t, parked(noon.Add(100*time.Hour)), success)
	w.begin(t)
	w.clock.Advance(100 * time.Hour) // the plan expired meanwhile
	w.run(t, w.input(t, "exe#2"))
	if e := w.executions["exe"]; e.Status != "Success" {
		t.Errorf("execution = %+v", e)
	}
}
