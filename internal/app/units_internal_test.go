package app

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// organization answers as AWS Organizations does: accounts and units by parent, one
// in a page.
type awsOrganization struct {
	accounts map[string][]string // by unit; a trailing "!" is a suspended one
	units    map[string][]string
	asked    []string
}

func (o *awsOrganization) Call(_ context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	parent, _ := c.Input["ParentId"].(string)
	o.asked = append(o.asked, c.Operation+" "+parent)
	if step != targetsStep || c.Service != "organizations" || c.Region != "eu-west-1" || c.As != "" || c.Account != "" {
		return apimodel.Reply{}, fmt.Errorf("%s: %+v", step, c)
	}
	member, list := "Accounts", o.accounts[parent]
	if c.Operation == "ListOrganizationalUnitsForParent" {
		member, list = "OrganizationalUnits", o.units[parent]
	} else if list == nil {
		return apimodel.Reply{}, &apimodel.APIError{Service: c.Service, Operation: c.Operation, Code: "ParentNotFoundException", HTTPStatus: 400}
	}
	at := 0
	if next, ok := c.Input["NextToken"].(string); ok {
		at = len(next)
	}
	output := map[string]any{member: []any{}}
	if at < len(list) {
		id, status := list[at], "ACTIVE"
		if id[len(id)-1] == '!' {
			id, status = id[:len(id)-1], "SUSPENDED"
		}
		output[member] = []any{map[string]any{"Id": id, "Status": status}}
	}
	if at+1 < len(list) {
		output["NextToken"] = "xxxxxxxxx"[:at+1]
	}
	return apimodel.Reply{Output: output}, nil
}

const (
	prodUnit, payUnit, oldUnit = "ou-ab12-prod0000", "ou-ab12-pay00000", "ou-ab12-old00000"
	known                      = "ou-cd34-known000"
)

func listed() (*targets, *awsOrganization) {
	aws := &awsOrganization{
		accounts: map[string][]string{"r-ab12": {}, prodUnit: {"111111111111", "999999999999!"}, payUnit: {"222222222222", "333333333333"}, oldUnit: {"888888888888"}},
		units:    map[string][]string{"r-ab12": {prodUnit, oldUnit}, prodUnit: {payUnit}},
	}
	return &targets{org.Organization{Partition: "aws", HomeRegion: "eu-west-1", MemberRole: "M"}, org.NewLive([]org.Account{
		{ID: "111111111111", Unit: "prod"}, {ID: "222222222222"}, {ID: "333333333333", Unit: "prod/" + known}, {ID: "444444444444", Unit: known + "/ou-cd34-below000"},
	}), aws}, aws
}

// TestUnitsAreListedByOrganizations: an id that the configuration does not have is
// asked for; what is left out is so with all below it.
func TestUnitsAreListedByOrganizations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		accounts, exclude []any
		children          bool
		want              []string
		code              fault.Code
		asked             int
	}{
		"a unit alone":               {list(prodUnit), nil, false, []string{"111111111111"}, "", 2},
		"with those below":           {list(prodUnit), nil, true, []string{"111111111111", "222222222222", "333333333333"}, "", 6},
		"without an account":         {list(prodUnit), list("222222222222"), true, []string{"111111111111", "333333333333"}, "", 6},
		"without a unit":             {list(prodUnit), list(payUnit), true, []string{"111111111111"}, "", 9},
		"the root without a unit":    {list("r-ab12"), list(oldUnit), true, []string{"111111111111", "222222222222", "333333333333"}, "", 13},
		"a stranger is not left out": {list(oldUnit), nil, false, nil, fault.Denied, 1},
		"unless it is named":         {list(oldUnit, "111111111111"), list("888888888888"), false, []string{"111111111111"}, "", 1},
		"no such unit":               {list("ou-zz99-nothing0"), nil, false, nil, fault.NotFound, 1},
		"no such unit to leave out":  {list(prodUnit), list("ou-zz99-nothing0"), false, nil, fault.NotFound, 1},
		"an id of the configuration": {list(known), nil, false, []string{"333333333333"}, "", 0},
		"with those below it":        {list(known), nil, true, []string{"333333333333", "444444444444"}, "", 0},
		"known, and only above":      {list(known), list(known), true, []string{}, "", 0},
		"a path without a known id":  {list("prod"), list(known), true, []string{"111111111111"}, "", 0},
	} {
		here, aws := listed()
		l := map[string]any{"Accounts": c.accounts, "Regions": list("eu-west-1"), "IncludeChildOrganizationUnits": c.children}
		if c.exclude != nil {
			l["ExcludeAccounts"] = c.exclude
		}
		found, err := here.resolve(t.Context(), nil, automation.TargetQuery{Locations: []map[string]any{l}})
		if c.code != "" {
			if !fault.Is(err, c.code) {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			got := []string{}
			for _, one := range found {
				got = append(got, one.Account)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if len(aws.asked) != c.asked {
			t.Errorf("%s: asked %d times: %v", name, len(aws.asked), aws.asked)
		}
	}
}
