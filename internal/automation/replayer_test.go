package automation_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
)

// counting is a Caller that is told of what the journal answers.
type counting struct {
	*caller
	told []string
}

func (c *counting) Begins(step string, attempt int) {
	c.told = append(c.told, fmt.Sprintf("%s begins %d", step, attempt))
}

func (c *counting) Replayed(_ context.Context, step string, call apimodel.Call, _ apimodel.Reply, err error) error {
	c.told = append(c.told, fmt.Sprintf("%s %s %v", step, call.Operation, err))
	return nil
}

// pages is a Journal in memory.
type pages map[string][]automation.JournalEntry

func (p pages) Entries(_ context.Context, key string) ([]automation.JournalEntry, error) {
	return p[key], nil
}

func (p pages) Append(_ context.Context, key string, e automation.JournalEntry) error {
	p[key] = append(p[key], e)
	return nil
}

// twoCalls is a script that makes two calls; it ends the process after the
// first when it is told to.
type twoCalls struct{ crash bool }

func (s *twoCalls) RunScript(ctx context.Context, job automation.Script) (automation.ScriptResult, error) {
	for i, op := range []string{"PutBucketAcl", "PutBucketPolicy"} {
		if _, err := job.Call(ctx, apimodel.Call{Service: "s3", Operation: op, Input: map[string]any{"Bucket": "b"}}); err != nil {
			return automation.ScriptResult{}, err
		}
		if i == 0 && s.crash {
			s.crash = false
			return automation.ScriptResult{}, errors.New("the process ended")
		}
	}
	return automation.ScriptResult{Payload: map[string]any{}}, nil
}

const scriptStep = "- name: Script\n  action: aws:executeScript\n  inputs: {Runtime: python3.11, Handler: h, Script: 'def h(e, c): pass'}\n"

// TestCallerIsToldOfReplayedCalls, so that it takes the next live one for what it is.
func TestCallerIsToldOfReplayedCalls(t *testing.T) {
	t.Parallel()
	f := setup(t, scriptStep)
	c := &counting{caller: f.caller}
	f.run.Caller, f.run.Scripts, f.run.Journal = c, &twoCalls{crash: true}, pages{}
	if _, err := f.interpreter.Run(t.Context(), f.run); err == nil {
		t.Fatal("the crash was no error")
	}
	if out, err := f.interpreter.Run(t.Context(), f.run); err != nil || out.Status != automation.Success {
		t.Fatalf("%+v, %v", out, err)
	}
	if diff := cmp.Diff([]string{"Script begins 1", "Script begins 1", "Script PutBucketAcl <nil>"}, c.told); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Script:PutBucketAcl", "Script:PutBucketPolicy"}, f.caller.calls); diff != "" {
		t.Error(diff)
	}
}

// TestWhatPlanningCannotTellLeavesThePlanOpen, and is no failure of the step.
func TestWhatPlanningCannotTellLeavesThePlanOpen(t *testing.T) {
	t.Parallel()
	f := setup(t, "- name: Act\n  action: aws:executeAwsApi\n  onFailure: Continue\n  inputs: {Service: s3, Api: PutBucketAcl, Bucket: b}\n- name: Next\n  action: aws:executeAwsApi\n  inputs: {Service: s3, Api: PutBucketPolicy, Bucket: b}\n")
	f.run.Planning = true
	f.caller.answers = map[string][]any{"PutBucketAcl": {&apimodel.APIError{Operation: "PutBucketAcl", Code: automation.PlanUnknownCode, Message: "its resource is known only after apply", HTTPStatus: 400}}}
	out, err := f.interpreter.Run(t.Context(), f.run)
	if err != nil || out.Open == "" || len(f.caller.calls) != 1 {
		t.Errorf("open %q, %v, calls %v", out.Open, err, f.caller.calls)
	}
}
