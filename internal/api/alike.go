package api

import (
	"context"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// AlikePlan is another plan for the same resource, which waits too and makes changes that
// this one makes: once one is carried out, the other no longer fits what is there.
type AlikePlan struct {
	Remediation remediation.ID `json:"remediation"`
	Control     string         `json:"control,omitempty"`
	Shared      int            `json:"shared" doc:"How many changes of the plan that was asked for it makes too."`
	Changes     int            `json:"changes" doc:"How many changes it makes in all."`
}

const (
	// maxAlike bounds the plans that are compared: each is read and opened.
	maxAlike = 10
	// alikeLook bounds the remediations that are looked through for those.
	alikeLook = 200
)

// alike looks for plans that wait for approval beside r's and share changes with it.
func (a *API) alike(ctx context.Context, p auth.Principal, r remediation.Remediation, plan remediation.Plan) ([]AlikePlan, error) {
	if r.State != remediation.AwaitingApproval || plan.Changes() == 0 {
		return nil, nil
	}
	waiting, _, err := a.cfg.Remediations.ListRemediations(ctx, store.RemediationFilter{Accounts: auth.Scope(p), Account: r.Account, State: remediation.AwaitingApproval}, alikeLook, "")
	if err != nil {
		return nil, err
	}
	var out []AlikePlan
	looked := 0
	for _, o := range waiting {
		if o.ID == r.ID || o.Resource != r.Resource || o.PlanHash == "" || looked == maxAlike {
			continue
		}
		looked++
		other, err := a.cfg.Remediations.Plan(ctx, o.PlanHash)
		if err != nil {
			return nil, err
		}
		if n := remediation.Shared(plan, other); n > 0 {
			out = append(out, AlikePlan{Remediation: o.ID, Control: o.Control, Shared: n, Changes: other.Changes()})
		}
	}
	return out, nil
}
