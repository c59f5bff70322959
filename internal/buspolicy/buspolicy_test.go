package buspolicy_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/buspolicy"
	"github.com/parry-security/parry/internal/fault"
)

const (
	bus   = "arn:aws:events:us-east-1:123456789012:event-bus/central-event-bus"
	owner = "123456789012"
	other = "111112222333"
)

func parse(t *testing.T, text string) buspolicy.Policy {
	t.Helper()
	p, err := buspolicy.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// statement makes a policy of one statement about PutEvents on the bus by anyone, with
// members added or, as they come later, replaced.
func statement(effect, members string) string {
	principal, action, resource := `"Principal":"*",`, `"Action":"events:PutEvents",`, `"Resource":"`+bus+`"`
	for _, m := range []string{"Principal", "Action", "Resource"} {
		if strings.Contains(members, `"`+m+`"`) || strings.Contains(members, `"Not`+m+`"`) {
			switch m {
			case "Principal":
				principal = ""
			case "Action":
				action = ""
			default:
				resource = `"Sid":"x"`
			}
		}
	}
	if members != "" {
		members = "," + members
	}
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `",` + principal + action + resource + members + `}}`
}

func put(account string) buspolicy.Request {
	return buspolicy.Request{
		Caller: buspolicy.Caller{ARN: "arn:aws:sts::" + account + ":assumed-role/app/session", RoleARN: "arn:aws:iam::" + account + ":role/app", Account: account},
		Action: "events:PutEvents", Resource: bus, Context: map[string][]string{},
	}
}

// with gives a request with values of one condition key.
func with(r buspolicy.Request, key string, values ...string) buspolicy.Request {
	context := map[string][]string{key: values}
	for k, v := range r.Context {
		context[k] = v
	}
	r.Context = context
	return r
}

func decide(t *testing.T, policy string, r buspolicy.Request) buspolicy.Verdict {
	t.Helper()
	return parse(t, policy).Decide(r).Verdict
}

// TestExamplesOfTheGuide has the example policies for event buses and the template.
func TestExamplesOfTheGuide(t *testing.T) {
	t.Parallel()
	t.Run("another account", func(t *testing.T) {
		t.Parallel()
		policy := statement("Allow", `"Principal":{"AWS":"arn:aws:iam::111112222333:root"},"Sid":"sid1"`)
		for account, want := range map[string]buspolicy.Verdict{other: buspolicy.Allowed, "444455556666": buspolicy.Silent, owner: buspolicy.Silent} {
			if got := decide(t, policy, put(account)); got != want {
				t.Errorf("%s: %s", account, got)
			}
		}
		elsewhere := put(other)
		elsewhere.Resource += "2"
		if got := decide(t, policy, elsewhere); got != buspolicy.Silent {
			t.Errorf("another bus: %s", got)
		}
		remove := put(other)
		remove.Action = "events:DeleteRule"
		if got := decide(t, policy, remove); got != buspolicy.Silent {
			t.Errorf("another action: %s", got)
		}
	})
	t.Run("a source and a type", func(t *testing.T) {
		t.Parallel()
		policy := statement("Allow", `"Action":["events:PutEvents"],"Condition":{"ForAllValues:StringEquals":{"events:source":"com.exampleCorp.webStore","events:detail-type":"newOrderCreated"}}`)
		for _, c := range []struct {
			source, detailType string
			want               buspolicy.Verdict
		}{
			{"com.exampleCorp.webStore", "newOrderCreated", buspolicy.Allowed},
			{"com.exampleCorp.webStore", "orderPaid", buspolicy.Silent},
			{"com.exampleCorp.webstore", "newOrderCreated", buspolicy.Silent},
		} {
			r := with(with(put(other), buspolicy.Source, c.source), buspolicy.DetailType, c.detailType)
			if got := decide(t, policy, r); got != c.want {
				t.Errorf("%s, %s: %s", c.source, c.detailType, got)
			}
		}
	})
	t.Run("the same account, without a principal", func(t *testing.T) {
		t.Parallel()
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["events:PutEvents"],"Resource":["` + bus + `"]}]}`
		if decide(t, policy, put(owner)) != buspolicy.Allowed || decide(t, policy, put(other)) != buspolicy.Silent {
			t.Error("it means the bus's own account")
		}
		nobody := buspolicy.Request{Caller: buspolicy.Caller{Service: "events.amazonaws.com"}, Action: "events:PutEvents", Resource: "arn:aws:events:us-east-1::event-bus/b"}
		if decide(t, strings.Replace(policy, bus, nobody.Resource, 1), nobody) != buspolicy.Silent {
			t.Error("no account is the account of a bus without one")
		}
	})
	t.Run("Regions", func(t *testing.T) {
		t.Parallel()
		allow := `{"Sid":"1AllowAnyEventsFromAccount111112222333","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111112222333:root"},"Action":"events:PutEvents","Resource":"` + bus + `"}`
		deny := `{"Sid":"2DenyAllCrossRegionUSWest2Events","Effect":"Deny","Principal":{"AWS":"*"},"Action":"events:PutEvents","Resource":"` + bus + `","Condition":{"ArnEquals":{"aws:SourceArn":["arn:aws:events:us-west-2:*:*"]}}}`
		policy := parse(t, `{"Version":"2012-10-17","Statement":[`+allow+`,`+deny+`]}`)
		for rule, want := range map[string]buspolicy.Decision{
			"arn:aws:events:us-west-2:111112222333:rule/CrossRegionBus/r":  {Verdict: buspolicy.Denied, Statement: "2DenyAllCrossRegionUSWest2Events"},
			"arn:aws:events:me-south-1:111112222333:rule/CrossRegionBus/r": {Verdict: buspolicy.Allowed, Statement: "1AllowAnyEventsFromAccount111112222333"},
		} {
			if got := policy.Decide(with(put(other), buspolicy.SourceArn, rule)); got != want {
				t.Errorf("%s: %+v", rule, got)
			}
		}
		if got := policy.Decide(put(other)); got.Verdict != buspolicy.Allowed {
			t.Errorf("no rule: %+v", got)
		}
	})
	t.Run("rules", func(t *testing.T) {
		t.Parallel()
		policy := statement("Allow", `"Condition":{"ArnEquals":{"aws:SourceArn":["arn:aws:events:us-west-2:111112222333:rule/B/Send","arn:aws:events:me-south-1:111112222333:rule/B/Send"]}}`)
		for rule, want := range map[string]buspolicy.Verdict{
			"arn:aws:events:us-west-2:111112222333:rule/B/Send":  buspolicy.Allowed,
			"arn:aws:events:us-west-2:111112222333:rule/B/Send2": buspolicy.Silent,
			"Send": buspolicy.Silent,
		} {
			if got := decide(t, policy, with(put(other), buspolicy.SourceArn, rule)); got != want {
				t.Errorf("%s: %s", rule, got)
			}
		}
	})
	t.Run("organization", func(t *testing.T) {
		t.Parallel()
		policy := statement("Allow", `"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-yourOrgID"}}`)
		for org, want := range map[string]buspolicy.Verdict{"o-yourOrgID": buspolicy.Allowed, "o-yourorgid": buspolicy.Silent, "": buspolicy.Silent} {
			r := put(other)
			if org != "" {
				r = with(r, buspolicy.PrincipalOrgID, org)
			}
			if got := decide(t, policy, r); got != want {
				t.Errorf("%s: %s", org, got)
			}
		}
	})
	t.Run("rules that they created", func(t *testing.T) {
		t.Parallel()
		policy := statement("Allow", `"Principal":{"AWS":"111112222333"},"Action":["events:PutRule","events:PutTargets","events:*Rule"],"Resource":"arn:aws:events:us-east-1:123456789012:rule/central-event-bus/*","Condition":{"StringEqualsIfExists":{"events:creatorAccount":"${aws:PrincipalAccount}"}}`)
		for creator, want := range map[string]buspolicy.Verdict{other: buspolicy.Allowed, owner: buspolicy.Silent, "": buspolicy.Allowed} {
			for _, action := range []string{"events:PutRule", "EVENTS:puttargets", "events:DisableRule"} {
				r := put(other)
				r.Action, r.Resource = action, "arn:aws:events:us-east-1:123456789012:rule/central-event-bus/mine"
				if creator != "" {
					r = with(r, buspolicy.CreatorAccount, creator)
				}
				if got := decide(t, policy, r); got != want {
					t.Errorf("%s of %s: %s", action, creator, got)
				}
			}
		}
	})
}

func TestPrincipals(t *testing.T) {
	t.Parallel()
	session := put(other)
	user := buspolicy.Request{Caller: buspolicy.Caller{ARN: "arn:aws:iam::111112222333:user/ann", Account: other}, Action: "events:PutEvents", Resource: bus}
	events := buspolicy.Request{Caller: buspolicy.Caller{Service: "events.amazonaws.com"}, Action: "events:PutEvents", Resource: bus}
	for _, c := range []struct {
		principal              string
		session, user, service bool
	}{
		{`"*"`, true, true, false},
		{`{"AWS":"*"}`, true, true, false},
		{`{"AWS":["444455556666","111112222333"]}`, true, true, false},
		{`{"AWS":"arn:aws:iam::111112222333:role/app"}`, true, false, false},
		{`{"AWS":"arn:aws:sts::111112222333:assumed-role/app/session"}`, true, false, false},
		{`{"AWS":"arn:aws:sts::111112222333:assumed-role/app/another"}`, false, false, false},
		{`{"AWS":"arn:aws:iam::111112222333:user/ann"}`, false, true, false},
		{`{"AWS":"arn:aws:iam::444455556666:root"}`, false, false, false},
		{`{"Service":"events.amazonaws.com"}`, false, false, true},
		{`{"Service":["s3.amazonaws.com"],"AWS":"111112222333"}`, true, true, false},
	} {
		for name, one := range map[string]struct {
			r    buspolicy.Request
			want bool
		}{"session": {session, c.session}, "user": {user, c.user}, "service": {events, c.service}} {
			if got := decide(t, statement("Allow", `"Principal":`+c.principal), one.r) == buspolicy.Allowed; got != one.want {
				t.Errorf("%s, %s: %v", c.principal, name, got)
			}
		}
	}
	if decide(t, statement("Deny", ""), events) != buspolicy.Denied {
		t.Error("a Deny for everyone spares a service")
	}
}

// TestConditions: the verdict of one condition in an Allow and in a Deny, with the values
// that the request has for the key.
func TestConditions(t *testing.T) {
	t.Parallel()
	const src = buspolicy.Source
	for _, c := range []struct {
		condition   string
		key         string
		have        []string
		allow, deny bool
	}{
		{`"StringEquals":{"events:source":["a","b"]}`, src, []string{"b"}, true, true},
		{`"StringEquals":{"EVENTS:Source":"a"}`, src, []string{"a"}, true, true},
		{`"StringEquals":{"events:source":"A"}`, src, []string{"a"}, false, false},
		{`"StringEquals":{"events:source":"a*"}`, src, []string{"ab"}, false, false},
		{`"StringEquals":{"events:source":"a"}`, src, nil, false, false},
		{`"StringEqualsIfExists":{"events:source":"a"}`, src, nil, true, true},
		{`"StringEqualsIfExists":{"events:source":"a"}`, src, []string{"b"}, false, false},
		{`"StringNotEquals":{"events:source":"a"}`, src, []string{"b"}, true, true},
		{`"StringNotEquals":{"events:source":"a"}`, src, nil, true, true},
		{`"StringNotEquals":{"events:source":["a","b"]}`, src, []string{"b"}, false, false},
		{`"StringEqualsIgnoreCase":{"events:source":"AWS.ec2"}`, src, []string{"aws.EC2"}, true, true},
		{`"StringNotEqualsIgnoreCase":{"events:source":"AWS.ec2"}`, src, []string{"aws.EC2"}, false, false},
		{`"StringLike":{"events:source":"com.*.shop?"}`, src, []string{"com.a.b.shop1"}, true, true},
		{`"StringLike":{"events:source":"com.*.shop?"}`, src, []string{"com.a.shop"}, false, false},
		{`"StringLike":{"events:source":"é?"}`, src, []string{"éü"}, true, true},
		{`"stringnotlike":{"events:source":"com.*"}`, src, []string{"com.a"}, false, false},
		{`"StringNotLikeIfExists":{"events:source":"com.*"}`, src, nil, true, true},
		{`"Null":{"events:source":"true"}`, src, nil, true, true},
		{`"Null":{"events:source":true}`, src, []string{"a"}, false, false},
		{`"Null":{"events:source":"false"}`, src, []string{"a"}, true, true},
		{`"Bool":{"events:eventBusInvocation":"true"}`, buspolicy.BusInvocation, []string{"true"}, true, true},
		{`"BoolIfExists":{"events:eventBusInvocation":true}`, buspolicy.BusInvocation, []string{"false"}, false, false},
		// Several values: an operator that is not for sets is taken narrowly.
		{`"StringEquals":{"events:source":"a"}`, src, []string{"a", "b"}, false, true},
		{`"StringNotEquals":{"events:source":"a"}`, src, []string{"a", "b"}, false, true},
		// The tables of EventBridge's page, and of IAM's on sets.
		{`"ForAllValues:StringEquals":{"events:source":"aws.ec2"}`, src, []string{"aws.ec2"}, true, true},
		{`"ForAllValues:StringEquals":{"events:source":"aws.ec2"}`, src, []string{"aws.ec2", "aws.s3"}, false, false},
		{`"ForAllValues:StringEquals":{"events:source":"aws.ec2"}`, src, nil, false, true},
		{`"ForAllValues:StringEquals":{"events:source":["aws.ec2","aws.s3"]},"Null":{"events:source":"false"}`, src, []string{"aws.ec2", "aws.s3"}, true, true},
		{`"ForAllValues:StringEquals":{"events:source":["aws.ec2","aws.s3"]},"Null":{"events:source":"false"}`, src, []string{"aws.ec2", "aws.autoscaling"}, false, false},
		{`"ForAllValues:StringEquals":{"events:source":["aws.ec2","aws.s3"]},"Null":{"events:source":"false"}`, src, nil, false, false},
		{`"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-1/*"}`, buspolicy.PrincipalOrgPaths, nil, true, true},
		{`"ForAllValues:StringNotEquals":{"events:source":["a","b"]}`, src, []string{"c", "a"}, false, false},
		{`"ForAllValues:StringNotEquals":{"events:source":["a","b"]}`, src, []string{"c", "d"}, true, true},
		{`"ForAnyValue:StringNotEquals":{"events:source":["a","b"]}`, src, []string{"c", "a"}, true, true},
		{`"ForAnyValue:StringNotEquals":{"events:source":["a","b"]}`, src, []string{"b", "a"}, false, false},
		{`"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-1/r-1/ou-1/*"]}`, buspolicy.PrincipalOrgPaths, []string{"o-1/r-1/ou-1/ou-2/"}, true, true},
		{`"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-1/r-1/ou-1/*"]}`, buspolicy.PrincipalOrgPaths, []string{"o-1/r-1/ou-9/"}, false, false},
		{`"ForAnyValue:StringEquals":{"events:source":"a"}`, src, nil, false, false},
		{`"ForAnyValue:StringEqualsIfExists":{"events:source":"a"}`, src, nil, true, true},
		{`"ForAnyValue:ArnLike":{"events:TargetArn":"arn:aws:lambda:*:*:function:*"}`, buspolicy.TargetArn, []string{"arn:aws:sqs:r:1:q", "arn:aws:lambda:r:1:function:f"}, true, true},
		{`"ForAnyValue:ArnLike":{"events:TargetArn":"arn:aws:lambda:*:*:function:*"}`, buspolicy.TargetArn, []string{"arn:aws:sqs:r:1:q"}, false, false},
		// A * does not reach over a colon of the first five.
		{`"ArnLike":{"aws:SourceArn":"arn:aws:events:*:*:rule/*"}`, buspolicy.SourceArn, []string{"arn:aws:events:r:1:rule/a:b"}, true, true},
		{`"ArnLike":{"aws:SourceArn":"arn:aws:events:*:rule/*:x"}`, buspolicy.SourceArn, []string{"arn:aws:events:r:1:rule/a:x"}, false, false},
		{`"ArnLike":{"aws:SourceArn":"*"}`, buspolicy.SourceArn, []string{"arn:aws:events:r:1:rule/a"}, true, true},
		{`"ArnLike":{"aws:SourceArn":"*"}`, buspolicy.SourceArn, []string{"rule/a"}, false, false},
		{`"ArnLike":{"aws:SourceArn":"*"}`, buspolicy.SourceArn, []string{"urn:aws:events:r:1:rule/a"}, false, false},
		{`"ArnNotLike":{"aws:SourceArn":"arn:aws:events:*:1:*"}`, buspolicy.SourceArn, []string{"arn:aws:events:r:2:rule/a"}, true, true},
		{`"StringEquals":{"aws:SourceAccount":111112222333}`, buspolicy.SourceAccount, []string{other}, true, true},
		// Who the caller is does not come from the request's own values.
		{`"StringEquals":{"aws:PrincipalAccount":"444455556666"}`, buspolicy.PrincipalAccount, []string{"444455556666"}, false, false},
		{`"StringEquals":{"aws:PrincipalAccount":"111112222333"}`, src, nil, true, true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/app"}`, src, nil, true, true},
		// Variables.
		{`"StringEquals":{"aws:SourceAccount":"${aws:PrincipalAccount}"}`, buspolicy.SourceAccount, []string{other}, true, true},
		{`"StringEquals":{"aws:SourceAccount":"${AWS:principalaccount}"}`, buspolicy.SourceAccount, []string{owner}, false, false},
		{`"StringLike":{"aws:SourceArn":"arn:aws:events:*:${aws:PrincipalAccount}:rule/*"}`, buspolicy.SourceArn, []string{"arn:aws:events:r:111112222333:rule/x"}, true, true},
		{`"ArnLike":{"aws:PrincipalArn":"${aws:PrincipalArn}"}`, src, nil, true, true},
		{`"StringLike":{"events:source":"a${*}?${$}"}`, src, []string{"a*b$"}, true, true},
		{`"StringLike":{"events:source":"a${*}"}`, src, []string{"abc"}, false, false},
		{`"StringLike":{"events:source":"x${events:detail-type}"}`, src, []string{"xy"}, false, true},
		{`"StringNotEquals":{"events:source":"${events:creatorAccount}"}`, src, []string{"a"}, false, true},
	} {
		r := put(other)
		if c.have != nil {
			r = with(r, c.key, c.have...)
		}
		members := `"Condition":{` + c.condition + `}`
		if got := decide(t, statement("Allow", members), r) == buspolicy.Allowed; got != c.allow {
			t.Errorf("Allow if %s with %v: %v", c.condition, c.have, got)
		}
		if got := decide(t, statement("Deny", members), r) == buspolicy.Denied; got != c.deny {
			t.Errorf("Deny if %s with %v: %v", c.condition, c.have, got)
		}
	}
	// A value that a variable stands for is literal: nobody widens a policy by a name.
	policy := statement("Allow", `"Condition":{"StringLike":{"events:detail-type":"${events:source}"}}`)
	if decide(t, policy, with(with(put(other), src, "*"), buspolicy.DetailType, "anything")) != buspolicy.Silent {
		t.Error("a * in the source is a wildcard")
	}
}

