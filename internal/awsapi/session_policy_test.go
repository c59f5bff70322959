package awsapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

// policies gives the session policies that were asked for, "" for a session
// without one, each as "actions on resource".
func (w *world) policies() []string {
	w.creds.mu.Lock()
	defer w.creds.mu.Unlock()
	var out []string
	for _, r := range w.creds.assumed {
		var p apimodel.Policy
		if r.Policy != "" {
			if err := json.Unmarshal([]byte(r.Policy), &p); err != nil {
				w.t.Fatal(err)
			}
		}
		var lines []string
		for _, s := range p.Statement {
			lines = append(lines, strings.Join(s.Action, " ")+" on "+strings.Join(s.Resource, " "))
		}
		out = append(out, strings.Join(lines, "; "))
	}
	w.creds.assumed = nil
	return out
}

// TestApplyingIsNarrowedToThePlan: one session for the plan's changes and their
// reads, and another only for a read that the plan does not hold.
func TestApplyingIsNarrowedToThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.plan(fix())
	if diff := cmp.Diff([]string{""}, w.policies()); diff != "" {
		t.Errorf("planning: %s", diff)
	}
	s := w.apply(plan)
	if err := run(t.Context(), s, fix()); err != nil {
		t.Fatal(err)
	}
	want := []string{"s3:DeleteBucketPolicy s3:GetBucketAcl s3:GetBucketPolicy s3:GetBucketPublicAccessBlock s3:PutBucketAcl s3:PutBucketPublicAccessBlock on arn:aws:s3:::open"}
	if diff := cmp.Diff(want, w.policies()); diff != "" {
		t.Errorf("applying: %s", diff)
	}
	read := func(c apimodel.Call) {
		t.Helper()
		if _, err := s.Call(t.Context(), "Look", c); err != nil {
			t.Fatal(err)
		}
	}
	read(s3("GetBucketAcl", nil))
	if got := w.policies(); len(got) > 0 {
		t.Errorf("a read within the plan's policy took another session: %q", got)
	}
	read(s3("GetBucketLocation", nil))
	read(s3("GetBucketVersioning", nil))
	// They go under the reading session that planning has: it has the same name here.
	if got := w.policies(); len(got) > 0 {
		t.Errorf("reads beyond the plan took another session: %q", got)
	}
}

// TestLongPolicyIsDividedByService and then by calls; each call is signed in the
// session of its share.
func TestLongPolicyIsDividedByService(t *testing.T) {
	t.Parallel()
	var calls []stepCall
	for i := range 30 {
		c := s3("PutBucketTagging", map[string]any{"Bucket": fmt.Sprintf("%s-%02d", strings.Repeat("long", 12), i), "Tagging": map[string]any{"TagSet": []any{}}})
		calls = append(calls, stepCall{fmt.Sprintf("S3-%d", i), c})
	}
	calls = append(calls, stepCall{"Key", apimodel.Call{Service: "kms", Operation: "EnableKeyRotation", Account: member, Region: region, Input: map[string]any{"KeyId": "k"}}})
	w := newWorld(t)
	for _, c := range calls[:30] {
		w.aws.buckets[c.call.Input["Bucket"].(string)] = map[string]any{}
	}
	w.aws.tags = map[string]string{}
	plan := w.plan(calls)
	w.policies()
	if err := run(t.Context(), w.apply(plan), calls); err != nil {
		t.Fatal(err)
	}
	w.creds.mu.Lock()
	defer w.creds.mu.Unlock()
	if n := len(w.creds.assumed); n != 3 {
		t.Errorf("%d sessions, want two for S3 and one for KMS", n)
	}
	for i, r := range w.creds.assumed {
		if len(r.Policy) > apimodel.MaxSessionPolicy || r.Policy == "" || strings.Contains(r.Policy, "*") {
			t.Errorf("session %d has a policy of %d characters: %.200s", i, len(r.Policy), r.Policy)
		}
		if s3, kms := strings.Contains(r.Policy, "s3:"), strings.Contains(r.Policy, "kms:"); s3 == kms {
			t.Errorf("session %d is of both services or of none: %s", i, r.Policy)
		}
	}
}

// TestCallThatFitsNoSessionIsRefused: its policy is not widened.
func TestCallThatFitsNoSessionIsRefused(t *testing.T) {
	t.Parallel()
	var ids []any
	for i := range 45 {
		ids = append(ids, fmt.Sprintf("i-%017d", i))
	}
	w := newWorld(t)
	calls := []stepCall{{"Run", apimodel.Call{Service: "ssm", Operation: "SendCommand", Account: member, Region: region, Input: map[string]any{"DocumentName": "AWS-RunShellScript", "InstanceIds": ids}}}}
	plan := w.plan(calls)
	w.aws.sent()
	err := run(t.Context(), w.apply(plan), calls)
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(fault.HintOf(err), "split the step") {
		t.Errorf("got %v", err)
	}
	for _, op := range w.aws.sent() {
		if op == "SendCommand" {
			t.Error("it was sent")
		}
	}
}

// TestUnknownValuesAreWildcardsInTheirPart of the session policy.
func TestUnknownValuesAreWildcardsInTheirPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	made, err := p.Call(t.Context(), "Make", apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region, Input: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	key := made.Output["KeyMetadata"].(map[string]any)["KeyId"]
	if _, err := p.Call(t.Context(), "Rotate", apimodel.Call{Service: "kms", Operation: "EnableKeyRotation", Account: member, Region: region, Input: map[string]any{"KeyId": key}}); err != nil {
		t.Fatal(err)
	}
	w.policies()
	s := w.apply(w.planOf(p.Calls()))
	if _, err := s.Call(t.Context(), "Make", apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region, Input: map[string]any{}}); err != nil {
		t.Fatal(err)
	}
	got := w.policies()
	if len(got) != 1 || !strings.Contains(got[0], "arn:aws:kms:"+region+":"+member+":key/*") || !strings.Contains(got[0], "kms:EnableKeyRotation") {
		t.Errorf("got %q", got)
	}
}

func TestSessionTagsAndReadPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *awsapi.Config) { c.ReadPolicies = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"} })
	plan := w.plan(fix())
	tagged := as
	tagged.Tags = awsapi.SessionTags{Remediation: "rem-1", Execution: "exec#1", Plan: "abc"}
	if err := run(t.Context(), w.gate.Applying(tagged, w.authority(plan)), fix()); err != nil {
		t.Fatal(err)
	}
	if len(w.creds.assumed) != 2 {
		t.Fatalf("%d sessions", len(w.creds.assumed))
	}
	planning, applying := w.creds.assumed[0], w.creds.assumed[1]
	if diff := cmp.Diff([]string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}, planning.PolicyARNs); diff != "" || planning.Tags != nil {
		t.Errorf("planning: %s %v", diff, planning.Tags)
	}
	if diff := cmp.Diff(map[string]string{"parry:remediation": "rem-1", "parry:execution": "exec-1", "parry:plan": "abc"}, applying.Tags); diff != "" || applying.PolicyARNs != nil {
		t.Errorf("applying: %s %v", diff, applying.PolicyARNs)
	}
	w.creds.err = &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403, Message: "User: x is not authorized to perform: sts:TagSession on resource: y"}
	tagged.SessionName = "another"
	_, err := w.gate.ReadOnly(tagged).Call(t.Context(), "", s3("GetBucketAcl", nil))
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "session_tags: false") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}
