package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

// TestFindingsOfAccountsOutOfUseAreHidden: lists and counts leave them out unless the
// question asks for them, and say how many; a key that may not see them is told of none.
// The store has three findings in dev and one in prod.
func TestFindingsOfAccountsOutOfUseAreHidden(t *testing.T) {
	t.Parallel()
	all := client.FindingFilter{AllAccounts: true}
	for name, c := range map[string]struct {
		dev, prod    org.State
		accounts     string // of the key
		f            client.FindingFilter
		want, hidden int
	}{
		"suspended":            {org.Active, org.Suspended, "*", client.FindingFilter{}, 3, 1},
		"being closed":         {org.Active, org.PendingClosure, "*", client.FindingFilter{}, 3, 1},
		"closed":               {org.Closed, org.Active, "*", client.FindingFilter{}, 1, 3},
		"left":                 {org.Left, "", "*", client.FindingFilter{}, 1, 3},
		"all":                  {org.Closed, org.Left, "*", client.FindingFilter{}, 0, 4},
		"none":                 {org.Active, "", "*", client.FindingFilter{}, 4, 0},
		"not activated yet":    {org.PendingActivation, "", "*", client.FindingFilter{}, 4, 0},
		"asked for":            {org.Closed, org.Left, "*", all, 4, 0},
		"by account":           {org.Closed, org.Left, "*", client.FindingFilter{Account: dev}, 3, 0},
		"by id":                {org.Closed, org.Left, "*", client.FindingFilter{ID: "f3"}, 1, 0},
		"by resource":          {org.Closed, org.Left, "*", client.FindingFilter{ResourceID: "bucket-" + prod}, 1, 0},
		"of what is selected":  {org.Closed, org.Active, "*", client.FindingFilter{Severity: "HIGH"}, 1, 2},
		"of what no counter":   {org.Closed, org.Active, "*", client.FindingFilter{Overdue: true}, 0, 0},
		"main ones":            {org.Closed, org.Active, "*", client.FindingFilter{Unique: true}, 1, 3},
		"excepted":             {org.Closed, org.Active, "*", client.FindingFilter{Excepted: true}, 0, 0},
		"another's":            {org.Active, org.Closed, dev, client.FindingFilter{}, 3, 0},
		"another's, asked for": {org.Active, org.Closed, dev, all, 3, 0},
		"another's, named":     {org.Active, org.Closed, dev, client.FindingFilter{Account: prod}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := insightBenchOf(t, func(cfg *api.Config, db *store.Store) {
				cfg.Findings = db
				cfg.Accounts = func() []org.Account { return []org.Account{{ID: dev, State: c.dev}, {ID: prod, State: c.prod}} }
			})
			by := b.as(t, "reader", c.accounts)
			var ids []string
			hidden, paging := int64(0), client.Paging{Limit: 2}
			for first := true; ; first = false {
				page, err := by.Findings(t.Context(), c.f, paging)
				if err != nil {
					t.Fatal(err)
				}
				if !first && page.Hidden != 0 {
					t.Error("a later page says again what is hidden")
				}
				hidden += page.Hidden
				for _, f := range page.Items {
					ids = append(ids, f.ID)
				}
				if paging.Cursor = page.Next; page.Next == "" {
					break
				}
			}
			slices.Sort(ids)
			if n := len(slices.Compact(ids)); n != c.want || int(hidden) != c.hidden {
				t.Errorf("%d listed, %d hidden, want %d and %d", n, hidden, c.want, c.hidden)
			}
			if c.f.Unique || c.f.Excepted { // counts do not know them
				return
			}
			for _, group := range [][]string{nil, {"severity", "account"}, {"resource_type"}} {
				counts, err := by.CountFindings(t.Context(), c.f, group, 0)
				if err != nil || int(counts.Total) != c.want || int(counts.Hidden) != c.hidden {
					t.Errorf("by %v: %+v %v, want %d and %d hidden", group, counts, err, c.want, c.hidden)
				}
			}
		})
	}
}

// TestMoreAccountsOutOfUseThanAQueryTakes: those with findings are hidden, wherever they
// stand in the list.
func TestMoreAccountsOutOfUseThanAQueryTakes(t *testing.T) {
	t.Parallel()
	var many []org.Account
	for i := range store.MaxWithout + 500 {
		many = append(many, org.Account{ID: fmt.Sprintf("%012d", i), State: org.Left})
	}
	many = append(many, org.Account{ID: dev, State: org.Left}, org.Account{ID: prod})
	b, _ := insightBenchOf(t, func(cfg *api.Config, db *store.Store) {
		cfg.Findings, cfg.Accounts = db, func() []org.Account { return many }
	})
	page, err := b.as(t, "reader", auth.All).Findings(t.Context(), client.FindingFilter{}, client.Paging{})
	if err != nil || len(page.Items) != 1 || page.Items[0].Account != prod || page.Hidden != 3 {
		t.Errorf("%+v %v", page, err)
	}
}
