package awsapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

// TestReadOnlyModeStandsBelowEverySession gives sessions of every kind all the right in
// the world: an approved plan, a grant, a dry run. Nothing but reads leaves.
func TestReadOnlyModeStandsBelowEverySession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *awsapi.Config) { cfg.ReadOnly = true })
	plan := w.plan(append(fix(), stepCall{"Make", ec2Call("CreateKeyPair", map[string]any{"KeyName": "k"})}))
	if plan.Changes() != 4 || plan.Calls[3].Permission != "" || len(plan.Calls[0].Diff) == 0 {
		t.Errorf("planned %+v", plan.Calls)
	}
	session := w.apply(plan)
	for _, c := range []stepCall{fix()[0], {"Make", ec2Call("CreateKeyPair", map[string]any{"KeyName": "k"})}} {
		_, err := session.Call(t.Context(), c.step, c.call)
		if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: %v", c.call.Operation, err)
		}
	}
	const topic = "arn:aws:sns:eu-west-1:" + hub + ":told"
	own := w.gate.OwnTraffic(awsapi.Identity{}, []awsapi.Grant{{Service: "sns", Operation: "Publish", ARN: topic}})
	_, err := own.Call(t.Context(), "", apimodel.Call{Service: "sns", Operation: "Publish", Region: region, Input: map[string]any{"TopicArn": topic, "Message": "m"}})
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("own traffic: %v", err)
	}
	if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", s3("GetBucketPolicy", nil)); err != nil {
		t.Errorf("a read: %v", err)
	}
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	sent := w.aws.sent()
	for _, c := range sent {
		if c != "GetCallerIdentity" && models.Classify("s3", c) != apimodel.Read {
			t.Errorf("sent %s", c)
		}
	}
	if !slices.Contains(sent, "GetBucketPolicy") || w.aws.dryRuns != 0 {
		t.Errorf("sent %v and %d dry runs", sent, w.aws.dryRuns)
	}
}
