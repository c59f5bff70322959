package execute_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func TestALongWaitGoesOnInTheNextSegment(t *testing.T) {
	t.Parallel()
	due := noon.Add(10 * time.Minute)
	w := setup(t, execute.Result{Status: "Waiting", State: []byte("half way"), Parked: true, ResumeAt: due}, execute.Result{Status: "Success", State: []byte("end")})
	w.run(t, w.start(t, "rem-1"))
	if s := w.remediations["rem-1"].State; s != remediation.Running {
		t.Errorf("it is %s", s)
	}
	if diff := cmp.Diff(map[string]time.Time{"exec-1#2": due}, w.engine.scheduled); diff != "" {
		t.Errorf("scheduled (-want +got):\n%s", diff)
	}
	if e := w.executions["exec-1"]; e.Segment != 2 || string(e.State) != "half way" || e.Status != "Waiting" || !e.EndedAt.IsZero() {
		t.Errorf("execution = %+v", e)
	}
	w.clock.Advance(10 * time.Minute)
	w.run(t, w.segment(t, "rem-1", 2))
	if got := string(w.script.segments[1].State); got != "half way" {
		t.Errorf("the second segment began from %q", got)
	}
	if !w.script.segments[1].StartedAt.Equal(noon) {
		t.Errorf("it says that it began at %s", w.script.segments[1].StartedAt)
	}
	if s := w.remediations["rem-1"].State; s != remediation.Verifying {
		t.Errorf("it is %s", s)
	}
}

// TestACrashBetweenStateAndTimer: the state of the next segment is stored and
// nobody was asked to run it.
func TestACrashBetweenStateAndTimer(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Waiting", State: []byte("half way"), Parked: true, ResumeAt: noon.Add(time.Hour / 2)})
	input := w.start(t, "rem-1")
	w.run(t, input)
	clear(w.engine.scheduled)
	delete(w.engine.started, "exec-1#2")
	w.clock.Advance(time.Second)
	w.run(t, input)
	if len(w.script.segments) != 1 {
		t.Errorf("the first segment ran %d times", len(w.script.segments))
	}
	if diff := cmp.Diff(map[string]time.Time{"exec-1#2": noon.Add(time.Second)}, w.engine.scheduled); diff != "" {
		t.Errorf("scheduled (-want +got):\n%s", diff)
	}
}

// TestANodeThatLostItsLeaseWritesNothing: another node has gone on meanwhile.
func TestANodeThatLostItsLeaseWritesNothing(t *testing.T) {
	t.Parallel()
	w := setup(t, execute.Result{Status: "Success"})
	input := w.start(t, "rem-1")
	w.executions["exec-1"] = store.ExecutionRecord{ID: "exec-1", Segment: 1, LeaseEpoch: 8}
	if err := w.stage.Run(t.Context(), input, nil); !errors.Is(err, store.ErrConflict) {
		t.Errorf("err = %v", err)
	}
	if len(w.effects) != 0 {
		t.Error("something was written")
	}
}
