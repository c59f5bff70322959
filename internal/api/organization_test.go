package api_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

// orgVault is what is known of an organization with dev and prod, and three units.
type orgVault struct{ *vault }

func orgAccounts() []org.Account {
	return []org.Account{
		{ID: dev, Name: "dev", Unit: "dev", State: org.Active, UnitIDs: []string{"r-abcd", "ou-abcd-devdevde"}},
		{ID: prod, Name: "prod", Unit: "prod/pay", State: org.Suspended, UnitIDs: []string{"r-abcd", "ou-abcd-prodprod", "ou-abcd-paypaypa"}},
		{ID: "999999999999", Name: "listed", Listed: true},
	}
}

func (v orgVault) Status(context.Context) (organization.Status, error) {
	return organization.Status{Organization: "o-abcdefghij", Management: "888888888888", SyncedAt: time.Unix(1, 0), Problem: "account " + prod + " is missing", Hint: "mend it", Held: []string{prod}}, nil
}

func (v orgVault) Request(accept bool) int64 {
	v.called(fmt.Sprintf("sync, removals accepted: %v", accept))
	return 7
}

func (v orgVault) Member(_ context.Context, id string) (org.Member, error) {
	return org.Member{Account: org.Account{ID: id}, FirstSeen: time.Unix(2, 0)}, nil
}

func (v orgVault) OrganizationChanges(_ context.Context, id string, _ int, _ string) ([]org.Change, string, error) {
	return []org.Change{{Account: id, At: time.Unix(3, 0), Kind: org.HasMoved, Before: "dev", After: "prod"}}, "", nil
}

func (v orgVault) all() []org.Coverage {
	return []org.Coverage{
		{Account: dev, Region: "eu-west-1", State: org.Covered, Reason: org.ReachOK},
		{Account: dev, Region: "us-east-1", State: org.Degraded, Reason: org.ReachSilent},
		{Account: prod, Region: "eu-west-1", State: org.Lost, Reason: org.ReachRole},
	}
}

func within(accounts []string, id string) bool {
	return slices.Contains(accounts, "*") || slices.Contains(accounts, id)
}

func (v orgVault) ListCoverage(_ context.Context, f store.CoverageFilter, _ int, _ string) ([]org.Coverage, string, error) {
	return slices.DeleteFunc(v.all(), func(c org.Coverage) bool {
		return !within(f.Accounts, c.Account) || f.Account != "" && f.Account != c.Account || f.State != "" && f.State != string(c.State)
	}), "", nil
}

func (v orgVault) CoverageOf(_ context.Context, accounts []string) ([]org.Coverage, error) {
	return slices.DeleteFunc(v.all(), func(c org.Coverage) bool { return !within(accounts, c.Account) }), nil
}

func (v orgVault) CoverageCounts(ctx context.Context, accounts []string) (map[string]int64, error) {
	out := map[string]int64{}
	list, err := v.CoverageOf(ctx, accounts)
	for _, c := range list {
		out[string(c.State)]++
	}
	return out, err
}

func (v orgVault) Sightings(_ context.Context, account string) ([]org.Sighting, error) {
	return []org.Sighting{{Account: account, Region: "eu-west-1", Source: "hub", At: time.Unix(4, 0)}}, nil
}

func (v orgVault) Enqueue(_ context.Context, _ store.File, eff store.Effects) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.audited = append(v.audited, eff.Audit...)
	return nil
}

