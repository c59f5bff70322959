package awsapi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// held plans c under rules and gives the guard that refused it, "" for none.
func held(t *testing.T, w *world, c apimodel.Call) error {
	t.Helper()
	_, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", c)
	if err != nil && !fault.Is(err, fault.Denied) {
		t.Errorf("not a refusal: %v", err)
	}
	if got := changesOf(w.aws.sent()); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
	return err
}

func deny(rules ...awsapi.Rule) awsapi.Guards {
	return awsapi.Guards{Accounts: []string{"*"}, Deny: rules}
}

func allow(rules ...awsapi.Rule) awsapi.Guards {
	return awsapi.Guards{Accounts: []string{"*"}, Allow: rules}
}

func TestRulesByUnitAndAccountTag(t *testing.T) {
	t.Parallel()
	unit := func(u ...string) awsapi.Rule { return awsapi.Rule{ID: "r", Units: u} }
	tagged := func(k, v string) awsapi.Rule { return awsapi.Rule{ID: "r", AccountTags: map[string]string{k: v}} }
	prod := org.Account{ID: member, Unit: "prod/payments", Tags: map[string]string{"Tier": "1", "Owner": ""}}
	tests := []struct {
		name    string
		guards  awsapi.Guards
		account org.Account
		refused string // "" = passes
	}{
		{"the unit itself", deny(unit("prod/payments")), prod, "deny rule r"},
		{"a unit above it", deny(unit("prod")), prod, "deny rule r"},
		{"in another case, with slashes", deny(unit("/PROD/")), prod, "deny rule r"},
		{"a pattern", deny(unit("*/pay*")), prod, "deny rule r"},
		{"a unit beside it", deny(unit("prod/pay", "dev", "payments")), prod, ""},
		{"allowed above it", allow(unit("prod")), prod, ""},
		{"allowed beside it", allow(unit("dev")), prod, "allow rules"},
		{"a unit that is not known is denied", deny(unit("dev")), org.Account{ID: member}, "it may apply: the unit of account"},
		{"a unit that is not known is not allowed", allow(unit("*")), org.Account{ID: member}, "the unit of account"},
		{"an account that is not known", deny(unit("dev")), org.Account{ID: "1"}, "is not known"},
		{"an account's tag", deny(tagged("Tier", "1")), prod, "deny rule r"},
		{"a tag with any value", deny(tagged("owner", "*")), prod, "deny rule r"},
		{"another value", deny(tagged("Tier", "2")), prod, ""},
		{"no such tag", deny(tagged("Team", "*")), prod, ""},
		{"allowed by tag", allow(tagged("Tier", "?")), prod, ""},
		{"not allowed by tag", allow(tagged("Team", "*")), prod, "allow rules"},
		{"tags that were not read are denied", deny(tagged("Team", "x")), org.Account{ID: member, TagsUnknown: true}, "the tags of account"},
		{"tags that were not read are not allowed", allow(tagged("Tier", "*")), org.Account{ID: member, TagsUnknown: true}, "the tags of account"},
		{"suspended", allow(), org.Account{ID: member, State: org.Suspended}, "cannot be worked in: AWS Organizations has it as SUSPENDED"},
		{"closed", allow(), org.Account{ID: member, State: org.Closed}, "CLOSED"},
		{"a state that is not known", allow(), org.Account{ID: member, State: "FROZEN"}, "FROZEN"},
		{"gone", allow(), org.Account{ID: member, State: org.Left}, "no longer in the organization"},
		{"active", allow(), org.Account{ID: member, State: org.Active}, ""},
		{"a member of the organization", awsapi.Guards{Organization: true}, org.Account{ID: member, State: org.Active}, ""},
		{"one that is only listed elsewhere", awsapi.Guards{Organization: true}, org.Account{ID: member}, "not one in which changes are allowed"},
		{"a stranger to the organization", awsapi.Guards{Organization: true}, org.Account{ID: "1", State: org.Active}, "not one in which changes are allowed"},
		{"a member where it is not followed", awsapi.Guards{}, org.Account{ID: member, State: org.Active}, "not one in which changes are allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) {
				c.Guards = tt.guards
				c.Account = func(id string) (org.Account, bool) { return tt.account, id == tt.account.ID }
			})
			err := held(t, w, s3("DeleteBucketPolicy", nil))
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("got %v, want %q", err, tt.refused)
			}
		})
	}
}

