package awsapi_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

func TestPlanIsAppliedAndUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.aws.state(t)
	plan := w.plan(fix())
	if got := changesOf(w.aws.sent()); len(got) > 0 {
		t.Fatalf("planning changed something: %v", got)
	}
	if got := w.aws.state(t); got != before {
		t.Fatalf("planning changed something: %s", got)
	}
	if err := run(t.Context(), w.apply(plan), fix()); err != nil {
		t.Fatal(err)
	}
	want := []string{"GetPublicAccessBlock", "PutPublicAccessBlock", "GetBucketPolicy", "DeleteBucketPolicy", "GetBucketAcl", "PutBucketAcl"}
	if diff := cmp.Diff(want, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"exec-1/Block/1.1 applied", "exec-1/Policy/2.1 applied", "exec-1/Acl/3.1 applied"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
	undo := undoOf(t, w.recorder)
	w.recorder = newFakeRecorder()
	if err := run(t.Context(), w.apply(w.plan(undo)), undo); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.aws.state(t)); diff != "" {
		t.Error(diff)
	}
}

// undoOf makes the inverse calls of what was recorded, in reverse order.
func undoOf(t *testing.T, r *fakeRecorder) []stepCall {
	t.Helper()
	var out []stepCall
	for i := len(r.order) - 1; i >= 0; i-- {
		c := r.changes[r.order[i]]
		spec, ok := apimodel.ImageOf(c.Call.APICall())
		if !ok || c.Before == nil {
			t.Fatalf("no way back from %s", c.ID)
		}
		inverse, _ := spec.Inverse(apimodel.Image(*c.Before))
		for _, inv := range inverse {
			out = append(out, stepCall{"Undo" + c.Call.Step, inv.Call})
		}
	}
	return out
}

func TestChangeNotInThePlanIsRefused(t *testing.T) {
	t.Parallel()
	acl := map[string]any{"AccessControlPolicy": map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": []any{grant("owner", "FULL_CONTROL")}}}
	planned := stepCall{"Acl", s3("PutBucketAcl", acl)}
	with := func(f func(c *stepCall)) stepCall {
		c := stepCall{planned.step, planned.call.Clone()}
		f(&c)
		return c
	}
	grants := func(list ...any) map[string]any {
		return map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": list}
	}
	tests := []struct {
		name string
		call stepCall
		want string
	}{
		{"service", with(func(c *stepCall) {
			c.call.Service, c.call.Operation, c.call.Input = "s3control", "DeletePublicAccessBlock", map[string]any{"AccountId": member}
		}), "in service"},
		{"operation", with(func(c *stepCall) { c.call.Operation = "DeleteBucket" }), "in operation"},
		{"account", with(func(c *stepCall) { c.call.Account = hub }), "in account"},
		{"region", with(func(c *stepCall) { c.call.Region = "us-east-1" }), "in region"},
		{"resource", with(func(c *stepCall) { c.call.Input["Bucket"] = "other" }), "in Bucket"},
		{"missing member", with(func(c *stepCall) { delete(c.call.Input, "AccessControlPolicy") }), "in AccessControlPolicy"},
		{"further member", with(func(c *stepCall) { c.call.Input["GrantRead"] = "x" }), "in GrantRead"},
		{"member without a value", with(func(c *stepCall) { c.call.Input["ACL"] = nil }), "in ACL"},
		{"deep member", with(func(c *stepCall) { c.call.Input["AccessControlPolicy"] = grants(grant("intruder", "FULL_CONTROL")) }), "in AccessControlPolicy.Grants[0].Grantee.ID"},
		{"longer list", with(func(c *stepCall) {
			c.call.Input["AccessControlPolicy"] = grants(grant("owner", "FULL_CONTROL"), everyone)
		}), "in AccessControlPolicy.Grants"},
		{"other type", with(func(c *stepCall) { c.call.Input["AccessControlPolicy"] = "text" }), "in AccessControlPolicy"},
		{"other step", with(func(c *stepCall) { c.step = "Another" }), "no further call"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan([]stepCall{planned})
			w.aws.sent()
			_, err := w.apply(plan).Call(t.Context(), tt.call.step, tt.call.call)
			if !errors.Is(err, awsapi.ErrNotInPlan) || !fault.Is(err, fault.Denied) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "intruder") {
				t.Errorf("got %q, want %q and no values", err, tt.want)
			}
			if !strings.Contains(fault.HintOf(err), "new plan") {
				t.Errorf("hint %q", fault.HintOf(err))
			}
			if got := changesOf(w.aws.sent()); len(got) > 0 {
				t.Errorf("sent %v", got)
			}
			if got := w.recorder.outcomes(); len(got) > 0 {
				t.Errorf("recorded %v", got)
			}
		})
	}
}

func TestPlannedCallIsUsedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.apply(w.plan(fix()))
	if err := run(t.Context(), s, fix()); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), s, fix()[:1])
	if !errors.Is(err, awsapi.ErrNotInPlan) {
		t.Errorf("got %v", err)
	}
}

func TestReadsOfAnExecutionStayInItsAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.apply(w.plan(fix()))
	read := s3("GetBucketPolicy", nil)
	if _, err := s.Call(t.Context(), "Read", read); err != nil {
		t.Error(err)
	}
	read.Account = hub
	if _, err := s.Call(t.Context(), "Read", read); !errors.Is(err, awsapi.ErrNotInPlan) {
		t.Errorf("got %v", err)
	}
}

func TestSupersededWhenTheResourceChanged(t *testing.T) {
	t.Parallel()
	put := stepCall{"Put", s3("PutBucketPolicy", map[string]any{"Policy": `{"Version":"2012-10-17","Statement":[]}`})}
	withMore := strings.Replace(publicPolicy, `"Statement":[`, `"Statement":[{"Sid":"Added","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"},`, 1)
	reprinted := strings.ReplaceAll(strings.Replace(publicPolicy, `"Action":"s3:GetObject"`, `"Action":["s3:GetObject"]`, 1), `","`, `" , "`)
	tests := []struct {
		name  string
		calls []stepCall
		drift func(*fakeAWS)
		apply []stepCall // when other than planned
		want  string     // "" = goes through
	}{
		{"statement added that the change would remove", []stepCall{put}, func(f *fakeAWS) { f.set("open", "policy", withMore) }, nil, "Policy.Statement[Added]"},
		{"policy removed by hand", []stepCall{put}, func(f *fakeAWS) { f.set("open", "policy", nil) }, nil, "Policy.Statement[PublicRead]"},
		{"policy only reprinted", []stepCall{put}, func(f *fakeAWS) { f.set("open", "policy", reprinted) }, nil, ""},
		{"block set by hand", fix()[:1], func(f *fakeAWS) { f.set("open", "pab", blocked(false)) }, nil, "PublicAccessBlockConfiguration.BlockPublicAcls"},
		{"something else changed", fix()[:1], func(f *fakeAWS) { f.set("open", "policy", nil) }, nil, ""},
		{
			"input derived from the changed resource",
			[]stepCall{put},
			func(f *fakeAWS) { f.set("open", "policy", withMore) },
			[]stepCall{{"Put", s3("PutBucketPolicy", map[string]any{"Policy": `{"Statement":[{"Sid":"Added"}]}`})}},
			"Policy.Statement[Added]",
		},
		{
			"effect that cannot be told",
			[]stepCall{{"Acl", s3("PutBucketAcl", map[string]any{"GrantRead": `id="x"`})}},
			func(f *fakeAWS) {
				f.set("open", "acl", map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": []any{everyone}})
			}, nil, "Grants[owner FULL_CONTROL]",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(tt.calls)
			tt.drift(w.aws)
			w.aws.sent()
			if tt.apply == nil {
				tt.apply = tt.calls
			}
			err := run(t.Context(), w.apply(plan), tt.apply)
			sent := changesOf(w.aws.sent())
			if tt.want == "" {
				if err != nil || len(sent) != 1 {
					t.Fatalf("got %v, sent %v", err, sent)
				}
				return
			}
			if !errors.Is(err, awsapi.ErrSuperseded) || !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if len(sent) > 0 || len(w.recorder.outcomes()) > 0 {
				t.Errorf("sent %v, recorded %v", sent, w.recorder.outcomes())
			}
		})
	}
}

