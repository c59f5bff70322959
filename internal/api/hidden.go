package api

import (
	"context"
	"slices"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/store"
)

// AccountsOutOfUse says whether lists hold findings of accounts that are out of use. It
// is exported because huma skips embedded fields that are not.
type AccountsOutOfUse struct {
	AllAccounts bool `query:"all_accounts" doc:"Also findings of accounts that are suspended, closed, being closed or no longer in the organization. They are hidden otherwise, unless account, id, exception or resource_id asks for them."`
}

// hides gives the accounts whose findings a list of in does not hold, within p's: none
// where the question names what it is about. Of more than store.MaxWithout it gives
// those with the most findings.
func (a *API) hides(ctx context.Context, p auth.Principal, in FindingSelection, show AccountsOutOfUse) ([]string, error) {
	if show.AllAccounts || in.Account != "" || in.ID != "" || in.Exception != "" || in.ResourceID != "" {
		return nil, nil
	}
	var out []string
	for _, o := range a.cfg.Accounts() {
		if o.State.Out() && p.Covers(o.ID) {
			out = append(out, o.ID)
		}
	}
	if len(out) <= store.MaxWithout {
		return out, nil
	}
	counts, err := a.cfg.Counter.CountFindings(ctx, store.CountQuery{Accounts: out, GroupBy: []string{"account"}})
	if err != nil {
		return nil, err
	}
	out = out[:0]
	for _, c := range counts[:min(len(counts), store.MaxWithout)] {
		out = append(out, c.Group[0])
	}
	slices.Sort(out)
	return out, nil
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
