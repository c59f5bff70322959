package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func budgetTests() []conformance {
	return []conformance{
		{"budget/counted with the intent, once", budgetOnce},
		{"budget/used up, nothing is stored", budgetUsedUp},
		{"budget/given back for what never left", budgetRefund},
		{"budget/another window is another counter", budgetWindow},
		{"budget/a changed limit holds at once", budgetLimit},
		{"budget/no two writers share the last one", budgetRace},
		{"budget/counters that are over are pruned", budgetPrune},
	}
}

// within gives the budgets of a change: of its execution and of all together.
func within(execution, all int) []remediation.Budget {
	return []remediation.Budget{
		{Name: "per_execution", Key: "exe-1", Until: Start().Add(24 * time.Hour), Limit: execution},
		{Name: "per_hour", Since: Start(), Until: Start().Add(time.Hour), Limit: all},
	}
}

func counted(i int, budgets []remediation.Budget) remediation.Change {
	c := change(i)
	c.Budgets = budgets
	return c
}

// used gives what was taken, by the name of the budget.
func used(t *testing.T, s *store.Store) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, b := range must(s.BudgetsUsed(t.Context(), clock(t, s).Now(), 100))(t) {
		out[b.Name] += b.Used
	}
	return out
}

func overBudget(t *testing.T, err error, name string) {
	t.Helper()
	code(t, err, fault.Exhausted)
	var over *remediation.OverBudgetError
	if !errors.As(err, &over) || over.Budget.Name != name {
		t.Errorf("error %v does not name budget %s", err, name)
	}
}

func budgetOnce(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := counted(1, within(5, 9))
	for range 3 { // a restart records the same intent again
		ok(t, s.RecordIntent(ctx, c))
	}
	ok(t, s.RecordIntent(ctx, counted(2, within(5, 9))))
	same(t, map[string]int{"per_execution": 2, "per_hour": 2}, used(t, s))
	same(t, c, must(s.Change(ctx, c.ID))(t))
	c.Outcome = remediation.Refused // AWS said no: it was sent
	ok(t, s.RecordOutcome(ctx, c))
	same(t, map[string]int{"per_execution": 2, "per_hour": 2}, used(t, s))
	bad := counted(3, []remediation.Budget{{Name: "per_hour", Limit: 0, Until: Start()}})
	code(t, s.RecordIntent(ctx, bad), fault.Invalid)
}

func budgetUsedUp(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.RecordIntent(ctx, counted(1, within(2, 9))))
	ok(t, s.RecordIntent(ctx, counted(2, within(2, 9))))
	overBudget(t, s.RecordIntent(ctx, counted(3, within(2, 9))), "per_execution")
	overBudget(t, s.RecordIntent(ctx, counted(3, within(3, 2))), "per_hour")
	_, err := s.Change(ctx, change(3).ID)
	sentinel(t, err, store.ErrNotFound)
	same(t, map[string]int{"per_execution": 2, "per_hour": 2}, used(t, s)) // neither took what the other refused
	ok(t, s.RecordIntent(ctx, counted(1, within(2, 9))))                   // recorded before: not counted again
}

func budgetRefund(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := counted(1, within(1, 9))
	ok(t, s.RecordIntent(ctx, c))
	c.Outcome, c.NotSent, c.Budgets = remediation.Refused, true, nil // the budgets are those of the intent
	ok(t, s.RecordOutcome(ctx, c))
	ok(t, s.RecordOutcome(ctx, c)) // and given back once
	same(t, map[string]int{"per_execution": 0, "per_hour": 0}, used(t, s))
	again := counted(2, within(1, 9))
	ok(t, s.RecordIntent(ctx, again))
	again.Outcome = remediation.Uncertain
	ok(t, s.RecordOutcome(ctx, again))
	again.Outcome, again.NotSent = remediation.Refused, true // it may have left the first time
	ok(t, s.RecordOutcome(ctx, again))
	same(t, map[string]int{"per_execution": 1, "per_hour": 1}, used(t, s))
}

func budgetWindow(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.RecordIntent(ctx, counted(1, within(9, 1))))
	overBudget(t, s.RecordIntent(ctx, counted(2, within(9, 1))), "per_hour")
	clock(t, s).Advance(time.Hour)
	next := within(9, 1)
	next[1].Since, next[1].Until = next[1].Until, next[1].Until.Add(time.Hour)
	ok(t, s.RecordIntent(ctx, counted(2, next)))
	same(t, map[string]int{"per_execution": 2, "per_hour": 1}, used(t, s))
}

func budgetLimit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.RecordIntent(ctx, counted(1, within(9, 1))))
	overBudget(t, s.RecordIntent(ctx, counted(2, within(9, 1))), "per_hour")
	ok(t, s.RecordIntent(ctx, counted(2, within(9, 3))))
	ok(t, s.RecordIntent(ctx, counted(3, within(9, 3))))
	overBudget(t, s.RecordIntent(ctx, counted(4, within(9, 1))), "per_hour")
}

func budgetRace(t *testing.T, s *store.Store) {
	const writers, each, limit = 8, 6, 20
	var took, refused atomic.Int32
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				c := counted(w*each+i, []remediation.Budget{
					{Name: "per_account_hour", Key: fmt.Sprint(w % 3), Since: Start(), Until: Start().Add(time.Hour), Limit: 100}, within(1, limit)[1],
				})
				switch err := s.RecordIntent(t.Context(), c); {
				case err == nil:
					took.Add(1)
				case fault.Is(err, fault.Exhausted):
					refused.Add(1)
				default:
					t.Errorf("record intent: %v", err)
				}
			}
		})
	}
	wg.Wait()
	same(t, []int32{limit, writers*each - limit}, []int32{took.Load(), refused.Load()})
	same(t, map[string]int{"per_account_hour": limit, "per_hour": limit}, used(t, s))
}

func budgetPrune(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.RecordIntent(ctx, counted(1, within(9, 9))))
	clock(t, s).Advance(time.Hour)
	same(t, int64(1), must(s.Prune(ctx, store.Cutoffs{}))(t).Budgets)
	same(t, map[string]int{"per_execution": 1}, used(t, s))
	clock(t, s).Advance(23 * time.Hour)
	same(t, int64(1), must(s.Prune(ctx, store.Cutoffs{}))(t).Budgets)
}