func TestNothingIsSentWithoutPermission(t *testing.T) {
	t.Parallel()
	lost := fault.Errorf(fault.Conflict, "check lease", "another node holds it")
	tests := []struct {
		name string
		set  func(*world)
		is   error
		code fault.Code
	}{
		{"stop switch on", func(w *world) {
			w.stop = func(context.Context) (bool, string, error) { return true, "incident 7", nil }
		}, awsapi.ErrStopped, fault.Denied},
		{"stop switch unreadable", func(w *world) {
			w.stop = func(context.Context) (bool, string, error) { return false, "", errStore }
		}, awsapi.ErrStopped, fault.Unavailable},
		{"lease lost", func(w *world) { w.fence = func(context.Context) error { return lost } }, lost, fault.Conflict},
		{"intent not stored", func(w *world) { w.recorder.failIntent = errStore }, errStore, fault.Unavailable},
		{"record unreadable", func(w *world) { w.recorder.failRead = errStore }, errStore, fault.Unavailable},
		{"before-image unreadable", func(w *world) {
			w.aws.there = func(c apimodel.Call) error {
				return &apimodel.APIError{Operation: c.Operation, Code: "AccessDenied", HTTPStatus: 403}
			}
		}, nil, fault.Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(fix())
			tt.set(w)
			w.aws.sent()
			err := run(t.Context(), w.apply(plan), fix())
			if err == nil || !fault.Is(err, tt.code) || (tt.is != nil && !errors.Is(err, tt.is)) {
				t.Errorf("got %v (%s)", err, fault.CodeOf(err))
			}
			if got := changesOf(w.aws.sent()); len(got) > 0 {
				t.Errorf("sent %v", got)
			}
		})
	}
	t.Run("no stop switch", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(c *awsapi.Config) { c.StopSwitch = nil })
		if err := run(t.Context(), w.apply(w.plan(fix())), fix()); !errors.Is(err, awsapi.ErrStopped) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAuthorityMustHold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*awsapi.Authority)
		is   error
	}{
		{"no plan", func(a *awsapi.Authority) { a.Plan = nil }, awsapi.ErrNotInPlan},
		{"no recorder", func(a *awsapi.Authority) { a.Recorder = nil }, nil},
		{"no fence", func(a *awsapi.Authority) { a.Fence = nil }, nil},
		{"no execution", func(a *awsapi.Authority) { a.Execution = "" }, nil},
		{"other remediation", func(a *awsapi.Authority) { a.Remediation = "rem-2" }, nil},
		{"other role", func(a *awsapi.Authority) {
			p := *a.Plan
			p.Role = "Admin"
			a.Plan = &p
			a.Hash, _ = p.Hash()
		}, nil},
		{"other hash", func(a *awsapi.Authority) { a.Hash = "0" }, nil},
		{"plan edited after approval", func(a *awsapi.Authority) { p := *a.Plan; p.Control = "S3.9"; a.Plan = &p }, nil},
		{"other guards", func(a *awsapi.Authority) {
			p := *a.Plan
			p.GuardsRevision = "0"
			a.Plan = &p
			a.Hash, _ = p.Hash()
		}, awsapi.ErrSuperseded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.authority(w.plan(fix()))
			tt.set(&a)
			w.aws.sent()
			err := run(t.Context(), w.gate.Applying(as, a), fix())
			if err == nil || (tt.is != nil && !errors.Is(err, tt.is)) || (tt.is == nil && !fault.Is(err, fault.Denied)) {
				t.Errorf("got %v", err)
			}
			if got := w.aws.sent(); len(got) > 0 {
				t.Errorf("sent %v", got)
			}
		})
	}
}

