package app

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// listing answers pages of instances and group members.
type listing struct {
	pages []map[string]any
	err   error
	calls []apimodel.Call
}

func (l *listing) Call(_ context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	c.Input = c.Clone().Input
	l.calls = append(l.calls, c)
	if l.err != nil {
		return apimodel.Reply{}, l.err
	}
	if step != targetsStep || len(l.pages) == 0 {
		return apimodel.Reply{}, fmt.Errorf("step %s called %s", step, c.Operation)
	}
	page := l.pages[0]
	if len(l.pages) > 1 {
		l.pages = l.pages[1:]
	}
	return apimodel.Reply{Output: page}, nil
}

func instances(next string, ids ...string) map[string]any {
	var list []any
	for _, id := range ids {
		list = append(list, map[string]any{"InstanceId": id})
	}
	out := map[string]any{"Reservations": []any{map[string]any{"Instances": list}}}
	if next != "" {
		out["NextToken"] = next
	}
	return out
}

func members() *targets {
	return &targets{org: org.Organization{Partition: "aws", MemberRole: "ParryMember"}, live: org.NewLive([]org.Account{
		{ID: "111111111111", Unit: "prod", Tags: map[string]string{"tier": "gold"}},
		{ID: "222222222222", Unit: "prod/payments"},
		{ID: "333333333333", Unit: "dev", Tags: map[string]string{"tier": "gold"}},
		{ID: "444444444444", Unit: "dev", State: org.Suspended},
	})}
}

func keysOf(list []automation.Target) []string {
	out := []string{}
	for _, t := range list {
		out = append(out, t.Key)
	}
	return out
}

func list(values ...any) []any { return values }

