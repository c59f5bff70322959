package api

import (
	"context"
	"slices"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/store"
)

// AccountsOutOfUse says whether lists hold findings of accounts that are out of use. It
// is exported because huma skips embedded fields that are not.
type AccountsOutOfUse struct {
	AllAccounts bool `query:"all_accounts" doc:"Also findings of accounts that are suspended, closed, being closed or no longer in the organization. They are hidden otherwise, unless account, id, exception or resource_id asks for them."`
}

// hiding is the one rule by which findings of accounts that are out of use are left out
// of lists, searches, counts, groups, facets, trends and the overview: not when the
// caller asks for them, nor when the question names what it is about.
type hiding struct {
	show  AccountsOutOfUse
	in    FindingSelection
	asked filter.Filter
}

func (h hiding) off() bool {
	in := h.in
	return h.show.AllAccounts || in.Account != "" || in.ID != "" || in.Exception != "" || in.ResourceID != "" ||
		slices.ContainsFunc(h.asked.Criteria, func(c filter.Criterion) bool {
			return slices.Contains([]string{"AwsAccountId", "AwsAccountName", "Id", "ResourceId"}, c.Field.Name) &&
				slices.ContainsFunc(c.Strings, func(t filter.StringTest) bool { return t.Comparison == filter.Equals || t.Comparison == filter.Prefix })
		})
}

// hides gives the accounts that h leaves out, within p's. Of more than store.MaxWithout
// it gives those with the most findings.
func (a *API) hides(ctx context.Context, p auth.Principal, h hiding) ([]string, error) {
	if h.off() {
		return nil, nil
	}
	var out []string
	for _, o := range a.cfg.Accounts() {
		if o.State.Out() && p.Covers(o.ID) {
			out = append(out, o.ID)
		}
	}
	return store.MostFindings(ctx, a.cfg.Counter, out)
}

// hidden counts what q would count in the accounts that it leaves out.
func (a *API) hidden(ctx context.Context, q store.CountQuery) (int64, error) {
	if len(q.WithoutAccounts) == 0 {
		return 0, nil
	}
	q.Accounts, q.WithoutAccounts, q.GroupBy = q.WithoutAccounts, nil, nil
	var n int64
	counts, err := a.cfg.Counter.CountFindings(ctx, q)
	for _, c := range counts {
		n += c.N
	}
	return n, err
}

// hiddenBy is hidden for a question that a filter asks too. It says more when so many
// documents would have to be read that the store does not count them.
func (a *API) hiddenBy(ctx context.Context, q store.CountQuery, f filter.Filter) (n int64, more bool, err error) {
	if len(f.Criteria) == 0 || len(q.WithoutAccounts) == 0 {
		n, err = a.hidden(ctx, q)
		return n, false, err
	}
	counts, err := a.cfg.Counter.GroupFindings(ctx, store.GroupQuery{Accounts: q.WithoutAccounts, Where: q.Where, Filter: f, By: "account", Limit: store.MaxWithout})
	if fault.Is(err, fault.Invalid) {
		return 0, true, nil
	}
	for _, c := range counts {
		n += c.N
	}
	return n, false, err
}
