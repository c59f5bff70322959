package awsapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// onceOnChange makes a hook that fails the first n changes and lets reads pass.
func onceOnChange(n int, err error, also func()) func(apimodel.Call) error {
	return func(c apimodel.Call) error {
		if !isChange(c) || n == 0 {
			return nil
		}
		n--
		if also != nil {
			also()
		}
		return err
	}
}

func TestLostAnswer(t *testing.T) {
	t.Parallel()
	other := map[string]any{"BlockPublicAcls": true}
	tests := []struct {
		name    string
		set     func(*world)
		sent    int // changes that reached AWS
		outcome remediation.Outcome
		is      error
		retry   bool
	}{
		{"after it was applied", func(w *world) { w.aws.back = onceOnChange(1, errLost, nil) }, 1, remediation.Applied, nil, false},
		{"before it was applied", func(w *world) { w.aws.there = onceOnChange(1, errLost, nil) }, 2, remediation.Applied, nil, false},
		{"every time", func(w *world) { w.aws.there = onceOnChange(-1, errLost, nil) }, 3, remediation.Uncertain, errLost, true},
		{"and somebody else was there", func(w *world) {
			w.aws.there = onceOnChange(1, errLost, func() { w.aws.buckets["open"]["pab"] = other })
		}, 1, remediation.Uncertain, awsapi.ErrUncertain, false},
		{"and reading back fails", func(w *world) {
			lost := false
			w.aws.there = func(c apimodel.Call) error {
				lost = lost || isChange(c)
				if lost {
					return errLost
				}
				return nil
			}
		}, 1, remediation.Uncertain, errLost, true},
		{"and the lease went meanwhile", func(w *world) {
			w.aws.there = onceOnChange(1, errLost, func() { w.fence = func(context.Context) error { return errStore } })
		}, 1, remediation.Intended, errStore, false},
		{"without a word from the client", func(w *world) {
			w.aws.back = onceOnChange(1, errors.New("unexpected EOF"), nil)
		}, 1, remediation.Applied, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(fix()[:1])
			tt.set(w)
			w.aws.sent()
			err := run(t.Context(), w.apply(plan), fix()[:1])
			if !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
			if _, again := fault.IsTransient(err); again != tt.retry {
				t.Errorf("transient: %v", again)
			}
			if got := len(changesOf(w.aws.sent())); got != tt.sent {
				t.Errorf("%d changes reached AWS, want %d", got, tt.sent)
			}
			if diff := cmp.Diff([]string{"exec-1/Block/1.1 " + string(tt.outcome)}, w.recorder.outcomes()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRestart stands for a process that was killed: a new session finds what
// the first one recorded.
func TestRestart(t *testing.T) {
	t.Parallel()
	record := func(w *world, plan *remediation.Plan, o remediation.Outcome) {
		c := remediation.Change{
			ID: "exec-1/Block/1.1", Remediation: "rem-1", Execution: "exec-1", Call: plan.Calls[0],
			Before: &remediation.Image{}, Outcome: o, RequestID: "req-old",
		}
		if err := w.recorder.RecordIntent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name    string
		set     func(*world, *remediation.Plan)
		sent    int
		outcome string
		is      error
	}{
		{"applied before", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Applied)
			w.aws.set("open", "pab", blocked(true))
		}, 0, "exec-1/Block/1.1 applied", nil},
		{"intended, and it was applied", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Intended)
			w.aws.set("open", "pab", blocked(true))
		}, 0, "exec-1/Block/1.1 applied", nil},
		{"intended, and it was not applied", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Intended)
		}, 1, "exec-1/Block/1.1 applied", nil},
		{"intended, and somebody else was there", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Intended)
			w.aws.set("open", "pab", blocked(false))
		}, 0, "exec-1/Block/1.1 uncertain", awsapi.ErrUncertain},
		{"uncertain, looked at again", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Uncertain)
			w.aws.set("open", "pab", blocked(true))
		}, 0, "exec-1/Block/1.1 applied", nil},
		{"intended, not applied, stop switch on", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Intended)
			w.stop = func(context.Context) (bool, string, error) { return true, "", nil }
		}, 0, "exec-1/Block/1.1 intended", awsapi.ErrStopped},
		{"refused before", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Refused)
		}, 1, "exec-1/Block/1.1 refused,exec-1/Block/1.2 applied", nil},
		{"outcome cannot be stored", func(w *world, p *remediation.Plan) {
			record(w, p, remediation.Intended)
			w.aws.set("open", "pab", blocked(true))
			w.recorder.failResult = errStore
		}, 0, "exec-1/Block/1.1 intended", errStore},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(fix()[:1])
			tt.set(w, plan)
			w.aws.sent()
			err := run(t.Context(), w.apply(plan), fix()[:1])
			if !errors.Is(err, tt.is) {
				t.Errorf("got %v, want %v", err, tt.is)
			}
			if got := len(changesOf(w.aws.sent())); got != tt.sent {
				t.Errorf("%d changes reached AWS, want %d", got, tt.sent)
			}
			if diff := cmp.Diff(tt.outcome, strings.Join(w.recorder.outcomes(), ",")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOutcomeNotStoredIsSettledByTheNextTry is the crash between AWS's answer
// and the record of it.
func TestOutcomeNotStoredIsSettledByTheNextTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix()[:1])
	s := w.apply(plan)
	w.aws.sent()
	w.recorder.failResult = errStore
	if err := run(t.Context(), s, fix()[:1]); !errors.Is(err, errStore) || !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v", err)
	}
	w.recorder.failResult = nil
	if err := run(t.Context(), s, fix()[:1]); err != nil {
		t.Fatal(err)
	}
	if got := changesOf(w.aws.sent()); len(got) != 1 {
		t.Errorf("sent %v", got)
	}
}

func TestRefusedByAWSMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix()[:1])
	s := w.apply(plan)
	refusal := &apimodel.APIError{Operation: "PutPublicAccessBlock", Code: "AccessDenied", Message: "no", HTTPStatus: 403, RequestID: "r"}
	w.aws.there = onceOnChange(1, refusal, nil)
	err := run(t.Context(), s, fix()[:1])
	var api *apimodel.APIError
	if !errors.As(err, &api) || api.Code != "AccessDenied" {
		t.Fatalf("got %v", err)
	}
	if err := run(t.Context(), s, fix()[:1]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"exec-1/Block/1.1 refused", "exec-1/Block/1.2 applied"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
	if got := w.recorder.changes["exec-1/Block/1.1"]; got.Error == "" || got.RequestID != "r" {
		t.Errorf("recorded %+v", got)
	}
	w.aws.set("open", "pab", nil)
	w.recorder = newFakeRecorder()
	w.aws.there = onceOnChange(-1, refusal, nil)
	s = w.apply(plan)
	for range 20 {
		err = run(t.Context(), s, fix()[:1])
	}
	if errors.As(err, &api); api == nil {
		t.Errorf("got %v", err)
	}
	if err := run(t.Context(), s, fix()[:1]); !fault.Is(err, fault.Exhausted) {
		t.Errorf("got %v", err)
	}
}

func TestNothingLeftMeansRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix()[:1])
	s := w.apply(plan)
	invalid := fault.Errorf(fault.Invalid, "check input", "Parameter validation failed")
	w.aws.there = onceOnChange(1, invalid, nil)
	if err := run(t.Context(), s, fix()[:1]); !errors.Is(err, invalid) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"exec-1/Block/1.1 refused"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomeIsRecordedWhenTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix()[:1])
	ctx, cancel := context.WithCancel(t.Context())
	w.aws.back = onceOnChange(1, nil, cancel)
	if err := run(ctx, w.apply(plan), fix()[:1]); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"exec-1/Block/1.1 applied"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func TestRecordHoldsTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := run(t.Context(), w.apply(w.plan(fix())), fix()); err != nil {
		t.Fatal(err)
	}
	got := w.recorder.changes["exec-1/Policy/2.1"]
	if got.Before == nil || got.Before.Data["Policy"] != publicPolicy || got.RequestID == "" || got.IntentAt.IsZero() || got.OutcomeAt.IsZero() {
		t.Errorf("recorded %+v", got)
	}
	if got := w.recorder.changes["exec-1/Block/1.1"]; got.Before == nil || got.Before.Exists {
		t.Errorf("recorded %+v", got.Before)
	}
}

// TestLostAnswerThatALaterStepNeeds: a created id lives only in the step's
// output; where that is lost, nobody may guess.
func TestLostAnswerThatALaterStepNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region}
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	reply, err := p.Call(t.Context(), "Key", key)
	if err != nil {
		t.Fatal(err)
	}
	meta, _ := reply.Output["KeyMetadata"].(map[string]any)
	rotate := apimodel.Call{Service: "kms", Operation: "EnableKeyRotation", Account: member, Region: region, Input: map[string]any{"KeyId": meta["KeyId"]}}
	if _, err := p.Call(t.Context(), "Rotate", rotate); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"needed": 2, "not needed": 1} {
		plan := w.planOf(p.Calls()[:n])
		w.recorder = newFakeRecorder()
		c := remediation.Change{ID: "exec-1/Key/1.1", Call: plan.Calls[0], Outcome: remediation.Applied}
		if err := w.recorder.RecordIntent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		w.aws.sent()
		_, err := w.apply(plan).Call(t.Context(), "Key", key)
		if errors.Is(err, awsapi.ErrUncertain) != (n == 2) {
			t.Errorf("%s: got %v", name, err)
		}
		if got := w.aws.sent(); len(got) > 0 {
			t.Errorf("%s: sent %v", name, got)
		}
	}
}

