package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

func TestUpdateOfAFinding(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	c := b.as(t, "operator", dev)
	if err := c.UpdateFinding(ctx, devFinding, "SUPPRESSED", "accepted until spring"); err != nil {
		t.Fatal(err)
	}
	// The note is signed by the caller.
	if diff := cmp.Diff([]string{`update dev for operator: {"Note":{"Text":"accepted until spring","UpdatedBy":"operator"},"Workflow":{"Status":"SUPPRESSED"}}`}, b.calls); diff != "" {
		t.Error(diff)
	}
	for name, err := range map[string]error{
		"nothing":   c.UpdateFinding(ctx, devFinding, "", ""),
		"status":    c.UpdateFinding(ctx, devFinding, "DONE", ""),
		"long note": c.UpdateFinding(ctx, devFinding, "", strings.Repeat("x", 513)),
	} {
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.findings[0].Exception = "exc-1"
	if err := c.UpdateFinding(ctx, devFinding, "NEW", ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.HintOf(err), "parry exception expire exc-1") {
		t.Errorf("excepted: %v, %s", err, fault.HintOf(err))
	}
	if len(b.calls) != 1 {
		t.Errorf("reached the stage: %v", b.calls)
	}
}

func TestCancelNeedsAReason(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "operator", dev)
	if err := c.CancelRemediation(t.Context(), "rem-dev", ""); !fault.Is(err, fault.Invalid) || len(b.calls) != 0 {
		t.Errorf("%v, %v", err, b.calls)
	}
	if err := c.CancelRemediation(t.Context(), "rem-dev", "wrong bucket"); err != nil || !slices.Equal(b.calls, []string{"stop rem-dev for operator: wrong bucket"}) {
		t.Errorf("%v, %v", err, b.calls)
	}
}

