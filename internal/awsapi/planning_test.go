package awsapi_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

func TestPlanShowsBeforeAndAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix())
	want := []remediation.PlannedCall{
		{
			Seq: 1, Step: "Block", Service: "s3", Operation: "PutPublicAccessBlock", Account: member, Region: region, Class: apimodel.Change,
			Resource: "arn:aws:s3:::open (Block Public Access)", Before: &remediation.Image{}, Inverse: "s3:DeletePublicAccessBlock",
			Input: map[string]any{"Bucket": "open", "PublicAccessBlockConfiguration": blocked(true)},
			Diff: []remediation.MemberChange{
				{Path: "PublicAccessBlockConfiguration.BlockPublicAcls", After: "true"},
				{Path: "PublicAccessBlockConfiguration.BlockPublicPolicy", After: "true"},
				{Path: "PublicAccessBlockConfiguration.IgnorePublicAcls", After: "true"},
				{Path: "PublicAccessBlockConfiguration.RestrictPublicBuckets", After: "true"},
			},
		},
		{
			Seq: 2, Step: "Policy", Service: "s3", Operation: "DeleteBucketPolicy", Account: member, Region: region, Class: apimodel.Change,
			Resource: "arn:aws:s3:::open (bucket policy)", Before: &remediation.Image{Exists: true, Data: map[string]any{"Policy": publicPolicy}},
			Inverse: "s3:PutBucketPolicy", Input: map[string]any{"Bucket": "open"},
			Diff: []remediation.MemberChange{
				{Path: "Policy.Statement[PublicRead]", Before: `{"Action":["s3:GetObject"],"Effect":"Allow","Principal":"*","Resource":["arn:aws:s3:::open/*"],"Sid":"PublicRead"}`},
				{Path: "Policy.Version", Before: `"2012-10-17"`},
			},
		},
		{
			Seq: 3, Step: "Acl", Service: "s3", Operation: "PutBucketAcl", Account: member, Region: region, Class: apimodel.Change,
			Resource: "arn:aws:s3:::open (bucket ACL)", Inverse: "s3:PutBucketAcl", Input: map[string]any{"Bucket": "open", "ACL": "private"},
			Before: &remediation.Image{Exists: true, Data: map[string]any{
				"Owner": map[string]any{"ID": "owner"}, "Grants": []any{grant("owner", "FULL_CONTROL"), everyone},
			}},
			Diff: []remediation.MemberChange{
				{Path: "Grants[AllUsers READ]", Before: `{"Grantee":{"Type":"Group","URI":"http://acs.amazonaws.com/groups/global/AllUsers"},"Permission":"READ"}`},
			},
		},
	}
	if diff := cmp.Diff(want, plan.Calls); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"GetPublicAccessBlock", "GetBucketPolicy", "GetBucketAcl"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	if _, err := plan.Hash(); err != nil {
		t.Error(err)
	}
}

func TestLaterReadsSeeThePlannedChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	get := func(op string) (map[string]any, error) {
		r, err := p.Call(t.Context(), "Read", s3(op, nil))
		return r.Output, err
	}
	must := func(op string, input map[string]any) {
		t.Helper()
		if _, err := p.Call(t.Context(), "Change", s3(op, input)); err != nil {
			t.Fatal(err)
		}
	}
	var api *apimodel.APIError
	if _, err := get("GetPublicAccessBlock"); !errors.As(err, &api) || api.Code != "NoSuchPublicAccessBlockConfiguration" {
		t.Errorf("got %v", err)
	}
	must("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)})
	out, err := get("GetPublicAccessBlock")
	if diff := cmp.Diff(any(blocked(true)), out["PublicAccessBlockConfiguration"]); diff != "" || err != nil || out["ResponseMetadata"] == nil {
		t.Error(diff, err, out)
	}
	must("DeleteBucketPolicy", nil)
	if _, err := get("GetBucketPolicy"); !errors.As(err, &api) || api.Code != "NoSuchBucketPolicy" {
		t.Errorf("got %v", err)
	}
	must("PutBucketPolicy", map[string]any{"Policy": "{}"})
	if out, err := get("GetBucketPolicy"); err != nil || out["Policy"] != "{}" {
		t.Errorf("got %v, %v", out, err)
	}
	must("PutBucketAcl", map[string]any{"GrantRead": `id="x"`})
	if out, err := get("GetBucketAcl"); err != nil || !p.IsUnknown(out["Grants"]) {
		t.Errorf("got %v, %v", out, err)
	}
	// A second change is planned on top of the first; one on top of what cannot
	// be told has no way back.
	calls := p.Calls()
	if got := calls[5]; got.Operation != "PutBucketPolicy" || got.Before == nil || got.Before.Exists || got.Inverse != "s3:DeleteBucketPolicy" {
		t.Errorf("planned %+v", got)
	}
	if got := calls[7]; got.Irreversible || got.Diff[0].After != `"<known after apply>"` {
		t.Errorf("planned %+v", got)
	}
	must("PutBucketAcl", map[string]any{"ACL": "private"})
	if got := p.Calls()[9]; !got.Irreversible || got.Before != nil {
		t.Errorf("planned %+v", got)
	}
	if diff := cmp.Diff([]string{"GetPublicAccessBlock", "GetBucketPolicy", "GetBucketAcl"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestLookingIsNotPlannedAndNotRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	if r, err := p.Look(t.Context(), s3("GetBucketPolicy", nil)); err != nil || r.Output["Policy"] != publicPolicy {
		t.Errorf("got %v, %v", r, err)
	}
	if _, err := p.Look(t.Context(), s3("DeleteBucketPolicy", nil)); !fault.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Call(t.Context(), "Policy", s3("DeleteBucketPolicy", nil)); err != nil {
		t.Fatal(err)
	}
	if got := p.Calls(); len(got) != 1 || got[0].Before == nil || !got[0].Before.Exists {
		t.Errorf("planned %+v", got)
	}
	if diff := cmp.Diff([]string{"GetBucketPolicy"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatOnlyApplyingTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	reply, err := p.Call(t.Context(), "Make", apimodel.Call{
		Service: "ec2", Operation: "create_security_group", Account: member, Region: region,
		Input: map[string]any{"GroupName": "g", "Description": "d"},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := reply.Output["GroupId"]
	if !p.IsUnknown(id) || p.IsUnknown("<known after apply: Make.GroupId>") {
		t.Errorf("unknown is not told from what looks like it: %v", id)
	}
	if got, want := p.Display(id), "<known after apply: Make.GroupId>"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	filters := []any{map[string]any{"Name": "group-id", "Values": []any{"sg-1", id}}}
	if _, err := p.Call(t.Context(), "Look", apimodel.Call{Service: "ec2", Operation: "DescribeInstances", Account: member, Region: region, Input: map[string]any{"Filters": filters}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Call(t.Context(), "Public", apimodel.Call{Service: "s3", Operation: "DeletePublicAccessBlock", Account: member, Region: region, Input: map[string]any{"Bucket": id}}); err != nil {
		t.Fatal(err)
	}
	calls := p.Calls()
	if diff := cmp.Diff([]string{"Filters[0].Values[1]"}, calls[1].FromOutputs); diff != "" {
		t.Error(diff)
	}
	if !calls[2].Irreversible || calls[2].Before != nil || calls[2].Resource != "arn:aws:s3:::<known after apply: Make.GroupId> (Block Public Access)" {
		t.Errorf("planned %+v", calls[2])
	}
	if got := w.aws.sent(); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
	bad := s3("DeletePublicAccessBlock", nil)
	bad.Account, _ = id.(string)
	if _, err := p.Call(t.Context(), "Public", bad); !isPlanUnknown(err) || !strings.Contains(p.Open(), "step Public, s3:DeletePublicAccessBlock: the account or region") {
		t.Errorf("got %v, open: %s", err, p.Open())
	}
}

func TestPlanRefusals(t *testing.T) {
	t.Parallel()
	t.Run("limit", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{MaxCalls: 2})
		var err error
		for range 3 {
			_, err = p.Call(t.Context(), "Read", s3("GetBucketPolicy", nil))
		}
		if !fault.Is(err, fault.Exhausted) || len(p.Calls()) != 2 {
			t.Errorf("got %v with %d calls", err, len(p.Calls()))
		}
	})
	t.Run("default limit", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{})
		var err error
		n := 0
		for ; err == nil && n < 600; n++ {
			_, err = p.Call(t.Context(), "Read", s3("GetBucketPolicy", nil))
		}
		if n != 501 {
			t.Errorf("stopped at %d: %v", n, err)
		}
	})
	t.Run("limit of runs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *awsapi.Config) { c.MaxPlannedCalls, c.MaxRunCalls = 2, 4 })
		p := w.gate.Planning(as, awsapi.PlanOptions{MaxCalls: 10_000})
		var err error
		for n := 0; err == nil && n < 10; n++ {
			_, err = p.Call(t.Context(), "Read", s3("GetBucketPolicy", nil))
		}
		if !fault.Is(err, fault.Exhausted) || len(p.Calls()) != 4 {
			t.Errorf("got %v with %d calls", err, len(p.Calls()))
		}
	})
	t.Run("guard", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{})
		c := s3("DeleteBucketPolicy", nil)
		c.Account = "555566667777"
		if _, err := p.Call(t.Context(), "x", c); !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "organization.accounts") {
			t.Errorf("got %v, hint %q", err, fault.HintOf(err))
		}
	})
	t.Run("unknown operation", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if _, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", s3("PutEverything", nil)); !fault.Is(err, fault.NotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("before-image cannot be read", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{})
		_, err := p.Call(t.Context(), "x", apimodel.Call{Service: "s3", Operation: "DeleteBucketPolicy", Account: member, Input: map[string]any{"Bucket": "gone"}})
		if !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), "s3:GetBucketPolicy") || len(p.Calls()) > 0 {
			t.Errorf("got %v (%s), hint %q", err, fault.CodeOf(err), fault.HintOf(err))
		}
	})
	t.Run("validation", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *awsapi.Config) {
			c.Validate = func(c apimodel.Call) error { return fmt.Errorf("Missing required parameter in %s", c.Operation) }
		})
		if _, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", s3("PutBucketPolicy", nil)); err == nil {
			t.Error("went through")
		}
		if got := w.aws.sent(); len(got) > 0 {
			t.Errorf("sent %v", got)
		}
	})
}

