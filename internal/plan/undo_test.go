package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// fixed gives a world in which rem-1 was planned, applied and verified.
func fixed(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	if err := w.handle(t, w.fix()); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.plans["rem-1"].Calls {
		if !c.Class.NeedsApproval() {
			continue
		}
		if _, err := w.cloud.Call(t.Context(), c.Step, c.APICall()); err != nil {
			t.Fatal(err)
		}
		w.changes = append(w.changes, remediation.Change{Remediation: "rem-1", Call: c, Before: c.Before, Outcome: remediation.Applied})
	}
	w.effects, w.cloud.sent = nil, nil
	w.stand(remediation.Verified)
	return w
}

func (w *world) stand(s remediation.State) {
	r := w.remediations["rem-1"]
	r.State = s
	w.remediations["rem-1"] = r
}

// TestTheWayBackRestoresEverything plans an undo and runs its document in the
// real interpreter: what comes back holds double braces, which are no references.
func TestTheWayBackRestoresEverything(t *testing.T) {
	t.Parallel()
	w := fixed(t)
	if err := w.handle(t, undo()); err != nil {
		t.Fatal(err)
	}
	r, p := w.remediations["rem-2"], w.plans["rem-2"]
	if r.State != remediation.Planned || r.UndoOf != "rem-1" || r.Account != account || r.Finding != w.finding.ID {
		t.Fatalf("remediation = %+v", r)
	}
	if p.Kind != remediation.KindUndo || p.Role != "ParryMemberRole" || p.Runbook.Revision != runbook.Revision([]byte(p.Runbook.Content)) {
		t.Errorf("plan = %+v", p)
	}
	// S3 refuses a public policy or grant while Block Public Access is on.
	if diff := cmp.Diff([]string{"DeletePublicAccessBlock", "PutBucketAcl", "PutBucketPolicy"}, changing(p)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if len(w.cloud.sent) != 0 {
		t.Errorf("planning sent %v", w.cloud.sent)
	}
	doc, err := runbook.Parse([]byte(p.Runbook.Content))
	if err != nil {
		t.Fatal(err)
	}
	out, err := interpret(t.Context(), doc, p.Parameters, w.cloud)
	if err != nil || out.Status != automation.Success {
		t.Fatalf("%s, %v, %+v", out.Status, err, out.Failure)
	}
	if diff := cmp.Diff(publicBucket().images, w.cloud.images); diff != "" {
		t.Errorf("the bucket after the undo (-want +got):\n%s", diff)
	}
}

func TestAnUndoIsNotPlanned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit   func(*world)
		reason string
		hint   string
	}{
		"irreversible change": {func(w *world) {
			w.changes = append(w.changes, remediation.Change{
				Remediation: "rem-1", Outcome: remediation.Applied,
				Call: remediation.PlannedCall{Service: "s3", Operation: "DeleteObject"}, Before: &remediation.Image{Exists: true},
			})
		}, "no inverse is known for s3:DeleteObject", "parry remediation show rem-1"},
		"no before-image":   {func(w *world) { w.changes[1].Before = nil }, "no inverse is known for s3:PutBucketAcl", "parry remediation show rem-1"},
		"nothing changed":   {func(w *world) { w.changes = nil }, "changed nothing", "parry remediation undo rem-1"},
		"everything failed": {func(w *world) { w.outcome(remediation.Refused, 0, 1, 2) }, "changed nothing", "parry remediation undo rem-1"},
		"drift": {func(w *world) {
			w.cloud.images["GetBucketPolicy"] = apimodel.Image{}
		}, "arn:aws:s3:::reports (bucket policy) was changed since the fix", "what the fix found"},
		"wrong state": {func(w *world) { w.stand(remediation.Undone) }, "is undone and cannot be undone", "parry remediation undo rem-1"},
		"no parameter": {func(w *world) {
			w.changes[0].Before.Data["Policy"] = []any{"x", 1.5}
		}, "PutBucketPolicy.Policy: a list of neither texts nor maps", "parry remediation undo rem-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fixed(t)
			c.edit(w)
			if err := w.handle(t, undo()); err != nil {
				t.Fatal(err)
			}
			r := w.remediations["rem-2"]
			if r.State != remediation.Failed || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Hint, c.hint) {
				t.Errorf("%s: %s (hint: %s)", r.State, r.Reason, r.Hint)
			}
			if len(w.plans) != 1 {
				t.Error("a plan was stored")
			}
		})
	}
}

// TestAChangeThatWasNeverMadeIsNoDrift: AWS answered it, and the resource is as
// the fix found it.
func TestAChangeThatWasNeverMadeIsNoDrift(t *testing.T) {
	t.Parallel()
	w := fixed(t)
	w.cloud.images["GetBucketPolicy"] = publicBucket().images["GetBucketPolicy"]
	if err := w.handle(t, undo()); err != nil {
		t.Fatal(err)
	}
	if r := w.remediations["rem-2"]; r.State != remediation.Planned {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}

// outcome sets what became of some changes.
func (w *world) outcome(o remediation.Outcome, at ...int) {
	for _, i := range at {
		w.changes[i].Outcome = o
	}
}

// TestChangesOfUnknownOutcomeAreTakenBack: a change that was begun and has no
// outcome may have been made or not; the way back covers both.
func TestChangesOfUnknownOutcomeAreTakenBack(t *testing.T) {
	t.Parallel()
	for _, o := range []remediation.Outcome{remediation.Intended, remediation.Uncertain} {
		for name, made := range map[string]bool{"made": true, "not made": false} {
			t.Run(string(o)+" and "+name, func(t *testing.T) {
				t.Parallel()
				w := fixed(t)
				w.stand(remediation.Failed)
				w.outcome(o, 2)
				if !made {
					w.cloud.images["GetPublicAccessBlock"] = apimodel.Image{}
				}
				if err := w.handle(t, undo()); err != nil {
					t.Fatal(err)
				}
				if got := changing(w.plans["rem-2"]); len(got) != 3 {
					t.Errorf("%s, changes %v", w.remediations["rem-2"].Reason, got)
				}
			})
		}
	}
}

// TestARefusedChangeIsNoDrift: what AWS refused was not made, so that the
// resource is as the change before left it.
func TestARefusedChangeIsNoDrift(t *testing.T) {
	t.Parallel()
	w := fixed(t)
	refused := w.changes[0]
	refused.Outcome = remediation.Refused
	refused.Call.Operation, refused.Call.Input = "DeleteBucketPolicy", map[string]any{"Bucket": "reports"}
	w.changes = append(w.changes, refused)
	if err := w.handle(t, undo()); err != nil {
		t.Fatal(err)
	}
	if r := w.remediations["rem-2"]; r.State != remediation.Planned {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}

func TestAnUndoWaitsForAWS(t *testing.T) {
	t.Parallel()
	w := fixed(t)
	w.dry.err = &apimodel.APIError{Code: "SlowDown", HTTPStatus: 503}
	err := w.handle(t, undo())
	if _, again := fault.IsTransient(err); !again || len(w.effects) != 0 {
		t.Errorf("err = %v, %d writes", err, len(w.effects))
	}
}
