package execute_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := execute.New(execute.Config{}); !fault.Is(err, fault.Internal) {
		t.Errorf("err = %v", err)
	}
}

func TestAnApprovedPlanRunsAndIsVerified(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Success", State: []byte("end")})
	input := w.start(t, "rem-1")
	w.clock.Advance(time.Minute)
	w.run(t, input)
	r := w.remediations["rem-1"]
	if r.State != remediation.Verifying || r.Execution != "exec-1" || r.Version != 5 {
		t.Errorf("remediation = %+v", r)
	}
	want := store.ExecutionRecord{
		ID: "exec-1", Remediation: "rem-1", Segment: 1, Status: "Success", State: []byte("end"), LeaseOwner: "node-1", LeaseEpoch: 7,
		StartedAt: noon, EndedAt: noon.Add(time.Minute), Of: store.ExecutionOf{Root: "exec-1", Account: "111122223333", Mode: "Auto"},
	}
	if diff := cmp.Diff(want, w.executions["exec-1"]); diff != "" {
		t.Errorf("execution (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`"rem-1"`}, w.handed(store.TopicVerify)); diff != "" {
		t.Errorf("jobs for verify (-want +got):\n%s", diff)
	}
	seg := w.script.segments[0]
	if seg.Document == nil || seg.Document.Steps[0].Name != "Close" || seg.Parameters["Bucket"] != "reports" || seg.State != nil || !seg.StartedAt.Equal(noon) {
		t.Errorf("segment = %+v", seg)
	}
}

func TestARepetitionDoesNothing(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Success"})
	input := w.start(t, "rem-1")
	w.run(t, input)
	writes := len(w.effects)
	w.engine.started = map[string][]byte{}
	w.run(t, input)
	if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`)); err != nil {
		t.Fatal(err)
	}
	if len(w.script.segments) != 1 || len(w.effects) != writes || len(w.engine.started) != 0 {
		t.Errorf("%d segments ran, %d writes after %d, started %v", len(w.script.segments), len(w.effects), writes, w.engine.started)
	}
}

func TestNothingStartsUnderTheStopSwitch(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]gate{
		"on":         {on: true, reason: "a drill"},
		"unreadable": {err: errors.New("database is locked")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			*w.gate = g
			err := w.stage.Handle(t.Context(), []byte(`"rem-1"`))
			if wait, again := fault.IsTransient(err); !again || wait != 5*time.Second || !strings.Contains(err.Error(), "stop switch") {
				t.Errorf("err = %v, wait %s", err, wait)
			}
			if len(w.engine.started) != 0 || w.remediations["rem-1"].State != remediation.Queued {
				t.Error("it was started")
			}
		})
	}
}

func TestInputsThatAreNone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.stage.Handle(t.Context(), []byte("{")); !fault.IsTerminal(err) {
		t.Errorf("Handle: %v", err)
	}
	if err := w.stage.Handle(t.Context(), []byte(`"rem-9"`)); !fault.Is(err, fault.NotFound) {
		t.Errorf("Handle: %v", err)
	}
	if err := w.stage.Run(t.Context(), []byte("{"), nil); !fault.IsTerminal(err) {
		t.Errorf("Run: %v", err)
	}
	if err := w.stage.Abandon(t.Context(), []byte("{"), errors.New("x")); !fault.Is(err, fault.Invalid) {
		t.Errorf("Abandon: %v", err)
	}
}

func TestNoPlanRunsWithoutItsApproval(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit   func(*testing.T, *world)
		state  remediation.State
		reason string
	}{
		"approval missing": {func(_ *testing.T, w *world) { delete(w.approvals, "rem-1") }, remediation.Failed, "read approval"},
		"plan missing":     {func(_ *testing.T, w *world) { clear(w.plans) }, remediation.Failed, "read plan"},
		"of another hash":  {func(_ *testing.T, w *world) { w.approve(func(a *remediation.Approval) { a.Plan = "other" }) }, remediation.Failed, "no approval binds to plan"},
		"rejected":         {func(_ *testing.T, w *world) { w.approve(func(a *remediation.Approval) { a.State = "rejected" }) }, remediation.Failed, "no approval binds to plan"},
		"pending":          {func(_ *testing.T, w *world) { w.approve(func(a *remediation.Approval) { a.State = "pending" }) }, remediation.Failed, "no approval binds to plan"},
		"tampered with":    {func(_ *testing.T, w *world) { w.editPlan(func(p *remediation.Plan) { p.Role = "Admin" }) }, remediation.Failed, "does not have the approved hash"},
		"excepted":         {func(_ *testing.T, w *world) { w.except = "ex-1" }, remediation.Superseded, "the exception ex-1"},
		"excepted, pending": {func(_ *testing.T, w *world) {
			w.except = "ex-1"
			w.approve(func(a *remediation.Approval) { a.State = "pending" })
		}, remediation.Failed, "no approval binds to plan"},
		"expired": {func(_ *testing.T, w *world) { w.clock.Advance(time.Hour + time.Second) }, remediation.Superseded, "the plan expired at 2026-11-23T13:00:00Z"},
		"another runbook": {func(t *testing.T, w *world) {
			w.rehash(t, func(p *remediation.Plan) { p.Runbook.Content += "# later\n" })
		}, remediation.Failed, "does not have the pinned revision"},
		"unreadable runbook": {func(t *testing.T, w *world) {
			// The revision of "nothing".
			w.rehash(t, func(p *remediation.Plan) {
				p.Runbook.Content, p.Runbook.Revision = "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			})
		}, remediation.Failed, "read the plan's runbook"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			c.edit(t, w)
			w.run(t, w.start(t, "rem-1"))
			r := w.remediations["rem-1"]
			if r.State != c.state || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Reason, "0 change(s)") {
				t.Errorf("%s: %s", r.State, r.Reason)
			}
			if !strings.HasSuffix(r.Hint, "parry finding remediate "+string(r.ID)) {
				t.Errorf("hint = %s", r.Hint)
			}
			// What an exception stopped names it, and nothing else does: route plans that
			// anew when the exception ends.
			if want := map[bool]string{true: w.except}[c.state == remediation.Superseded]; r.Exception != want {
				t.Errorf("exception %q, want %q", r.Exception, want)
			}
			if len(w.script.segments) != 0 {
				t.Error("it ran")
			}
			if e := w.executions["exec-1"]; e.Status != "Failed" || e.EndedAt.IsZero() {
				t.Errorf("execution = %+v", e)
			}
		})
	}
}

// TestAFixThatBeganGoesOn: an exception that comes into force between two changes does
// not leave a resource half fixed; it does not stop an undo at all.
func TestAFixThatBeganGoesOn(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Success"})
	w.except = "ex-1"
	w.changes = []remediation.Change{{ID: "chg-1", Remediation: "rem-1", Outcome: remediation.Applied}}
	w.run(t, w.start(t, "rem-1"))
	if r := w.remediations["rem-1"]; r.State != remediation.Verifying || r.Exception != "" {
		t.Errorf("%s: %s, exception %q", r.State, r.Reason, r.Exception)
	}
	w = setup(t, execute.Result{Status: "Success"})
	w.except = "ex-1"
	w.queueUndo(t, remediation.Verified)
	w.run(t, w.start(t, "rem-2"))
	if r := w.remediations["rem-2"]; r.State != remediation.Verifying {
		t.Errorf("undo %s: %s", r.State, r.Reason)
	}
}

func (w *world) approve(edit func(*remediation.Approval)) {
	a := w.approvals["rem-1"]
	edit(&a)
	w.approvals["rem-1"] = a
}

// TestAStoreThatIsAwayIsNoRefusal: what could not be read may be there.
func TestAStoreThatIsAwayIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		fault.Transient(fault.E(fault.Conflict, "read", store.ErrConflict), 0),
		fault.Errorf(fault.Unavailable, "read", "locked"),
	} {
		w := setup(t)
		input := w.start(t, "rem-1")
		w.fail["ApprovalFor"] = err
		if got := w.stage.Run(t.Context(), input, nil); !errors.Is(got, err) {
			t.Errorf("err = %v, want %v", got, err)
		}
		if s := w.remediations["rem-1"].State; s != remediation.Running {
			t.Errorf("it is %s", s)
		}
	}
}

func TestAnInterruptedSegmentIsRunAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{}, execute.Result{Status: "Success"})
	input := w.start(t, "rem-1")
	w.script.err = errors.New("lease lost")
	if err := w.stage.Run(t.Context(), input, nil); !errors.Is(err, w.script.err) {
		t.Fatalf("err = %v", err)
	}
	w.script.err = nil
	w.run(t, input)
	if s := w.remediations["rem-1"].State; s != remediation.Verifying {
		t.Errorf("it is %s", s)
	}
}
