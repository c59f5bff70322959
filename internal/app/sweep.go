package app

import (
	"context"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/sweep"
)

// SweepGate lets sweeps read, and nothing else, as role in each account; role "" is the
// process itself, in its own account.
func SweepGate(gate *awsapi.Gate, role string) sweep.Gate { return sweepGate{gate, role} }

type sweepGate struct {
	gate *awsapi.Gate
	role string
}

// Reader opens a read-only session whose source identity is by.
func (g sweepGate) Reader(by string) sweep.Caller {
	return g.gate.ReadOnly(awsapi.Identity{Role: g.role, SessionName: "parry-sweep", SourceIdentity: by})
}

// askRegions asks an account which Regions are on in it.
func askRegions(home string) func(context.Context, sweep.Caller, string) (map[string]bool, error) {
	return func(ctx context.Context, caller sweep.Caller, account string) (map[string]bool, error) {
		reply, err := caller.Call(ctx, "regions", org.RegionsCall(account, home))
		if err != nil {
			return nil, err
		}
		return org.RegionsOf(reply.Output), nil
	}
}

// Pages gives the pages of a listing.
func (g sweepGate) Pages(ctx context.Context, caller sweep.Caller, call apimodel.Call, page func(map[string]any) error) error {
	_, err := g.gate.Paginate(ctx, caller, call, awsapi.PageOptions{Step: "list"}, page)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	// An operation without pages, or an account or Region that AWS does not find: the
	// call itself tells which.
	reply, err := caller.Call(ctx, "list", call)
	if err != nil {
		return err
	}
	return page(reply.Output)
}

// sweepReporter knows what is stored.
type sweepReporter struct {
	store interface {
		QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
	}
}

// maxReports is how many findings are named of one resource.
const maxReports = 10

// Reports gives the active findings of controls about r.
func (s sweepReporter) Reports(ctx context.Context, controls []string, r playbook.Resource, region string) ([]sweep.Finding, error) {
	equal := func(column string, values ...string) store.Condition {
		return store.Condition{Column: column, Op: store.OpEqual, Values: values}
	}
	q := store.FindingQuery{
		Accounts: []string{r.Account}, Limit: maxReports, ColumnsOnly: true,
		Where: []store.Condition{equal("control", controls...), equal("any_resource_id", r.ARN), equal("record_state", "ACTIVE")},
	}
	if region != "" {
		q.Where = append(q.Where, equal("region", region))
	}
	page, err := s.store.QueryFindings(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]sweep.Finding, 0, len(page.Records))
	for _, f := range page.Records {
		out = append(out, sweep.Finding{Key: f.ID.Key(), Workflow: f.Workflow, Compliance: f.Compliance})
	}
	return out, nil
}
