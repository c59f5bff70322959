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

func ec2Call(op string, in map[string]any) apimodel.Call {
	return apimodel.Call{Service: "ec2", Operation: op, Account: member, Region: region, Input: in}
}

func TestDryRunProvesPermission(t *testing.T) {
	t.Parallel()
	allow := ec2Call("CreateKeyPair", map[string]any{"KeyName": "k"})
	for name, tt := range map[string]struct {
		answer error
		want   remediation.Permission
		detail string
	}{
		"allowed": {&apimodel.APIError{Code: "DryRunOperation", HTTPStatus: 412}, remediation.PermissionProven, ""},
		"denied": {
			&apimodel.APIError{Code: "UnauthorizedOperation", HTTPStatus: 403, Message: "You are not authorized. Encoded authorization failure message: abcdef"},
			remediation.PermissionDenied, "UnauthorizedOperation: You are not authorized.",
		},
		"something else is wrong": {&apimodel.APIError{Code: "InvalidKeyPair.Duplicate", HTTPStatus: 400, Message: "it exists"}, remediation.PermissionNotChecked, "InvalidKeyPair.Duplicate: it exists"},
		"throttled":               {&apimodel.APIError{Code: "RequestLimitExceeded", HTTPStatus: 503, Throttled: true}, remediation.PermissionNotChecked, "RequestLimitExceeded: "},
		"no answer":               {errors.New("connection refused"), remediation.PermissionNotChecked, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.aws.there = func(c apimodel.Call) error {
				if c.Input["DryRun"] != true {
					return nil
				}
				return tt.answer
			}
			plan := w.plan([]stepCall{{"Make", allow}})
			pc := plan.Calls[0]
			if pc.Permission != tt.want || pc.PermissionDetail != tt.detail || pc.Class != apimodel.Change || !pc.EffectUnknown {
				t.Errorf("planned %+v", pc)
			}
			if _, own := pc.Input["DryRun"]; own {
				t.Error("the plan would send the dry run")
			}
			problems := remediation.ProblemsOf(plan.Calls)
			if (len(problems) == 1) != (tt.want == remediation.PermissionDenied) || len(problems) == 1 && !strings.Contains(problems[0], "step Make: the role may not call ec2:CreateKeyPair") {
				t.Errorf("problems %q", problems)
			}
			if diff := cmp.Diff([]string{"CreateKeyPair"}, w.aws.sent()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDryRunIsSentByTheGateAlone(t *testing.T) {
	t.Parallel()
	dry := func(c apimodel.Call) apimodel.Call {
		c.Input = maps.Clone(c.Input)
		c.Input["DryRun"] = true
		return c
	}
	key := ec2Call("CreateKeyPair", map[string]any{"KeyName": "k"})
	t.Run("a runbook's own is a change like any other", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		plan := w.plan([]stepCall{{"Make", dry(key)}})
		if got := w.aws.sent(); len(got) > 0 || plan.Calls[0].Permission != "" || plan.Calls[0].Input["DryRun"] != true || plan.Changes() != 1 {
			t.Errorf("sent %v, planned %+v", got, plan.Calls[0])
		}
		if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", dry(key)); !fault.Is(err, fault.Denied) {
			t.Errorf("reading: %v", err)
		}
		empty := w.apply(w.planOf(nil))
		if _, err := empty.Call(t.Context(), "Make", dry(key)); !errors.Is(err, awsapi.ErrNotInPlan) {
			t.Errorf("applying: %v", err)
		}
	})
	t.Run("no other service is trusted with it", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.plan([]stepCall{{"Grant", apimodel.Call{Service: "kms", Operation: "RetireGrant", Account: member, Region: region, Input: map[string]any{"GrantToken": "x"}}}})
		if got := w.aws.sent(); len(got) > 0 {
			t.Errorf("sent %v", got)
		}
	})
	t.Run("not with values that only applying tells", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{})
		made, err := p.Call(t.Context(), "Group", ec2Call("CreateSecurityGroup", map[string]any{"GroupName": "g", "Description": "d"}))
		if err != nil {
			t.Fatal(err)
		}
		id := made.Output["GroupId"]
		if _, err := p.Call(t.Context(), "Tag", ec2Call("CreateTags", map[string]any{"Resources": []any{id}, "Tags": []any{map[string]any{"Key": "a", "Value": "b"}}})); err != nil {
			t.Fatal(err)
		}
		if calls := p.Calls(); calls[0].Permission != remediation.PermissionProven || calls[1].Permission != "" {
			t.Errorf("planned %+v", calls)
		}
	})
	t.Run("what is refused is not asked for", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		foreign := key
		foreign.Account = "222222222222"
		if _, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "Make", foreign); !fault.Is(err, fault.Denied) || len(w.aws.sent()) > 0 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an answer as if it had been made is an alarm", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.aws.deaf = true
		_, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(context.WithoutCancel(t.Context()), "Make", key)
		if !fault.Is(err, fault.Internal) || !fault.IsTerminal(err) || fault.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}
