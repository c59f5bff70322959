package api_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

var devFinding, prodFinding = finding.ID{ProductArn: arn, Id: "dev"}, finding.ID{ProductArn: arn, Id: "prod"}

// TestTheStoryOfTheCommandLine walks every endpoint as the CLI does.
func TestTheStoryOfTheCommandLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.as(t, "admin", "*"), t.Context()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("health", c.Health(ctx))

	found, err := c.Findings(ctx, client.FindingFilter{ID: "prod"}, client.Paging{Limit: 5})
	check("findings", err)
	if len(found.Items) != 1 || found.Items[0].Account != prod || found.Items[0].Key != api.FindingKey(prodFinding) {
		t.Errorf("findings: %+v", found)
	}
	one, err := c.Finding(ctx, prodFinding)
	check("finding", err)
	if string(one.Document) != `{"Id":"prod"}` || one.Control != "S3.8" {
		t.Errorf("finding: %+v", one)
	}
	history, err := c.FindingHistory(ctx, prodFinding, client.Paging{})
	check("history", err)
	if len(history.Items) != 1 || history.Items[0].Identity != "prod" {
		t.Errorf("history: %+v", history)
	}
	list, err := c.Remediations(ctx, client.RemediationFilter{Finding: prodFinding, State: remediation.AwaitingApproval}, client.Paging{})
	check("remediations", err)
	if len(list.Items) != 1 || list.Items[0].ID != "rem-prod" {
		t.Errorf("remediations: %+v", list)
	}
	detail, err := c.Remediation(ctx, "rem-prod")
	check("remediation", err)
	if detail.Approval == nil || detail.Approval.ID != "apr-prod" || len(detail.Changes) != 2 || detail.Steps[0].Name != "Block" {
		t.Errorf("remediation: %+v", detail)
	}
	if done, planned := detail.Changes[0], detail.Changes[1]; done.State != remediation.DoneState || planned.State != remediation.NotSent || planned.ID != "" || planned.Step != "Delete" {
		t.Errorf("changes: %+v", detail.Changes)
	}
	calls, err := c.Calls(ctx, "rem-prod", client.Paging{Limit: 7})
	check("calls", err)
	if len(calls.Items) != 1 || calls.Next != "page-2" || calls.Items[0].Attempts != 7 || calls.Items[0].Duration != time.Millisecond {
		t.Errorf("calls: %+v", calls)
	}
	plan, err := c.Plan(ctx, "rem-prod")
	check("plan", err)
	if plan.Hash != hash("b") || plan.ApprovalID != "apr-prod" || plan.Plan.Calls[0].Diff[0].After != "true" {
		t.Errorf("plan: %+v", plan)
	}
	if n := plan.Plan.Calls[0].Input["n"]; n != int64(1)<<60 {
		t.Errorf("a whole number of the plan came as %v", n)
	}
	approvals, err := c.Approvals(ctx, remediation.ApprovalPending, client.Paging{})
	check("approvals", err)
	if len(approvals.Items) != 2 {
		t.Errorf("approvals: %+v", approvals)
	}
	granted, err := c.Grant(ctx, "apr-prod", plan.Hash, "looked at it")
	check("grant", err)
	if granted.State != remediation.ApprovalApproved {
		t.Errorf("grant: %+v", granted)
	}
	id, err := c.Undo(ctx, "rem-prod")
	check("undo", err)
	fix, err := c.Remediate(ctx, devFinding, "s3.8")
	check("remediate", err)
	if id != "rem-undo" || fix != "rem-new" {
		t.Errorf("undo %s, fix %s", id, fix)
	}
	if diff := cmp.Diff([]string{"grant apr-prod by admin because looked at it", "undo rem-prod for admin", "fix dev with s3.8 for admin"}, b.calls); diff != "" {
		t.Error(diff)
	}
	report, err := c.VerifyAudit(ctx)
	check("verify", err)
	if !report.OK || report.Entries != 1200 {
		t.Errorf("verify: %+v", report)
	}
	var export bytes.Buffer
	check("export", c.ExportAudit(ctx, 100, &export))
	lines := strings.Split(strings.TrimSpace(export.String()), "\n")
	var last api.AuditLine
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 1100 || last.Index != 1200 {
		t.Errorf("export: %d lines, last %+v, %v", len(lines), last, err)
	}
}

func TestStopSwitchAndKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	admin, ctx := b.as(t, "admin", "*"), t.Context()
	if s, err := b.as(t, "operator", "*").SetStopSwitch(ctx, true, "too many changes"); err != nil || !s.On {
		t.Errorf("operator stops: %+v, %v", s, err)
	}
	if _, err := b.as(t, "operator", "*").SetStopSwitch(ctx, false, "fine"); !fault.Is(err, fault.Denied) {
		t.Errorf("operator lets go on: %v", err)
	}
	if _, err := admin.SetStopSwitch(ctx, false, " "); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("no reason: %v", err)
	}
	if g, err := admin.Guards(ctx); err != nil || g.Revision != "r1" || len(g.Deny) != 1 || g.Used[0].Used != 2 {
		t.Errorf("guards %+v, %v", g, err)
	}
	if s, err := admin.StopSwitch(ctx); err != nil || !s.On || s.Reason != "too many changes" {
		t.Errorf("switch: %+v, %v", s, err)
	}
	made, err := admin.CreateKey(ctx, api.KeyRequest{Name: "hub", Roles: []string{"source"}, Accounts: []string{dev}, Products: []string{"aws/securityhub"}})
	if err != nil || len(made.SecretAccessKey) != 40 || len(made.AccessKeyID) != 20 {
		t.Fatalf("create: %+v, %v", made, err)
	}
	for name, k := range map[string]api.KeyRequest{
		"role":    {Name: "x", Roles: []string{"root"}, Accounts: []string{dev}},
		"account": {Name: "x", Roles: []string{"reader"}, Accounts: []string{"12"}},
		"name":    {Name: "x y", Roles: []string{"reader"}, Accounts: []string{dev}},
		"product": {Name: "x", Roles: []string{"source"}, Accounts: []string{dev}},
		"trust":   {Name: "x", Roles: []string{"reader"}, Accounts: []string{dev}, Trusted: true},
	} {
		if _, err := admin.CreateKey(ctx, k); !fault.Is(err, fault.Invalid) {
			t.Errorf("a key with a wrong %s: %v", name, err)
		}
	}
	keys, err := admin.Keys(ctx)
	if err != nil || !slices.ContainsFunc(keys.Items, func(k api.Key) bool { return k.AccessKeyID == made.AccessKeyID }) {
		t.Errorf("keys: %+v, %v", keys, err)
	}
	if err := admin.RevokeKey(ctx, "PARRYADMINALL"); !fault.Is(err, fault.Conflict) {
		t.Errorf("own key: %v", err)
	}
	if err := admin.RevokeKey(ctx, made.AccessKeyID); err != nil {
		t.Error(err)
	}
	if err := admin.RevokeKey(ctx, "PARRYNONE"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown key: %v", err)
	}
	var actions []string
	for _, a := range b.audited {
		actions = append(actions, a.Actor+" "+a.Action)
		if strings.Contains(string(a.Detail), made.SecretAccessKey) {
			t.Error("the audit record holds the secret")
		}
	}
	if diff := cmp.Diff([]string{"operator stop_switch.on", "admin key.created", "admin key.revoked"}, actions); diff != "" {
		t.Error(diff)
	}
}

func TestAnswersHoldNoImagesNoInputsNoSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin", "*")
	detail, err := c.Remediation(t.Context(), "rem-dev")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := c.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := c.Plan(t.Context(), "rem-dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{detail, keys, plan} {
		raw, err := json.Marshal(v)
		if err != nil || strings.Contains(string(raw), "secret") {
			t.Errorf("%s, %v", raw, err)
		}
	}
}
