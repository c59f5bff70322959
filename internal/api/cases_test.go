package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/respond"
	"github.com/parry-security/parry/internal/store"
)

// noCases is a desk that nobody asks.
type (
	caseDesk interface{ api.Cases }
	noCases  struct{ caseDesk }
)

// caseBench has a real desk over a real store, with a case in dev, one in prod, one in
// both and one of no account.
func caseBench(t *testing.T) (bench, map[string]string) {
	t.Helper()
	var desk *respond.Desk
	b, _ := insightBenchOf(t, func(c *api.Config, db *store.Store) {
		var err error
		if desk, err = respond.New(respond.Config{Store: db, Account: "999988887777", Region: "us-east-1", Partition: "aws"}); err != nil {
			t.Fatal(err)
		}
		c.Cases = desk
	})
	ids := map[string]string{}
	for name, accounts := range map[string][]string{"dev": {dev}, "prod": {prod}, "both": {dev, prod}, "none": nil} {
		c, err := desk.Open(t.Context(), respond.NewCase{Title: name, Description: "d", Accounts: accounts}, respond.Who{Name: "ana", Accounts: store.AllAccounts()})
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = c.ID
	}
	return b, ids
}

func newCase(accounts ...string) api.CaseRequest {
	return api.CaseRequest{Title: "t", Description: "d", Accounts: accounts}
}

// A case of accounts that a key does not have is as one that is not there.
func TestCasesAreOfTheirAccounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		accounts []string
		sees     string
	}{
		"dev": {[]string{dev}, "dev"}, "both": {[]string{dev, prod}, "both dev prod"}, "all": {[]string{"*"}, "both dev none prod"}, "nobody": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, ids := caseBench(t)
			ctx, who := t.Context(), b.as(t, "admin", c.accounts...)
			var got []string
			p := client.Paging{Limit: 1}
			for page := 0; page == 0 || p.Cursor != ""; page++ {
				list, err := who.Cases(ctx, "open", "", p)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range list.Items {
					got = append(got, one.Title)
				}
				p.Cursor = list.Next
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.sees, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
			for title, id := range ids {
				may := slices.Contains(strings.Fields(c.sees), title)
				for verb, err := range map[string]error{
					"show":     erred(who.Case(ctx, id)),
					"timeline": erred(who.CaseTimeline(ctx, id, client.Paging{})),
					"note":     erred(who.NoteCase(ctx, id, "x")),
					"move":     erred(who.MoveCase(ctx, id, casefile.Containment, "")),
					"close":    erred(who.CloseCase(ctx, id, casefile.Completed, "")),
				} {
					if !may && !fault.Is(err, fault.NotFound) || may && fault.Is(err, fault.NotFound) {
						t.Errorf("%s %s: %v", verb, title, err)
					}
				}
			}
			for title, accounts := range map[string][]string{"dev": {dev}, "both": {dev, prod}, "none": {}} {
				may := slices.Contains(strings.Fields(c.sees), title)
				if _, err := who.OpenCase(ctx, newCase(accounts...)); may != (err == nil) || !may && !fault.Is(err, fault.Denied) {
					t.Errorf("open %s: %v", title, err)
				}
			}
		})
	}
}

func erred[T any](_ T, err error) error { return err }

func TestRolesOfCases(t *testing.T) {
	t.Parallel()
	b, ids := caseBench(t)
	ctx, id := t.Context(), ids["dev"]
	const readers, writers = "admin operator approver reader", "admin operator"
	for verb, c := range map[string]struct {
		ask   func(c *client.Client) error
		roles string
	}{
		"list":     {func(c *client.Client) error { return erred(c.Cases(ctx, "", "", client.Paging{})) }, readers},
		"show":     {func(c *client.Client) error { return erred(c.Case(ctx, id)) }, readers},
		"timeline": {func(c *client.Client) error { return erred(c.CaseTimeline(ctx, id, client.Paging{})) }, readers},
		"open":     {func(c *client.Client) error { return erred(c.OpenCase(ctx, newCase(dev))) }, writers},
		"note":     {func(c *client.Client) error { return erred(c.NoteCase(ctx, id, "x")) }, writers},
		"move": {func(c *client.Client) error {
			err := erred(c.MoveCase(ctx, id, casefile.Containment, ""))
			if fault.Is(err, fault.Conflict) { // another role was here before
				return nil
			}
			return err
		}, writers},
		"close": {func(c *client.Client) error {
			one, err := b.as(t, "admin", dev).OpenCase(ctx, newCase(dev))
			if err != nil {
				return err
			}
			return erred(c.CloseCase(ctx, one.ID, casefile.Completed, ""))
		}, writers},
	} {
		for _, role := range []string{"admin", "operator", "approver", "reader", "source", "nonsense"} {
			err := c.ask(b.as(t, role, dev))
			if may := slices.Contains(strings.Fields(c.roles), role); may != (err == nil) || !may && !fault.Is(err, fault.Denied) {
				t.Errorf("%s by %s: %v", verb, role, err)
			}
		}
	}
}

// What a case is linked to is within the caller's accounts, and brings its account.
func TestACaseIsLinkedToFindings(t *testing.T) {
	t.Parallel()
	b, _ := caseBench(t)
	ctx := t.Context()
	mine, foreign := newCase(), newCase()
	mine.Findings, foreign.Findings = []string{devFinding.Key()}, []string{prodFinding.Key()}
	who := b.as(t, "operator", dev)
	c, err := who.OpenCase(ctx, mine)
	if err != nil || !slices.Equal(c.Accounts, []string{dev}) || len(c.Findings) != 1 || c.Findings[0].Key != devFinding.Key() {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := who.OpenCase(ctx, foreign); !fault.Is(err, fault.NotFound) {
		t.Errorf("a foreign finding: %v", err)
	}
	for name, change := range map[string]func(*api.CaseRequest){
		"no title":    func(r *api.CaseRequest) { r.Title = "" },
		"long title":  func(r *api.CaseRequest) { r.Title = strings.Repeat("x", 301) },
		"severity":    func(r *api.CaseRequest) { r.Severity = "high" },
		"Region":      func(r *api.CaseRequest) { r.Regions = []string{"nowhere"} },
		"remediation": func(r *api.CaseRequest) { r.Remediations = make([]string, 51) },
	} {
		r := newCase(dev)
		change(&r)
		if _, err := who.OpenCase(ctx, r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := who.Cases(ctx, "none", "", client.Paging{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("status: %v", err)
	}
	if _, err := who.MoveCase(ctx, c.ID, "Eradicated", ""); !fault.Is(err, fault.Invalid) {
		t.Errorf("move: %v", err)
	}
}
