package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

type oneID struct{}

func (oneID) NewID(prefix string) string { return prefix + "-new" }

func (w *world) desk() *plan.Desk {
	return plan.NewDesk(w.memory, w.shelf, oneID{}, service.NewFixedClock(noon))
}

func TestARequestIsSentOnceWithItsAuditRecord(t *testing.T) {
	t.Parallel()
	w := fixed(t)
	for name, c := range map[string]struct {
		ask  func(*plan.Desk) (remediation.ID, error)
		want remediation.Request
	}{
		"fix": {func(d *plan.Desk) (remediation.ID, error) {
			return d.RequestFix(t.Context(), w.finding.ID, "", "alice")
		}, remediation.Request{ID: "rem-new", Kind: remediation.KindFix, Finding: w.finding.ID, Playbook: "S3.2", RequestedBy: "alice"}},
		"fix by a playbook": {func(d *plan.Desk) (remediation.ID, error) {
			return d.RequestFix(t.Context(), w.finding.ID, "S3.2", "alice")
		}, remediation.Request{ID: "rem-new", Kind: remediation.KindFix, Finding: w.finding.ID, Playbook: "S3.2", RequestedBy: "alice"}},
		"undo": {func(d *plan.Desk) (remediation.ID, error) {
			return d.RequestUndo(t.Context(), "rem-1", "alice")
		}, remediation.Request{ID: "rem-new", Kind: remediation.KindUndo, Finding: w.finding.ID, UndoOf: "rem-1", RequestedBy: "alice"}},
	} {
		w.effects = nil
		id, err := c.ask(w.desk())
		if err != nil || id != "rem-new" {
			t.Errorf("%s: %s, %v", name, id, err)
			continue
		}
		payload, err := json.Marshal(c.want)
		if err != nil {
			t.Fatal(err)
		}
		want := []store.Effects{{
			Outbox: []store.Message{{ID: "plan-rem-new", Topic: store.TopicPlan, Payload: payload}},
			Audit:  []store.AuditRecord{{At: noon, Actor: "alice", Action: "remediation.requested", Object: "rem-new"}},
		}}
		if diff := cmp.Diff(want, w.effects); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestARequestIsRefusedWithTheNextStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*world)
		ask  func(*world) (remediation.ID, error)
		code fault.Code
		want string
		hint string
	}{
		"unknown finding": {
			func(w *world) { w.finding = nil },
			func(w *world) (remediation.ID, error) {
				return w.desk().RequestFix(t.Context(), undo().Finding, "", "alice")
			},
			fault.NotFound, "there is no finding", "parry finding list",
		},
		"excepted finding": {
			func(w *world) { w.finding.Exception = "ex-1" },
			func(w *world) (remediation.ID, error) {
				return w.desk().RequestFix(t.Context(), w.finding.ID, "", "alice")
			},
			fault.Conflict, "the exception ex-1", "parry exception expire ex-1",
		},
		"unknown playbook": {nil, func(w *world) (remediation.ID, error) {
			return w.desk().RequestFix(t.Context(), w.finding.ID, "S3.99", "alice")
		}, fault.NotFound, `no playbook "S3.99"`, "parry playbook list"},
		"no playbook for the control": {
			func(w *world) { w.finding.Control = "EC2.1" },
			func(w *world) (remediation.ID, error) {
				return w.desk().RequestFix(t.Context(), w.finding.ID, "", "alice")
			},
			fault.NotFound, `no fix for control "EC2.1"`, "parry playbook list",
		},
		"unknown remediation": {nil, func(w *world) (remediation.ID, error) {
			return w.desk().RequestUndo(t.Context(), "rem-9", "alice")
		}, fault.NotFound, "not found", ""},
		"undo of an undo": {
			func(w *world) {
				w.remediations["rem-2"] = remediation.Remediation{ID: "rem-2", Kind: remediation.KindUndo, State: remediation.Verified, Finding: w.finding.ID}
			},
			func(w *world) (remediation.ID, error) { return w.desk().RequestUndo(t.Context(), "rem-2", "alice") },
			fault.Conflict, "is itself an undo", "parry finding remediate ",
		},
		"wrong state": {
			func(w *world) { w.stand(remediation.Queued) },
			func(w *world) (remediation.ID, error) { return w.desk().RequestUndo(t.Context(), "rem-1", "alice") },
			fault.Conflict, "is queued and cannot be undone", "parry remediation show rem-1",
		},
		"store away": {
			func(w *world) { w.fail = fault.Errorf(fault.Unavailable, "read", "locked") },
			func(w *world) (remediation.ID, error) {
				return w.desk().RequestFix(t.Context(), w.finding.ID, "", "alice")
			},
			fault.Unavailable, "locked", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fixed(t)
			if c.edit != nil {
				c.edit(w)
			}
			id, err := c.ask(w)
			if id != "" || !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%q, %v (hint: %s)", id, err, fault.HintOf(err))
			}
			if len(w.effects) != 0 {
				t.Error("something was sent")
			}
		})
	}
}