// TestAnAccountThatMoves is held against where it is when the change leaves.
func TestAnAccountThatMoves(t *testing.T) {
	t.Parallel()
	unit := "dev"
	w := newWorld(t, func(c *awsapi.Config) {
		c.Guards.Deny = []awsapi.Rule{{ID: "prod", Units: []string{"prod"}}}
		c.Account = func(id string) (org.Account, bool) { return org.Account{ID: id, Unit: unit}, true }
	})
	plan := w.plan(fix())
	w.aws.sent()
	unit = "prod"
	err := run(t.Context(), w.apply(plan), fix())
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "deny rule prod") || len(w.aws.sent()) > 0 {
		t.Errorf("got %v", err)
	}
}

// TestAnAccountThatIsSuspended between plan and apply is not called at all, nor read.
func TestAnAccountThatIsSuspended(t *testing.T) {
	t.Parallel()
	state := org.Active
	w := newWorld(t, func(c *awsapi.Config) {
		c.Account = func(id string) (org.Account, bool) { return org.Account{ID: id, State: state}, true }
	})
	plan := w.plan(fix())
	w.aws.sent()
	state = org.PendingClosure
	err := run(t.Context(), w.apply(plan), fix())
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "PENDING_CLOSURE") || !strings.Contains(fault.HintOf(err), "parry org show") || len(w.aws.sent()) > 0 {
		t.Errorf("got %v", err)
	}
	read := apimodel.Call{Service: "s3", Operation: "GetBucketPolicy", Account: member, Region: region, Input: map[string]any{"Bucket": "open"}}
	if _, err := w.gate.ReadOnly(as).Call(t.Context(), "x", read); !fault.Is(err, fault.Denied) || len(w.aws.sent()) > 0 {
		t.Errorf("a read: %v", err)
	}
	reached, err := w.gate.Reach(t.Context(), as, member)
	if err != nil {
		t.Fatalf("whoever asks whether the role is there asks STS alone: %v", err)
	}
	if _, err := reached.Regions(t.Context()); !fault.Is(err, fault.Denied) || len(w.aws.sent()) > 0 {
		t.Errorf("its Regions: %v", err)
	}
}

func TestRulesByResource(t *testing.T) {
	t.Parallel()
	on := func(arns ...string) awsapi.Rule { return awsapi.Rule{ID: "r", Resources: arns} }
	call := func(service, op string, in map[string]any) apimodel.Call {
		return apimodel.Call{Service: service, Operation: op, Account: member, Region: region, Input: in}
	}
	unnamed := call("ec2", "AuthorizeSecurityGroupIngress", map[string]any{"GroupName": "web"})
	tests := []struct {
		name    string
		guards  awsapi.Guards
		call    apimodel.Call
		refused string
	}{
		{"a bucket", deny(on("arn:aws:s3:::op*")), s3("DeleteBucketPolicy", nil), "deny rule r"},
		{"in another case", deny(on("arn:aws:s3:::OPEN")), s3("DeleteBucketPolicy", nil), "deny rule r"},
		{"another bucket", deny(on("arn:aws:s3:::other")), s3("DeleteBucketPolicy", nil), ""},
		{"an object of it", deny(on("arn:aws:s3:::open*")), s3("DeleteObject", map[string]any{"Key": "a/b"}), "deny rule r"},
		{"one of several instances", deny(on("arn:aws:ec2:*:*:instance/i-2")), call("ec2", "StopInstances", map[string]any{"InstanceIds": []any{"i-1", "i-2"}}), "r"},
		{"a role whose path is not known", deny(on("arn:aws:iam::*:role/admin/Boss")), call("iam", "DeleteRole", map[string]any{"RoleName": "Boss"}), "it may apply"},
		{"what cannot be named", deny(on("arn:aws:ec2:*:*:security-group/sg-1")), unnamed, "it may apply: what ec2:AuthorizeSecurityGroupIngress touches is known as * only"},
		{"allowed", allow(on("arn:aws:s3:::open")), s3("DeleteBucketPolicy", nil), ""},
		{"allowed in another case is not", allow(on("arn:aws:s3:::OPEN")), s3("DeleteBucketPolicy", nil), "allow rules"},
		{"only one of two is allowed", allow(on("arn:aws:ec2:*:*:instance/i-2")), call("ec2", "StopInstances", map[string]any{"InstanceIds": []any{"i-1", "i-2"}}), "allow rules"},
		{"what cannot be named is not allowed", allow(on("arn:aws:ec2:*")), unnamed, "it cannot be told"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) { c.Guards = tt.guards })
			err := held(t, w, tt.call)
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("got %v, want %q", err, tt.refused)
			}
		})
	}
}

