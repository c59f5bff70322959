package awsapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// recording is a world whose gate keeps the record of calls in calls, but for
// the roles that it assumes, which TestRolesAreRecorded looks at.
func recording(t *testing.T) (w *world, calls *[]remediation.CallRecord) {
	t.Helper()
	calls = &[]remediation.CallRecord{}
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models})
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, func(c *awsapi.Config) {
		c.Validate = client.Validate
		c.RedactionKey = []byte("0123456789abcdef")
		c.Record = func(r remediation.CallRecord) {
			if r.Operation != "AssumeRole" {
				*calls = append(*calls, r)
			}
		}
	})
	return w, calls
}

func lines(calls []remediation.CallRecord) []string {
	var out []string
	for _, c := range calls {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s:%s %s %s", c.Mode, c.Step, c.Service, c.Operation, c.Outcome, c.Code)))
	}
	return out
}

func TestEveryCallIsRecorded(t *testing.T) {
	t.Parallel()
	w, calls := recording(t)
	plan := w.plan(fix()[:2])
	if err := run(t.Context(), w.apply(plan), fix()[:2]); err != nil {
		t.Fatal(err)
	}
	reader := as
	reader.Remediation = "rem-1"
	if _, err := w.gate.ReadOnly(reader).Call(t.Context(), "", s3("GetBucketPolicy", nil)); err == nil {
		t.Error("the policy is still there")
	}
	own := w.gate.OwnTraffic(as, []awsapi.Grant{{Service: "sns", Operation: "Publish", ARN: "arn:aws:sns:eu-west-1:111122223333:t"}})
	publish := apimodel.Call{Service: "sns", Operation: "Publish", Account: member, Region: region, Input: map[string]any{"TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": "x"}}
	if _, err := own.Call(t.Context(), "", publish); err != nil {
		t.Error(err)
	}
	want := []string{
		"plan Block s3:GetPublicAccessBlock error NoSuchPublicAccessBlockConfiguration",
		"plan Policy s3:GetBucketPolicy ok",
		"apply Block s3:GetPublicAccessBlock error NoSuchPublicAccessBlockConfiguration", // the changes have rows of their own
		"apply Policy s3:GetBucketPolicy ok",
		"read  s3:GetBucketPolicy error NoSuchBucketPolicy",
		"own  sns:Publish ok",
	}
	if diff := cmp.Diff(want, lines(*calls)); diff != "" {
		t.Error(diff)
	}
	apply, verify, publishing := (*calls)[3], (*calls)[4], (*calls)[5]
	if apply.Remediation != "rem-1" || apply.Execution != "exec-1" || apply.Account != member || apply.Region != region || apply.Attempts != 1 || apply.HTTPStatus != 200 ||
		apply.RequestID == "" || apply.Resource != "arn:aws:s3:::open (bucket policy)" || apply.Class != apimodel.Read {
		t.Errorf("apply: %+v", apply)
	}
	if verify.Remediation != "rem-1" || verify.HTTPStatus != 404 || publishing.Class != apimodel.Change || publishing.Resource != "arn:aws:sns:eu-west-1:111122223333:t" {
		t.Errorf("verify: %+v\nown: %+v", verify, publishing)
	}
	if len(apply.Digest) != 64 || apply.Digest != (*calls)[1].Digest || apply.Digest != verify.Digest || apply.Digest == publishing.Digest {
		t.Error("equal inputs do not have equal digests")
	}
	for _, c := range []string{"exec-1/Block/1.1", "exec-1/Policy/2.1"} {
		r := w.recorder.changes[c].Record()
		if r.Outcome != remediation.CallOK || r.Attempts != 1 || r.HTTPStatus != 200 || r.RequestID == "" || len(r.Digest) != 64 || r.Change != c {
			t.Errorf("%+v", r)
		}
	}
}

