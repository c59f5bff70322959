package awsapi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

func TestRoleIsAssumedInTheAccountOfTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := awsapi.Identity{Role: role, SessionName: "exec 1/né", SourceIdentity: "alice@example.com"}
	s := w.gate.ReadOnly(id)
	read := func(c apimodel.Call) {
		t.Helper()
		if _, err := s.Call(t.Context(), "", c); err != nil {
			t.Error(err)
		}
	}
	read(s3("GetBucketPolicy", nil))
	read(s3("GetBucketAcl", nil)) // the same credentials again
	china := s3("GetBucketAcl", nil)
	china.Region = "cn-north-1"
	read(china)
	w.clock.Advance(56 * time.Minute) // within the margin before their end
	read(s3("GetBucketPolicy", nil))
	want := []awsapi.RoleRequest{
		{RoleARN: "arn:aws:iam::" + member + ":role/" + role, ExternalID: "ext-" + member, SessionName: "exec-1-n-", SourceIdentity: "alice@example.com", Region: region},
		{RoleARN: "arn:aws-cn:iam::" + member + ":role/" + role, ExternalID: "ext-" + member, SessionName: "exec-1-n-", SourceIdentity: "alice@example.com", Region: "cn-north-1"},
		{RoleARN: "arn:aws:iam::" + member + ":role/" + role, ExternalID: "ext-" + member, SessionName: "exec-1-n-", SourceIdentity: "alice@example.com", Region: region},
	}
	if diff := cmp.Diff(want, w.creds.assumed); diff != "" {
		t.Error(diff)
	}
}

func TestSessionNamesFitSTS(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": "parry", "a": "a-", strings.Repeat("x", 80): strings.Repeat("x", 64)} {
		w := newWorld(t)
		if _, err := w.gate.ReadOnly(awsapi.Identity{Role: role, SessionName: name}).Call(t.Context(), "", s3("GetBucketAcl", nil)); err != nil {
			t.Fatal(err)
		}
		if got := w.creds.assumed[0]; got.SessionName != want || got.SourceIdentity != "" {
			t.Errorf("%q: got %+v", name, got)
		}
	}
}

func TestProcessCredentialsReachTheirOwnAccountOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.gate.ReadOnly(awsapi.Identity{})
	own, foreign, nowhere := s3("GetBucketAcl", nil), s3("GetBucketAcl", nil), s3("GetBucketAcl", nil)
	own.Account, nowhere.Account = hub, ""
	if _, err := s.Call(t.Context(), "", nowhere); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := s.Call(t.Context(), "", own); err != nil {
			t.Error(err)
		}
	}
	_, err := s.Call(t.Context(), "", foreign)
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), member) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"GetBucketAcl", "GetCallerIdentity", "GetBucketAcl", "GetBucketAcl"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	if len(w.creds.assumed) > 0 {
		t.Error("assumed a role")
	}
	// A plan of the process's own account names that account.
	p := w.gate.Planning(awsapi.Identity{}, awsapi.PlanOptions{})
	nowhere.Operation = "DeleteBucketPolicy"
	if _, err := p.Call(t.Context(), "x", nowhere); err != nil {
		t.Fatal(err)
	}
	if got := p.Calls()[0].Account; got != hub {
		t.Errorf("planned in %q", got)
	}
}

func TestCallsThatCannotBeAddressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nowhere := s3("GetBucketAcl", nil)
	nowhere.Account = ""
	if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", nowhere); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("role without account: %v", err)
	}
	w.creds.err = &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403}
	_, err := w.gate.ReadOnly(as).Call(t.Context(), "", s3("GetBucketAcl", nil))
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "external id") {
		t.Errorf("role that cannot be assumed: %v, hint %q", err, fault.HintOf(err))
	}
	plan := func() error {
		_, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", s3("DeleteBucketPolicy", nil))
		return err
	}
	if err := plan(); !fault.Is(err, fault.Denied) {
		t.Errorf("planning with it: %v", err)
	}
	w.creds.err = errStore
	if _, err := w.gate.ReadOnly(awsapi.Identity{}).Call(t.Context(), "", s3("GetBucketAcl", nil)); !errors.Is(err, errStore) {
		t.Errorf("no credentials: %v", err)
	}
	deep := map[string]any{}
	for range 300 {
		deep = map[string]any{"x": deep}
	}
	if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", s3("GetBucketAcl", deep)); !fault.Is(err, fault.Invalid) {
		t.Errorf("deep input: %v", err)
	}
}

// TestRoleLostWhileApplying: credentials that cannot be had are not a lost
// answer: nothing was sent, and the next try may go on.
func TestRoleLostWhileApplying(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Publish has no before-image, so the role is missed only when it is sent.
	calls := []stepCall{{"Key", apimodel.Call{Service: "sns", Operation: "Publish", Account: member, Region: region, Input: map[string]any{"TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": "m"}}}}
	plan := w.plan(calls)
	w.creds.err = &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403}
	s := w.apply(plan)
	if err := run(t.Context(), s, calls); !fault.Is(err, fault.Denied) {
		t.Errorf("got %v", err)
	}
	w.creds.err = nil
	if err := run(t.Context(), s, calls); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"exec-1/Key/1.1 refused", "exec-1/Key/1.2 applied"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
}
