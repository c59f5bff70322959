package plan_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := plan.New(plan.Config{}); !fault.Is(err, fault.Internal) {
		t.Errorf("err = %v", err)
	}
}

func TestAViolationBecomesAPlan(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.handle(t, w.fix()); err != nil {
		t.Fatal(err)
	}
	p := w.plans["rem-1"]
	hash, err := p.Hash()
	if err != nil {
		t.Fatal(err)
	}
	want := remediation.Remediation{
		ID: "rem-1", Kind: remediation.KindFix, Finding: w.finding.ID, Control: "S3.2", Playbook: "S3.2", Runbook: w.shelf.pinned.Name,
		Account: account, Region: region, Resource: bucket, State: remediation.Planned, PlanHash: hash, RequestedBy: "rule/s3",
		CreatedAt: noon, UpdatedAt: noon, Version: 1,
	}
	if diff := cmp.Diff(want, w.remediations["rem-1"]); diff != "" {
		t.Errorf("remediation (-want +got):\n%s", diff)
	}
	var violated []string
	for _, c := range p.Violation {
		if !c.Passed {
			violated = append(violated, c.Check)
		}
	}
	if len(violated) != 2 { // the settings, statement and grant are held against what the fix leaves
		t.Errorf("violated: %q", violated)
	}
	if diff := cmp.Diff([]string{"PutBucketPolicy", "PutBucketAcl", "PutPublicAccessBlock"}, changing(p)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	p.Calls, p.Violation = nil, nil
	expected := remediation.Plan{
		Remediation: "rem-1", Kind: remediation.KindFix, Finding: w.finding.ID, Control: "S3.2", Playbook: "S3.2", PlaybookRevision: w.shelf.book.Revision,
		Runbook: w.shelf.pinned, Parameters: p.Parameters, Account: account, Region: region, Resource: bucket, Role: "ParryMemberRole",
		GuardsRevision: "guards-1", LookedAt: noon, CreatedAt: noon, ExpiresAt: noon.Add(plan.DefaultLifetime),
	}
	if diff := cmp.Diff(expected, p); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if p.Parameters["BucketName"] != "reports" || p.Parameters["PolicyAction"] != "replace" {
		t.Errorf("parameters = %v", p.Parameters)
	}
	if diff := cmp.Diff([]string{store.TopicEvent, store.TopicApprove}, w.topics()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	if len(w.effects[0].Audit) != 1 || w.effects[0].Audit[0].Actor != "rule/s3" {
		t.Errorf("audit = %+v", w.effects[0].Audit)
	}
	if len(w.cloud.sent) != 0 {
		t.Errorf("planning sent %v", w.cloud.sent)
	}
}

func TestARepeatedRequestDoesNothingTwice(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for range 2 {
		if err := w.handle(t, w.fix()); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.gate.opened) != 1 || len(w.effects) != 1 {
		t.Errorf("%d sessions, %d writes", len(w.gate.opened), len(w.effects))
	}
}

func TestAnOpenPlanSaysSo(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.dry.open = "step Wait: the instance's state is known only after apply"
	if err := w.handle(t, w.fix()); err != nil {
		t.Fatal(err)
	}
	if p := w.plans["rem-1"]; !p.Open || p.OpenReason != w.dry.open {
		t.Errorf("open = %v, %q", p.Open, p.OpenReason)
	}
}

// closed is the bucket as the fix leaves it.
func closed(w *world) {
	w.cloud.images["GetBucketPolicy"] = apimodel.Image{}
	w.cloud.images["GetBucketAcl"] = apimodel.Image{Exists: true, Data: map[string]any{"Owner": map[string]any{"ID": "owner"}}}
	on := map[string]any{}
	for _, s := range []string{"BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"} {
		on[s] = true
	}
	w.cloud.images["GetPublicAccessBlock"] = apimodel.Image{Exists: true, Data: map[string]any{"PublicAccessBlockConfiguration": on}}
}

func TestNoPlanIsMade(t *testing.T) {
	t.Parallel()
	denied := &apimodel.APIError{Code: "AccessDenied", Operation: "GetBucketAcl", HTTPStatus: 403, Message: "no"}
	for name, c := range map[string]struct {
		edit   func(*world)
		state  remediation.State
		reason string
		hint   string
		calls  bool // a session was opened
	}{
		"nothing to fix": {closed, remediation.Cancelled, "every check of playbook S3.2 passes", "", true},
		"resolved":       {func(w *world) { w.finding.Workflow = "RESOLVED" }, remediation.Cancelled, "active and resolved", "", false},
		"suppressed":     {func(w *world) { w.finding.Workflow = "SUPPRESSED" }, remediation.Cancelled, "suppressed", "", false},
		"excepted":       {func(w *world) { w.finding.Workflow, w.finding.Exception = "SUPPRESSED", "ex-1" }, remediation.Cancelled, "the exception ex-1", "parry exception expire ex-1", false},
		"archived":       {func(w *world) { w.finding.RecordState = "ARCHIVED" }, remediation.Cancelled, "archived", "", false},
		"foreign account": {
			func(w *world) { w.finding.Account = "999999999999" }, remediation.Failed,
			"account 999999999999 is not one that Parry answers for", "organization.accounts", false,
		},
		"another type": {
			func(w *world) { w.finding.ResourceType = "AwsEc2Instance" }, remediation.Failed,
			"fixes AwsS3Bucket, the finding names AwsEc2Instance", "parry finding remediate", false,
		},
		"ARN of another account": {
			func(w *world) { w.finding.ResourceID = "arn:aws:s3:eu-central-1:444455556666:accesspoint/reports" }, remediation.Failed,
			"names account 444455556666", "parry finding remediate", false,
		},
		"no ARN":        {func(w *world) { w.finding.ResourceID = "reports" }, remediation.Failed, "is not an ARN", "parry finding remediate", false},
		"an object":     {func(w *world) { w.finding.ResourceID = bucket + "/victim" }, remediation.Failed, "is an object", "parry finding remediate", false},
		"runbook gone":  {func(w *world) { w.shelf.bare = true }, remediation.Failed, "which is not in the catalog", "parry runbook list", true},
		"look refused":  {func(w *world) { w.cloud.fail["GetBucketAcl"] = denied }, remediation.Failed, "AccessDenied", "parry finding remediate", true},
		"policy broken": {func(w *world) { w.cloud.images["GetBucketPolicy"].Data["Policy"] = "{" }, remediation.Failed, "is not JSON", "parry finding remediate", true},
		"gate refuses": {
			func(w *world) {
				w.dry.err = fault.Errorf(fault.Denied, "plan", "a guard says no").WithHint("look at guards")
			}, remediation.Failed,
			"a guard says no", "look at guards", true,
		},
		"not implemented": {
			func(w *world) { w.dry.err = &apimodel.APIError{Code: "NotImplemented", HTTPStatus: 501} }, remediation.Failed,
			"NotImplemented", "parry finding remediate", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			c.edit(w)
			if err := w.handle(t, w.fix()); err != nil {
				t.Fatal(err)
			}
			r := w.remediations["rem-1"]
			if r.State != c.state || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Hint, c.hint) {
				t.Errorf("%s: %s (hint: %s)\nwant %s: … %s … (hint: … %s …)", r.State, r.Reason, r.Hint, c.state, c.reason, c.hint)
			}
			if len(w.plans) != 0 || (len(w.gate.opened) > 0) != c.calls {
				t.Errorf("%d plans, %d sessions", len(w.plans), len(w.gate.opened))
			}
			if diff := cmp.Diff([]string{store.TopicEvent}, w.topics()); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"throttled":   &apimodel.APIError{Code: "Throttling", HTTPStatus: 400, Throttled: true},
		"5xx":         &apimodel.APIError{Code: "InternalError", HTTPStatus: 500},
		"unavailable": fault.Errorf(fault.Unavailable, "call s3", "connection refused"),
		"transient":   fault.Transient(errors.New("later"), time.Minute),
		"cancelled":   fmt.Errorf("stopping: %w", context.Canceled),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for place, edit := range map[string]func(*world){
				"look":    func(w *world) { w.cloud.fail["GetBucketPolicy"] = err },
				"runbook": func(w *world) { w.dry.err = err },
			} {
				w := setup(t)
				edit(w)
				got := w.handle(t, w.fix())
				if _, again := fault.IsTransient(got); !again {
					t.Errorf("%s: %v is not transient", place, got)
				}
				if len(w.remediations) != 0 || len(w.effects) != 0 {
					t.Errorf("%s: something was stored", place)
				}
			}
		})
	}
}