func TestRolesAreRecorded(t *testing.T) {
	t.Parallel()
	var calls []remediation.CallRecord
	w := newWorld(t, func(c *awsapi.Config) { c.Record = func(r remediation.CallRecord) { calls = append(calls, r) } })
	reader := as
	reader.Remediation = "rem-1"
	session := w.gate.ReadOnly(reader)
	for range 2 { // the second finds the credentials of the first
		if _, err := session.Call(t.Context(), "", s3("GetBucketPolicy", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"read  sts:AssumeRole ok", "read  s3:GetBucketPolicy ok", "read  s3:GetBucketPolicy ok"}, lines(calls)); diff != "" {
		t.Error(diff)
	}
	if c := calls[0]; c.Remediation != "rem-1" || c.Account != member || c.Resource != "arn:aws:iam::"+member+":role/"+role || c.Digest == "" {
		t.Errorf("%+v", c)
	}
}

func TestRefusalsAreRecorded(t *testing.T) {
	t.Parallel()
	w, calls := recording(t)
	plan := w.plan(fix()[:1])
	*calls = nil
	foreign := s3("DeleteBucketPolicy", nil)
	foreign.Account = "222222222222"
	unknown := apimodel.Call{Service: "nosuch", Operation: "Thing", Account: member, Input: map[string]any{"Secret": "x"}}
	wrong := s3("PutBucketAcl", map[string]any{"ACL": 7})
	apply := w.apply(plan)
	planner := w.gate.Planning(as, awsapi.PlanOptions{})
	for _, f := range []func() error{
		func() error {
			_, err := w.gate.ReadOnly(as).Call(t.Context(), "", s3("DeleteBucketPolicy", nil))
			return err
		},
		func() error { _, err := planner.Call(t.Context(), "Delete", foreign); return err },
		func() error { _, err := planner.Call(t.Context(), "Wrong", wrong); return err },
		func() error { _, err := apply.Call(t.Context(), "Other", s3("DeleteBucketPolicy", nil)); return err },
		func() error { _, err := apply.Call(t.Context(), "Unknown", unknown); return err },
		func() error {
			w.stop = func(context.Context) (bool, string, error) { return true, "incident", nil }
			return run(t.Context(), apply, fix()[:1])
		},
	} {
		if f() == nil {
			t.Error("a call that must be refused went through")
		}
	}
	want := []string{
		"read  s3:DeleteBucketPolicy refused",
		"plan Delete s3:DeleteBucketPolicy refused",
		"apply Other s3:DeleteBucketPolicy refused",
		"apply Unknown nosuch:Thing not_sent",
		"apply Block s3:GetPublicAccessBlock error NoSuchPublicAccessBlockConfiguration",
		"apply Block s3:PutPublicAccessBlock refused",
	}
	if diff := cmp.Diff(want, lines(*calls)); diff != "" {
		t.Error(diff)
	}
	for _, c := range *calls {
		if c.Outcome == remediation.CallRefused && (c.Detail == "" || c.Attempts != 0) {
			t.Errorf("%+v", c)
		}
	}
}

func TestOutcomesOfCalls(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"throttled":       {&apimodel.APIError{Code: "SlowDown", HTTPStatus: 503, Throttled: true, Retries: 4}, "throttled SlowDown 5 503"},
		"refused by AWS":  {&apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403, RequestID: "r"}, "error AccessDenied 1 403"},
		"answer lost":     {errLost, "maybe_sent " + awsapi.CodeConnectionLost + " 1 0"},
		"no word at all":  {errors.New("unexpected EOF"), "maybe_sent  1 0"},
		"not well formed": {&awsapi.ParamError{}, "not_sent  0 0"},
		"no credentials":  {fault.Errorf(fault.Denied, "call", "no credentials"), "not_sent  0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, calls := recording(t)
			w.aws.there = func(apimodel.Call) error { return tt.err }
			if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", s3("GetBucketPolicy", nil)); err == nil || len(*calls) != 1 {
				t.Fatalf("got %v, %+v", err, *calls)
			}
			c := (*calls)[0]
			if got := fmt.Sprintf("%s %s %d %d", c.Outcome, c.Code, c.Attempts, c.HTTPStatus); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestSecretsStayOut sends a secret through plan, apply, refusal and errors and
// looks for it in everything that is shown.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	const secret, was, variable = "hunter22-hunter22", "correct-horse", "DB_SECRET_NAME"
	w, calls := recording(t)
	function := func(value string) map[string]any {
		return map[string]any{"FunctionName": "f", "Environment": map[string]any{"Variables": map[string]any{variable: value}}}
	}
	w.aws.there = func(c apimodel.Call) error {
		if isChange(c) {
			return &apimodel.APIError{Service: "lambda", Operation: c.Operation, Code: "InvalidParameterValueException", HTTPStatus: 400, Message: "Value '" + secret + "' at 'environment' is too long"}
		}
		return nil
	}
	set := stepCall{"Set", apimodel.Call{Service: "lambda", Operation: "UpdateFunctionConfiguration", Account: member, Region: region, Input: function(secret)}}
	rds := stepCall{"Rotate", apimodel.Call{Service: "rds", Operation: "ModifyDBCluster", Account: member, Region: region, Input: map[string]any{"DBClusterIdentifier": "db", "MasterUserPassword": secret}}}
	plan := w.plan([]stepCall{set, rds})
	plan.Parameters = map[string]any{"Password": secret, "Note": "the password is " + secret}
	var err error
	if plan.Beyond, err = w.gate.Beyond([]runbook.StepCall{{Step: "Back", Call: rds.call}}, awsapi.BeyondOptions{Account: member, Region: region}); err != nil || len(plan.Beyond) != 1 {
		t.Fatal(plan.Beyond, err)
	}
	plan.Runbook.Content, plan.Violation = "content: "+secret, []remediation.CheckResult{{Detail: "found " + secret}}
	var texts []string
	add := func(v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(raw))
	}
	shown := w.gate.Redacted(*plan)
	add(shown)
	for _, c := range plan.Calls {
		add(c.Diff)
	}
	texts = append(texts, shown.Beyond[0].String())
	if plan.Beyond[0].Input["MasterUserPassword"] != secret {
		t.Error("the plan itself must keep what may be sent")
	}
	if !strings.Contains(texts[0], "[redacted hmac:") || !strings.Contains(texts[0], "the password is ") {
		t.Errorf("nothing is marked: %s", texts[0])
	}
	if plan.Calls[1].Input["MasterUserPassword"] != secret {
		t.Error("the plan itself must keep what is to be sent")
	}
	apply := w.apply(plan)
	for _, c := range []stepCall{set, rds} {
		_, err := apply.Call(t.Context(), c.step, c.call)
		if err == nil {
			t.Fatal("AWS refused and nobody said so")
		}
		texts = append(texts, err.Error())
	}
	other := set
	other.call.Input = function(secret + was)
	_, err = apply.Call(t.Context(), "Set", other.call)
	if !errors.Is(err, awsapi.ErrNotInPlan) {
		t.Errorf("got %v", err)
	}
	texts = append(texts, fmt.Sprint(err))
	wrong := rds.call
	wrong.Input = map[string]any{"DBClusterIdentifier": "db", "MasterUserPassword": []any{secret}}
	_, err = w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "Wrong", wrong)
	if !strings.Contains(fmt.Sprint(err), "Invalid type for parameter MasterUserPassword") {
		t.Errorf("got %v", err)
	}
	texts = append(texts, fmt.Sprint(err))
	add(*calls)
	for id, c := range w.recorder.changes {
		add(c.Record())
		texts = append(texts, c.Error)
		if !strings.Contains(c.Error, "[redacted hmac:") {
			t.Errorf("%s: %s", id, c.Error)
		}
	}
	for _, text := range texts {
		for _, s := range []string{secret, variable} {
			if strings.Contains(text, s) {
				t.Errorf("%q is shown in %.400s", s, text)
			}
		}
	}
}
