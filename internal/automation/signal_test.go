package automation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
)

// told puts signals one by one, each time that exec-1 waits.
func (w *world) told(list ...automation.Signal) {
	w.onWait = func(id string, o automation.Outcome) {
		if id == "exec-1" && len(list) > 0 && o.ResumeAt.IsZero() || id == "exec-1" && len(list) > 0 && o.ResumeAt.Sub(w.clock.Now()) > time.Minute {
			w.put(id, list[0])
			list = list[1:]
		}
	}
}

func yes(by string) automation.Signal {
	return automation.Signal{Kind: automation.SignalApprove, By: by, Comment: "fine"}
}

func no(by string) automation.Signal {
	return automation.Signal{Kind: automation.SignalReject, By: by, Comment: "{{ Name }} %s"}
}

func TestApprove(t *testing.T) {
	t.Parallel()
	other := yes("ann")
	other.Step = "Another"
	for name, tt := range map[string]struct {
		inputs  string
		signals []automation.Signal
		want    automation.Status
		text    string // of the failure
		took    time.Duration
	}{
		"one is enough":               {"{Approvers: [ann, bob]}", []automation.Signal{yes("ann")}, automation.Success, "", 0},
		"two are needed":              {"{Approvers: [ann, bob], MinRequiredApprovals: '2'}", []automation.Signal{yes("ann"), yes("bob")}, automation.Success, "", 0},
		"nobody counts twice":         {"{Approvers: [ann, bob], MinRequiredApprovals: 2}", []automation.Signal{yes("ann"), yes("ann")}, automation.TimedOut, "1 of 2 approvals", 7 * 24 * time.Hour},
		"one rejection is enough":     {"{Approvers: [ann, bob, cat], MinRequiredApprovals: 2}", []automation.Signal{yes("ann"), no("bob")}, automation.Failed, "rejected by bob ({{ Name }} %s)", 0},
		"nobody answers":              {"{Approvers: [ann]}", nil, automation.TimedOut, "0 of 1 approvals", 7 * 24 * time.Hour},
		"an answer to another step":   {"{Approvers: [ann]}", []automation.Signal{other}, automation.TimedOut, "0 of 1 approvals", 7 * 24 * time.Hour},
		"a resume is no approval":     {"{Approvers: [ann]}", []automation.Signal{{Kind: automation.SignalResume, By: "ann"}}, automation.TimedOut, "0 of 1", 7 * 24 * time.Hour},
		"too few approvers":           {"{Approvers: [ann], MinRequiredApprovals: 2}", nil, automation.Failed, "MinRequiredApprovals needs a number from 1 to the 1 approvers", 0},
		"no approvers":                {"{Approvers: []}", nil, automation.Failed, "Approvers needs 1 to 10 names", 0},
		"too many approvers":          {"{Approvers: [a, b, c, d, e, f, g, h, i, j, k]}", nil, automation.Failed, "it has 11", 0},
		"a message without end":       {"{Approvers: [ann], Message: " + strings.Repeat("x", 5000) + "}", nil, automation.Failed, "the limit is 4096", 0},
		"cancelled while it waits":    {"{Approvers: [ann]}", []automation.Signal{{Kind: automation.SignalCancel, By: "eve"}}, automation.Cancelled, "cancelled by eve", 0},
		"completed while it waits":    {"{Approvers: [ann]}", []automation.Signal{{Kind: automation.SignalComplete, By: "eve"}}, automation.Success, "", 0},
		"the step is stopped":         {"{Approvers: [ann]}", []automation.Signal{{Kind: automation.SignalStopStep, By: "eve"}}, automation.Failed, "stopped by eve", 0},
		"another step is not stopped": {"{Approvers: [ann]}", []automation.Signal{{Kind: automation.SignalStopStep, Step: "B"}, yes("ann")}, automation.Success, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.document("Main", "mainSteps:\n- name: A\n  action: aws:approve\n  inputs: "+tt.inputs+"\n"+step("B", ""))
			w.told(tt.signals...)
			w.start("Main", nil)
			o := w.finish()
			if o.Status != tt.want || tt.text != "" && !strings.Contains(o.Failure.Message, tt.text) {
				t.Errorf("%s %+v", o.Status, o.Failure)
			}
			if took := w.clock.Now().Sub(newClock().Now()); took != tt.took {
				t.Errorf("took %s", took)
			}
			if ran := len(w.caller.calls) == 1; ran != (tt.want == automation.Success && !strings.HasPrefix(name, "completed")) {
				t.Errorf("calls %v", w.caller.calls)
			}
		})
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n- {name: A, action: 'aws:pause', inputs: {}}\n"+step("B", ""))
	w.told(automation.Signal{Kind: automation.SignalResume, Step: "A"})
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Success || len(w.caller.calls) != 1 {
		t.Errorf("%+v", o)
	}
	w = newWorld(t)
	w.document("Main", "mainSteps:\n- {name: A, action: 'aws:pause', timeoutSeconds: 600, inputs: {}}\n"+step("B", ""))
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.TimedOut || w.clock.Now().Sub(newClock().Now()) != 10*time.Minute {
		t.Errorf("%+v", o)
	}
}

func TestAnnouncementIsHeldAndMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n- name: A\n  action: aws:approve\n  inputs: {Approvers: [ann], NotificationArn: 'arn:aws:sns:eu-west-1:111122223333:Automation-X', Message: please}\n"+step("B", ""))
	w.caller.answers["Publish"] = []any{held(), map[string]any{}}
	w.told(yes("ann"))
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Success || strings.Join(w.caller.calls, " ") != "A:Publish A:Publish B:B" {
		t.Errorf("%+v %v", o.Failure, w.caller.calls)
	}
	if text, _ := w.caller.inputs[1]["Message"].(string); !strings.Contains(text, "exec-1") || !strings.Contains(text, "please") {
		t.Error(w.caller.inputs[1])
	}
	w = newWorld(t)
	w.document("Main", "mainSteps:\n- name: A\n  action: aws:approve\n  inputs: {Approvers: [ann], NotificationArn: 'arn:aws:sns:eu-west-1:111122223333:Automation-X'}\n"+step("B", ""))
	w.caller.answers["Publish"] = []any{apiError("NotFound")}
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Failed || len(w.asked) != 0 {
		t.Errorf("%+v %v", o, w.asked)
	}
}

const rollback = `
- name: Undo
  action: aws:executeAwsApi
  inputs: {Service: s3, Api: PutUndo}
- name: More
  action: aws:executeAwsApi
  isEnd: true
  inputs: {Service: s3, Api: PutMore}
`

func TestCancel(t *testing.T) {
	t.Parallel()
	cancel := automation.Signal{Kind: automation.SignalCancel, By: "eve"}
	for name, tt := range map[string]struct {
		steps string
		want  string
	}{
		"a sleep":                   {"- {name: A, action: 'aws:sleep', inputs: {Duration: PT1H}}\n" + step("B", "  isEnd: true\n") + rollback, ""},
		"a sleep with a way back":   {"- {name: A, action: 'aws:sleep', onCancel: 'step:Undo', inputs: {Duration: PT1H}}\n" + step("B", "  isEnd: true\n") + rollback, "Undo More"},
		"inside a loop":             {"- name: L\n  action: aws:loop\n  inputs:\n    Iterators: [a, b]\n    Steps:\n    - {name: A, action: 'aws:sleep', onCancel: 'step:Undo', inputs: {Duration: PT1H}}\n" + step("B", "  isEnd: true\n") + rollback, "Undo More"},
		"to a step inside the loop": {"- name: L\n  action: aws:loop\n  inputs:\n    Iterators: [a, b]\n    Steps:\n    - {name: A, action: 'aws:sleep', onCancel: 'step:In', inputs: {Duration: PT1H}}\n    - {name: In, action: 'aws:executeAwsApi', nextStep: Undo, inputs: {Service: s3, Api: In}}\n" + step("B", "  isEnd: true\n") + rollback, "In Undo More"},
		"to what AWS does not run":  {"- {name: A, action: 'aws:sleep', onCancel: 'step:Never', inputs: {Duration: PT1H}}\n- {name: Never, action: 'aws:sleep', inputs: {Duration: PT1S}}\n" + step("B", ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.document("Main", "mainSteps:\n"+tt.steps)
			w.told(cancel, cancel, cancel)
			w.start("Main", nil)
			o := w.finish()
			if o.Status != automation.Cancelled || path(w.caller) != tt.want || o.Failure.Type != automation.FailureCancelled || o.Failure.Step != "A" {
				t.Errorf("%s %v %+v", o.Status, w.caller.calls, o.Failure)
			}
			last := w.records[len(w.records)-1]
			if tt.want == "" && last.Status != automation.Cancelled {
				t.Errorf("%+v", last)
			}
		})
	}
}

