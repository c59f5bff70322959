package awsapi_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

func errorsAs(err error, target any) bool { return errors.As(err, target) }

// open makes an open plan of the calls that planning got to and what the
// document's other calls are.
func (w *world) open(planned []stepCall, calls ...runbook.StepCall) *remediation.Plan {
	w.t.Helper()
	plan := w.plan(planned)
	plan.Open, plan.OpenReason = true, "step Wait cannot be told"
	var err error
	if plan.Beyond, err = w.gate.Beyond(calls, awsapi.BeyondOptions{Account: member, Region: region}); err != nil {
		w.t.Fatal(err)
	}
	return plan
}

func listed(step, service, operation string, input map[string]any) runbook.StepCall {
	return runbook.StepCall{Step: step, Call: apimodel.Call{Service: service, Operation: operation, Input: input}}
}

func TestBeyondListsWhatADocumentMayChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := apimodel.Unknown
	partial := listed("Tag", "ec2", "create_tags", map[string]any{})
	partial.Partial = true
	got, err := w.gate.Beyond([]runbook.StepCall{
		listed("Look", "s3", "GetBucketAcl", map[string]any{"Bucket": u}),
		listed("", "ssm", "GetParameters", map[string]any{"Names": []any{"/p"}}),
		listed("Block", "s3", "put_public_access_block", map[string]any{"Bucket": "log-" + u, "PublicAccessBlockConfiguration": blocked(true)}),
		listed("Script", "s3", "delete_bucket_policy", nil),
		listed("Script", "s3", "delete_bucket_policy", nil),
		listed("Script", "secretsmanager", "get_secret_value", nil),
		listed("Script", "ssm", "get_parameter", nil),
		listed("Script", "nosuch", "thing", nil),
		partial,
	}, awsapi.BeyondOptions{Prefix: "Child/", Account: member, Region: region, Roles: map[string][]string{"Child/Script": {fixer}}})
	if err != nil {
		t.Fatal(err)
	}
	base := remediation.Allowance{Account: member, Region: region, Class: apimodel.Change, FromOutputs: []string{"*"}, Irreversible: true}
	with := func(step, service, op string, edit func(*remediation.Allowance)) remediation.Allowance {
		a := base
		a.Step, a.Service, a.Operation = "Child/"+step, service, op
		if edit != nil {
			edit(&a)
		}
		return a
	}
	asFixer := func(a *remediation.Allowance) { a.As = fixer }
	secret := func(a *remediation.Allowance) { a.Class, a.Irreversible = apimodel.SensitiveRead, false }
	want := []remediation.Allowance{
		with("Block", "s3", "PutPublicAccessBlock", func(a *remediation.Allowance) {
			a.Irreversible, a.FromOutputs = false, []string{"Bucket"}
			a.Input = map[string]any{"Bucket": "log-<known after apply: *>", "PublicAccessBlockConfiguration": blocked(true)}
		}),
		with("Script", "s3", "DeleteBucketPolicy", nil), with("Script", "s3", "DeleteBucketPolicy", asFixer),
		with("Script", "secretsmanager", "GetSecretValue", secret), with("Script", "secretsmanager", "GetSecretValue", func(a *remediation.Allowance) { secret(a); asFixer(a) }),
		with("Script", "ssm", "GetParameter", secret), with("Script", "ssm", "GetParameter", func(a *remediation.Allowance) { secret(a); asFixer(a) }),
		with("Tag", "ec2", "CreateTags", func(a *remediation.Allowance) { a.Input = map[string]any{} }),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOpenPlanIsFollowedBeyond: the planned call, then what is allowed, each with
// its before-image and its way back, in a session for just that.
func TestOpenPlanIsFollowedBeyond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.open(fix()[:1], listed("Policy", "s3", "DeleteBucketPolicy", map[string]any{"Bucket": apimodel.Unknown}), listed("Script", "s3", "PutBucketAcl", nil))
	w.policies()
	w.aws.sent()
	calls := fix()
	calls[1].step, calls[2].step = "Policy#2", "Script"
	if err := run(t.Context(), w.apply(plan), calls); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PutPublicAccessBlock", "DeleteBucketPolicy", "PutBucketAcl"}, changesOf(w.aws.sent())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"exec-1/Block/1.1 applied", "exec-1/Policy#2/1+1.1 applied", "exec-1/Script/1+1.1 applied"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
	c := w.recorder.changes["exec-1/Policy#2/1+1.1"]
	if c.Before == nil || c.Before.Data["Policy"] == nil || c.Call.Inverse != "s3:PutBucketPolicy" || c.Call.Irreversible || c.Call.EffectUnknown ||
		len(c.Call.Diff) == 0 || c.Call.Seq != 2 || c.Call.Resource != "arn:aws:s3:::open (bucket policy)" {
		t.Errorf("recorded %+v", c)
	}
	for _, p := range w.policies() {
		if p == "" {
			t.Error("a change went out under the role alone")
		}
	}
}

