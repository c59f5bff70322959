package automation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
)

// scripted is a world with one script step, A, then B.
func scripted(t *testing.T, more string, handler func(context.Context, automation.Script) (automation.ScriptResult, error)) *world {
	t.Helper()
	w := newWorld(t)
	w.handlers["x"] = handler
	w.document("Main", "mainSteps:\n"+script("A", "x", "me")+more+step("B", ""))
	return w
}

func TestScriptIsGivenWhatTheStepSays(t *testing.T) {
	t.Parallel()
	var got automation.Script
	w := newWorld(t)
	w.handlers["tool.run"] = func(_ context.Context, s automation.Script) (automation.ScriptResult, error) {
		got = s
		return automation.ScriptResult{Payload: map[string]any{"A": []any{1, "b"}, "N": 3}}, nil
	}
	w.document("Main", `
parameters: {P: {type: String, default: "{{ x }}"}}
files: {tool.py: {checksums: {sha256: `+strings.Repeat("0", 64)+`}}, lib.py: {}}
mainSteps:
- name: A
  action: aws:executeScript
  timeoutSeconds: 700
  inputs: {Runtime: python3.8, Handler: tool.run, Attachment: tool.py, InputPayload: {P: "{{ P }}", R: "{{ global:REGION }}"}}
  outputs:
  - {Name: List, Selector: $.Payload.A, Type: StringList}
  - {Name: N, Selector: $.Payload.N, Type: Integer}
  - {Name: Gone, Selector: $.Payload.None, Type: StringMap}
- name: B
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutIt, List: "{{ A.List }}", All: "{{ A.OutputPayload }}", Gone: "{{ A.Gone }}", N: "{{ A.N }}", Text: "got {{ A.Payload }}"}
`)
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Success {
		t.Fatalf("%+v", o.Failure)
	}
	got.Call = nil
	want := automation.Script{
		Execution: "exec-1", Label: "A", Attempt: 1, Handler: "tool.run", Account: "111122223333", Region: "eu-west-1", Partition: "aws", Timeout: 600 * time.Second,
		Payload:     map[string]any{"P": "{{ x }}", "R": "eu-west-1"},
		Attachments: map[string][]byte{"tool.py": []byte("content of tool.py"), "lib.py": []byte("content of lib.py")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	payload := map[string]any{"A": []any{int64(1), "b"}, "N": int64(3)}
	input := map[string]any{
		"List": []any{"1", "b"}, "All": map[string]any{"Payload": payload}, "Gone": map[string]any{}, "N": int64(3), "Text": `got {"A":[1,"b"],"N":3}`,
	}
	if diff := cmp.Diff(input, w.caller.inputs[0]); diff != "" {
		t.Error(diff)
	}
}

// What a script prints is kept, whether it fails or not; the end, where it is long.
func TestWhatAScriptPrintsIsKept(t *testing.T) {
	t.Parallel()
	for _, failure := range []*automation.ScriptFailure{nil, {Type: "E"}} {
		w := scripted(t, "", func(context.Context, automation.Script) (automation.ScriptResult, error) {
			return automation.ScriptResult{Stdout: strings.Repeat("x", 100<<10) + "the end", Stderr: "and an error", Failure: failure}, nil
		})
		w.start("Main", nil)
		w.finish()
		var log string
		for _, r := range w.records {
			if r.Name == "A" && r.Status.Ended() {
				log, _ = r.Outputs["ExecutionLog"].(string)
			}
		}
		if len(log) > 9<<10 || !strings.HasSuffix(log, "the end\nand an error") {
			t.Errorf("%d characters: %.40q", len(log), log)
		}
	}
}

func TestScriptFailures(t *testing.T) {
	t.Parallel()
	fails := func(f automation.ScriptFailure) func(context.Context, automation.Script) (automation.ScriptResult, error) {
		return func(context.Context, automation.Script) (automation.ScriptResult, error) {
			return automation.ScriptResult{Failure: &f}, nil
		}
	}
	returns := func(v any) func(context.Context, automation.Script) (automation.ScriptResult, error) {
		return func(context.Context, automation.Script) (automation.ScriptResult, error) {
			return automation.ScriptResult{Payload: v}, nil
		}
	}
	for name, tt := range map[string]struct {
		handler func(context.Context, automation.Script) (automation.ScriptResult, error)
		more    string
		want    automation.Status
		kind    automation.FailureType
		text    string
	}{
		"an exception": {
			fails(automation.ScriptFailure{Type: "ValueError", Message: "no such thing", Traceback: "Traceback (most recent call last):\n  line 3"}), "", automation.Failed, automation.FailureAction,
			"Step fails when it is Poll action status for completion. Traceback (most recent call last):\n  line 3\nValueError: no such thing",
		},
		"out of time":       {fails(automation.ScriptFailure{Limit: "time"}), "  timeoutSeconds: 5\n", automation.TimedOut, automation.FailureTimeout, "The script had 5s."},
		"out of memory":     {fails(automation.ScriptFailure{Limit: "memory", Message: "512 MB"}), "", automation.Failed, automation.FailureSandbox, "limit of memory: 512 MB"},
		"a giant answer":    {returns(strings.Repeat("x", 200<<10)), "", automation.Failed, automation.FailureVerification, "the limit is 102400"},
		"a long list":       {returns(make([]any, 101)), "", automation.Failed, automation.FailureVerification, "a list of 101 items, the limit is 100: return a map"},
		"a list that fits":  {returns(make([]any, 100)), "", automation.Success, "", ""},
		"a list in a map":   {returns(map[string]any{"Items": make([]any, 101)}), "", automation.Success, "", ""},
		"of another type":   {returns("text"), "  outputs: [{Name: N, Selector: $.Payload, Type: Integer}]\n", automation.Failed, automation.FailureVerification, "Output N"},
		"nothing at all":    {returns(nil), "", automation.Success, "", ""},
		"goes on elsewhere": {fails(automation.ScriptFailure{Type: "E"}), "  onFailure: Continue\n", automation.Success, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, tt.more, tt.handler)
			w.start("Main", nil)
			o := w.finish()
			if o.Status != tt.want {
				t.Fatalf("%s: %+v", o.Status, o.Failure)
			}
			if tt.kind != "" && (o.Failure.Type != tt.kind || !strings.Contains(o.Failure.Message, tt.text)) {
				t.Errorf("%+v", o.Failure)
			}
		})
	}
}