func TestActionsAndResources(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]buspolicy.Verdict{
		`"Action":"events:*"`:                                    buspolicy.Allowed,
		`"Action":"*"`:                                           buspolicy.Allowed,
		`"Action":"events:Put?vents"`:                            buspolicy.Allowed,
		`"Action":["events:PutRule","events:ListRules"]`:         buspolicy.Silent,
		`"NotAction":"events:PutRule"`:                           buspolicy.Allowed,
		`"NotAction":["events:PutRule","events:Put*"]`:           buspolicy.Silent,
		`"Resource":"*"`:                                         buspolicy.Allowed,
		`"Resource":"arn:aws:events:*:123456789012:event-bus/*"`: buspolicy.Allowed,
		`"Resource":"arn:aws:events:us-east-1:123456789012:event-bus/Central-event-bus"`:   buspolicy.Silent,
		`"NotResource":"arn:aws:events:us-east-1:123456789012:event-bus/default"`:          buspolicy.Allowed,
		`"NotResource":"arn:aws:events:*:*:event-bus/central*"`:                            buspolicy.Silent,
		`"Resource":"arn:aws:events:us-east-1:${aws:PrincipalAccount}:event-bus/*"`:        buspolicy.Silent,
		`"Resource":"arn:aws:events:us-east-1:123456789012:event-bus/${events:source}"`:    buspolicy.Silent,
		`"NotResource":"arn:aws:events:us-east-1:123456789012:event-bus/${events:source}"`: buspolicy.Silent,
		`"NotResource":"arn:aws:events:us-east-1:${aws:PrincipalAccount}:event-bus/*"`:     buspolicy.Allowed,
	} {
		if got := decide(t, statement("Allow", members), put(other)); got != want {
			t.Errorf("%s: %s", members, got)
		}
	}
	for _, members := range []string{`"Resource":"arn:aws:events:us-east-1:1:event-bus/${events:source}"`, `"NotResource":"arn:aws:events:us-east-1:1:event-bus/${events:source}"`} {
		if got := decide(t, statement("Deny", members), put(other)); got != buspolicy.Denied {
			t.Errorf("Deny %s: %s", members, got)
		}
	}
	if got := parse(t, " ").Decide(put(owner)); got.Verdict != buspolicy.Silent {
		t.Errorf("no policy: %+v", got)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ policy, text, hint string }{
		{`[]`, "Policy is not valid. Reason:", ""},
		{`{"Version":"2012-10-17"}`, "it has no Statement", ""},
		{`{"Version":"2020-01-01","Statement":[]}`, `no Version "2020-01-01"`, "2012-10-17"},
		{`{"Statement":[],"Extra":1}`, "Extra", ""},
		{`{"Statement":[],"Statement":[]}`, "Statement", ""},
		{statement("allow", ""), `Allow or Deny, not "allow"`, ""},
		{statement("Allow", `"Extra":1`), "Extra", ""},
		{statement("Allow", `"effect":"Deny"`), "effect", ""},
		{statement("Allow", `"NotPrincipal":{"AWS":"111112222333"}`), "NotPrincipal is not supported", "ArnNotEquals on aws:PrincipalArn"},
		{`{"Statement":{"Effect":"Deny","Action":"events:*","Resource":"*"}}`, "statement 1: a Deny needs a Principal", `"Principal": "*"`},
		{statement("Allow", `"Principal":"111112222333"`), `is not "*"`, ""},
		{statement("Allow", `"Principal":null`), "names nobody", ""},
		{statement("Allow", `"Principal":{}`), "names nobody", ""},
		{statement("Allow", `"Principal":{"AWS":"arn:aws:iam::111112222333:role/*"}`), "none of an account, a user", ""},
		{statement("Allow", `"Principal":{"AWS":"1234"}`), "none of an account", ""},
		{statement("Allow", `"Principal":{"Federated":"x.com"}`), `Federated "x.com"`, ""},
		{statement("Allow", `"Principal":{"Service":"*"}`), `Service "*"`, ""},
		{statement("Allow", `"Action":"sqs:SendMessage"`), "is not one of EventBridge", "events:PutEvents"},
		{statement("Allow", `"Action":[]`), "either Action or NotAction", ""},
		{statement("Allow", `"Action":null`), `the action ""`, ""},
		{statement("Allow", `"Action":"events:*","NotAction":"events:PutRule"`), "either Action or NotAction", ""},
		{statement("Allow", `"Resource":[]`), "either Resource or NotResource", "event-bus/NAME"},
		{statement("Allow", `"Resource":"central"`), `the resource "central" is not an ARN`, ""},
		{statement("Allow", `"Condition":null`), "the Condition is null", ""},
		{statement("Allow", `"Condition":{"StringEquals":null}`), "the condition StringEquals has no key", ""},
		{statement("Allow", `"Condition":{"StringEquals":{"events:source":[]}}`), "has no value", ""},
		{statement("Allow", `"Condition":{"StringEquals":{"events:source":null}}`), "is not a text", ""},
		{statement("Deny", `"Condition":{"StringEquals":{"aws:SourceIp":"x"}}`), "the condition key aws:SourceIp is not supported", "aws:PrincipalOrgID"},
		{statement("Deny", `"Condition":{"NumericEquals":{"events:source":"1"}}`), "the operator NumericEquals is not supported", "StringLike"},
		{statement("Deny", `"Condition":{"NullIfExists":{"events:source":"true"}}`), "the operator NullIfExists", ""},
		{statement("Deny", `"Condition":{"NotBool":{"events:source":"true"}}`), "the operator NotBool", ""},
		{statement("Deny", `"Condition":{"ForAnyValue:Null":{"events:source":"true"}}`), "the operator ForAnyValue:Null", ""},
		{statement("Deny", `"Condition":{"Null":{"events:source":"yes"}}`), `"yes" is not true or false`, ""},
		{statement("Deny", `"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:events:*"}}`), "is not an ARN of six parts", ""},
		{statement("Allow", `"Condition":{"StringEquals":{"events:source":"${aws:username}"}}`), "the variable ${aws:username} is not supported", ""},
		{statement("Allow", `"Condition":{"StringEquals":{"events:source":"${aws:PrincipalOrgPaths}"}}`), "is not supported", ""},
		{statement("Allow", `"Condition":{"StringEquals":{"events:source":"${x"}}`), "is not closed", ""},
		{strings.Replace(statement("Allow", `"Resource":"arn:${*}"`), "2012-10-17", "2008-10-17", 1), "has a variable, for which", ""},
		{`{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}`, "two statements with the Sid a", ""},
	} {
		_, err := buspolicy.Parse(c.policy)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "Policy is not valid. Reason: ") || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s: %v (hint %q)", c.policy, err, fault.HintOf(err))
		}
	}
	if _, err := buspolicy.Parse(statement("Allow", "") + strings.Repeat(" ", buspolicy.MaxPolicy)); !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long policy: %v", err)
	}
}