func TestOpenMembersMayComeFromOutputs(t *testing.T) {
	t.Parallel()
	calls := func(id string) []stepCall {
		return []stepCall{
			{"Key", apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region}},
			{"Encrypt", s3("PutBucketEncryption", map[string]any{"ServerSideEncryptionConfiguration": map[string]any{"Rules": []any{
				map[string]any{"ApplyServerSideEncryptionByDefault": map[string]any{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": id}},
			}}})},
			{"Policy", s3("PutBucketPolicy", map[string]any{"Policy": `{"Resource":"` + id + `"}`})},
		}
	}
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	reply, err := p.Call(t.Context(), "Key", calls("")[0].call)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := reply.Output["KeyMetadata"].(map[string]any)
	id, _ := key["KeyId"].(string)
	for _, c := range calls(id)[1:] {
		if _, err := p.Call(t.Context(), c.step, c.call); err != nil {
			t.Fatal(err)
		}
	}
	planned := p.Calls()
	if diff := cmp.Diff([]string{"ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault.KMSMasterKeyID"}, planned[1].FromOutputs); diff != "" {
		t.Error(diff)
	}
	if got, want := planned[2].Input["Policy"], `{"Resource":"<known after apply: Key.KeyMetadata.KeyId>"}`; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	elsewhere := calls("1234-abcd")
	elsewhere[1].call.Input["Bucket"] = "elsewhere"
	for name, tt := range map[string]struct {
		calls []stepCall
		want  string // what is refused; "" = nothing
	}{
		"a plain id":               {calls("1234-abcd"), ""},
		"breaks out of its text":   {calls(`x","Action":"*`), "Policy"},
		"empty":                    {calls(""), "KMSMasterKeyID"},
		"resource scope is fixed":  {elsewhere, "Bucket"},
		"other text around the id": {append(calls("1234-abcd")[:2], stepCall{"Policy", s3("PutBucketPolicy", map[string]any{"Policy": `{"NotResource":"1234-abcd"}`})}), "Policy"},
	} {
		w := newWorld(t)
		err := run(t.Context(), w.apply(w.planOf(planned)), tt.calls)
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, awsapi.ErrNotInPlan) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSensitiveReadIsSentUnderThePlanOnly(t *testing.T) {
	t.Parallel()
	secret := stepCall{"Secret", apimodel.Call{Service: "secretsmanager", Operation: "GetSecretValue", Account: member, Region: region, Input: map[string]any{"SecretId": "db"}}}
	w := newWorld(t)
	plan := w.plan([]stepCall{secret})
	if got := w.aws.sent(); len(got) > 0 {
		t.Errorf("planning sent %v", got)
	}
	if plan.Changes() != 1 || plan.Calls[0].Class != apimodel.SensitiveRead {
		t.Errorf("planned %+v", plan.Calls)
	}
	if err := run(t.Context(), w.apply(plan), []stepCall{secret}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"GetSecretValue"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	w.stop = func(context.Context) (bool, string, error) { return true, "", nil }
	if err := run(t.Context(), w.apply(plan), []stepCall{secret}); !errors.Is(err, awsapi.ErrStopped) {
		t.Errorf("got %v", err)
	}
	other := stepCall{"Secret", secret.call.Clone()}
	other.call.Input = maps.Clone(other.call.Input)
	other.call.Input["SecretId"] = "root"
	if err := run(t.Context(), w.apply(plan), []stepCall{other}); !errors.Is(err, awsapi.ErrNotInPlan) {
		t.Errorf("got %v", err)
	}
}

func TestChangesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	twice := []stepCall{
		{"Script", s3("DeleteBucketPolicy", nil)},
		{"Script", s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)})},
	}
	a := w.authority(w.plan(twice))
	a.MaxChanges = 1
	if err := run(t.Context(), w.gate.Applying(as, a), twice); !fault.Is(err, fault.Exhausted) {
		t.Errorf("got %v", err)
	}
}

func TestIdempotencyTokenIsTheSameAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run1 := stepCall{"Run", apimodel.Call{Service: "ec2", Operation: "RunInstances", Account: member, Region: region, Input: map[string]any{"MinCount": 1, "MaxCount": 1}}}
	plan := w.plan([]stepCall{run1})
	if !plan.Calls[0].Irreversible || plan.Calls[0].Before != nil {
		t.Errorf("planned %+v", plan.Calls[0])
	}
	var tokens []any
	w.aws.there = func(c apimodel.Call) error {
		if c.Operation == "RunInstances" {
			tokens = append(tokens, c.Input["ClientToken"])
			return errLost
		}
		return nil
	}
	for range 2 {
		if err := run(t.Context(), w.apply(plan), []stepCall{run1}); err == nil {
			t.Fatal("lost answers gave no error")
		} else if _, again := fault.IsTransient(err); !again {
			t.Errorf("got %v", err)
		}
	}
	if len(tokens) != 6 || tokens[0] == nil || tokens[0] != tokens[5] {
		t.Errorf("tokens %v", tokens)
	}
	if diff := cmp.Diff([]string{"exec-1/Run/1.1 " + string(remediation.Uncertain)}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
}
