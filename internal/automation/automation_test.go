package automation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock whose waits pass at once.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Wait(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
	return nil
}

// caller answers calls from a script: by operation, in turn, the last for ever.
type caller struct {
	t        *testing.T
	answers  map[string][]any // map[string]any = output, error = error, func = computed
	calls    []string
	inputs   []map[string]any
	as       []string
	accounts []string
}

func (c *caller) Call(ctx context.Context, step string, call apimodel.Call) (apimodel.Reply, error) {
	c.calls = append(c.calls, step+":"+call.Operation)
	c.inputs = append(c.inputs, call.Input)
	c.as = append(c.as, call.As)
	c.accounts = append(c.accounts, call.Account)
	key := step + ":" + call.Operation // of one pass, where there is an answer for it
	if c.answers[key] == nil {
		key = call.Operation
	}
	list := c.answers[key]
	if len(list) == 0 {
		return apimodel.Reply{Output: map[string]any{}}, nil
	}
	if len(list) > 1 {
		c.answers[key] = list[1:]
	}
	switch a := list[0].(type) {
	case error:
		return apimodel.Reply{}, a
	case map[string]any:
		return apimodel.Reply{Output: a}, nil
	case func(context.Context) (apimodel.Reply, error):
		return a(ctx)
	}
	c.t.Errorf("answer %T", list[0])
	return apimodel.Reply{}, nil
}

// journal is a StepRunner in memory: a name that completed is not run again.
type journal struct {
	done  map[string][]byte
	names []string
}

func (j *journal) Step(ctx context.Context, name string, fn func(context.Context) ([]byte, error)) ([]byte, error) {
	j.names = append(j.names, name)
	if out, ok := j.done[name]; ok {
		return out, nil
	}
	out, err := fn(ctx)
	if err == nil {
		j.done[name] = out
	}
	return out, err
}

func newJournal() *journal { return &journal{done: map[string][]byte{}} }

func apiError(code string) error {
	return &apimodel.APIError{Service: "S3", Operation: "GetThing", Code: code, Message: "no", HTTPStatus: 404, RequestID: "r1"}
}

type fixture struct {
	interpreter *automation.Interpreter
	clock       *clock
	run         automation.Run
	caller      *caller
	journal     *journal
}

