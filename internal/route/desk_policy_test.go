package route_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/buspolicy"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const member = "222222222222"

func callerOf(account string) buspolicy.Caller {
	return buspolicy.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/parry/app"}
}

func TestWhoMayPutEvents(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	may := func(account, source string) error { return d.MayPut(ctx, "default", callerOf(account), source, "t") }
	ok(t, may(deskAccount, "app"))
	refusedPut := func(err error, words string) {
		t.Helper()
		if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), words) {
			t.Errorf("%v; want %q", err, words)
		}
	}
	refusedPut(may(member, "app"), "no resource-based policy allows the events:PutEvents action")

	ok(t, d.PutPermission(ctx, "", buspolicy.Permission{StatementID: "one", Action: route.ActionPut, Principal: member}, "ada"))
	ok(t, may(member, "app"))
	refusedPut(may("333333333333", "app"), "no resource-based policy")
	ok(t, d.SetPolicy(ctx, "default", `{"Version":"2012-10-17","Statement":[
		{"Sid":"all","Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"`+eventsARN+`event-bus/default","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-aaaaaaaaaa"}}},
		{"Sid":"never","Effect":"Deny","Principal":"*","Action":"events:PutEvents","Resource":"`+eventsARN+`event-bus/default","Condition":{"StringEquals":{"events:source":"bad"}}}]}`, "ada"))
	ok(t, may(member, "app")) // of the organization
	refusedPut(may("333333333333", "app"), "no resource-based policy")
	refusedPut(may(member, "bad"), "explicit deny in a resource-based policy (never)")
	refusedPut(may(deskAccount, "bad"), "explicit deny")
	ok(t, d.RemovePermission(ctx, "", "never", "ada"))
	ok(t, may(deskAccount, "bad"))
	refused(t, d.RemovePermission(ctx, "", "never", "ada"), store.ErrNotFound, "Statement with the provided id does not exist.")
	ok(t, d.SetPolicy(ctx, "", "", "ada"))
	refusedPut(may(member, "app"), "no resource-based policy")
	refused(t, d.RemovePermission(ctx, "", "all", "ada"), store.ErrNotFound, "EventBus does not have a policy.")
	refused(t, d.MayPut(ctx, "none", callerOf(deskAccount), "app", "t"), store.ErrNotFound, "Event bus none does not exist.")
}

// TestTheOrganizationOfACaller: a condition on it holds for members alone. Of whom nothing
// is known, such as an account that is suspended or foreign, no operator lets them in.
func TestTheOrganizationOfACaller(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	const foreign = "333333333333"
	for condition, want := range map[string]bool{
		`"StringEquals":{"aws:PrincipalOrgID":"o-aaaaaaaaaa"}`:                                              true,
		`"StringEquals":{"aws:PrincipalOrgID":"o-bbbbbbbbbb"}`:                                              false,
		`"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-aaaaaaaaaa"}`:                                      true,
		`"StringNotEquals":{"aws:PrincipalOrgID":"o-bbbbbbbbbb"}`:                                           true,
		`"StringNotEquals":{"aws:PrincipalOrgID":"o-aaaaaaaaaa"}`:                                           false,
		`"Null":{"aws:PrincipalOrgID":"true"}`:                                                              false,
		`"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-aaaaaaaaaa/r-ab12/ou-ab12-11111111/*"}`:       true,
		`"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-aaaaaaaaaa/r-ab12/ou-ab12-11111111/"}`:      true,
		`"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-aaaaaaaaaa/r-ab12/ou-ab12-22222222/*"}`:       false,
		`"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-aaaaaaaaaa/r-ab12/ou-ab12-11111111/*"}`:      true,
		`"ForAllValues:StringNotLike":{"aws:PrincipalOrgPaths":["o-aaaaaaaaaa/r-ab12/*","o-bbbbbbbbbb/*"]}`: false,
	} {
		policy := func(effect, sid string) string {
			return `{"Sid":"` + sid + `","Effect":"` + effect + `","Principal":"*","Action":"events:PutEvents","Resource":"` + eventsARN + `event-bus/default","Condition":{` + condition + `}}`
		}
		ok(t, d.SetPolicy(ctx, "", `{"Version":"2012-10-17","Statement":[`+policy("Allow", "a")+`]}`, "ada"))
		if err := d.MayPut(ctx, "default", callerOf(member), "app", "t"); (err == nil) != want {
			t.Errorf("a member, %s: %v", condition, err)
		}
		if err := d.MayPut(ctx, "default", callerOf(foreign), "app", "t"); !fault.Is(err, fault.Denied) {
			t.Errorf("nobody knows who, %s: %v", condition, err)
		}
		ok(t, d.SetPolicy(ctx, "", `{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":"events:PutEvents","Resource":"*"},`+policy("Deny", "d")+`]}`, "ada"))
		if err := d.MayPut(ctx, "default", callerOf(foreign), "app", "t"); !fault.Is(err, fault.Denied) {
			t.Errorf("nobody knows who, Deny with %s: %v", condition, err)
		}
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	refused(t, d.SetPolicy(ctx, "", `{"Statement":1}`, "ada"), nil, "")
	refused(t, d.SetPolicy(ctx, "", strings.Repeat(" ", 20_000), "ada"), route.ErrPolicyLength, "too long")
	refused(t, d.SetPolicy(ctx, "none", "", "ada"), store.ErrNotFound, "Event bus none does not exist.")
	refused(t, d.PutPermission(ctx, "", buspolicy.Permission{StatementID: "a b", Action: route.ActionPut, Principal: "*"}, "ada"), nil, "StatementId")
	b, err := d.Bus(ctx, "")
	if err != nil || b.Policy != "" {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestAnotherNodesPolicy: what another node changed counts within a second, and what this
// one changed at once.
func TestAnotherNodesPolicy(t *testing.T) {
	t.Parallel()
	d, s := newDesk(t)
	other := deskOn(t, s)
	ctx := t.Context()
	allow := buspolicy.Permission{StatementID: "one", Action: route.ActionPut, Principal: member}
	may := func(d *route.Desk) bool { return d.MayPut(ctx, "default", callerOf(member), "app", "t") == nil }
	if may(d) || may(other) {
		t.Fatal("a foreign account may put events")
	}
	ok(t, d.PutPermission(ctx, "", allow, "ada"))
	if !may(d) {
		t.Error("the change does not count on its own node")
	}
	clock, _ := s.Clock().(*service.FixedClock)
	clock.Advance(time.Second)
	if !may(other) {
		t.Error("the change does not count on another node after a second")
	}
}

// TestAnEventOfSomebodysOwnFixesNothing: a pattern without a source matches what anybody
// puts on the bus, and that may name a finding of any account.
func TestAnEventOfSomebodysOwnFixesNothing(t *testing.T) {
	t.Parallel()
	rule := route.Rule{
		ID: "on-request", Name: "on-request", Enabled: true, Targets: []route.Target{{Kind: route.Playbook, Name: "S3.8"}},
		Pattern: json.RawMessage(`{"detail-type":["` + pattern.FindingsCustomAction + `"]}`),
	}
	for source, want := range map[string]int{pattern.SourceSecurityHub: 1, "shop": 0, "aws": 0, "my.aws.securityhub": 0} {
		s := &fakeStore{}
		raw := event(t, func(e *bus.Event) { e.Source, e.DetailType = source, pattern.FindingsCustomAction }, report{})
		ok(t, stage(t, s, rule).Handle(t.Context(), raw))
		if got := s.requests(t); len(got) != want {
			t.Errorf("%s: %d requests, want %d", source, len(got), want)
		}
	}
}
