package config

import "github.com/parry-security/parry/internal/fault"

// maxBudget bounds what a budget may be set to; it is never without limit.
const maxBudget = 1_000_000

func (c *Config) validateGuards() error {
	b := c.Guards.Budgets
	for _, one := range []struct {
		key string
		n   int
	}{{"per_execution", b.PerExecution}, {"per_account_hour", b.PerAccountHour}, {"per_hour", b.PerHour}} {
		if one.n < 0 || one.n > maxBudget {
			return fault.Errorf(fault.Invalid, validate, "guards.budgets.%s is %d, not a number from 1 to %d", one.key, one.n, maxBudget).
				WithHint("to send no change at all run: parry stop on")
		}
	}
	return nil
}
