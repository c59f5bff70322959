package awsapi_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

func TestOwnTraffic(t *testing.T) {
	t.Parallel()
	const (
		topic   = "arn:aws:sns:eu-west-1:" + hub + ":parry"
		queue   = "arn:aws:sqs:eu-west-1:" + hub + ":inbox"
		product = "arn:aws:securityhub:eu-west-1:" + hub + ":product/" + hub + "/default"
		url     = "https://sqs.eu-west-1.amazonaws.com/" + hub + "/inbox"
	)
	grants := []awsapi.Grant{
		{Service: "sns", Operation: "publish", ARN: topic},
		{Service: "sqs", Operation: "DeleteMessage", ARN: queue},
		{Service: "sqs", Operation: "ReceiveMessage", ARN: queue},
		{Service: "securityhub", Operation: "BatchUpdateFindings", ARN: product},
		{Service: "s3", Operation: "DeleteBucketPolicy", ARN: "arn:aws:s3:::open"}, // not in the closed table
		{Service: "nonsense", Operation: "Everything", ARN: "*"},
	}
	call := func(service, op string, in map[string]any) apimodel.Call {
		return apimodel.Call{Service: service, Operation: op, Region: region, Input: in}
	}
	ids := func(arns ...string) map[string]any {
		var list []any
		for _, a := range arns {
			list = append(list, map[string]any{"Id": "f", "ProductArn": a})
		}
		return map[string]any{"FindingIdentifiers": list}
	}
	tests := []struct {
		name string
		call apimodel.Call
		ok   bool
	}{
		{"publish", call("sns", "Publish", map[string]any{"TopicArn": topic, "Message": "m"}), true},
		{"publish elsewhere", call("sns", "Publish", map[string]any{"TopicArn": topic + "2", "Message": "m"}), false},
		{"publish to a phone", call("sns", "Publish", map[string]any{"TopicArn": topic, "PhoneNumber": "+1", "Message": "m"}), false},
		{"publish to a target", call("sns", "Publish", map[string]any{"TargetArn": topic, "Message": "m"}), false},
		{"publish to nothing", call("sns", "Publish", nil), false},
		{"delete message", call("sqs", "DeleteMessage", map[string]any{"QueueUrl": url, "ReceiptHandle": "h"}), true},
		{"receive on a local endpoint", call("sqs", "ReceiveMessage", map[string]any{"QueueUrl": "http://127.0.0.1:5000/" + hub + "/inbox"}), true},
		{"other queue", call("sqs", "DeleteMessage", map[string]any{"QueueUrl": url + "2", "ReceiptHandle": "h"}), false},
		{"queue hidden in a path", call("sqs", "DeleteMessage", map[string]any{"QueueUrl": url + "/" + hub + "/other", "ReceiptHandle": "h"}), false},
		{"queue with a query", call("sqs", "DeleteMessage", map[string]any{"QueueUrl": url + "?Action=DeleteQueue", "ReceiptHandle": "h"}), false},
		{"same queue in another region", func() apimodel.Call {
			c := call("sqs", "DeleteMessage", map[string]any{"QueueUrl": url})
			c.Region = "us-east-1"
			return c
		}(), false},
		{"operation without a grant", call("sqs", "ChangeMessageVisibility", map[string]any{"QueueUrl": url}), false},
		{"queue that is no text", call("sqs", "DeleteMessage", map[string]any{"QueueUrl": 7}), false},
		{"findings", call("securityhub", "BatchUpdateFindings", ids(product, product)), true},
		{"one foreign finding", call("securityhub", "BatchUpdateFindings", ids(product, "arn:aws:securityhub:eu-west-1::product/aws/guardduty")), false},
		{"no finding", call("securityhub", "BatchUpdateFindings", ids()), false},
		{"finding without product", call("securityhub", "BatchUpdateFindings", map[string]any{"FindingIdentifiers": []any{map[string]any{"Id": "f"}}}), false},
		{"a change by grant", call("s3", "DeleteBucketPolicy", map[string]any{"Bucket": "open"}), false},
		{"a read", call("s3", "GetBucketPolicy", map[string]any{"Bucket": "open"}), false},
		{"unknown", call("sqs", "DrainQueue", map[string]any{"QueueUrl": url}), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) { c.Guards.OwnResources = []string{topic, queue} })
			_, err := w.gate.OwnTraffic(awsapi.Identity{}, grants).Call(t.Context(), "", tt.call)
			sent := w.aws.sent()
			if tt.ok != (err == nil) {
				t.Fatalf("got %v", err)
			}
			if !tt.ok && (len(sent) > 1 || len(sent) == 1 && sent[0] != "GetCallerIdentity") {
				t.Errorf("sent %v", sent)
			}
			if !tt.ok && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("deny rules hold", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *awsapi.Config) { c.Guards.Deny = []awsapi.Rule{{Services: []string{"sns"}}} })
		_, err := w.gate.OwnTraffic(awsapi.Identity{}, grants).Call(t.Context(), "", tests[0].call)
		if !fault.Is(err, fault.Denied) {
			t.Errorf("got %v", err)
		}
	})
}

func TestReadOnlySendsReadsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.gate.ReadOnly(as)
	if r, err := s.Call(t.Context(), "", s3("get_bucket_policy", nil)); err != nil || r.Output["Policy"] != publicPolicy {
		t.Errorf("got %v, %v", r, err)
	}
	var api *apimodel.APIError
	if _, err := s.Call(t.Context(), "", s3("GetPublicAccessBlock", nil)); !errors.As(err, &api) {
		t.Errorf("got %v", err)
	}
	secret := apimodel.Call{Service: "secretsmanager", Operation: "GetSecretValue", Account: member, Input: map[string]any{"SecretId": "x"}}
	for _, c := range []apimodel.Call{s3("DeleteBucketPolicy", nil), secret} {
		_, err := s.Call(t.Context(), "", c)
		if !fault.Is(err, fault.Denied) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", c, err)
		}
	}
	if diff := cmp.Diff([]string{"GetBucketPolicy", "GetPublicAccessBlock"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	var outcomes []string
	for _, e := range w.events {
		outcomes = append(outcomes, string(e.Mode)+" "+e.Operation+" "+e.Outcome)
	}
	want := []string{"read GetBucketPolicy ok", "read GetPublicAccessBlock aws_error", "read DeleteBucketPolicy denied", "read GetSecretValue denied"}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Error(diff)
	}
	if s.Identity() != as {
		t.Error("identity lost")
	}
}

// TestCallerCannotChangeACallUnderWay: what was compared is what is sent.
func TestCallerCannotChangeACallUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := fix()[:1]
	plan := w.plan(calls)
	mine := s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": maps.Clone(blocked(true))})
	w.aws.there = func(c apimodel.Call) error {
		mine.Input["Bucket"] = "other"
		mine.Input["PublicAccessBlockConfiguration"].(map[string]any)["BlockPublicAcls"] = false
		return nil
	}
	if _, err := w.apply(plan).Call(t.Context(), "Block", mine); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(blocked(true)), w.aws.buckets["open"]["pab"]); diff != "" {
		t.Error(diff)
	}
}

func TestTextBecomesWhatTheModelAsksFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := map[string]any{"BlockPublicAcls": "true", "IgnorePublicAcls": "True", "BlockPublicPolicy": "true", "RestrictPublicBuckets": true}
	calls := []stepCall{{"Block", s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": text})}}
	p := w.gate.Planning(as, awsapi.PlanOptions{CoerceStrings: true})
	if _, err := p.Call(t.Context(), "Block", calls[0].call); err != nil {
		t.Fatal(err)
	}
	plan := w.planOf(p.Calls())
	if diff := cmp.Diff(any(blocked(true)), plan.Calls[0].Input["PublicAccessBlockConfiguration"]); diff != "" {
		t.Error(diff)
	}
	a := w.authority(plan)
	a.CoerceStrings = true
	if err := run(t.Context(), w.gate.Applying(as, a), calls); err != nil {
		t.Error(err)
	}
}
