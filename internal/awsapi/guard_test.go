package awsapi_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

func TestGuards(t *testing.T) {
	t.Parallel()
	all := []string{"*"}
	queue := "arn:aws:sqs:eu-west-1:" + hub + ":parry-inbox"
	iam := func(op string, in map[string]any) apimodel.Call {
		return apimodel.Call{Service: "iam", Operation: op, Account: member, Region: region, Input: in}
	}
	in := func(account string, c apimodel.Call) apimodel.Call { c.Account = account; return c }
	tests := []struct {
		name    string
		guards  awsapi.Guards
		call    apimodel.Call
		guard   string // "" = passes
		setting string
	}{
		{"no account is allowed by default", awsapi.Guards{}, s3("DeleteBucketPolicy", nil), "accounts", "organization.accounts"},
		{"a read needs no account", awsapi.Guards{}, s3("GetBucketPolicy", nil), "", ""},
		{"listed account", awsapi.Guards{Accounts: []string{member}}, s3("DeleteBucketPolicy", nil), "", ""},
		{"other account", awsapi.Guards{Accounts: []string{member}}, in(hub, s3("DeleteBucketPolicy", nil)), "accounts", "organization.accounts"},
		{"management account", awsapi.Guards{Accounts: all, ManagementAccount: member}, s3("DeleteBucketPolicy", nil), "management account", "organization.management_account"},
		{"management account allowed", awsapi.Guards{Accounts: all, ManagementAccount: member, AllowManagement: true}, s3("DeleteBucketPolicy", nil), "", ""},
		{"sensitive read there", awsapi.Guards{Accounts: all, ManagementAccount: member}, apimodel.Call{
			Service: "secretsmanager", Operation: "GetSecretValue", Account: member, Input: map[string]any{"SecretId": "x"},
		}, "management account", "organization.management_account"},
		{"own role", awsapi.Guards{Accounts: all, OwnRoles: []string{role}}, iam("DeleteRolePolicy", map[string]any{"RoleName": role, "PolicyName": "p"}), "own roles", "organization.member_role"},
		{"own role in another case", awsapi.Guards{Accounts: all, OwnRoles: []string{role}}, iam("delete_role", map[string]any{"RoleName": "parrymemberrole"}), "own roles", "organization.member_role"},
		{"own role by ARN", awsapi.Guards{Accounts: all, OwnRoles: []string{"path/" + role}}, iam("TagRole", map[string]any{"RoleName": "arn:aws:iam::1:role/path/" + role}), "own roles", "organization.member_role"},
		{"other role", awsapi.Guards{Accounts: all, OwnRoles: []string{role}}, iam("DeleteRole", map[string]any{"RoleName": role + "2"}), "", ""},
		{"own queue by URL", awsapi.Guards{Accounts: all, OwnResources: []string{queue}}, apimodel.Call{
			Service: "sqs", Operation: "DeleteQueue", Account: hub, Region: region, Input: map[string]any{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/" + hub + "/parry-inbox"},
		}, "own resources", "guards.resources"},
		{"own key by ARN", awsapi.Guards{Accounts: all, OwnResources: []string{"arn:aws:kms:eu-west-1:9:key/k-1"}}, apimodel.Call{
			Service: "kms", Operation: "DisableKey", Account: member, Input: map[string]any{"KeyId": "arn:aws:kms:eu-west-1:9:key/k-1"},
		}, "own resources", "guards.resources"},
		{"own key by id", awsapi.Guards{Accounts: all, OwnResources: []string{"arn:aws:kms:eu-west-1:9:key/k-1"}}, apimodel.Call{
			Service: "kms", Operation: "ScheduleKeyDeletion", Account: member, Input: map[string]any{"KeyId": "k-1"},
		}, "own resources", "guards.resources"},
		{"own bucket", awsapi.Guards{Accounts: all, OwnResources: []string{"arn:aws:s3:::open"}}, s3("DeleteBucketPolicy", nil), "own resources", "guards.resources"},
		{"deep in a list", awsapi.Guards{Accounts: all, OwnResources: []string{queue}}, apimodel.Call{
			Service: "resourcegroupstaggingapi", Operation: "TagResources", Account: member,
			Input: map[string]any{"ResourceARNList": []string{"arn:aws:s3:::x", queue}, "Tags": map[string]string{"a": "b"}},
		}, "own resources", "guards.resources"},
		{"a longer name is another resource", awsapi.Guards{Accounts: all, OwnResources: []string{"arn:aws:s3:::op"}}, s3("PutBucketPolicy", map[string]any{"Policy": `"arn:aws:s3:::open/*"`}), "", ""},
		{"break-glass user", awsapi.Guards{Accounts: all, BreakGlass: []string{"arn:aws:iam::1:user/rescue"}}, iam("DeleteAccessKey", map[string]any{"UserName": "rescue", "AccessKeyId": "A"}), "break-glass principals", "guards.break_glass"},
		{"deny rule", awsapi.Guards{Accounts: all, Deny: []awsapi.Rule{{ID: "no-delete", Services: []string{"s3"}, Operations: []string{"delete*"}, Reason: "ask first"}}}, s3("DeleteBucketPolicy", nil), "deny rule no-delete", "guards.deny"},
		{"deny rule for another service", awsapi.Guards{Accounts: all, Deny: []awsapi.Rule{{Services: []string{"ec2"}}}}, s3("DeleteBucketPolicy", nil), "", ""},
		{"deny rule by role", awsapi.Guards{Accounts: all, Deny: []awsapi.Rule{{Roles: []string{"Parry*"}}}}, s3("DeleteBucketPolicy", nil), "deny rule without id", "guards.deny"},
		{"deny rule by region", awsapi.Guards{Accounts: all, Deny: []awsapi.Rule{{Regions: []string{"us-?ast-1"}}}}, s3("DeleteBucketPolicy", nil), "", ""},
		{"deny rule leaves reads", awsapi.Guards{Accounts: all, Deny: []awsapi.Rule{{}}}, s3("GetBucketPolicy", nil), "", ""},
		{"deny rule for reads", awsapi.Guards{Accounts: all, Deny: []awsapi.Rule{{Reads: true}}}, s3("GetBucketPolicy", nil), "deny rule", "guards.deny"},
		{"allow rules", awsapi.Guards{Accounts: all, Allow: []awsapi.Rule{{Services: []string{"s3"}, Accounts: []string{member}}}}, s3("DeleteBucketPolicy", nil), "", ""},
		{"not among the allow rules", awsapi.Guards{Accounts: all, Allow: []awsapi.Rule{{Operations: []string{"Put*Block"}}}}, s3("DeleteBucketPolicy", nil), "allow rules", "guards.allow"},
		{"deny wins", awsapi.Guards{Accounts: all, Allow: []awsapi.Rule{{}}, Deny: []awsapi.Rule{{}}}, s3("DeleteBucketPolicy", nil), "deny rule", "guards.deny"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) { c.Guards = tt.guards })
			_, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", tt.call)
			if tt.guard == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), tt.guard) || !strings.Contains(fault.HintOf(err), tt.setting) {
				t.Errorf("got %v, hint %q", err, fault.HintOf(err))
			}
			if got := changesOf(w.aws.sent()); len(got) > 0 {
				t.Errorf("sent %v", got)
			}
		})
	}
}