// TestTheOrganizationIsShownWithinTheScope: accounts, coverage, counters and the words
// of what went wrong.
func TestTheOrganizationIsShownWithinTheScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	ids := func(c *client.Client, state, unit string) string {
		t.Helper()
		page, err := c.OrgAccounts(ctx, state, unit, client.Paging{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range page.Items {
			out = append(out, a.Name+":"+a.State+":"+string(a.Coverage))
		}
		return strings.Join(out, " ")
	}
	all, one := b.as(t, "reader", "*"), b.as(t, "reader", dev)
	for name, c := range map[string]struct{ got, want string }{
		"all":            {ids(all, "", ""), "dev:ACTIVE:degraded prod:SUSPENDED:lost listed:LISTED:"},
		"a state":        {ids(all, "SUSPENDED", ""), "prod:SUSPENDED:lost"},
		"a unit":         {ids(all, "", "prod"), "prod:SUSPENDED:lost"},
		"a unit's id":    {ids(all, "", "ou-abcd-prodprod"), "prod:SUSPENDED:lost"},
		"no such unit":   {ids(all, "", "pro"), ""},
		"scope":          {ids(one, "", ""), "dev:ACTIVE:degraded"},
		"scope and unit": {ids(one, "", "prod"), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	page, err := all.OrgAccounts(ctx, "", "", client.Paging{Limit: 2})
	if err != nil || len(page.Items) != 2 || page.Next == "" {
		t.Fatalf("%+v %v", page, err)
	}
	if page, err = all.OrgAccounts(ctx, "", "", client.Paging{Limit: 2, Cursor: page.Next}); err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Errorf("%+v %v", page, err)
	}
	whole, err := all.Organization(ctx)
	if err != nil || whole.Problem == "" || len(whole.Held) != 1 || whole.Accounts["SUSPENDED"] != 1 || whole.Coverage["lost"] != 1 {
		t.Errorf("%+v %v", whole, err)
	}
	part, err := one.Organization(ctx)
	if err != nil || strings.Contains(fmt.Sprintf("%+v", part), prod) || part.Problem == "" || part.Accounts["SUSPENDED"] != 0 || part.Coverage["lost"] != 0 {
		t.Errorf("%+v %v", part, err)
	}
	lost, err := one.Coverage(ctx, client.CoverageFilter{Account: prod}, client.Paging{})
	if err != nil || len(lost.Items) != 0 {
		t.Errorf("%+v %v", lost, err)
	}
	d, err := one.OrgAccount(ctx, dev)
	if err != nil || len(d.Regions) != 2 || len(d.Sources) != 1 || len(d.History) != 1 || d.FirstSeen.IsZero() {
		t.Errorf("%+v %v", d, err)
	}
	_, foreign := one.OrgAccount(ctx, prod)
	_, unknown := one.OrgAccount(ctx, "123412341234")
	if !fault.Is(foreign, fault.NotFound) || strings.ReplaceAll(foreign.Error(), prod, "x") != strings.ReplaceAll(unknown.Error(), "123412341234", "x") {
		t.Errorf("%v, %v", foreign, unknown)
	}
	if _, err := b.as(t, "source", "*").Organization(ctx); !fault.Is(err, fault.Denied) {
		t.Errorf("a source sees the organization: %v", err)
	}
}

// TestWhoMaySyncTheOrganization: operators ask for a reading, administrators accept
// that many accounts are gone; both for all accounts only, and audited.
func TestWhoMaySyncTheOrganization(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for _, role := range []string{"admin", "operator", "approver", "reader", "source"} {
		for _, accept := range []bool{false, true} {
			may := role == "admin" || role == "operator" && !accept
			asked, err := b.as(t, role, "*").SyncOrganization(ctx, accept)
			if may && (err != nil || asked.Attempt != 7) || !may && !fault.Is(err, fault.Denied) {
				t.Errorf("%s, accept %v: %v %v", role, accept, asked, err)
			}
			if _, err := b.as(t, role, dev).SyncOrganization(ctx, accept); !fault.Is(err, fault.Denied) {
				t.Errorf("%s of one account, accept %v: %v", role, accept, err)
			}
		}
	}
	want := []string{"sync, removals accepted: false", "sync, removals accepted: true", "sync, removals accepted: false"}
	if diff := cmp.Diff(want, b.calls); diff != "" {
		t.Error(diff)
	}
	var audited []string
	for _, a := range b.audited {
		audited = append(audited, a.Actor+" "+a.Action+" "+string(a.Detail))
	}
	if diff := cmp.Diff([]string{
		`admin organization.sync.asked {"held":["` + prod + `"]}`, `admin organization.removals.accepted {"held":["` + prod + `"]}`, `operator organization.sync.asked {"held":["` + prod + `"]}`,
	}, audited); diff != "" {
		t.Error(diff)
	}
}