// TestOnlyWhatMayBeRepeatedIs walks a lost answer and a restart for a change
// whose repetition is harmless, one that carries its token, and one that is
// neither.
func TestOnlyWhatMayBeRepeatedIs(t *testing.T) {
	t.Parallel()
	accessKey := stepCall{"Key", apimodel.Call{Service: "iam", Operation: "CreateAccessKey", Account: member, Region: region, Input: map[string]any{"UserName": "u"}}}
	secret := stepCall{"Secret", apimodel.Call{Service: "secretsmanager", Operation: "CreateSecret", Account: member, Region: region, Input: map[string]any{"Name": "s"}}}
	stack := func(token any) stepCall {
		in := map[string]any{"StackName": "s"}
		if token != nil {
			in["ClientRequestToken"] = token
		}
		return stepCall{"Stack", apimodel.Call{Service: "cloudformation", Operation: "DeleteStack", Account: member, Region: region, Input: in}}
	}
	for name, tt := range map[string]struct {
		call   stepCall
		repeat bool
	}{
		"idempotent": {fix()[0], true}, "with a token": {secret, true}, "neither": {accessKey, false},
		"with a token of its own": {stack("t"), true}, "without the token that it may have": {stack(nil), false},
	} {
		t.Run(name+", answer lost", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan([]stepCall{tt.call})
			w.aws.there = onceOnChange(1, errLost, nil)
			w.aws.sent()
			err := run(t.Context(), w.apply(plan), []stepCall{tt.call})
			if tt.repeat && err != nil || !tt.repeat && (!errors.Is(err, awsapi.ErrUncertain) || !fault.IsTerminal(err)) {
				t.Errorf("got %v", err)
			}
			for range 3 { // whoever tries again, in this process or the next
				again := run(t.Context(), w.apply(plan), []stepCall{tt.call})
				if !tt.repeat && !errors.Is(again, awsapi.ErrUncertain) {
					t.Errorf("again: %v", again)
				}
			}
			want := 1
			if tt.repeat {
				want = 2
			}
			if got := changesOf(w.aws.sent()); len(got) != want {
				t.Errorf("sent %v, want %d", got, want)
			}
			state := remediation.DoneState
			if !tt.repeat {
				state = remediation.MaybeSent
			}
			for id, c := range w.recorder.changes {
				if c.State() != state {
					t.Errorf("%s is %q", id, c.State())
				}
			}
		})
		t.Run(name+", killed after the intent", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan([]stepCall{tt.call})
			w.aws.sent()
			w.aws.there = func(c apimodel.Call) error {
				if isChange(c) {
					panic("killed")
				}
				return nil
			}
			func() {
				defer func() { _ = recover() }()
				_ = run(t.Context(), w.apply(plan), []stepCall{tt.call})
			}()
			w.aws.sent()
			w.aws.there = nil
			err := run(t.Context(), w.apply(plan), []stepCall{tt.call})
			if got := len(changesOf(w.aws.sent())); (got == 1) != tt.repeat || (err == nil) != tt.repeat {
				t.Errorf("%d sent, %v", got, err)
			}
		})
	}
}

// TestARefusalAfterADoubtDecidesNothing: the first sending may have been made,
// whatever is said of the second.
func TestARefusalAfterADoubtDecidesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix()[:1])
	n := 0
	w.aws.there = func(c apimodel.Call) error {
		if !isChange(c) {
			return nil
		}
		if n++; n == 1 {
			return errLost
		}
		return &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403}
	}
	err := run(t.Context(), w.apply(plan), fix()[:1])
	var api *apimodel.APIError
	if !errors.As(err, &api) || api.Code != "AccessDenied" {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"exec-1/Block/1.1 uncertain"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
	w.aws.there = nil
	w.aws.set("open", "pab", blocked(true)) // the first one arrived late
	w.aws.sent()
	if err := run(t.Context(), w.apply(plan), fix()[:1]); err != nil || len(changesOf(w.aws.sent())) > 0 {
		t.Errorf("got %v", err)
	}
}
