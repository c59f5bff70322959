package approve_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// aRun makes the remediation a document that somebody started.
func aRun(edit func(*memory)) func(*memory) {
	return func(m *memory) {
		m.r.Kind, m.r.Runbook, m.r.Playbook, m.r.Finding, m.r.RequestedBy, m.r.Execution = remediation.KindRun, "Close-Port", "", finding.ID{}, "alice", "exe-1"
		m.trusted = false
		if edit != nil {
			edit(m)
		}
	}
}

func TestADocumentRunsByItselfOnlyIfAPolicyNamesIt(t *testing.T) {
	t.Parallel()
	named := func(patterns ...string) approve.Policy {
		return approve.Policy{ID: "docs", Mode: approve.Automatic, Documents: patterns}
	}
	reads := func(m *memory) { m.plan.Calls[0].Class = apimodel.Read }
	for name, c := range map[string]struct {
		edit     func(*memory)
		policies []approve.Policy
		want     remediation.State
	}{
		"no policy":                        {nil, nil, remediation.AwaitingApproval},
		"a policy for findings":            {nil, []approve.Policy{{ID: "all", Mode: approve.Automatic}}, remediation.AwaitingApproval},
		"a policy that names it":           {nil, []approve.Policy{named("Close-*")}, remediation.Queued},
		"one that names another":           {nil, []approve.Policy{named("Open-*", "Close")}, remediation.AwaitingApproval},
		"named, but open":                  {func(m *memory) { m.plan.Open = true }, []approve.Policy{named("*")}, remediation.AwaitingApproval},
		"named, but irreversible":          {func(m *memory) { m.plan.Calls[0].Irreversible = true }, []approve.Policy{named("*")}, remediation.AwaitingApproval},
		"nothing to change":                {reads, nil, remediation.Queued},
		"nothing to change, but open":      {func(m *memory) { reads(m); m.plan.Open = true }, nil, remediation.AwaitingApproval},
		"nothing to change, but forbidden": {reads, []approve.Policy{{ID: "frozen", Mode: approve.Never}}, remediation.Cancelled},
		"forbidden for all":                {nil, []approve.Policy{{ID: "frozen", Mode: approve.Never}}, remediation.Cancelled},
		"forbidden for playbooks":          {nil, []approve.Policy{{ID: "frozen", Mode: approve.Never, Playbooks: []string{"S3.8"}}}, remediation.AwaitingApproval},
	} {
		w := setup(t, dev, aRun(c.edit), c.policies...)
		if w.r.State != c.want {
			t.Errorf("%s: %s (%s)", name, w.r.State, w.r.Reason)
		}
	}
	// A policy that names documents is not one for findings.
	if w := setup(t, dev, nil, named("*")); w.r.State != remediation.AwaitingApproval {
		t.Errorf("a fix: %s", w.r.State)
	}
}

func TestWithdrawnBeforeItBegan(t *testing.T) {
	t.Parallel()
	w := setup(t, dev, aRun(nil))
	if err := w.stage.Withdraw(t.Context(), "rem-1", "alice", "not today"); err != nil {
		t.Fatal(err)
	}
	if w.r.State != remediation.Cancelled || w.a.State != remediation.ApprovalSuperseded || w.r.Reason != "stopped by alice: not today" {
		t.Errorf("remediation %s (%s), approval %s", w.r.State, w.r.Reason, w.a.State)
	}
	ends := w.eff[len(w.eff)-1].Ends
	if len(ends) != 1 || ends[0].ID != "exe-1" || ends[0].Status != "Cancelled" {
		t.Errorf("ends = %+v", ends)
	}
	if err := w.stage.Withdraw(t.Context(), "rem-1", "alice", ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("again: %v", err)
	}
}

