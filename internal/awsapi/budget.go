package awsapi

import (
	"context"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// Budgets bound how many changes leave, whatever was approved: the damage that a
// wrong playbook can do before somebody looks. Each bounds fixes and undos apart,
// so that the way back is not barred by what the mistake used up. A window is a
// clock hour in UTC, so at most twice the limit leaves within any 60 minutes.
// They are no part of the guards' revision: a plan holds the same calls under
// any of them.
type Budgets struct {
	PerExecution   int // default 100
	PerAccountHour int // default 200
	PerHour        int // of all accounts; default 2000
}

// executionMemory is how long an execution's counter is kept after its last change.
const executionMemory = 31 * 24 * time.Hour

func (b Budgets) withDefaults() Budgets {
	for at, n := range map[*int]int{&b.PerExecution: 100, &b.PerAccountHour: 200, &b.PerHour: 2000} {
		if *at <= 0 {
			*at = n
		}
	}
	return b
}

// of gives the budgets that a change at a time counts in, the one that all share
// last.
func (b Budgets) of(execution, account string, kind remediation.Kind, at time.Time) []remediation.Budget {
	prefix := ""
	if kind == remediation.KindUndo {
		prefix = "undo_"
	}
	at = at.UTC()
	hour := at.Truncate(time.Hour)
	return []remediation.Budget{
		{Name: prefix + "per_execution", Key: execution, Until: at.Add(executionMemory), Limit: b.PerExecution},
		{Name: prefix + "per_account_hour", Key: account, Since: hour, Until: hour.Add(time.Hour), Limit: b.PerAccountHour},
		{Name: prefix + "per_hour", Since: hour, Until: hour.Add(time.Hour), Limit: b.PerHour},
	}
}

// intend records that a change is about to be sent and counts it, in one write.
// Where a budget is used up that frees before the plan expires, the change is
// held until then.
func (p *applying) intend(ctx context.Context, rec remediation.Change) error {
	rec.Budgets = p.g.cfg.Budgets.of(p.auth.Execution, rec.Call.Account, p.auth.Plan.Kind, rec.IntentAt)
	err := p.auth.Recorder.RecordIntent(ctx, rec)
	var over *remediation.OverBudgetError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &over):
		return fault.Errorf(fault.Unavailable, "record change "+rec.ID, "nothing was sent: %w", err)
	}
	b := over.Budget
	refused := fault.Errorf(fault.Exhausted, "apply step "+rec.Call.Step, "%s:%s was not sent: %w", rec.Call.Service, rec.Call.Operation, over).
		WithHint("look at what was changed: parry remediation list; guards.budgets in parry.yaml sets the limit")
	if b.Since.IsZero() || !p.auth.Plan.ExpiresAt.IsZero() && b.Until.After(p.auth.Plan.ExpiresAt) {
		return fault.Terminal(refused)
	}
	return &HeldError{Err: refused, After: b.Until.Sub(rec.IntentAt)}
}
