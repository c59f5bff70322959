package api_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// TestForeignLooksLikeUnknown: what lies in another account is answered word
// for word as what does not exist, and has no effect.
func TestForeignLooksLikeUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin", dev) // every role's rights, one account
	for name, ask := range map[string]func(ctx context.Context, which string) error{
		"finding": func(ctx context.Context, w string) error {
			_, err := c.Finding(ctx, finding.ID{ProductArn: arn, Id: w})
			return err
		},
		"history": func(ctx context.Context, w string) error {
			_, err := c.FindingHistory(ctx, finding.ID{ProductArn: arn, Id: w}, client.Paging{})
			return err
		},
		"remediate": func(ctx context.Context, w string) error {
			_, err := c.Remediate(ctx, finding.ID{ProductArn: arn, Id: w}, "")
			return err
		},
		"remediation": func(ctx context.Context, w string) error {
			_, err := c.Remediation(ctx, remediation.ID("rem-"+w))
			return err
		},
		"calls": func(ctx context.Context, w string) error {
			_, err := c.Calls(ctx, remediation.ID("rem-"+w), client.Paging{})
			return err
		},
		"plan": func(ctx context.Context, w string) error { _, err := c.Plan(ctx, remediation.ID("rem-"+w)); return err },
		"undo": func(ctx context.Context, w string) error { _, err := c.Undo(ctx, remediation.ID("rem-"+w)); return err },
		"cancel": func(ctx context.Context, w string) error {
			return c.CancelRemediation(ctx, remediation.ID("rem-"+w), "no longer wanted")
		},
		"update": func(ctx context.Context, w string) error {
			return c.UpdateFinding(ctx, finding.ID{ProductArn: arn, Id: w}, "SUPPRESSED", "accepted")
		},
		"approval": func(ctx context.Context, w string) error { _, err := c.Approval(ctx, "apr-"+w); return err },
		"grant":    func(ctx context.Context, w string) error { _, err := c.Grant(ctx, "apr-"+w, hash("b"), ""); return err },
		"reject": func(ctx context.Context, w string) error {
			_, err := c.Reject(ctx, "apr-"+w, hash("b"), "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			foreign, unknown := ask(t.Context(), "prod"), ask(t.Context(), "none")
			if !fault.Is(foreign, fault.NotFound) || !fault.Is(unknown, fault.NotFound) || fault.HintOf(foreign) == "" {
				t.Fatalf("foreign: %v; unknown: %v", foreign, unknown)
			}
			if diff := cmp.Diff(strings.ReplaceAll(unknown.Error(), "none", "prod"), foreign.Error()); diff != "" {
				t.Error(diff)
			}
			if fault.HintOf(foreign) != fault.HintOf(unknown) {
				t.Error("the hints differ")
			}
		})
	}
	t.Cleanup(func() {
		if len(b.calls) > 0 {
			t.Errorf("reached the stages: %v", b.calls)
		}
	})
}

func TestListsHoldWhatIsInScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for name, c := range map[string]struct {
		accounts []string
		want     int
	}{"dev": {[]string{dev}, 1}, "both": {[]string{dev, prod}, 2}, "all": {[]string{"*"}, 2}, "none": {nil, 0}} {
		who := b.as(t, "reader", c.accounts...)
		found, err1 := who.Findings(ctx, client.FindingFilter{AllAccounts: true}, client.Paging{})
		rems, err2 := who.Remediations(ctx, client.RemediationFilter{}, client.Paging{})
		approvals, err3 := who.Approvals(ctx, "", client.Paging{})
		scores, err4 := who.Scores(ctx, client.ScoreQuery{By: "account"}, client.Paging{})
		if err := errors.Join(err1, err2, err3, err4); err != nil || len(found.Items) != c.want || len(rems.Items) != c.want || len(approvals.Items) != c.want || len(scores.Items) != c.want {
			t.Errorf("%s: %d findings, %d remediations, %d approvals, %d scores, %v", name, len(found.Items), len(rems.Items), len(approvals.Items), len(scores.Items), err)
		}
	}
	// A filter narrows the scope and never widens it.
	c := b.as(t, "reader", dev)
	found, err := c.Findings(ctx, client.FindingFilter{Account: prod}, client.Paging{})
	rems, err2 := c.Remediations(ctx, client.RemediationFilter{Account: prod}, client.Paging{})
	byFinding, err3 := c.Remediations(ctx, client.RemediationFilter{Finding: prodFinding}, client.Paging{})
	if err := errors.Join(err, err2, err3); err != nil || len(found.Items)+len(rems.Items)+len(byFinding.Items) != 0 {
		t.Errorf("a key for dev asked for prod and got %v %v %v, %v", found, rems, byFinding, err)
	}
	failing, err := c.Controls(ctx, client.ControlFilter{Status: "FAILED", Account: prod}, client.Paging{})
	shown, err2 := c.Control(ctx, "S3.8", prod)
	scores, err3 := c.Scores(ctx, client.ScoreQuery{By: "account", Account: prod}, client.Paging{})
	if err := errors.Join(err, err2, err3); err != nil || len(failing.Items)+len(shown.Accounts)+len(scores.Items) != 0 {
		t.Errorf("a key for dev asked for controls in prod and got %v %v %v, %v", failing, shown, scores, err)
	}
}

