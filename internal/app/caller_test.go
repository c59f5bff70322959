package app_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestOneCallWithoutAServer is parry aws call: a read is sent, a change is
// planned until somebody says yes, and a member account is entered by its role.
func TestOneCallWithoutAServer(t *testing.T) {
	env := envtest.For(t)
	hub, dev := env.Estate.Security.Hub, env.Estate.Members["dev"]
	t.Setenv("AWS_ENDPOINT_URL", env.WallURL)
	t.Setenv("AWS_ACCESS_KEY_ID", hub.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", hub.Secret)
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	cfg := config.Default()
	cfg.Organization.ExternalID, cfg.Organization.MemberRole = env.Estate.ExternalID, env.Estate.MemberRole
	caller, err := app.NewCaller(cfg, "host-tester", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	call := apimodel.Call{Service: "s3", Operation: "get-bucket-acl", Account: dev.Account, Region: "us-east-1", Input: map[string]any{"Bucket": dev.PublicBucket}}
	got, err := caller.Call(t.Context(), call, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if grants, _ := got.Output["Grants"].([]any); len(grants) != 2 {
		t.Errorf("grants = %v", got.Output["Grants"])
	}

	call = apimodel.Call{Service: "s3", Operation: "DeleteBucketPolicy", Account: dev.Account, Region: "us-east-1", Input: map[string]any{"Bucket": dev.PublicBucket}}
	planned, err := caller.Call(t.Context(), call, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if planned.Planned == nil || planned.Planned.Inverse != "s3:PutBucketPolicy" || len(planned.Planned.Diff) == 0 {
		raw, _ := json.Marshal(planned)
		t.Fatalf("a change without --yes gave %s", raw)
	}
	if n := made(env.Wall.Log()); n != 0 {
		t.Fatalf("%d changes were sent without a yes", n)
	}
	if _, err := caller.Call(t.Context(), call, false, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(1, made(env.Wall.Log())); diff != "" {
		t.Errorf("changes sent with a yes (-want +got):\n%s", diff)
	}

	// Two attempts, as AWS_MAX_ATTEMPTS says, and a message that names the cause.
	storm, err := env.Wall.Inject(awswall.Fault{Kind: awswall.Throttle, Operation: "GetBucketAcl"})
	if err != nil {
		t.Fatal(err)
	}
	call.Operation = "GetBucketAcl"
	_, err = caller.Call(t.Context(), call, false, false)
	if err == nil || storm.Count() != 2 {
		t.Errorf("under throttling: %d attempts, error %v", storm.Count(), err)
	}
	env.Wall.ClearFaults()

	call.Account = "999999999999"
	if _, err := caller.Call(t.Context(), call, false, false); !fault.Is(err, fault.Denied) || fault.HintOf(err) == "" {
		t.Errorf("a foreign account gave %v, hint %q", err, fault.HintOf(err))
	}
}

// made counts the changes that Parry's sessions made to buckets.
func made(log []awswall.Entry) int {
	n := 0
	for _, e := range log {
		if e.Session == "parry-aws-call" && e.Changed() {
			n++
		}
	}
	return n
}
