package config

import (
	"strings"

	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

const (
	// maxBudget bounds what a budget may be set to; it is never without limit.
	maxBudget = 1_000_000
	// maxNever bounds each list of what is never touched: every change is held
	// against all of it.
	maxNever = 1000
)

func (c *Config) validateGuards() error {
	g := c.Guards
	for key, list := range map[string][]string{"guards.break_glass": g.BreakGlass, "guards.resources": g.Resources} {
		if len(list) > maxNever {
			return fault.Errorf(fault.Invalid, validate, "%s has %d entries, the limit is %d", key, len(list), maxNever)
		}
		for i, v := range list {
			if err := neverTouched(key, v); err != nil {
				return fault.Errorf(fault.Invalid, validate, "%s[%d]: %w", key, i, err).WithHint("%s", fault.HintOf(err))
			}
		}
	}
	if err := awsapi.ValidateRules("guards.allow", g.Allow); err != nil {
		return err
	}
	if err := awsapi.ValidateRules("guards.deny", g.Deny); err != nil {
		return err
	}
	b := g.Budgets
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

// neverTouched checks an entry of guards.break_glass or guards.resources: one
// that names nothing would protect nothing.
func neverTouched(key, v string) error {
	switch {
	case v == "":
		return fault.Errorf(fault.Invalid, "", "it is empty")
	case strings.ContainsAny(v, "*?"):
		return fault.Errorf(fault.Invalid, "", "%q is a pattern", v).WithHint("for patterns write a rule in guards.deny")
	case key == "guards.resources" && (!strings.HasPrefix(v, "arn:") || strings.Count(v, ":") < 5):
		return fault.Errorf(fault.Invalid, "", "%q is not an ARN", v).WithHint("for example arn:aws:s3:::evidence")
	case strings.HasPrefix(v, "arn:") && strings.Contains(v, ":kms:") && strings.Contains(v, ":alias/"):
		return fault.Errorf(fault.Invalid, "", "%q is an alias, which can be moved to another key", v).WithHint("name the key by its own ARN: aws kms describe-key --key-id %s", v)
	}
	return nil
}
