package awsapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

func budgets(b awsapi.Budgets) func(*awsapi.Config) {
	return func(c *awsapi.Config) { c.Budgets = b }
}

// TestBudgets: three changes are planned, and a budget lets one through.
func TestBudgets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		budgets awsapi.Budgets
		expires time.Duration // of the plan, from noon; 0 = never
		budget  string
		held    time.Duration // 0 = it will not be better later
	}{
		{"per execution", awsapi.Budgets{PerExecution: 1}, 0, "per_execution", 0},
		{"per account and hour", awsapi.Budgets{PerAccountHour: 1}, 0, "per_account_hour", 40 * time.Minute},
		{"per hour", awsapi.Budgets{PerHour: 1}, 2 * time.Hour, "per_hour", 40 * time.Minute},
		{"the plan expires first", awsapi.Budgets{PerHour: 1}, 30 * time.Minute, "per_hour", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, budgets(tt.budgets))
			w.clock.Advance(20 * time.Minute)
			plan := w.plan(fix())
			if tt.expires > 0 {
				plan.ExpiresAt = w.clock.Now().Add(tt.expires)
			}
			w.aws.sent()
			err := run(t.Context(), w.apply(plan), fix())
			if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "budget "+tt.budget+" is used up: 1 change(s)") || !strings.Contains(fault.HintOf(err), "guards.budgets") {
				t.Errorf("got %v, hint %q", err, fault.HintOf(err))
			}
			var held *awsapi.HeldError
			if errors.As(err, &held) != (tt.held > 0) || tt.held > 0 && held.Held() != tt.held {
				t.Errorf("held %+v, want %s", held, tt.held)
			}
			if diff := cmp.Diff([]string{"PutPublicAccessBlock"}, changesOf(w.aws.sent())); diff != "" {
				t.Error(diff)
			}
			if tt.held == 0 {
				return
			}
			w.clock.Advance(tt.held)
			rest := fix()[1:2]
			if err := run(t.Context(), w.apply(plan), rest); err != nil {
				t.Errorf("in the next hour: %v", err)
			}
		})
	}
}

// TestUndoHasItsOwnBudget: what a mistake used up does not bar the way back.
func TestUndoHasItsOwnBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, budgets(awsapi.Budgets{PerExecution: 3, PerAccountHour: 3, PerHour: 3}))
	if err := run(t.Context(), w.apply(w.plan(fix())), fix()); err != nil {
		t.Fatal(err)
	}
	undo := undoOf(t, w.recorder)
	plan := w.plan(undo)
	plan.Kind = remediation.KindUndo
	a := w.authority(plan)
	a.Execution = "exec-2"
	if err := run(t.Context(), w.gate.Applying(as, a), undo); err != nil {
		t.Errorf("undo: %v", err)
	}
	again := w.plan(fix()[:1])
	again.Kind = remediation.KindUndo
	a = w.authority(again)
	a.Execution = "exec-3"
	if err := run(t.Context(), w.gate.Applying(as, a), fix()[:1]); !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "undo_per_account_hour") {
		t.Errorf("the seventh change: %v", err)
	}
}

// TestWhatNeverLeftIsNotCounted: the record says so, for the store to give back.
func TestWhatNeverLeftIsNotCounted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err     error
		notSent bool
	}{
		"refused by AWS": {&apimodel.APIError{Service: "s3", Code: "AccessDenied", HTTPStatus: 403}, false},
		"never left":     {fault.Errorf(fault.Unavailable, "call", "no route"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(fix()[:1])
			w.aws.there = func(c apimodel.Call) error {
				if isChange(c) {
					return tt.err
				}
				return nil
			}
			if err := run(t.Context(), w.apply(plan), fix()[:1]); err == nil {
				t.Fatal("it went through")
			}
			rec := w.recorder.changes["exec-1/Block/1.1"]
			if rec.Outcome != remediation.Refused || rec.NotSent != tt.notSent {
				t.Errorf("recorded %s, not sent %v", rec.Outcome, rec.NotSent)
			}
		})
	}
}

// TestStopHoldsAnExecution: the refusal says that it may be asked again, before
// the intent and between attempts, and nothing leaves.
func TestStopHoldsAnExecution(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(context.Context) (bool, string, error){
		"on":         func(context.Context) (bool, string, error) { return true, "drill", nil },
		"unreadable": func(context.Context) (bool, string, error) { return false, "", errStore },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(fix())
			w.aws.sent()
			w.stop = stop
			err := run(t.Context(), w.apply(plan), fix())
			var held *awsapi.HeldError
			if !errors.As(err, &held) || held.Held() <= 0 || !errors.Is(err, awsapi.ErrStopped) || fault.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
			if got := changesOf(w.aws.sent()); len(got) > 0 || len(w.recorder.order) > 0 {
				t.Errorf("sent %v, recorded %v", got, w.recorder.order)
			}
			w.stop = func(context.Context) (bool, string, error) { return false, "", nil }
			if err := run(t.Context(), w.apply(plan), fix()); err != nil {
				t.Errorf("when it was off again: %v", err)
			}
		})
	}
}
