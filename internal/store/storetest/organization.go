package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

func organizationTests() []conformance {
	return []conformance{
		{"organization/accounts are followed, a version at a time", membersFollowed},
		{"organization/what happened is listed by page and pruned", organizationPruned},
		{"organization/coverage is kept, listed within a scope and counted", coverageKept},
		{"organization/the latest sighting of a source is kept", sightings},
	}
}

func member(id string, rev int64) org.Member {
	return org.Member{
		Account: org.Account{ID: id, Name: "name \x00 " + id, Unit: "prod/a%2Fb", UnitIDs: []string{"r-abcd", "ou-abcd-12345678"}, State: org.Active, Tags: map[string]string{"Tier": "1"}},
		Joined:  Start(), FirstSeen: Start().Add(time.Hour), LastSeen: Start().Add(2 * time.Hour), TagsAt: Start(), Rev: rev,
	}
}

func membersFollowed(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := member("111111111111", 1), member("222222222222", 1)
	two.Tags, two.UnitIDs, two.TagsAt = nil, nil, time.Time{}
	change := org.Change{Account: one.ID, At: Start(), Kind: org.HasJoined, After: one.Unit}
	ok(t, s.FollowOrganization(ctx, org.Update{Members: []org.Member{two, one}, Changes: []org.Change{change}}, event("joined")))
	one.Name = "name \uFFFD " + one.ID
	two.Name, two.UnitIDs, two.Tags = "name \uFFFD "+two.ID, []string{}, map[string]string{}
	same(t, []org.Member{one, two}, must(s.Members(ctx))(t))
	same(t, one, must(s.Member(ctx, one.ID))(t))
	_, err := s.Member(ctx, "333333333333")
	sentinel(t, err, store.ErrNotFound)

	first := must(s.MembersRevision(ctx))(t)
	same(t, first, must(s.MembersRevision(ctx))(t))
	// The next version replaces it; another one is refused whole, with its events.
	next := one
	next.Rev, next.State, next.FirstSeen = 2, org.Left, Start().Add(9*time.Hour)
	ok(t, s.FollowOrganization(ctx, org.Update{Members: []org.Member{next}}, store.Effects{}))
	next.FirstSeen = one.FirstSeen // that does not change
	if must(s.MembersRevision(ctx))(t) == first {
		t.Error("the revision did not change")
	}
	same(t, next, must(s.Member(ctx, one.ID))(t))
	late := two
	late.Rev = 2
	stale := next
	stale.Name = "stale"
	sentinel(t, s.FollowOrganization(ctx, org.Update{Members: []org.Member{late, stale}}, event("never")), store.ErrConflict)
	same(t, []org.Member{next, two}, must(s.Members(ctx))(t))
}

func organizationPruned(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var u org.Update
	for i := range 5 {
		u.Changes = append(u.Changes, org.Change{Account: "111111111111", At: Start().Add(time.Duration(i) * time.Hour), Kind: org.HasMoved, Before: fmt.Sprint(i), After: fmt.Sprint(i + 1)})
	}
	u.Changes = append(u.Changes, org.Change{Account: "222222222222", At: Start(), Kind: org.HasLeft})
	gone, there := member("222222222222", 1), member("111111111111", 1)
	gone.State, gone.LastSeen = org.Left, Start()
	u.Members = []org.Member{gone, there}
	ok(t, s.FollowOrganization(ctx, u, store.Effects{}))
	var got []string
	for cursor := ""; ; {
		page, next, err := s.OrganizationChanges(ctx, "111111111111", 2, cursor)
		ok(t, err)
		for _, c := range page {
			got = append(got, c.Before)
		}
		if cursor = next; next == "" {
			break
		}
	}
	same(t, []string{"4", "3", "2", "1", "0"}, got)
	ok(t, s.PutSightings(ctx, []org.Sighting{{Account: gone.ID, Region: "eu-west-1", Source: "hub", At: Start()}}))
	p := must(s.Prune(ctx, store.Cutoffs{Organization: Start().Add(2 * time.Hour)}))(t)
	if p.Organization != 5 { // three changes, an account, a sighting
		t.Errorf("%d rows pruned", p.Organization)
	}
	if all := must(s.Members(ctx))(t); len(all) != 1 || all[0].ID != there.ID {
		t.Errorf("%+v", all)
	}
}

func coverageKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	row := func(account, region string, state org.CoverageState, reason org.Reach) org.Coverage {
		return org.Coverage{Account: account, Region: region, State: state, Since: Start(), Reason: reason, Detail: "d", Next: "n", CheckedAt: Start().Add(time.Minute)}
	}
	all := []org.Coverage{
		row("111111111111", "eu-west-1", org.Covered, org.ReachOK), row("111111111111", "us-east-1", org.Degraded, org.ReachSilent),
		row("222222222222", "eu-west-1", org.Lost, org.ReachRole), row("333333333333", "eu-west-1", org.Lost, org.ReachState),
	}
	ok(t, s.PutCoverage(ctx, all, event("lost")))
	same(t, all, must(s.Coverage(ctx))(t))
	same(t, all[:2], must(s.CoverageOf(ctx, []string{"111111111111"}))(t))
	same(t, map[string]int64{"covered": 1, "degraded": 1, "lost": 1, "idle": 1}, must(s.CoverageCounts(ctx, store.AllAccounts()))(t))
	same(t, map[string]int64{"lost": 1}, must(s.CoverageCounts(ctx, []string{"222222222222"}))(t))
	page, next, err := s.ListCoverage(ctx, store.CoverageFilter{Accounts: store.AllAccounts(), Region: "eu-west-1"}, 2, "")
	ok(t, err)
	same(t, all[2:], page) // what is lost comes first
	page, next, err = s.ListCoverage(ctx, store.CoverageFilter{Accounts: store.AllAccounts(), Region: "eu-west-1"}, 2, next)
	ok(t, err)
	same(t, all[:1], page)
	same(t, "", next)
	// A filter does not widen the scope; no scope is nothing.
	for _, f := range []store.CoverageFilter{{Accounts: []string{"111111111111"}, Account: "222222222222"}, {Accounts: []string{}}} {
		page, _, err = s.ListCoverage(ctx, f, 10, "")
		ok(t, err)
		same(t, 0, len(page))
	}
	// Regions that are off come last, over pages too.
	off := []org.Coverage{row("000000000000", "eu-south-1", org.Off, org.ReachOff), row("444444444444", "eu-south-1", org.Off, org.ReachOff)}
	ok(t, s.PutCoverage(ctx, off, store.Effects{}))
	var order []string
	for cursor := ""; ; {
		page, next, err := s.ListCoverage(ctx, store.CoverageFilter{Accounts: store.AllAccounts()}, 1, cursor)
		ok(t, err)
		order = append(order, string(page[0].State)+" "+page[0].Account)
		if cursor = next; next == "" {
			break
		}
	}
	same(t, []string{"lost 222222222222", "lost 333333333333", "degraded 111111111111", "covered 111111111111", "off 000000000000", "off 444444444444"}, order)
	same(t, int64(2), must(s.CoverageCounts(ctx, store.AllAccounts()))(t)["off"])
	page, _, err = s.ListCoverage(ctx, store.CoverageFilter{Accounts: store.AllAccounts(), State: "off"}, 10, "")
	ok(t, err)
	same(t, off, page)
	ok(t, s.DropCoverage(ctx, off))
	all[2].State, all[2].Since = org.Covered, Start().Add(time.Hour)
	ok(t, s.PutCoverage(ctx, all[2:3], store.Effects{}))
	ok(t, s.DropCoverage(ctx, all[3:]))
	same(t, all[:3], must(s.Coverage(ctx))(t))
}

func sightings(t *testing.T, s *store.Store) {
	ctx := t.Context()
	x := org.Sighting{Account: "111111111111", Region: "eu-west-1", Source: "hub", At: Start().Add(time.Hour)}
	y := org.Sighting{Account: "222222222222", Region: "eu-west-1", Source: "hub", At: Start()}
	earlier := x
	earlier.At = Start()
	ok(t, s.PutSightings(ctx, []org.Sighting{y, x}))
	ok(t, s.PutSightings(ctx, []org.Sighting{earlier}))
	same(t, []org.Sighting{x, y}, must(s.Sightings(ctx, ""))(t))
	same(t, []org.Sighting{y}, must(s.Sightings(ctx, y.Account))(t))
}