// askStep replaces the approval of the plan by one of a step.
func askStep(t *testing.T, w world, approvers []string, minimum int) {
	t.Helper()
	w.memory.a = nil
	q := approve.StepQuestion{
		Remediation: w.r, Execution: "exe-1", Step: "Ask", Label: "Ask", Approvers: approvers, Minimum: minimum, Message: "May we?",
		ExpiresAt: w.clock.Now().Add(time.Hour),
	}
	for range 2 { // asking twice is asking once
		if err := w.stage.AskStep(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	told := w.eff[len(w.eff)-1].Outbox
	if len(told) != 1 || told[0].Topic != store.TopicEvent || !strings.Contains(string(told[0].Payload), `"Parry Approval Asked"`) {
		t.Errorf("people are told %+v", told)
	}
	if w.a.ID != approve.StepApprovalID("exe-1", "Ask") || !w.a.OfStep() || w.a.State != remediation.ApprovalPending {
		t.Fatalf("approval = %+v", w.a)
	}
}

func signals(w world) []store.Signal {
	var out []store.Signal
	for _, eff := range w.eff {
		out = append(out, eff.Signals...)
	}
	return out
}

func TestAStepIsDecidedByThoseWhomItNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		approvers []string
		who       string
		ok        bool
	}{
		"by name":                {[]string{"bob"}, "bob", true},
		"who started it":         {[]string{"alice"}, "alice", true},
		"by the ARN of a user":   {[]string{"arn:aws:iam::111122223333:user/team/bob"}, "bob", true},
		"by an assumed role":     {[]string{"arn:aws:sts::111122223333:assumed-role/Admin/bob"}, "bob", true},
		"by a role's own name":   {[]string{"arn:aws:iam::111122223333:role/bob"}, "bob", false},
		"somebody else":          {[]string{"bob"}, "eve", false},
		"an empty name":          {[]string{""}, "", false},
		"a part of a name":       {[]string{"arn:aws:iam::111122223333:user/bobby"}, "bob", false},
		"the ARN as a principal": {[]string{"arn:aws:iam::111122223333:user/bob"}, "arn:aws:iam::111122223333:user/bob", true},
	} {
		w := setup(t, dev, aRun(nil))
		askStep(t, w, c.approvers, 1)
		_, err := w.stage.Grant(t.Context(), w.a.ID, c.who, "hash", "fine")
		if (err == nil) != c.ok || err != nil && !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
		want := []store.Signal(nil)
		if c.ok {
			want = []store.Signal{{Execution: "exe-1", Kind: "Approve", Step: "Ask", By: c.who, Comment: "fine", At: w.clock.Now()}}
		}
		if diff := cmp.Diff(want, signals(w)); diff != "" {
			t.Errorf("%s: signals (-want +got):\n%s", name, diff)
		}
	}
}

func TestAStepCountsPeopleAndOneRejectionIsEnough(t *testing.T) {
	t.Parallel()
	w := setup(t, dev, aRun(nil))
	askStep(t, w, []string{"bob", "carol", "dave"}, 2)
	grant := func(who string) error {
		_, err := w.stage.Grant(t.Context(), w.a.ID, who, "hash", "")
		return err
	}
	if err := grant("bob"); err != nil || w.a.State != remediation.ApprovalPending {
		t.Fatalf("%v, %s", err, w.a.State)
	}
	if err := grant("bob"); !fault.Is(err, fault.Conflict) {
		t.Errorf("one person twice: %v", err)
	}
	if err := grant("carol"); err != nil || w.a.State != remediation.ApprovalApproved {
		t.Fatalf("%v, %s", err, w.a.State)
	}
	if err := grant("dave"); !fault.Is(err, fault.Conflict) {
		t.Errorf("after the quorum: %v", err)
	}
	if got := signals(w); len(got) != 2 {
		t.Errorf("signals = %v", got)
	}
	if w.r.State != remediation.AwaitingApproval {
		t.Errorf("the remediation moved to %s", w.r.State)
	}
	askStep(t, w, []string{"bob", "carol"}, 2)
	if _, err := w.stage.Reject(t.Context(), w.a.ID, "carol", "hash", "no"); err != nil || w.a.State != remediation.ApprovalRejected {
		t.Fatalf("%v, %s", err, w.a.State)
	}
	if got := signals(w); got[len(got)-1].Kind != "Reject" {
		t.Errorf("signals = %v", got)
	}
	// A step's question that nobody answers ends by itself; the remediation stays.
	askStep(t, w, []string{"bob"}, 1)
	w.clock.Advance(2 * time.Hour)
	if _, err := w.stage.Expire(t.Context(), 10); err != nil || w.a.State != remediation.ApprovalExpired || w.r.State != remediation.AwaitingApproval {
		t.Errorf("%v, %s, %s", err, w.a.State, w.r.State)
	}
}

func TestAPlanOfAStoppedRunIsNotPutUp(t *testing.T) {
	t.Parallel()
	w := setup(t, dev, aRun(func(m *memory) { m.ended = time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC) }))
	if w.r.State != remediation.Cancelled || w.a != nil || !strings.Contains(w.r.Reason, "stopped while it was planned") {
		t.Errorf("%s (%s), approval %v", w.r.State, w.r.Reason, w.a)
	}
}