// TestRulesByTag: the bucket's tags are read, and nothing else is.
func TestRulesByTag(t *testing.T) {
	t.Parallel()
	tagged := func(k, v string) awsapi.Rule { return awsapi.Rule{ID: "r", Tags: map[string]string{k: v}} }
	prod := map[string]string{"Environment": "prod", "Team": ""}
	missing := &apimodel.APIError{Service: "s3", Code: "NoSuchTagSet", HTTPStatus: 404}
	forbidden := &apimodel.APIError{Service: "s3", Code: "AccessDenied", HTTPStatus: 403}
	tests := []struct {
		name    string
		guards  awsapi.Guards
		tags    map[string]string
		err     error
		call    apimodel.Call
		refused string
		read    bool
	}{
		{"the tag", deny(tagged("Environment", "prod")), prod, nil, s3("DeleteBucketPolicy", nil), "deny rule r", true},
		{"a pattern, in another case", deny(tagged("ENVIRONMENT", "PR*")), prod, nil, s3("DeleteBucketPolicy", nil), "deny rule r", true},
		{"a key with any value, even none", deny(tagged("Team", "*")), prod, nil, s3("DeleteBucketPolicy", nil), "deny rule r", true},
		{"another value", deny(tagged("Environment", "dev")), prod, nil, s3("DeleteBucketPolicy", nil), "", true},
		{"both tags are needed", deny(awsapi.Rule{ID: "r", Tags: map[string]string{"Environment": "prod", "Owner": "*"}}), prod, nil, s3("DeleteBucketPolicy", nil), "", true},
		{"no tags", deny(tagged("Environment", "prod")), nil, missing, s3("DeleteBucketPolicy", nil), "", true},
		{"tags that cannot be read", deny(tagged("Environment", "dev")), nil, forbidden, s3("DeleteBucketPolicy", nil), "it may apply: the tags of arn:aws:s3:::open cannot be read", true},
		{"tags that cannot be read allow nothing", allow(tagged("Environment", "*")), nil, forbidden, s3("DeleteBucketPolicy", nil), "it cannot be told", true},
		{"allowed", allow(tagged("Environment", "prod")), prod, nil, s3("DeleteBucketPolicy", nil), "", true},
		{"allowed in another case is not", allow(tagged("environment", "prod")), prod, nil, s3("DeleteBucketPolicy", nil), "allow rules", true},
		{"a rule for another service reads nothing", deny(awsapi.Rule{ID: "r", Services: []string{"ec2"}, Tags: prod}), prod, nil, s3("DeleteBucketPolicy", nil), "", false},
		{"a rule for another bucket reads nothing", deny(awsapi.Rule{ID: "r", Resources: []string{"arn:aws:s3:::x"}, Tags: prod}), prod, nil, s3("DeleteBucketPolicy", nil), "", false},
		{"the tag that a call sets", deny(tagged("Environment", "prod")), nil, missing, s3("PutBucketTagging", map[string]any{
			"Tagging": map[string]any{"TagSet": []any{map[string]any{"Key": "Environment", "Value": "prod"}}},
		}), "deny rule r", true},
		{"a read is not asked", deny(tagged("Environment", "prod")), prod, nil, s3("GetBucketPolicy", nil), "", false},
		{"what cannot be named", deny(tagged("Environment", "prod")), nil, nil, apimodel.Call{
			Service: "iam", Operation: "UpdateAccountPasswordPolicy", Account: member, Region: region, Input: map[string]any{"MinimumPasswordLength": 14},
		}, "cannot be named well enough", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) { c.Guards = tt.guards })
			read := 0
			w.aws.there = func(c apimodel.Call) error {
				if c.Operation == "GetBucketTagging" {
					read++
					w.aws.tags = tt.tags
					return tt.err
				}
				return nil
			}
			err := held(t, w, tt.call)
			if (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
				t.Errorf("got %v, want %q", err, tt.refused)
			}
			if (read == 1) != tt.read || read > 1 {
				t.Errorf("tags were read %d times", read)
			}
		})
	}
}

