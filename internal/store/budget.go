package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// spend counts one change in every budget, or in none. The rows are taken in the
// order of the list, so that writers cannot wait for each other in a circle, and
// the transaction ends right after: on PostgreSQL the row of the budget that
// everybody shares lets one transaction through at a time.
func (t *tx) spend(ctx context.Context, op string, budgets []remediation.Budget) error {
	rows := make([][]any, len(budgets))
	for i, b := range budgets {
		if b.Name == "" || b.Limit < 1 || b.Until.IsZero() {
			return invalid(op, "budget %q has no name, limit or end", b.Name)
		}
		rows[i] = append(budgetKey(b), micros(b.Until), int64(b.Limit))
	}
	n, err := t.bulk(ctx, t.s.q.BudgetSpend, rows)
	if err == nil && n < int64(len(budgets)) {
		err = errOverBudget
	}
	return err
}

// errOverBudget ends a transaction in which a budget could not be counted.
var errOverBudget = errors.New("over budget")

// overBudget says which budget is used up, when the transaction is undone: within
// it, what it counted itself could be taken for what others did.
func (s *Store) overBudget(ctx context.Context, op string, budgets []remediation.Budget) error {
	for i, b := range budgets {
		used, err := one(ctx, s.execution.Read, s.q.BudgetRead, budgetKey(b), scanInt)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return s.fail(op, err)
		}
		// The last is named when one was freed meanwhile: it is tried again anyway.
		if used >= int64(b.Limit) || i == len(budgets)-1 {
			return fault.E(fault.Exhausted, op, &remediation.OverBudgetError{Budget: b})
		}
	}
	return s.fail(op, errOverBudget)
}

func budgetKey(b remediation.Budget) []any {
	return []any{b.Name, text(b.Key, maxID), micros(b.Since)}
}

// refund takes a change that was never sent out of its budgets.
func (t *tx) refund(ctx context.Context, budgets []remediation.Budget) error {
	for _, b := range budgets {
		if _, err := t.changed(ctx, t.s.q.BudgetRefund, budgetKey(b)...); err != nil {
			return err
		}
	}
	return nil
}

// BudgetsUsed gives the counters whose window is not over at now, at most n, the
// most used first.
func (s *Store) BudgetsUsed(ctx context.Context, now time.Time, n int) ([]remediation.BudgetUse, error) {
	all, err := collect(ctx, s.execution.Read, s.q.BudgetList, []any{micros(now), int64(n)}, func(r scanner) (remediation.BudgetUse, error) {
		var b remediation.BudgetUse
		var since, until int64
		err := r.Scan(&b.Name, &b.Key, &since, &until, &b.Limit, &b.Used)
		b.Since, b.Until = fromMicros(since), fromMicros(until)
		return b, err
	})
	return all, s.fail("list the budgets", err)
}
