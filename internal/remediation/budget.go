package remediation

import (
	"fmt"
	"time"
)

// Budget is a limit on how many changes are sent: one counter, which the store
// keeps, and how far it may go. A change is counted when its intent is stored.
type Budget struct {
	// Name is the setting that the limit comes from, such as "per_account_hour";
	// with "undo_" before it, the allowance of undoing, which is counted apart.
	Name string `json:"name"`
	// Key is what is counted apart under the name: an account, an execution, or
	// "" where everything counts together.
	Key string `json:"key"`
	// Since is when the window began; the zero time means that there is none.
	Since time.Time `json:"since,omitzero"`
	// Until is when the counter is forgotten: the end of the window, where there is one.
	Until time.Time `json:"until"`
	Limit int       `json:"limit"`
}

// BudgetUse is a budget with what was taken from it.
type BudgetUse struct {
	Budget
	Used int `json:"used"`
}

// OverBudgetError says which budget holds no further change.
type OverBudgetError struct{ Budget Budget }

// Error names the budget, what it is for, its limit, and when it frees.
func (e *OverBudgetError) Error() string {
	b := e.Budget
	text := fmt.Sprintf("budget %s is used up: %d change(s)", b.Name, b.Limit)
	if b.Key != "" {
		text += " for " + b.Key
	}
	if b.Since.IsZero() {
		return text
	}
	return text + fmt.Sprintf(" since %s; it frees at %s", b.Since.UTC().Format(time.RFC3339), b.Until.UTC().Format(time.RFC3339))
}