func TestARequestThatLeadsNowhereIsGivenUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	missing, book, first := w.fix(), w.fix(), undo()
	missing.Finding.Id = "other"
	book.Playbook = "S3.99"
	for name, req := range map[string]remediation.Request{"finding": missing, "playbook": book, "first": first, "id": {}} {
		if err := w.handle(t, req); !fault.IsTerminal(err) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if err := w.stage.Handle(t.Context(), []byte("{")); !fault.IsTerminal(err) {
		t.Errorf("broken JSON: %v", err)
	}
	w.fail = fault.Errorf(fault.Unavailable, "read findings", "locked")
	if err := w.handle(t, w.fix()); !fault.Is(err, fault.Unavailable) || fault.IsTerminal(err) {
		t.Errorf("a store that is away: %v", err)
	}
	if len(w.remediations) != 0 {
		t.Error("something was stored")
	}
}

// What an account's setting was is asked once for its buckets, for a moment. Seen to fail
// without memory, and with one that counts from the last plan or knows no account.
func TestTheAccountIsAskedOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for i, c := range []struct {
		account string
		after   time.Duration
		asked   int
	}{
		{account, 0, 4},
		{account, 3 * time.Second, 3},
		{account, 2 * time.Second, 3},
		{other, 0, 4},
		{account, time.Millisecond, 4},
	} {
		w.clock.Advance(c.after)
		w.finding.Account = c.account
		req := w.fix()
		req.ID = remediation.ID(fmt.Sprint("rem-", i))
		if err := w.handle(t, req); err != nil {
			t.Fatal(err)
		}
		p := w.gate.opened[i]
		if got := len(p.cloud.sent) - len(p.calls); got != c.asked {
			t.Errorf("plan %d, account %s: %d reads", i, c.account, got)
		}
		if got := w.remediations[req.ID].State; got != remediation.Planned {
			t.Errorf("plan %d is %s", i, got)
		}
	}
}