// TestTagsAreReadAgainBeforeTheChange, so that one that was set after the plan
// holds; and a change that was made before is not asked about again.
func TestTagsAreReadAgainBeforeTheChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *awsapi.Config) {
		c.Guards.Deny = []awsapi.Rule{{ID: "keep", Tags: map[string]string{"Keep": "*"}, Reason: "evidence"}}
	})
	plan := w.plan(fix())
	if err := run(t.Context(), w.apply(plan), fix()[:1]); err != nil {
		t.Fatal(err)
	}
	w.aws.sent()
	w.aws.tags = map[string]string{"Keep": "until 2030"}
	err := run(t.Context(), w.apply(plan), fix()) // a restart
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `Policy: call s3:DeleteBucketPolicy: refused by guard "deny rule keep": evidence`) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{"GetBucketPolicy", "GetBucketTagging"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]awsapi.Rule, awsapi.MaxRules+1)
	long := strings.Repeat("x", 300)
	for name, tt := range map[string]struct {
		key   string
		rules []awsapi.Rule
		want  string
	}{
		"too many":         {"guards.deny", many, "guards.deny has 501 rules"},
		"the same id":      {"guards.deny", []awsapi.Rule{{ID: "a"}, {ID: "a"}}, "guards.deny[1].id"},
		"an empty entry":   {"guards.allow", []awsapi.Rule{{}, {Units: []string{""}}}, "guards.allow[1].units"},
		"a long entry":     {"guards.allow", []awsapi.Rule{{Roles: []string{long}}}, "guards.allow[0].roles"},
		"an empty tag":     {"guards.deny", []awsapi.Rule{{Tags: map[string]string{"": "x"}}}, "guards.deny[0].tags"},
		"a long reason":    {"guards.deny", []awsapi.Rule{{Reason: strings.Repeat(long, 4)}}, "guards.deny[0]"},
		"reads allowed":    {"guards.allow", []awsapi.Rule{{Reads: true}}, "guards.allow[0].reads"},
		"reads by tag":     {"guards.deny", []awsapi.Rule{{Reads: true, Tags: map[string]string{"a": "b"}}}, "guards.deny[0].reads"},
		"no ARN":           {"guards.deny", []awsapi.Rule{{Resources: []string{"bucket"}}}, "guards.deny[0].resources"},
		"too many entries": {"guards.deny", []awsapi.Rule{{Accounts: make([]string, 1001)}}, "guards.deny[0].accounts has 1001"},
	} {
		if err := awsapi.ValidateRules(tt.key, tt.rules); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := awsapi.ValidateRules("guards.deny", []awsapi.Rule{{}, {Tags: map[string]string{"a": ""}}, {Resources: []string{"*"}}}); err != nil {
		t.Error(err)
	}
}

// FuzzOverlap: two patterns that match the same text overlap.
func FuzzOverlap(f *testing.F) {
	f.Add("a*c", "*bc", "abc")
	f.Add("arn:*:role/x", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/x")
	f.Fuzz(func(t *testing.T, a, b, text string) {
		if len(a) > 64 || len(b) > 64 || len(text) > 128 {
			return
		}
		if awsapi.Glob(a, text) && awsapi.Glob(b, text) && !awsapi.Overlap(a, b) {
			t.Errorf("%q and %q both match %q", a, b, text)
		}
		if awsapi.Overlap(a, b) != awsapi.Overlap(b, a) {
			t.Errorf("%q and %q: it depends on the order", a, b)
		}
		if plain := strings.NewReplacer("*", "", "?", "").Replace(b); awsapi.Overlap(a, plain) != awsapi.Glob(a, plain) {
			t.Errorf("%q on the plain text %q: not what it matches", a, plain)
		}
	})
}