// setup parses steps (a mainSteps list) into a document with some parameters.
func setup(t *testing.T, steps string) *fixture {
	t.Helper()
	text := "schemaVersion: '0.3'\nparameters:\n  Name: {type: String, default: alpha}\n  Flag: {type: Boolean, default: true}\n  Names: {type: StringList, default: [a, b]}\n  Count: {type: Integer, default: 3}\nmainSteps:\n" + steps
	doc, err := runbook.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	params, err := doc.ResolveParameters(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{clock: newClock(), caller: &caller{t: t, answers: map[string][]any{}}, journal: newJournal()}
	f.interpreter, err = automation.New(automation.Config{Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	f.run = automation.Run{Document: doc, Parameters: params, Caller: f.caller, Steps: f.journal, ExecutionID: "exec-1", Account: "111122223333", Region: "eu-west-1"}
	return f
}

func (f *fixture) segment(t *testing.T) automation.Outcome {
	t.Helper()
	o, err := f.interpreter.Run(t.Context(), f.run)
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	return o
}

// finish runs segments to the end, each from the encoded state of the one before.
func (f *fixture) finish(t *testing.T) (o automation.Outcome, segments int) {
	t.Helper()
	for segments = 1; ; segments++ {
		o = f.segment(t)
		if o.Status.Ended() || o.Open != "" || segments > 2000 {
			return o, segments
		}
		raw, err := o.State.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if f.run.State, err = automation.DecodeState(raw); err != nil {
			t.Fatal(err)
		}
		f.journal = newJournal()
		f.run.Steps = f.journal
		if d := o.ResumeAt.Sub(f.clock.Now()); d > 0 {
			_ = f.clock.Wait(t.Context(), d)
		}
	}
}

func step(name, rest string) string {
	return fmt.Sprintf("- name: %s\n  action: aws:executeAwsApi\n  inputs: {Service: s3, Api: %s}\n%s", name, name, rest)
}

func TestReferencesAndOutputs(t *testing.T) {
	t.Parallel()
	f := setup(t, `
- name: Read
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: Get, Bucket: "{{ Name }}", Text: "n={{ Count }} {{ Names }} {{ global:REGION }}", Ids: ["{{ Names }}", c], Flag: "{{ Flag }}"}
  outputs:
  - {Name: Policy, Selector: $.Policy, Type: String}
  - {Name: Missing, Selector: $.No.Such, Type: StringList}
  - {Name: Size, Selector: $.Size, Type: Integer}
  - {Name: When, Selector: $.When, Type: String}
- name: Write
  action: aws:executeAwsApi
  isEnd: true
  inputs: {Service: s3, Api: Put, Policy: "{{ Read.Policy }}", Size: "{{Read.Size}}", Account: "{{ global:ACCOUNT_ID }}", Id: "{{ automation:EXECUTION_ID }}", Date: "{{ global:DATE }}"}
outputs: [Read.Policy, Read.Missing, Read.Size]
`)
	f.caller.answers["Get"] = []any{map[string]any{
		"Policy": `{"a":"{{ Name }}"}`, "Size": int64(7), "When": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}}
	o, _ := f.finish(t)
	if o.Status != automation.Success {
		t.Fatalf("outcome %+v", o)
	}
	want := []map[string]any{
		{"Bucket": "alpha", "Text": `n=3 ["a","b"] eu-west-1`, "Ids": []any{"a", "b", "c"}, "Flag": true},
		{"Policy": `{"a":"{{ Name }}"}`, "Size": int64(7), "Account": "111122223333", "Id": "exec-1", "Date": "2026-05-01"},
	}
	if diff := cmp.Diff(want, f.caller.inputs); diff != "" {
		t.Error(diff)
	}
	outputs := map[string][]string{"Read.Policy": {`{"a":"{{ Name }}"}`}, "Read.Missing": {}, "Read.Size": {"7"}}
	if diff := cmp.Diff(outputs, o.Outputs); diff != "" {
		t.Error(diff)
	}
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	ok, no := map[string]any{}, apiError("NoSuchThing")
	tests := map[string]struct {
		props  string // of step A
		answer any
		want   automation.Status
		path   string
	}{
		"success goes on":                  {"", ok, automation.Success, "A B C"},
		"success follows nextStep":         {"  nextStep: C\n", ok, automation.Success, "A C"},
		"success at an end":                {"  isEnd: true\n", ok, automation.Success, "A"},
		"failure aborts":                   {"", no, automation.Failed, "A"},
		"failure continues":                {"  onFailure: Continue\n", no, automation.Success, "A B C"},
		"failure continues at nextStep":    {"  onFailure: Continue\n  nextStep: C\n", no, automation.Success, "A C"},
		"critical failure continues":       {"  onFailure: Continue\n  isCritical: true\n", no, automation.Failed, "A B C"},
		"failure goes to a step":           {"  onFailure: step:C\n", no, automation.Failed, "A C"},
		"uncritical failure goes to step":  {"  onFailure: step:C\n  isCritical: 'false'\n", no, automation.Success, "A C"},
		"failure goes to a step at an end": {"  onFailure: step:C\n  isEnd: true\n", no, automation.Failed, "A C"},
		"failure at an end":                {"  onFailure: Continue\n  isEnd: true\n", no, automation.Success, "A"},
		"uncritical failure aborts":        {"  isCritical: false\n", no, automation.Failed, "A"},
		"attempts":                         {"  maxAttempts: 3\n", no, automation.Failed, "A A A"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, step("A", tt.props)+step("B", "")+step("C", ""))
			f.caller.answers["A"] = []any{tt.answer}
			o, _ := f.finish(t)
			var path []string
			for _, c := range f.caller.calls {
				path = append(path, c[:1])
			}
			if got := strings.Join(path, " "); got != tt.path || o.Status != tt.want {
				t.Errorf("went %q and ended %s, want %q and %s", got, o.Status, tt.path, tt.want)
			}
			if (o.Failure != nil) != (tt.want == automation.Failed) {
				t.Errorf("failure = %+v", o.Failure)
			}
		})
	}
}

func TestAttemptsStopAtTheFirstSuccess(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", "  maxAttempts: '{{ Count }}'\n"))
	f.caller.answers["A"] = []any{apiError("Busy"), map[string]any{}}
	o, _ := f.finish(t)
	if o.Status != automation.Success || len(f.caller.calls) != 2 {
		t.Errorf("%s after %v", o.Status, f.caller.calls)
	}
}

func TestFailureReadsAsInSystemsManager(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", ""))
	f.caller.answers["A"] = []any{apiError("NoSuchThing")}
	o := f.segment(t)
	want := &automation.Failure{
		Step: "A", Attempt: 1, Stage: "Invocation", Type: automation.FailureInvocation,
		Message: "Step fails when it is Executing. An error occurred (NoSuchThing) when calling the GetThing operation: no (Service: S3; Status Code: 404; Error Code: NoSuchThing; Request ID: r1)",
		Details: map[string][]string{"ApiName": {"GetThing"}, "ErrorCode": {"NoSuchThing"}, "HTTPStatus": {"404"}, "RequestId": {"r1"}},
	}
	if diff := cmp.Diff(want, o.Failure); diff != "" {
		t.Error(diff)
	}
	var api *apimodel.APIError
	if !errors.As(o.Cause, &api) || api.Code != "NoSuchThing" {
		t.Errorf("cause %v", o.Cause)
	}
}

func TestSecurityStopIsNotAStepFailure(t *testing.T) {
	t.Parallel()
	for _, code := range []fault.Code{fault.Conflict, fault.Denied} {
		f := setup(t, step("A", "  onFailure: Continue\n  maxAttempts: 5\n")+step("B", ""))
		f.caller.answers["A"] = []any{fault.Errorf(code, "change bucket policy", "the plan does not hold this call")}
		o := f.segment(t)
		if !fault.Is(o.Abort, code) || o.Status != automation.Failed || len(f.caller.calls) != 1 {
			t.Errorf("%s: outcome %+v after %v", code, o, f.caller.calls)
		}
	}
}

func TestInterruptionIsNoOutcome(t *testing.T) {
	t.Parallel()
	lost := errors.New("lease lost")
	f := setup(t, step("A", "  onFailure: Continue\n")+step("B", ""))
	ctx, cancel := context.WithCancelCause(t.Context())
	f.caller.answers["A"] = []any{func(ctx context.Context) (apimodel.Reply, error) {
		cancel(lost)
		return apimodel.Reply{}, fault.E(fault.Denied, "fence", ctx.Err())
	}}
	_, err := f.interpreter.Run(ctx, f.run)
	if !errors.Is(err, lost) || len(f.journal.done) != 0 {
		t.Errorf("error %v, recorded %v", err, f.journal.done)
	}
}

func TestCallTimeout(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", "  timeoutSeconds: 1\n"))
	f.caller.answers["A"] = []any{func(ctx context.Context) (apimodel.Reply, error) {
		<-ctx.Done()
		return apimodel.Reply{}, ctx.Err()
	}}
	o := f.segment(t)
	if o.Status != automation.TimedOut || o.Failure.Type != automation.FailureTimeout {
		t.Errorf("outcome %+v", o)
	}
}

const waitStep = `
- name: W
  action: aws:waitForAwsResourceProperty
  timeoutSeconds: 300
  inputs: {Service: ec2, Api: Describe, PropertySelector: "$.Items..State", DesiredValues: [ready]}
`

func items(states ...string) map[string]any {
	list := []any{}
	for _, s := range states {
		list = append(list, map[string]any{"State": s})
	}
	return map[string]any{"Items": list}
}

func TestWait(t *testing.T) {
	t.Parallel()
	busy := items("ready", "busy")
	tests := map[string]struct {
		answers  []any
		want     automation.Status
		segments int
	}{
		"at once":                {[]any{items("ready", "ready")}, automation.Success, 1},
		"an empty list is not":   {[]any{items(), items("ready")}, automation.Success, 1},
		"errors are not met":     {[]any{apiError("NotFound"), busy, items("ready")}, automation.Success, 1},
		"past the segment":       {append(slicesOf(busy, 12), items("ready")), automation.Success, 7},
		"until it times out":     {[]any{busy}, automation.TimedOut, 10},
		"wrong inputs fail once": {[]any{fault.Errorf(fault.Invalid, "validate", "unknown parameter")}, automation.Failed, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, waitStep)
			f.caller.answers["Describe"] = tt.answers
			o, segments := f.finish(t)
			if o.Status != tt.want || segments != tt.segments {
				t.Errorf("%s after %d segments (%d calls), want %s after %d", o.Status, segments, len(f.caller.calls), tt.want, tt.segments)
			}
			if took := f.clock.Now().Sub(newClock().Now()); took > 310*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func slicesOf(v any, n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func TestSleep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		inputs   string
		segments int
		took     time.Duration
	}{
		{"{Duration: PT20S}", 1, 20 * time.Second},
		{"{Duration: PT1H30M}", 2, 90 * time.Minute},
		{"{Timestamp: '2026-05-01T12:00:30Z'}", 1, 30 * time.Second},
		{"{Timestamp: '2020-01-01T00:00:00Z'}", 1, 0},
	} {
		f := setup(t, "- name: S\n  action: aws:sleep\n  inputs: "+tt.inputs+"\n"+step("A", ""))
		o, segments := f.finish(t)
		if took := f.clock.Now().Sub(newClock().Now()); o.Status != automation.Success || segments != tt.segments || took != tt.took {
			t.Errorf("%s: %s, %d segments, %s", tt.inputs, o.Status, segments, took)
		}
	}
}

func TestSleepWokenEarlyGoesBackToSleep(t *testing.T) {
	t.Parallel()
	f := setup(t, "- name: S\n  action: aws:sleep\n  inputs: {Duration: PT1H}\n"+step("A", ""))
	o := f.segment(t)
	f.run.State = o.State
	again := f.segment(t)
	if again.Status != automation.Waiting || !again.ResumeAt.Equal(o.ResumeAt) || len(f.caller.calls) != 0 {
		t.Errorf("outcome %+v", again)
	}
}

// A replay after the clock moved must take the way that the first run took, or
// two segments would run at once.
func TestReplayOfASleepIsNotDecidedByTheClock(t *testing.T) {
	t.Parallel()
	f := setup(t, "- name: S\n  action: aws:sleep\n  inputs: {Timestamp: '2026-05-01T12:01:30Z'}\n"+step("A", ""))
	first := f.segment(t)
	_ = f.clock.Wait(t.Context(), 80*time.Second)
	second := f.segment(t)
	if first.Status != automation.Waiting || second.Status != automation.Waiting || len(f.caller.calls) != 0 {
		t.Errorf("first %s, second %s, calls %v", first.Status, second.Status, f.caller.calls)
	}
}

func TestSegmentEndsAfterItsSteps(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", "")+`
- name: Again
  action: aws:branch
  inputs:
    Choices: [{Variable: "{{ Flag }}", BooleanEquals: true, NextStep: A}]
    Default: End
`+step("End", "  isEnd: true\n"))
	o, segments := f.finish(t)
	if o.Status != automation.Failed || o.Executed != automation.DefaultMaxSteps || segments != automation.DefaultMaxSteps/automation.DefaultSegmentSteps {
		t.Errorf("%s after %d steps in %d segments", o.Status, o.Executed, segments)
	}
	if !strings.Contains(o.Failure.Message, "without coming to an end") {
		t.Error(o.Failure.Message)
	}
}

func TestAssert(t *testing.T) {
	t.Parallel()
	for answer, want := range map[any]automation.Status{true: automation.Success, "True": automation.Success, false: automation.Failed, nil: automation.Failed} {
		f := setup(t, "- name: A\n  action: aws:assertAwsResourceProperty\n  inputs: {Service: s3, Api: Get, PropertySelector: Config.Block, DesiredValues: ['True']}\n")
		f.caller.answers["Get"] = []any{map[string]any{"Config": map[string]any{"Block": answer}}}
		if o := f.segment(t); o.Status != want {
			t.Errorf("%v: %s (%+v)", answer, o.Status, o.Failure)
		}
	}
}

func TestPlanning(t *testing.T) {
	t.Parallel()
	plan := func(steps string) (*fixture, automation.Outcome) {
		f := setup(t, steps)
		f.run.Planning, f.run.Steps = true, nil
		f.caller.answers["Describe"] = []any{items("busy")}
		return f, f.segment(t)
	}
	f, o := plan("- name: S\n  action: aws:sleep\n  inputs: {Duration: P6D}\n" + step("A", ""))
	if o.Status != automation.Success || !f.clock.Now().Equal(newClock().Now()) {
		t.Errorf("a sleep is skipped: %+v", o)
	}
	f, o = plan(waitStep + step("A", ""))
	if !strings.Contains(o.Open, "planning sees") || len(f.caller.calls) != 1 {
		t.Errorf("an unmet wait leaves the plan open: %+v", o)
	}
	_, o = plan(step("A", "") + "- name: B\n  action: aws:branch\n  inputs: {Choices: [{Variable: x, StringEquals: x, NextStep: A}], Default: C}\n" + step("C", ""))
	if !strings.Contains(o.Open, "without coming to an end") {
		t.Errorf("a circle leaves the plan open: %+v", o)
	}
	assert := "- {name: V, action: 'aws:assertAwsResourceProperty', inputs: {Service: s3, Api: Describe, PropertySelector: '$.Items[0].State', DesiredValues: [ready]}}\n"
	if _, o = plan(assert); o.Open != "" || o.Status != automation.Failed {
		t.Errorf("an assertion that does not hold fails: %+v", o)
	}
	if _, o = plan(step("A", "") + assert); !strings.Contains(o.Open, "after changes that are only planned") {
		t.Errorf("after a change an assertion that does not hold leaves the plan open: %+v", o)
	}
}

// A crash after any checkpoint, then a replay, ends as the undisturbed run did
// and calls nothing twice.
func TestReplayFromEveryCheckpoint(t *testing.T) {
	t.Parallel()
	steps := `
- name: Read
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: Get, When: "{{ global:DATE_TIME }}"}
  outputs: [{Name: Size, Selector: $.Size, Type: Integer}, {Name: Map, Selector: $.Map, Type: StringMap}]
- name: Sleep
  action: aws:sleep
  inputs: {Duration: PT10S}
- name: Choose
  action: aws:branch
  inputs:
    Choices: [{Variable: "{{ Read.Size }}", NumericGreater: 5, NextStep: Write}]
    Default: End
- name: End
  action: aws:executeAwsApi
  isEnd: true
  inputs: {Service: s3, Api: End}
- name: Write
  action: aws:executeAwsApi
  isEnd: true
  inputs: {Service: s3, Api: Put, Map: "{{ Read.Map }}"}
outputs: [Read.Size]
`
	answers := func(f *fixture) {
		f.caller.answers["Get"] = []any{map[string]any{"Size": 9, "Map": map[string]any{"a": 1}}}
	}
	whole := setup(t, steps)
	answers(whole)
	want := whole.segment(t)
	crash := errors.New("killed")
	for n := range len(whole.journal.done) {
		f := setup(t, steps)
		answers(f)
		f.run.Steps = &crashing{journal: f.journal, after: n, err: crash}
		if _, err := f.interpreter.Run(t.Context(), f.run); !errors.Is(err, crash) {
			t.Fatalf("checkpoint %d: %v", n, err)
		}
		_ = f.clock.Wait(t.Context(), time.Hour)
		f.run.Steps = f.journal
		got := f.segment(t)
		if diff := cmp.Diff(want.Outputs, got.Outputs); diff != "" || got.Status != want.Status {
			t.Errorf("checkpoint %d: %s %s", n, got.Status, diff)
		}
		if diff := cmp.Diff(whole.caller.calls, f.caller.calls); diff != "" {
			t.Errorf("checkpoint %d: calls %s", n, diff)
		}
		if diff := cmp.Diff(whole.caller.inputs[1:], f.caller.inputs[1:]); diff != "" {
			t.Errorf("checkpoint %d: inputs %s", n, diff)
		}
	}
}

// crashing fails every step after a number of completed ones.
type crashing struct {
	journal *journal
	after   int
	err     error
}

func (c *crashing) Step(ctx context.Context, name string, fn func(context.Context) ([]byte, error)) ([]byte, error) {
	if len(c.journal.done) >= c.after {
		return nil, c.err
	}
	return c.journal.Step(ctx, name, fn)
}

func TestUnsupportedActionIsRefusedBeforeTheFirstStep(t *testing.T) {
	t.Parallel()
	f := setup(t, step("A", "")+"- name: P\n  action: aws:executeScript\n  inputs: {Runtime: PowerShell 7.4, Script: x}\n")
	_, err := f.interpreter.Run(t.Context(), f.run)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), "runbook check") || len(f.caller.calls) != 0 {
		t.Errorf("error %v after %v", err, f.caller.calls)
	}
}

// What says nothing about the call is no failure of the step: the run is
// interrupted, to be tried again, and nothing is recorded.
func TestOutageIsNoOutcome(t *testing.T) {
	t.Parallel()
	busy := &apimodel.APIError{Service: "s3", Operation: "GetThing", Code: "SlowDown", HTTPStatus: 503, Throttled: true}
	broken := &apimodel.APIError{Service: "s3", Operation: "GetThing", Code: "InternalError", HTTPStatus: 500}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"out of reach":           {fault.Errorf(fault.Unavailable, "call s3:GetThing", "connection refused"), true},
		"throttled":              {busy, true},
		"throttled, in the gate": {fault.Errorf(fault.Exhausted, "apply step A", "read before changing it: %w", busy), true},
		"broken at a read":       {broken, true},
		"broken at a change":     {&apimodel.APIError{Code: "InternalError", HTTPStatus: 500, Uncertain: true}, false},
		"not implemented":        {&apimodel.APIError{Code: "NotImplemented", HTTPStatus: 501}, false},
		"quota used up":          {&apimodel.APIError{Code: "LimitExceededException", HTTPStatus: 400}, false},
		"for good":               {fault.Terminal(fault.Errorf(fault.Unavailable, "resolve endpoint", "there is none")), false},
	} {
		f := setup(t, step("A", "  onFailure: Continue\n"))
		f.caller.answers["A"] = []any{tt.err}
		_, err := f.interpreter.Run(t.Context(), f.run)
		if _, again := fault.IsTransient(err); again != tt.want || tt.want && !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := len(f.journal.done); got != 0 == tt.want {
			t.Errorf("%s: %d steps recorded", name, got)
		}
	}
}

// A plan holds a date as it holds any other text: what is applied the next day
// has the date that it was planned with.
func TestTheDateIsThatOfThePlan(t *testing.T) {
	t.Parallel()
	f := setup(t, "- {name: A, action: 'aws:createImage', inputs: {InstanceId: i-1, ImageName: 'of {{ global:DATE_TIME }}'}}\n")
	f.run.Date = time.Date(2026, 4, 30, 23, 59, 58, 0, time.UTC)
	f.caller.answers["CreateImage"] = []any{map[string]any{"ImageId": "ami-1"}}
	f.caller.answers["DescribeImages"] = []any{images("available")}
	if o := f.segment(t); o.Status != automation.Success || f.caller.inputs[0]["Name"] != "of 2026-04-30_23.59.58" {
		t.Errorf("ended %s after %v", o.Status, f.caller.inputs)
	}
}
