package app

import (
	"context"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
)

// maxBudgetRows bounds the counters in a report of the guards.
const maxBudgetRows = 100

// GuardReport gives the guards and limits that cfg sets, without their use.
func GuardReport(cfg config.Config) api.GuardReport {
	g, b := guards(cfg), awsapi.Budgets(cfg.Guards.Budgets).InForce()
	return api.GuardReport{
		Revision: g.Revision(), Defaults: g.DefaultDenies(), Allow: append([]awsapi.Rule{}, g.Allow...), Deny: append([]awsapi.Rule{}, g.Deny...),
		Limits: []api.BudgetLimit{{Name: "per_execution", Limit: b.PerExecution}, {Name: "per_account_hour", Limit: b.PerAccountHour}, {Name: "per_hour", Limit: b.PerHour}},
		Used:   []api.BudgetUse{},
	}
}

// guardReport is GuardReport with what is used of the budgets now.
func (s *Server) guardReport(ctx context.Context) (api.GuardReport, error) {
	report := GuardReport(s.cfg)
	used, err := s.store.BudgetsUsed(ctx, s.clock.Now(), maxBudgetRows)
	if err != nil {
		return report, err
	}
	for _, b := range used {
		report.Used = append(report.Used, api.BudgetUse{Name: b.Name, Key: b.Key, Used: b.Used, Limit: b.Limit, FreesAt: b.Until.UTC()})
	}
	return report, nil
}