func TestFailedReadIsListedAndReturned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	w.aws.there = func(c apimodel.Call) error { return &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403} }
	var api *apimodel.APIError
	if _, err := p.Call(t.Context(), "Read", s3("GetBucketLocation", nil)); !errors.As(err, &api) {
		t.Errorf("got %v", err)
	}
	if got := len(p.Calls()); got != 1 {
		t.Errorf("%d calls", got)
	}
}

// TestRepliesInTheModelsShape plans every changing operation of some services:
// the placeholder reply must never fail or grow without bound.
func TestRepliesInTheModelsShape(t *testing.T) {
	t.Parallel()
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for _, name := range []string{"ec2", "iam", "rds", "lambda", "dynamodb", "s3", "kms", "wafv2", "lexv2-models"} {
		svc, err := models.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range svc.Operations {
			if slices.Contains(apimodel.ImageOperations(), name+":"+op.Name) || models.Classify(name, op.Name) != apimodel.Change {
				continue
			}
			p := w.gate.Planning(as, awsapi.PlanOptions{})
			r, err := p.Call(t.Context(), "s", apimodel.Call{Service: name, Operation: op.Name, Account: member, Region: region})
			if err != nil || r.Output["ResponseMetadata"] == nil {
				t.Errorf("%s:%s: %v", name, op.Name, err)
			}
		}
	}
	// A guard asks once who Parry itself is, before it lets a principal be changed.
	if got := w.aws.sent(); !slices.Equal(got, []string{"GetCallerIdentity"}) {
		t.Errorf("sent %v", got)
	}
}
