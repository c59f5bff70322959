package awsapi_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/remediation"
)

// script is a step whose script makes several changes, one of them twice.
func script() []stepCall {
	label := func(on bool) apimodel.Call {
		return s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(on)})
	}
	return []stepCall{
		{"Script", label(true)}, {"Script", s3("DeleteBucketPolicy", nil)}, {"Script", label(false)}, {"Script", label(true)},
	}
}

// resume makes the calls of a script whose journal has the first n of them: the
// session is told of these, and asked for the others.
func (w *world) resume(s *awsapi.Session, calls []stepCall, n, attempt int) error {
	s.Begins("Script", attempt)
	for i, c := range calls {
		if i < n {
			if err := s.Replayed(w.t.Context(), c.step, c.call, apimodel.Reply{}, nil); err != nil {
				return err
			}
			continue
		}
		if _, err := s.Call(w.t.Context(), c.step, c.call); err != nil {
			return fmt.Errorf("%d: %w", i, err)
		}
	}
	return nil
}

// plans are the two kinds under which a script's calls may stand.
func (w *world) plans() map[string]*remediation.Plan {
	open := w.open(nil, listed("Script", "s3", "PutPublicAccessBlock", nil), listed("Script", "s3", "DeleteBucketPolicy", nil))
	return map[string]*remediation.Plan{"planned": w.plan(script()), "allowed": open}
}

// TestScriptGoesOnBehindItsJournal, wherever the process ended: with the answer
// in the journal, or with the change made and the answer lost.
func TestScriptGoesOnBehindItsJournal(t *testing.T) {
	t.Parallel()
	for name := range newWorld(t).plans() {
		for journaled := range script() {
			for _, inFlight := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, after %d, in flight %v", name, journaled, inFlight), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					plan := w.plans()[name]
					made := journaled
					if inFlight {
						made++
					}
					w.aws.sent()
					if err := w.resume(w.apply(plan), script()[:made], 0, 1); err != nil {
						t.Fatal(err)
					}
					if err := w.resume(w.apply(plan), script(), journaled, 1); err != nil {
						t.Fatal(err)
					}
					want := []string{"PutPublicAccessBlock", "DeleteBucketPolicy", "PutPublicAccessBlock", "PutPublicAccessBlock"}
					if diff := cmp.Diff(want, changesOf(w.aws.sent())); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

// TestAnotherAttemptOfAScript makes again what is not recorded as applied: what a
// plan holds is applied once, what it allows beyond as often as the script asks.
func TestAnotherAttemptOfAScript(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"planned": {"PutPublicAccessBlock", "DeleteBucketPolicy", "PutPublicAccessBlock", "PutPublicAccessBlock"},
		"allowed": {"PutPublicAccessBlock", "DeleteBucketPolicy", "PutPublicAccessBlock", "DeleteBucketPolicy", "PutPublicAccessBlock", "PutPublicAccessBlock"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plans()[name]
			w.aws.sent()
			s := w.apply(plan)
			if err := w.resume(s, script()[:2], 0, 1); err != nil {
				t.Fatal(err)
			}
			if err := w.resume(s, script()[:1], 0, 2); err != nil {
				t.Fatal(err)
			}
			// The process ends in the second attempt.
			if err := w.resume(w.apply(plan), script(), 1, 2); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, changesOf(w.aws.sent())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestScriptThatTakesAnotherWay after a crash is stopped where it leaves what it
// did before.
func TestScriptThatTakesAnotherWay(t *testing.T) {
	t.Parallel()
	for name := range newWorld(t).plans() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plans()[name]
			if err := w.resume(w.apply(plan), script()[:1], 0, 1); err != nil {
				t.Fatal(err)
			}
			calls := script()
			calls[0].call.Input["PublicAccessBlockConfiguration"] = blocked(false)
			err := w.resume(w.apply(plan), calls, 0, 1)
			if !errors.Is(err, awsapi.ErrNotInPlan) && !errors.Is(err, awsapi.ErrUncertain) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestScriptCatchesAnError of AWS and goes on: the call that failed is passed
// over, in this process and in the next.
func TestScriptCatchesAnError(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		w := newWorld(t)
		plan := w.plan(script())
		w.aws.there = func(c apimodel.Call) error {
			if c.Operation == "DeleteBucketPolicy" {
				return &apimodel.APIError{Service: "s3", Operation: c.Operation, Code: "MalformedPolicy", HTTPStatus: 400}
			}
			return nil
		}
		s := w.apply(plan)
		if err := run(t.Context(), s, script()[:2]); !isCode(err, "MalformedPolicy") {
			t.Fatal(err)
		}
		if restart {
			s = w.apply(plan)
		}
		w.aws.sent()
		if err := run(t.Context(), s, script()[2:]); err != nil {
			t.Errorf("restart %v: %v", restart, err)
		}
		// A call that was not made is not passed over.
		w.recorder = newFakeRecorder()
		if err := run(t.Context(), w.apply(plan), script()[1:2]); !errors.Is(err, awsapi.ErrNotInPlan) {
			t.Errorf("got %v", err)
		}
	}
}
