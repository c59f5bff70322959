package execute_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

func TestHowAnExecutionEnds(t *testing.T) {
	t.Parallel()
	superseded := fault.Errorf(fault.Conflict, "apply step Close", "the policy changed").WithHint("nothing was sent")
	denied := fault.Errorf(fault.Denied, "apply step Close", "not in the plan")
	for name, c := range map[string]struct {
		result   execute.Result
		changes  []remediation.Outcome
		state    remediation.State
		approval remediation.ApprovalState
		reason   string
		hint     string
	}{
		"failed before a change": {
			execute.Result{Status: "Failed", Failure: "step Close failed"},
			[]remediation.Outcome{remediation.Refused},
			remediation.Failed, remediation.ApprovalApproved, "step Close failed; 0 change(s) had been made", "mend the cause, then run: parry finding remediate ",
		},
		"failed after changes": {
			execute.Result{Status: "TimedOut", Failure: "step Close timed out"},
			[]remediation.Outcome{remediation.Applied, remediation.Uncertain, remediation.Intended, remediation.Refused},
			remediation.Failed, remediation.ApprovalApproved, "; 3 change(s) had been made", "run: parry remediation undo rem-1",
		},
		"superseded": {
			execute.Result{Status: "Failed", Abort: superseded},
			nil,
			remediation.Superseded, remediation.ApprovalSuperseded, "the policy changed; 0 change(s)", "nothing was sent; mend the cause, then run: parry finding remediate ",
		},
		"superseded after a change": {
			execute.Result{Status: "Failed", Abort: superseded},
			[]remediation.Outcome{remediation.Applied},
			remediation.Superseded, remediation.ApprovalSuperseded, "1 change(s)", "nothing was sent; to take the changes back, run: parry remediation undo rem-1",
		},
		"denied": {
			execute.Result{Status: "Failed", Abort: denied},
			nil,
			remediation.Failed, remediation.ApprovalApproved, "not in the plan; 0 change(s)", "mend the cause",
		},
		"an abort under a success": {
			execute.Result{Status: "Success", Abort: denied},
			nil,
			remediation.Failed, remediation.ApprovalApproved, "not in the plan", "mend the cause",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, c.result)
			w.change("rem-1", c.changes...)
			w.change("rem-7", remediation.Applied) // somebody else's
			w.run(t, w.start(t, "rem-1"))
			r := w.remediations["rem-1"]
			if r.State != c.state || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Hint, c.hint) {
				t.Errorf("%s: %s (hint: %s)", r.State, r.Reason, r.Hint)
			}
			if got := w.approvals["rem-1"].State; got != c.approval {
				t.Errorf("the approval is %s", got)
			}
			if joint := c.approval == remediation.ApprovalSuperseded; (w.joint == 1) != joint {
				t.Errorf("%d writes of remediation and approval together", w.joint)
			}
			if len(c.changes) > 1 && !r.State.Can(remediation.Undoing) {
				t.Error("its changes cannot be taken back")
			}
		})
	}
}

func TestAnUndoHoldsTheFirstRemediation(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Success"})
	w.queueUndo(t, remediation.Verified)
	w.run(t, w.start(t, "rem-2"))
	first, second := w.remediations["rem-1"], w.remediations["rem-2"]
	if first.State != remediation.Undoing || first.UndoneBy != "rem-2" || first.UndoneFrom != remediation.Verified {
		t.Errorf("the first is %s by %s from %s", first.State, first.UndoneBy, first.UndoneFrom)
	}
	if second.State != remediation.Verifying {
		t.Errorf("the undo is %s", second.State)
	}
}

func TestAFailedUndoPutsTheFirstBack(t *testing.T) {
	t.Parallel()
	failure := execute.Result{Status: "Failed", Failure: "no"}
	superseded := execute.Result{Status: "Failed", Abort: fault.Errorf(fault.Conflict, "apply", "changed")}
	for name, c := range map[string]struct {
		stood   remediation.State
		result  execute.Result
		changes []remediation.Outcome
		back    remediation.State
		undo    remediation.State
	}{
		"verified, before its first change":   {remediation.Verified, failure, []remediation.Outcome{remediation.Refused}, remediation.Verified, remediation.Failed},
		"unverified, before its first change": {remediation.Unverified, failure, nil, remediation.Unverified, remediation.Failed},
		"failed, before its first change":     {remediation.Failed, failure, nil, remediation.Failed, remediation.Failed},
		"regressed, before its first change":  {remediation.Regressed, superseded, nil, remediation.Regressed, remediation.Superseded},
		"superseded, before its first change": {remediation.Superseded, superseded, nil, remediation.Superseded, remediation.Superseded},
		"verified, after a change":            {remediation.Verified, superseded, []remediation.Outcome{remediation.Applied}, remediation.Unverified, remediation.Superseded},
		"failed, after a change":              {remediation.Failed, failure, []remediation.Outcome{remediation.Uncertain}, remediation.Unverified, remediation.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, c.result)
			w.queueUndo(t, c.stood)
			w.change("rem-2", c.changes...)
			w.change("rem-1", remediation.Applied)
			w.run(t, w.start(t, "rem-2"))
			first, second := w.remediations["rem-1"], w.remediations["rem-2"]
			if first.State != c.back || second.State != c.undo {
				t.Errorf("the first is %s (%s), the undo %s (%s)", first.State, first.Reason, second.State, second.Reason)
			}
			if !strings.HasSuffix(second.Hint, "parry remediation undo rem-1") {
				t.Errorf("hint = %s", second.Hint)
			}
		})
	}
}