// TestEveryRoleMayDoWhatTheTableSays asks every changing and installation-wide
// endpoint with every role.
func TestEveryRoleMayDoWhatTheTableSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	calls := map[string]struct {
		ask   func(c *client.Client) error
		roles string // those that may
	}{
		"read":    {func(c *client.Client) error { _, err := c.Remediation(ctx, "rem-dev"); return err }, "admin operator approver reader"},
		"finding": {func(c *client.Client) error { _, err := c.Finding(ctx, devFinding); return err }, "admin operator approver reader source"},
		"control": {func(c *client.Client) error { _, err := c.Control(ctx, "S3.8", ""); return err }, "admin operator approver reader source"},
		"score": {func(c *client.Client) error {
			_, err := c.Scores(ctx, client.ScoreQuery{}, client.Paging{})
			return err
		}, "admin operator approver reader source"},
		"calls":   {func(c *client.Client) error { _, err := c.Calls(ctx, "rem-dev", client.Paging{}); return err }, "admin operator approver reader"},
		"plan":    {func(c *client.Client) error { _, err := c.Plan(ctx, "rem-dev"); return err }, "admin operator approver reader"},
		"fix":     {func(c *client.Client) error { _, err := c.Remediate(ctx, devFinding, ""); return err }, "admin operator"},
		"undo":    {func(c *client.Client) error { _, err := c.Undo(ctx, "rem-dev"); return err }, "admin operator"},
		"grant":   {func(c *client.Client) error { _, err := c.Grant(ctx, "apr-dev", hash("a"), ""); return err }, "admin approver"},
		"cancel":  {func(c *client.Client) error { return c.CancelRemediation(ctx, "rem-dev", "no longer wanted") }, "admin operator"},
		"update":  {func(c *client.Client) error { return c.UpdateFinding(ctx, devFinding, "NOTIFIED", "") }, "admin operator source"},
		"audit":   {func(c *client.Client) error { _, err := c.VerifyAudit(ctx); return err }, "admin operator approver reader"},
		"export":  {func(c *client.Client) error { return c.ExportAudit(ctx, 1199, io.Discard) }, "admin operator approver reader"},
		"keys":    {func(c *client.Client) error { _, err := c.Keys(ctx); return err }, "admin"},
		"revoke":  {func(c *client.Client) error { return c.RevokeKey(ctx, "PARRYVICTIM") }, ""},
		"guards":  {func(c *client.Client) error { _, err := c.Guards(ctx); return err }, "admin operator approver reader"},
		"stop":    {func(c *client.Client) error { _, err := c.SetStopSwitch(ctx, true, "test"); return err }, "admin operator approver"},
		"release": {func(c *client.Client) error { _, err := c.SetStopSwitch(ctx, false, "test"); return err }, "admin"},
	}
	wide := []string{"audit", "guards", "export", "keys", "revoke", "stop", "release"}
	for _, role := range []string{"admin", "operator", "approver", "reader", "source", "nonsense"} {
		all, one := b.as(t, role, "*"), b.as(t, role, dev)
		for name, call := range calls {
			err := call.ask(all)
			may := strings.Contains(" "+call.roles+" ", " "+role+" ")
			if name == "revoke" && role == "admin" {
				if !fault.Is(err, fault.NotFound) {
					t.Errorf("admin revokes an unknown key: %v", err)
				}
			} else if may && err != nil || !may && !fault.Is(err, fault.Denied) {
				t.Errorf("%s %s: %v", role, name, err)
			}
			// What concerns the installation needs all accounts, whatever the role.
			if strings.Contains(strings.Join(wide, " "), name) {
				if err := call.ask(one); !fault.Is(err, fault.Denied) {
					t.Errorf("%s for one account, %s: %v", role, name, err)
				}
			}
		}
	}
}

func TestADecisionNamesThePlanThatWasSeen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, ctx := b.as(t, "approver", dev), t.Context()
	if _, err := c.Grant(ctx, "apr-dev", hash("b"), ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.HintOf(err), "parry plan show rem-dev") {
		t.Errorf("another hash: %v, %s", err, fault.HintOf(err))
	}
	for _, h := range []remediation.Hash{"", "a", hash("A")} {
		if _, err := c.Grant(ctx, "apr-dev", h, ""); !fault.Is(err, fault.Invalid) {
			t.Errorf("hash %q: %v", h, err)
		}
	}
	if _, err := c.Grant(ctx, "apr-dev", hash("a"), strings.Repeat("x", 1001)); !fault.Is(err, fault.Invalid) {
		t.Errorf("long reason: %v", err)
	}
	if len(b.calls) != 0 {
		t.Errorf("reached the stage: %v", b.calls)
	}
	if _, err := c.Reject(ctx, "apr-dev", hash("a"), ""); !fault.Is(err, fault.Conflict) || fault.HintOf(err) != "run: parry remediation show x" {
		t.Errorf("the stage's error and hint: %v, %q", err, fault.HintOf(err))
	}
}