func TestGroupsHoldWhatIsInScope(t *testing.T) {
	t.Parallel()
	b, _ := insightBench(t)
	ctx := t.Context()
	high := api.FindingSearch{Filters: json.RawMessage(`{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]}`)}
	for name, c := range map[string]struct {
		accounts []string
		by       string
		limit    int
		f        client.FindingFilter
		want     api.FindingGroups
	}{
		"all":     {[]string{"*"}, "account", 0, client.FindingFilter{}, api.FindingGroups{Groups: []api.FindingGroupCount{{Value: dev, Count: 2}, {Value: prod, Count: 1}}}},
		"dev":     {[]string{dev}, "account", 0, client.FindingFilter{}, api.FindingGroups{Groups: []api.FindingGroupCount{{Value: dev, Count: 2}}}},
		"foreign": {[]string{dev}, "account", 0, client.FindingFilter{Account: prod}, api.FindingGroups{Groups: []api.FindingGroupCount{}}},
		"cut":     {[]string{"*"}, "account", 1, client.FindingFilter{}, api.FindingGroups{Groups: []api.FindingGroupCount{{Value: dev, Count: 2}}, More: true}},
		"total":   {[]string{"*"}, "severity", 0, client.FindingFilter{Workflow: "NEW"}, api.FindingGroups{Groups: []api.FindingGroupCount{{Value: "HIGH", Count: 2}}}},
		"bucket":  {[]string{dev}, "resource", 0, client.FindingFilter{}, api.FindingGroups{Groups: []api.FindingGroupCount{{Value: "bucket-" + dev, Count: 2}}}},
	} {
		got, err := b.as(t, "reader", c.accounts...).GroupFindings(ctx, c.f, high, c.by, c.limit)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	reader := b.as(t, "reader", dev)
	for name, ask := range map[string]func() error{
		"attribute": func() error {
			_, err := reader.GroupFindings(ctx, client.FindingFilter{}, high, "title", 0)
			return err
		},
		"filter": func() error {
			_, err := reader.GroupFindings(ctx, client.FindingFilter{}, api.FindingSearch{Filters: json.RawMessage(`{"Nope":[]}`)}, "account", 0)
			return err
		},
		"excepted": func() error {
			_, err := reader.GroupFindings(ctx, client.FindingFilter{Excepted: true}, high, "account", 0)
			return err
		},
	} {
		if err := ask(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhyAFindingIsNotRemediated: one sentence for every state that a finding is in.
func TestWhyAFindingIsNotRemediated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit      func(b bench)
		why, next string
	}{
		"waits": {func(bench) {}, "The remediation waits for approval.", "Ask an approver to look at the plan."},
		"waits for": {
			func(b bench) { b.now(remediation.AwaitingApproval, "policy dev tries it in the canary first.", "") },
			"The remediation waits for approval: policy dev tries it in the canary first.", "Ask an approver to look at the plan.",
		},
		"archived": {func(b bench) { b.findings[0].RecordState = "ARCHIVED" }, "Its provider archived the finding: there is nothing left to remediate.", ""},
		"suppressed": {
			func(b bench) { b.findings[0].Workflow = "SUPPRESSED" },
			"A person or an automation rule suppressed it, so nothing acts on it.", "Its history says who. Set the workflow status to NEW to have it remediated.",
		},
		"running": {func(b bench) { b.now(remediation.Running, "", "") }, "The remediation is under way (running).", ""},
		"failed": {
			func(b bench) { b.now(remediation.Failed, "access denied.", "grant s3:PutBucketAcl") },
			"The remediation ended as failed: access denied.", "grant s3:PutBucketAcl",
		},
		"again":   {func(b bench) { b.now(remediation.Verified, "", "") }, "It was remediated and verified, and has been reported again since.", "Remediate it again."},
		"stopped": {func(b bench) { b.on, b.reason = true, "change freeze" }, "All changes are stopped: change freeze. The remediation waits for approval.", "Let changes go on with the stop switch when the reason has passed."},
		"no playbook": {
			func(b bench) { delete(b.remediations, "rem-dev"); b.findings[0].Control = "EC2.99" },
			"Parry has no fix for control EC2.99: no playbook is written for it.", "Fix it by hand, or write a playbook: docs/writing-a-runbook.md. What has one: parry playbook list.",
		},
		"untrusted": {
			func(b bench) { delete(b.remediations, "rem-dev"); b.findings[0].Source = "scanner" },
			"Its source scanner may not start remediation, so a person must.", "Remediate it.",
		},
		"nobody asked": {
			func(b bench) { delete(b.remediations, "rem-dev"); b.findings[0].Trusted = true },
			"No rule of the bus sent it to its playbook S3.8, and nobody asked.", "Remediate it.",
		},
		"passed": {
			func(b bench) { delete(b.remediations, "rem-dev"); b.findings[0].Compliance = "PASSED" },
			"Its check passes: there is nothing to remediate.", "",
		},
	} {
		b := setup(t)
		b.findings[0].UpdatedAt = time.Now()
		c.edit(b)
		got, err := b.as(t, "reader", dev).Finding(t.Context(), devFinding)
		if err != nil {
			t.Fatal(err)
		}
		if got.Remedy.Why != c.why || got.Remedy.Next != c.next {
			t.Errorf("%s: %q, next %q", name, got.Remedy.Why, got.Remedy.Next)
		}
	}
	// Whoever may not read remediations is not told of them.
	b := setup(t)
	got, err := b.as(t, "source", dev).Finding(t.Context(), devFinding)
	if err != nil || got.Remedy.Remediation != "" || got.Remedy.Playbook != "S3.8" {
		t.Errorf("a source: %+v %v", got.Remedy, err)
	}
}

// now sets the state of the remediation in dev.
func (b bench) now(state remediation.State, reason, hint string) {
	r := b.remediations["rem-dev"]
	r.State, r.Reason, r.Hint = state, reason, hint
	b.remediations["rem-dev"] = r
}