// TestOneUndoAtATime: the second of two approved undos is refused, and does not
// take the first remediation out of the other's hands.
func TestOneUndoAtATime(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Success"})
	w.queueUndo(t, remediation.Verified)
	w.queue(t, remediation.Remediation{ID: "rem-3", Kind: remediation.KindUndo, UndoOf: "rem-1"})
	w.run(t, w.start(t, "rem-2"))
	input := w.start(t, "rem-3")
	cause := w.stage.Run(t.Context(), input, nil)
	if !fault.IsTerminal(cause) || !strings.Contains(cause.Error(), "is undoing and cannot be undone") {
		t.Fatalf("err = %v", cause)
	}
	if err := w.stage.Abandon(t.Context(), input, cause); err != nil { // as the durable engine does
		t.Fatal(err)
	}
	if first := w.remediations["rem-1"]; first.State != remediation.Undoing || first.UndoneBy != "rem-2" {
		t.Errorf("the first is %s by %s", first.State, first.UndoneBy)
	}
	if r := w.remediations["rem-3"]; r.State != remediation.Failed || !strings.Contains(r.Reason, "cannot be undone") {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	if len(w.script.segments) != 1 {
		t.Error("both ran")
	}
}

// TestACrashWhileAnUndoBegins: the first is undoing, the undo not yet running.
func TestACrashWhileAnUndoBegins(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	w := setup(t, execute.Result{Status: "Success"})
	w.queueUndo(t, remediation.Verified)
	input := w.start(t, "rem-2")
	w.fail["UpdateRemediation running"] = crash
	if err := w.stage.Run(t.Context(), input, nil); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	delete(w.fail, "UpdateRemediation running")
	w.run(t, input)
	if first := w.remediations["rem-1"]; first.State != remediation.Undoing || first.UndoneFrom != remediation.Verified {
		t.Errorf("the first is %s from %s", first.State, first.UndoneFrom)
	}
	if s := w.remediations["rem-2"].State; s != remediation.Verifying {
		t.Errorf("the undo is %s", s)
	}
}

// TestACrashWhileAnUndoIsSettled: the first is put back, the undo still running.
func TestACrashWhileAnUndoIsSettled(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	failure := execute.Result{Status: "Failed", Failure: "no"}
	w := setup(t, failure, failure)
	w.queueUndo(t, remediation.Failed)
	input := w.start(t, "rem-2")
	w.fail["UpdateRemediation failed"] = crash
	w.change("rem-2", remediation.Applied)
	if err := w.stage.Run(t.Context(), input, nil); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	delete(w.fail, "UpdateRemediation failed")
	w.run(t, input)
	if s := w.remediations["rem-1"].State; s != remediation.Unverified {
		t.Errorf("the first is %s", s)
	}
	if s := w.remediations["rem-2"].State; s != remediation.Failed {
		t.Errorf("the undo is %s", s)
	}
}

func TestAbandonedWorkIsSettled(t *testing.T) {
	t.Parallel()
	cause := errors.New("the state cannot be read")
	for state, want := range map[remediation.State]remediation.State{
		remediation.Queued: remediation.Failed, remediation.Running: remediation.Failed,
		remediation.Verifying: remediation.Verifying, remediation.Failed: remediation.Failed,
	} {
		w := setup(t)
		input := w.start(t, "rem-1")
		w.stand("rem-1", state)
		before := w.remediations["rem-1"]
		if err := w.stage.Abandon(t.Context(), input, cause); err != nil {
			t.Fatal(err)
		}
		r := w.remediations["rem-1"]
		if r.State != want {
			t.Errorf("%s became %s, want %s", state, r.State, want)
		}
		if moved := r.Version != before.Version; moved != strings.Contains(r.Reason, "cannot go on: the state cannot be read") {
			t.Errorf("%s: version %d, reason %q", state, r.Version, r.Reason)
		}
	}
}