// What the Caller stops is stopped, whatever the script catches.
func TestScriptCannotCatchAStop(t *testing.T) {
	t.Parallel()
	stubborn := func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
		for range 3 {
			_, _ = s.Call(ctx, apimodel.Call{Service: "s3", Operation: "PutThing"})
		}
		return automation.ScriptResult{Payload: "all well"}, nil
	}
	w := scripted(t, "  onFailure: Continue\n", stubborn)
	w.caller.answers["PutThing"] = []any{fault.Errorf(fault.Denied, "change", "the plan does not hold this call")}
	w.start("Main", nil)
	if o := w.finish(); !fault.Is(o.Abort, fault.Denied) || len(w.caller.calls) != 1 {
		t.Errorf("%+v after %v", o, w.caller.calls)
	}

	w = scripted(t, "", stubborn)
	w.caller.answers["PutThing"] = []any{held(), map[string]any{}}
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Success || len(w.caller.calls) != 5 {
		t.Errorf("a hold parks the step: %+v after %v", o, w.caller.calls)
	}

	w = scripted(t, "  onFailure: Continue\n", stubborn)
	busy := fault.Errorf(fault.Unavailable, "call", "connection refused")
	w.caller.answers["PutThing"] = []any{map[string]any{}, busy, map[string]any{}}
	e := w.start("Main", nil)
	e.run.Steps = steps{w, e}
	if _, err := w.interpreter.Run(t.Context(), e.run); !errors.Is(err, busy) {
		t.Fatalf("an outage interrupts the run: %v", err)
	}
	if o := w.finish(); o.Status != automation.Success || len(w.caller.calls) != 5 {
		t.Errorf("%+v after %v", o, w.caller.calls) // put, busy, then from the journal: put again twice, B
	}
}

// A script that begins again and goes another way makes no change while one of
// its first run is unaccounted for.
func TestScriptThatTakesAnotherWay(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		second []string
		want   automation.Status
		calls  int // in all
	}{
		"the same":                 {[]string{"GetA", "PutOne", "PutTwo"}, automation.Success, 4},
		"another order":            {[]string{"PutOne", "GetA", "PutTwo"}, automation.Success, 4},
		"another read first":       {[]string{"GetB", "GetA", "PutOne", "PutTwo"}, automation.Success, 5},
		"another change":           {[]string{"GetA", "PutThree", "PutOne"}, automation.Failed, 2},
		"it ends without a change": {[]string{"GetA"}, automation.Failed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			w := scripted(t, "", func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
				runs++
				way := tt.second
				if runs == 1 {
					way = []string{"GetA", "PutOne", "PutTwo"}
				}
				return scriptCalls(way...)(ctx, s)
			})
			w.killAt, w.after = 2, true // after PutOne was recorded
			w.start("Main", nil)
			o := w.finish()
			if o.Status != tt.want || len(w.caller.calls) != tt.calls || runs != 2 {
				t.Errorf("%s after %v in %d runs: %+v", o.Status, w.caller.calls, runs, o.Failure)
			}
			if tt.want == automation.Failed && (o.Failure.Type != automation.FailureSandbox || !strings.Contains(o.Failure.Message, "another way")) {
				t.Errorf("%+v", o.Failure)
			}
		})
	}
}

