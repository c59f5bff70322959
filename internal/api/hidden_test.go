package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
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

// TestWhatIsHiddenIsSoEverywhere: searches, groups, facets, trends and the overview leave
// out what the list leaves out, and say how much.
func TestWhatIsHiddenIsSoEverywhere(t *testing.T) {
	t.Parallel()
	b, _ := insightBenchOf(t, func(cfg *api.Config, db *store.Store) {
		cfg.Findings = db
		cfg.Accounts = func() []org.Account {
			return []org.Account{{ID: dev, State: org.Closed}, {ID: prod, State: org.Active}}
		}
	})
	by := b.as(t, "reader", auth.All)
	filters := func(text string) api.FindingSearch { return api.FindingSearch{Filters: json.RawMessage(text)} }
	for name, c := range map[string]struct {
		f            client.FindingFilter
		search       api.FindingSearch
		want, hidden int
	}{
		"of nothing":            {want: 1, hidden: 3},
		"of words":              {search: api.FindingSearch{Text: "t"}, want: 1, hidden: 3},
		"of what columns tell":  {search: filters(`{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]}`), want: 1, hidden: 2},
		"of what documents say": {search: filters(`{"Description":[{"Value":"d","Comparison":"EQUALS"}]}`), want: 1, hidden: 3},
		"of another account":    {search: filters(`{"AwsAccountId":[{"Value":"` + prod + `","Comparison":"NOT_EQUALS"}]}`), want: 0, hidden: 3},
		"of the account":        {search: filters(`{"AwsAccountId":[{"Value":"` + dev + `","Comparison":"EQUALS"}]}`), want: 3},
		"of a finding":          {search: filters(`{"Id":[{"Value":"f","Comparison":"PREFIX"}]}`), want: 4},
		"of a resource":         {f: client.FindingFilter{ResourceID: "bucket-" + dev}, want: 3},
		"of all":                {f: client.FindingFilter{AllAccounts: true}, want: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page, err := by.SearchFindings(t.Context(), c.f, c.search, client.Paging{})
			if err != nil || len(page.Items) != c.want || int(page.Hidden) != c.hidden || page.HiddenMore {
				t.Errorf("search: %+v %v, want %d and %d hidden", page, err, c.want, c.hidden)
			}
			groups, err := by.GroupFindings(t.Context(), c.f, c.search, "severity", 0)
			n := int64(0)
			for _, g := range groups.Groups {
				n += g.Count
			}
			if err != nil || int(n) != c.want || int(groups.Hidden) != c.hidden {
				t.Errorf("groups: %+v %v, want %d and %d hidden", groups, err, c.want, c.hidden)
			}
		})
	}
	for all, open := range map[bool]int64{false: 1, true: 3} {
		trends, err := by.FindingTrends(t.Context(), client.TrendQuery{Days: 1, AllAccounts: all})
		if err != nil || len(trends.Series) != 1 || trends.Series[0].Points[0].Active != open || trends.Hidden != 3-open {
			t.Errorf("trends of all %v: %+v %v", all, trends, err)
		}
	}
	p := newPagesOf(t, []org.Account{{ID: dev, State: org.Closed}, {ID: prod, State: org.Active}})
	_, got := p.ask("vera", "viewer", []string{auth.All}, http.MethodGet, "/v1/overview", nil)
	top, _ := got["top_accounts"].([]any)
	if got["hidden"] != float64(2) || len(top) != 1 || top[0].(map[string]any)["label"] != prod {
		t.Errorf("overview: %v", got)
	}
	_, got = p.ask("vera", "viewer", []string{auth.All}, http.MethodGet, "/v1/findings/facets?field=account", nil)
	if groups, _ := got["groups"].([]any); len(groups) != 1 {
		t.Errorf("facets: %v", got)
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
