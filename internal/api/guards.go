package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
)

// GuardReport is what no plan passes, whatever was approved, and how much of the
// budgets is used.
type GuardReport struct {
	Revision string               `json:"revision" doc:"SHA-256 of the guards; a plan made under others is superseded."`
	Defaults []awsapi.DefaultDeny `json:"defaults" nullable:"false" doc:"What is refused without a rule."`
	Allow    []awsapi.Rule        `json:"allow" nullable:"false" doc:"When there are any, all changes that are allowed."`
	Deny     []awsapi.Rule        `json:"deny" nullable:"false" doc:"Changes that are refused; they win over allow."`
	Limits   []BudgetLimit        `json:"limits" nullable:"false"`
	Used     []BudgetUse          `json:"used" nullable:"false" doc:"The counters that count now, the most used first, at most 100."`
}

// BudgetLimit is a budget in force. Undoing has counters of its own, with the
// same limits.
type BudgetLimit struct {
	Name  string `json:"name"`
	Limit int    `json:"limit" doc:"Number of changes."`
}

// BudgetUse is one counter.
type BudgetUse struct {
	Name    string    `json:"name"`
	Key     string    `json:"key" doc:"The account or execution that is counted; empty where all count together."`
	Used    int       `json:"used"`
	Limit   int       `json:"limit"`
	FreesAt time.Time `json:"frees_at"`
}

type guardsOutput struct{ Body GuardReport }

func (a *API) registerGuards() {
	register(a, operation{id: "get-guards", method: http.MethodGet, path: "/v1/guards", summary: "The guards and budgets in force", tag: "server"}, auth.SwitchRead,
		func(ctx context.Context, p auth.Principal, _ *struct{}) (*guardsOutput, error) {
			// They name accounts and executions of the whole organization.
			if err := auth.Authorize(p, auth.SwitchRead, auth.All); err != nil {
				return nil, err
			}
			report, err := a.cfg.Guards(ctx)
			return &guardsOutput{report}, err
		})
}