// Each attempt has a journal of its own.
func TestAttemptsOfAScriptBeginAnew(t *testing.T) {
	t.Parallel()
	w := scripted(t, "  maxAttempts: 2\n", func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
		_, _ = scriptCalls("PutThing")(ctx, s)
		if s.Attempt == 1 {
			return automation.ScriptResult{Failure: &automation.ScriptFailure{Type: "E"}}, nil
		}
		return automation.ScriptResult{}, nil
	})
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Success || strings.Join(w.caller.calls, " ") != "A:PutThing A:PutThing B:B" {
		t.Errorf("%s %v", o.Status, w.caller.calls)
	}
}

func TestScriptThatLoopsWithCalls(t *testing.T) {
	t.Parallel()
	w := scripted(t, "", func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
		for n := range 100_000 {
			if _, err := s.Call(ctx, apimodel.Call{Service: "s3", Operation: "GetThing", Input: map[string]any{"N": n}}); err != nil {
				return automation.ScriptResult{}, err
			}
		}
		return automation.ScriptResult{}, nil
	})
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Failed || o.Failure.Type != automation.FailureSandbox || len(w.caller.calls) != 5000 {
		t.Errorf("%+v after %d calls", o.Failure, len(w.caller.calls))
	}
}

// A script that is computing, or sleeping, is ended about as soon as the signal
// is there; the call under way is not cut off.
func TestScriptIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n"+script("A", "x", "me")+"  onCancel: step:Undo\n"+step("B", "  isEnd: true\n")+step("Undo", ""))
	w.handlers["x"] = func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
		if _, err := s.Call(ctx, apimodel.Call{Service: "s3", Operation: "PutFirst"}); err != nil {
			t.Errorf("a call under way is cut off: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
			t.Error("the script was not ended")
		}
		if _, err := s.Call(ctx, apimodel.Call{Service: "s3", Operation: "PutLast"}); err == nil {
			t.Error("a call is made after the script was stopped")
		}
		return automation.ScriptResult{}, context.Cause(ctx)
	}
	w.caller.answers["PutFirst"] = []any{func(ctx context.Context) (apimodel.Reply, error) {
		w.put("exec-1", automation.Signal{Kind: automation.SignalCancel, By: "ann", Comment: "enough"})
		time.Sleep(30 * time.Millisecond) // longer than the watch
		return apimodel.Reply{}, ctx.Err()
	}}
	w.start("Main", nil)
	o := w.finish()
	if o.Status != automation.Cancelled || strings.Join(w.caller.calls, " ") != "A:PutFirst Undo:Undo" || !strings.Contains(o.Failure.Message, "cancelled by ann (enough)") {
		t.Errorf("%s %v %+v", o.Status, w.caller.calls, o.Failure)
	}
}

func TestPlanningAScript(t *testing.T) {
	t.Parallel()
	const standIn = "known after apply"
	plan := func(handler func(context.Context, automation.Script) (automation.ScriptResult, error), answer map[string]any) automation.Outcome {
		w := scripted(t, "", handler)
		w.caller.answers["PutThing"] = []any{answer}
		e := w.start("Main", nil)
		e.run.Planning = true
		e.run.Unknown = func(v any) bool { return strings.Contains(mustJSON(t, v), standIn) }
		o, err := w.interpreter.Run(t.Context(), e.run)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	failing := func(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
		if s.Timeout != 30*time.Second || !s.Planning {
			t.Errorf("%+v", s)
		}
		_, _ = scriptCalls("PutThing")(ctx, s)
		return automation.ScriptResult{Failure: &automation.ScriptFailure{Type: "KeyError", Message: "'Id'"}}, nil
	}
	if o := plan(failing, map[string]any{"Id": standIn}); !strings.Contains(o.Open, "step A") || o.OpenAt != "A" {
		t.Errorf("after a recorded change the plan is open: %+v", o)
	}
	if o := plan(func(context.Context, automation.Script) (automation.ScriptResult, error) {
		return automation.ScriptResult{Failure: &automation.ScriptFailure{Type: "KeyError"}}, nil
	}, nil); o.Status != automation.Failed {
		t.Errorf("a script that fails by itself fails: %+v", o)
	}
	if o := plan(scriptCalls("PutThing"), map[string]any{"Size": standIn}); o.Status != automation.Success {
		t.Errorf("%+v", o)
	}
}

func TestAttachmentOutsideThePlanIsAStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "files: {other.py: {}}\nmainSteps:\n- name: A\n  action: aws:executeScript\n  onFailure: Continue\n  inputs: {Runtime: python3.11, Handler: other.x, Attachment: other.py}\n"+step("B", ""))
	w.start("Main", nil)
	if o := w.finish(); !fault.Is(o.Abort, fault.Denied) || len(w.caller.calls) != 0 {
		t.Errorf("%+v %v", o, w.caller.calls)
	}
}