func TestTargetLocationsAreAccountsUnitsAndTags(t *testing.T) {
	t.Parallel()
	where := func(m map[string]any) map[string]any {
		if m["Regions"] == nil {
			m["Regions"] = list("eu-west-1")
		}
		return m
	}
	for name, c := range map[string]struct {
		location map[string]any
		want     []string
		code     fault.Code
	}{
		"an account":             {where(map[string]any{"Accounts": list("222222222222")}), []string{"222222222222/eu-west-1"}, ""},
		"two regions":            {map[string]any{"Accounts": list("222222222222"), "Regions": list("a", "b")}, []string{"222222222222/a", "222222222222/b"}, ""},
		"a unit alone":           {where(map[string]any{"Accounts": list("prod")}), []string{"111111111111/eu-west-1"}, ""},
		"a unit and those below": {where(map[string]any{"Accounts": list("prod/"), "IncludeChildOrganizationUnits": true}), []string{"111111111111/eu-west-1", "222222222222/eu-west-1"}, ""},
		"without one":            {where(map[string]any{"Accounts": list("prod"), "IncludeChildOrganizationUnits": true, "ExcludeAccounts": list("111111111111")}), []string{"222222222222/eu-west-1"}, ""},
		"a tag":                  {where(map[string]any{"Accounts": list("tag:tier=gold")}), []string{"111111111111/eu-west-1", "333333333333/eu-west-1"}, ""},
		"named twice":            {where(map[string]any{"Accounts": list("dev", "333333333333")}), []string{"333333333333/eu-west-1"}, ""},
		"a stranger":             {where(map[string]any{"Accounts": list("999999999999")}), nil, fault.NotFound},
		"an unknown unit":        {where(map[string]any{"Accounts": list("production")}), nil, fault.NotFound},
		"an empty unit":          {where(map[string]any{"Accounts": list("")}), nil, fault.NotFound},
		"no regions":             {map[string]any{"Accounts": list("dev")}, nil, fault.Invalid},
		"no accounts":            {where(map[string]any{}), nil, fault.Invalid},
	} {
		got, err := members().resolve(t.Context(), nil, automation.TargetQuery{Locations: []map[string]any{c.location}})
		if c.code != "" {
			if !fault.Is(err, c.code) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, keysOf(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	got, err := members().resolve(t.Context(), nil, automation.TargetQuery{Locations: []map[string]any{
		{"Accounts": list("111111111111"), "Regions": list("cn-north-1"), "ExecutionRoleName": "Runner"}, {"Accounts": list("333333333333"), "Regions": list("eu-west-1")},
	}})
	if err != nil || got[0].Role != "arn:aws-cn:iam::111111111111:role/Runner" || got[1].Role != "arn:aws:iam::333333333333:role/ParryMember" || got[1].Location != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTargetsAreValuesTagsGroupsAndInstances(t *testing.T) {
	t.Parallel()
	target := func(key string, values ...any) map[string]any { return map[string]any{"Key": key, "Values": values} }
	group := map[string]any{"Resources": []any{map[string]any{"Identifier": map[string]any{"ResourceArn": "arn:aws:ec2:eu-west-1:1:instance/i-2"}}}}
	for name, c := range map[string]struct {
		targets []map[string]any
		pages   []map[string]any
		want    []string
		code    fault.Code
	}{
		"values":          {[]map[string]any{target("ParameterValues", "b", "a")}, nil, []string{"b", "a"}, ""},
		"all instances":   {[]map[string]any{target("AWS::EC2::Instance", "*")}, []map[string]any{instances("more", "i-2"), instances("", "i-1")}, []string{"i-1", "i-2"}, ""},
		"by a tag":        {[]map[string]any{target("tag:env", "prod")}, []map[string]any{instances("", "i-1")}, []string{"i-1"}, ""},
		"a group":         {[]map[string]any{target("ResourceGroup", "web")}, []map[string]any{group}, []string{"i-2"}, ""},
		"values and tags": {[]map[string]any{target("ParameterValues", "i-1", "i-9"), target("tag:env", "prod")}, []map[string]any{instances("", "i-1", "i-2")}, []string{"i-1"}, ""},
		"nothing found":   {[]map[string]any{target("tag:env", "prod")}, []map[string]any{instances("")}, []string{}, ""},
		"another key":     {[]map[string]any{target("Everything", "*")}, nil, nil, fault.Invalid},
		"no values":       {[]map[string]any{target("tag:env")}, nil, nil, fault.Invalid},
		"too many":        {[]map[string]any{target("tag:a", "1"), target("tag:b", "1"), target("tag:c", "1"), target("tag:d", "1"), target("tag:e", "1"), target("tag:f", "1")}, nil, nil, fault.Invalid},
	} {
		aws := &listing{pages: c.pages}
		q := automation.TargetQuery{Account: "111111111111", Region: "eu-west-1", Role: "arn:r", ParameterName: "InstanceId", Targets: c.targets}
		got, err := members().resolve(t.Context(), aws, q)
		if c.code != "" {
			if !fault.Is(err, c.code) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, keysOf(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		for _, one := range got {
			if diff := cmp.Diff(map[string]any{"InstanceId": []any{one.Key}}, one.Parameters); diff != "" || one.Location != -1 {
				t.Errorf("%s: %+v", name, one)
			}
		}
		for _, call := range aws.calls {
			if call.As != "arn:r" || call.Account != "111111111111" {
				t.Errorf("%s: the call is made as %q in %s", name, call.As, call.Account)
			}
		}
	}
	endless := &listing{pages: []map[string]any{instances("more", "i-1")}}
	if _, err := members().resolve(t.Context(), endless, automation.TargetQuery{ParameterName: "I", Targets: []map[string]any{target("tag:a", "b")}}); !fault.Is(err, fault.Exhausted) {
		t.Errorf("an endless listing: %v", err)
	}
	broken := &listing{err: errors.New("no answer")}
	if _, err := members().resolve(t.Context(), broken, automation.TargetQuery{ParameterName: "I", Targets: []map[string]any{target("tag:a", "b")}}); err == nil {
		t.Error("an error is no target")
	}
	maps, err := members().resolve(t.Context(), nil, automation.TargetQuery{Account: "1", TargetMaps: []map[string]any{{"B": list("2"), "A": list("1", "3")}, {"A": list("2")}}})
	if diff := cmp.Diff([]string{"A=1,3;B=2", "A=2"}, keysOf(maps)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}