func TestOpenPlanAllowsNothingElse(t *testing.T) {
	t.Parallel()
	u := apimodel.Unknown
	lists := []runbook.StepCall{
		listed("Policy", "s3", "PutBucketPolicy", map[string]any{"Bucket": "open", "Policy": `{"Id":"` + u + `"}`}),
		listed("Kms", "kms", "EnableKeyRotation", map[string]any{"KeyId": u}),
	}
	policy := func(text string) apimodel.Call { return s3("PutBucketPolicy", map[string]any{"Policy": text}) }
	edited := func(c apimodel.Call, edit func(*apimodel.Call)) apimodel.Call { edit(&c); return c }
	good := policy(`{"Id":"abc"}`)
	for name, c := range map[string]struct {
		step string
		call apimodel.Call
		edit func(*remediation.Plan)
		want bool
	}{
		"what it names":           {"Policy", good, nil, true},
		"a later pass":            {"Policy#7", good, nil, true},
		"another step":            {"Kms", good, nil, false},
		"a step of a child":       {"Policy/Policy", good, nil, false},
		"another operation":       {"Policy", s3("DeleteBucketPolicy", nil), nil, false},
		"another account":         {"Policy", edited(good, func(c *apimodel.Call) { c.Account = hub }), nil, false},
		"another region":          {"Policy", edited(good, func(c *apimodel.Call) { c.Region = "us-east-1" }), nil, false},
		"another role":            {"Policy", edited(good, func(c *apimodel.Call) { c.As = fixer }), nil, false},
		"another fixed member":    {"Policy", edited(good, func(c *apimodel.Call) { c.Input = map[string]any{"Bucket": "other", "Policy": `{"Id":"a"}`} }), nil, false},
		"a member more":           {"Policy", s3("PutBucketPolicy", map[string]any{"Policy": `{"Id":"abc"}`, "ConfirmRemoveSelfBucketAccess": true}), nil, false},
		"text around it":          {"Policy", policy(`{"Id":"abc","Statement":[]}`), nil, false},
		"out of the quotes":       {"Policy", policy(`{"Id":"a","x":"b"}`), nil, false},
		"a plan that is not open": {"Policy", good, func(p *remediation.Plan) { p.Open = false }, false},
		"an escape that is loose": {"Policy", good, func(p *remediation.Plan) { p.Open, p.Beyond[0].Escape = false, true }, false},
		"an escape that is bound": {"Policy", good, func(p *remediation.Plan) {
			p.Open, p.Beyond[0].Escape, p.Beyond[0].FromOutputs = false, true, nil
			p.Beyond[0].Input = map[string]any{"Bucket": "open", "Policy": `{"Id":"abc"}`}
		}, true},
		"what it is bound to, with another value": {"Policy", policy(`{"Id":"abd"}`), func(p *remediation.Plan) {
			p.Open, p.Beyond[0].Escape, p.Beyond[0].FromOutputs = false, true, nil
			p.Beyond[0].Input = map[string]any{"Bucket": "open", "Policy": `{"Id":"abc"}`}
		}, false},
		"on its target":            {"Fan#2[a]/Policy", good, func(p *remediation.Plan) { p.Beyond[0].Step = "Fan[a]/Policy" }, true},
		"on another target":        {"Fan[b]/Policy", good, func(p *remediation.Plan) { p.Beyond[0].Step = "Fan[a]/Policy" }, false},
		"on no target":             {"Fan/Policy", good, func(p *remediation.Plan) { p.Beyond[0].Step = "Fan[a]/Policy" }, false},
		"on its target, elsewhere": {"Fan[a]/Policy", edited(good, func(c *apimodel.Call) { c.Account = hub }), func(p *remediation.Plan) { p.Beyond[0].Step = "Fan[a]/Policy" }, false},
		"on any target":            {"Fan[b]/Policy", good, func(p *remediation.Plan) { p.Beyond[0].Step = "Fan[]/Policy" }, true},
		"a label that never ends":  {"Policy[b", good, nil, false},
		"irreversible, not so":     {"Kms", apimodel.Call{Service: "kms", Operation: "EnableKeyRotation", Account: member, Region: region, Input: map[string]any{"KeyId": "k", "RotationPeriodInDays": int64(100)}}, nil, false},
		"beyond the most that may": {"Policy", good, func(p *remediation.Plan) { p.Beyond[0].Operation = "DeleteBucketPolicy" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.open(nil, lists...)
			plan.Roles = []string{fixer}
			if c.edit != nil {
				c.edit(plan)
			}
			w.aws.sent()
			_, err := w.apply(plan).Call(t.Context(), c.step, c.call)
			if sent := changesOf(w.aws.sent()); c.want != (err == nil) || c.want != (len(sent) == 1) {
				t.Errorf("sent %v, err %v", sent, err)
			}
			if !c.want && !errors.Is(err, awsapi.ErrNotInPlan) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestIrreversibleBeyondThePlan needs an allowance that says so.
func TestIrreversibleBeyondThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	send := apimodel.Call{Service: "sqs", Operation: "PurgeQueue", Account: member, Region: region, Input: map[string]any{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/" + member + "/q"}}
	plan := w.open(nil, listed("Send", "sqs", "PurgeQueue", send.Input))
	if !plan.Beyond[0].Irreversible {
		t.Fatalf("allowed %+v", plan.Beyond[0])
	}
	if _, err := w.apply(plan).Call(t.Context(), "Send", send); err != nil {
		t.Error(err)
	}
	other := *plan // a plan is not changed once it was taken up
	other.Beyond = slices.Clone(plan.Beyond)
	other.Beyond[0].Irreversible = false
	w.recorder = newFakeRecorder()
	if _, err := w.apply(&other).Call(t.Context(), "Send", send); !errors.Is(err, awsapi.ErrNotInPlan) || !strings.Contains(err.Error(), "only where it can be undone") {
		t.Errorf("got %v", err)
	}
}

func TestOpenPlanIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *awsapi.Config) { c.MaxOpenChanges = 1 })
	plan := w.open(fix()[:1], listed("Policy", "s3", "DeleteBucketPolicy", nil), listed("Acl", "s3", "PutBucketAcl", nil))
	err := run(t.Context(), w.apply(plan), fix())
	if !fault.Is(err, fault.Exhausted) || !strings.HasPrefix(err.Error(), "Acl: ") {
		t.Errorf("got %v", err)
	}
}

// TestCancellingAStepIsAllowedInAnyPlan that lists it, since no planning tells
// whether it comes.
func TestCancellingAStepIsAllowedInAnyPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	call := ssm("CancelCommand", map[string]any{"CommandId": "00000000-0000-0000-0000-000000000000"})
	cancel := listed("Run"+runbook.CancelLabel, "ssm", "CancelCommand", map[string]any{"CommandId": apimodel.Unknown})
	plan := w.open(nil, cancel, listed("Run", "ssm", "CancelCommand", map[string]any{"CommandId": apimodel.Unknown}))
	plan.Open = false
	w.aws.sent()
	if _, err := w.apply(plan).Call(t.Context(), "Run#2"+runbook.CancelLabel, call); err != nil {
		t.Error(err)
	}
	if _, err := w.apply(plan).Call(t.Context(), "Run", call); !errors.Is(err, awsapi.ErrNotInPlan) {
		t.Errorf("outside of a cancellation: %v", err)
	}
	if diff := cmp.Diff([]string{"CancelCommand"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
}
