package automation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
)

// notNow is a refusal that passes, as the gate gives it.
type notNow struct{ error }

func (n notNow) Unwrap() error     { return n.error }
func (notNow) Held() time.Duration { return 10 * time.Second }

func held() error {
	return fault.Errorf(fault.Denied, "read stop switch", "%w", notNow{errors.New("stopped: drill")})
}

// TestAHeldStepIsMadeAgainLater: twice refused for now, then let through; the
// step's attempts are not used up, whatever the action.
func TestAHeldStepIsMadeAgainLater(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{
		"call":   "- {name: One, action: 'aws:executeAwsApi', onFailure: Continue, inputs: {Service: s3, Api: PutThing}}\n",
		"assert": "- {name: One, action: 'aws:assertAwsResourceProperty', inputs: {Service: s3, Api: PutThing, PropertySelector: $.A, DesiredValues: [b]}}\n",
		"wait":   "- {name: One, action: 'aws:waitForAwsResourceProperty', inputs: {Service: s3, Api: PutThing, PropertySelector: $.A, DesiredValues: [b]}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, steps+"- {name: Two, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutOther}}\n")
			f.caller.answers["PutThing"] = []any{held(), held(), map[string]any{"A": "b"}}
			o := f.segment(t)
			if want := f.clock.Now().Add(10 * time.Second); o.Status != automation.Waiting || o.Abort != nil || !o.ResumeAt.Equal(want) {
				t.Fatalf("outcome %+v, want it to wait until %s", o, want)
			}
			// The same segment again, as after a crash: it parks from its checkpoint.
			if again := f.segment(t); again.Status != automation.Waiting || !again.ResumeAt.Equal(o.ResumeAt) || len(f.caller.calls) != 1 {
				t.Errorf("a replay gave %+v after the calls %v", again, f.caller.calls)
			}
			f.run.State = o.State
			o, segments := f.finish(t)
			if o.Status != automation.Success || segments != 2 || o.Executed != 2 {
				t.Errorf("ended %+v after %d segments", o, segments)
			}
			if diff := cmp.Diff([]string{"One:PutThing", "One:PutThing", "One:PutThing", "Two:PutOther"}, f.caller.calls); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatIsFinalIsNotHeld: an outcome that nobody can tell ends the execution
// although the stop switch is what kept the call from being repeated.
func TestWhatIsFinalIsNotHeld(t *testing.T) {
	t.Parallel()
	f := setup(t, "- {name: One, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: PutThing}}\n")
	f.caller.answers["PutThing"] = []any{fault.Terminal(fault.Errorf(fault.Denied, "apply step One", "outcome unknown: %w", held()))}
	if o := f.segment(t); o.Status != automation.Failed || o.Abort == nil {
		t.Errorf("outcome %+v", o)
	}
}
