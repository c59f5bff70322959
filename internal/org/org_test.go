package org_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

func good() org.Organization {
	return org.Organization{
		Partition: "aws", ManagementAccount: "999988887777", HubAccount: "555566667777", HomeRegion: "us-east-1", MemberRole: "ParryMemberRole",
		Accounts: []org.Account{{ID: "111122223333", Name: "dev", Unit: "dev"}, {ID: "012345678901", Name: "prod", Unit: "prod/payments"}},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit func(*org.Organization)
		want string
	}{
		"no hub":             {func(o *org.Organization) { o.HubAccount = "" }, `hub_account "" is not a 12-digit account id`},
		"management account": {func(o *org.Organization) { o.ManagementAccount = "1234" }, `management_account "1234"`},
		"account id":         {func(o *org.Organization) { o.Accounts[1].ID = "12345678901" }, `accounts[1].id "12345678901"`},
		"account id in full": {func(o *org.Organization) { o.Accounts[0].ID = "111122223333\n" }, "accounts[0].id"},
		"account twice":      {func(o *org.Organization) { o.Accounts[1].ID = "111122223333" }, "accounts[1].id 111122223333 is listed twice"},
		"no role":            {func(o *org.Organization) { o.MemberRole = "" }, `member_role "" is not the name of an IAM role`},
		"a role's ARN":       {func(o *org.Organization) { o.MemberRole = "arn:aws:iam::111122223333:role/x" }, "member_role"},
		"partition":          {func(o *org.Organization) { o.Partition = "azure" }, `partition "azure"`},
		"no home region":     {func(o *org.Organization) { o.HomeRegion = "" }, "home_region is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := good()
			c.edit(&o)
			if err := o.Validate(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want … %s …", err, c.want)
			}
		})
	}
	for _, p := range []string{"aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b"} {
		o := good()
		o.Partition = p
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestMembership(t *testing.T) {
	t.Parallel()
	units := []string{"r-ab12", "ou-ab12-11111111", "ou-ab12-22222222"}
	l := org.NewLive([]org.Account{
		{ID: "111122223333", UnitIDs: units, State: org.Active},
		{ID: "222233334444", UnitIDs: units[:1], State: org.Active},
		{ID: "333344445555", UnitIDs: units, State: org.Suspended},
		{ID: "444455556666", UnitIDs: units, State: org.PendingClosure},
		{ID: "555566667777", UnitIDs: units, State: org.Closed},
		{ID: "666677778888", UnitIDs: units, State: org.Left},
		{ID: "777788889999", UnitIDs: units, State: org.PendingActivation},
		{ID: "888899990000", Unit: "dev", Listed: true},
	})
	if id, path := l.Membership("111122223333"); id+path != "" {
		t.Errorf("before it was read: %s %s", id, path)
	}
	l.SetOrganization("o-abcdefghij")
	for account, want := range map[string]string{
		"111122223333": "o-abcdefghij o-abcdefghij/r-ab12/ou-ab12-11111111/ou-ab12-22222222/", "222233334444": "o-abcdefghij o-abcdefghij/r-ab12/",
		"333344445555": " ", "444455556666": " ", "555566667777": " ", "666677778888": " ", "777788889999": " ", "888899990000": " ", "123456789012": " ", "": " ",
	} {
		if id, path := l.Membership(account); id+" "+path != want {
			t.Errorf("%s: %s %s, want %s", account, id, path, want)
		}
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	o := good()
	live := org.NewLive(o.Accounts)
	a, ok := live.Account("012345678901")
	if diff := cmp.Diff(o.Accounts[1], a); diff != "" || !ok {
		t.Errorf("%v, account (-want +got):\n%s", ok, diff)
	}
	if _, ok := live.Account("555566667777"); ok {
		t.Error("the hub counts as a member without being listed")
	}
}

func TestUnitPath(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string][]string{"": nil, "/": nil, "prod": {"prod"}, "/a/b/c/": {"a/b/c", "a/b", "a"}} {
		if got := org.UnitPath(unit); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", unit, got, want)
		}
	}
}