// TestGuardsHoldWhenApplied: a plan that passed earlier guards is held against
// those in force.
func TestGuardsHoldWhenApplied(t *testing.T) {
	t.Parallel()
	open := newWorld(t)
	plan := open.plan(fix())
	closed := newWorld(t, func(c *awsapi.Config) { c.Guards = awsapi.Guards{} })
	plan.GuardsRevision = closed.gate.GuardsRevision() // as if it had been planned under them
	err := run(t.Context(), closed.apply(plan), fix())
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `guard "accounts"`) {
		t.Errorf("got %v", err)
	}
	if got := closed.aws.sent(); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
}

func TestGuardsRevision(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range []awsapi.Guards{
		{},
		{ManagementAccount: "1"},
		{AllowManagement: true},
		{Accounts: []string{"1"}},
		{OwnRoles: []string{"1"}},
		{OwnResources: []string{"1"}},
		{BreakGlass: []string{"1"}},
		{Allow: []awsapi.Rule{{ID: "1"}}},
		{Deny: []awsapi.Rule{{ID: "1"}}},
		{Deny: []awsapi.Rule{{ID: "1", Reads: true}}},
	} {
		if r := g.Revision(); len(r) != 64 || seen[r] {
			t.Errorf("revision %q of %+v is not its own", r, g)
		} else {
			seen[r] = true
		}
	}
}

func TestGuardsThatCannotBeReadOpenNothing(t *testing.T) {
	t.Parallel()
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	_, err = awsapi.New(awsapi.Config{
		Sender: newFakeAWS(), Models: models, Credentials: &fakeCredentials{},
		Guards: awsapi.Guards{Deny: []awsapi.Rule{{ID: "r", Services: []string{""}}}},
	})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"r"`) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	for name, c := range map[string]awsapi.Config{
		"sender": {Models: models, Credentials: &fakeCredentials{}}, "models": {Sender: newFakeAWS(), Credentials: &fakeCredentials{}},
		"credentials": {Sender: newFakeAWS(), Models: models},
	} {
		if _, err := awsapi.New(c); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// FuzzGlob holds the patterns of guards against the obvious slow definition.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"*a?c*", "xabcx"}, {"", ""}, {"*", ""}, {"a*", "b"}, {"*ab", "aab"}, {"?*?", "a"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 12 || len(text) > 24 {
			return
		}
		if got, want := awsapi.Glob(pattern, text), slowGlob(pattern, text); got != want {
			t.Errorf("%q on %q: got %v, want %v", pattern, text, got, want)
		}
	})
}

func slowGlob(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return slowGlob(p[1:], s) || s != "" && slowGlob(p, s[1:])
	default:
		return s != "" && (p[0] == '?' || p[0] == s[0]) && slowGlob(p[1:], s[1:])
	}
}