// The steps of onCancel have two minutes.
func TestTheWayBackHasTwoMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.caller.answers["DescribeIt"] = []any{items("busy")}
	w.document("Main", `
mainSteps:
- {name: A, action: 'aws:sleep', onCancel: 'step:Undo', inputs: {Duration: PT1H}}
- {name: B, action: 'aws:executeAwsApi', isEnd: true, inputs: {Service: s3, Api: B}}
- {name: Undo, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Undo}}
- {name: W, action: 'aws:waitForAwsResourceProperty', inputs: {Service: s3, Api: DescribeIt, PropertySelector: "$.Items..State", DesiredValues: [ready]}}
- {name: Late, action: 'aws:executeAwsApi', isEnd: true, inputs: {Service: s3, Api: Late}}
`)
	var statuses []automation.Status
	w.told(automation.Signal{Kind: automation.SignalCancel})
	put := w.onWait
	w.onWait = func(id string, o automation.Outcome) {
		statuses = append(statuses, o.Status)
		put(id, o)
	}
	w.start("Main", nil)
	o := w.finish()
	if took := w.clock.Now().Sub(newClock().Now()); o.Status != automation.Cancelled || took < 2*time.Minute || took > 2*time.Minute+5*time.Second {
		t.Errorf("%s after %s", o.Status, took)
	}
	if p := path(w.caller); !strings.HasPrefix(p, "Undo W") || strings.Contains(p, "Late") || statuses[len(statuses)-1] != automation.Cancelling {
		t.Errorf("%s %v", p, statuses)
	}
}

// A wait in memory, or a call, learns of a cancellation in about a second.
func TestWaitInMemoryIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n- name: W\n  action: aws:waitForAwsResourceProperty\n  inputs: {Service: s3, Api: DescribeIt, PropertySelector: \"$.Items..State\", DesiredValues: [ready]}\n"+step("B", ""))
	polls := 0
	w.caller.answers["DescribeIt"] = []any{func(context.Context) (apimodel.Reply, error) {
		if polls++; polls == 4 {
			w.put("exec-1", automation.Signal{Kind: automation.SignalCancel})
		}
		return apimodel.Reply{Output: items("busy")}, nil
	}}
	w.start("Main", nil)
	var at time.Time
	if o := w.finish(); o.Status != automation.Cancelled || polls != 4 {
		t.Errorf("%s after %d polls", o.Status, polls)
	}
	at = w.clock.Now()
	if took := at.Sub(newClock().Now()); took > 11*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n"+step("A", "")+step("B", ""))
	w.caller.answers["A"] = []any{func(context.Context) (apimodel.Reply, error) {
		w.put("exec-1", automation.Signal{Kind: automation.SignalComplete})
		return apimodel.Reply{}, nil
	}}
	w.start("Main", nil)
	// B is under way when it is read, and ends; nothing follows.
	if o := w.finish(); o.Status != automation.Success || path(w.caller) != "A B" {
		t.Errorf("%s %v", o.Status, w.caller.calls)
	}
}

func TestInteractive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n"+step("A", "")+"- name: L\n  action: aws:loop\n  inputs:\n    Iterators: [a, b]\n    Steps:\n"+body(step("In", ""))+step("B", ""))
	e := w.start("Main", nil)
	e.run.Interactive = true
	start := func(name string) automation.Signal {
		return automation.Signal{Kind: automation.SignalStartStep, Step: name}
	}
	var waited []string
	list := []automation.Signal{start("B"), start("A"), start(""), start("In"), start("In"), start("B")}
	w.onWait = func(id string, o automation.Outcome) {
		waited = append(waited, fmt.Sprintf("%s %d", o.State.Cursor, len(w.caller.calls)))
		if len(list) > 0 {
			w.put(id, list[0])
			list = list[1:]
		}
	}
	o := w.finish()
	if o.Status != automation.Success || path(w.caller) != "A In In#2 B" {
		t.Errorf("%s %v", o.Status, w.caller.calls)
	}
	if diff := cmp.Diff([]string{"A 0", "A 0", "L 1", "In 1", "In 2", "B 3"}, waited); diff != "" {
		t.Error(diff)
	}
	for _, r := range w.records {
		if r.Status == automation.Waiting {
			t.Errorf("a step that has not begun is in the history: %+v", r)
		}
	}
}

func TestInteractiveIsCancelledBeforeAStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n"+step("A", "  onCancel: step:C\n")+step("B", "  isEnd: true\n")+step("C", ""))
	w.start("Main", nil).run.Interactive = true
	w.told(automation.Signal{Kind: automation.SignalCancel})
	if o := w.finish(); o.Status != automation.Cancelled || path(w.caller) != "C" {
		t.Errorf("%s %v", o.Status, w.caller.calls)
	}
}

// Between attempts, too, a cancellation is not waited for.
func TestAttemptsAreCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.document("Main", "mainSteps:\n"+step("A", "  maxAttempts: 10\n")+step("B", ""))
	tries := 0
	w.caller.answers["A"] = []any{func(context.Context) (apimodel.Reply, error) {
		if tries++; tries == 5 {
			w.put("exec-1", automation.Signal{Kind: automation.SignalCancel})
		}
		return apimodel.Reply{}, apiError("No")
	}}
	w.start("Main", nil)
	if o := w.finish(); o.Status != automation.Cancelled || tries != 5 {
		t.Errorf("%s after %d tries", o.Status, tries)
	}
	if took := w.clock.Now().Sub(newClock().Now()); took > 17*time.Second { // 1+2+4+8, and one
		t.Errorf("took %s", took)
	}
}
