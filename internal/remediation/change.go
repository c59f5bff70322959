package remediation

import "time"

// Outcome is what became of a recorded change.
type Outcome string

// The outcomes of a change. Intended without an outcome after a crash means
// that the change may or may not have been made.
const (
	Intended  Outcome = "intended"
	Applied   Outcome = "applied"
	Refused   Outcome = "refused"   // AWS answered an error: nothing was changed
	Uncertain Outcome = "uncertain" // the answer was lost
)

// Change is one changing call as the gate recorded it: intent and before-image
// before it was sent, outcome after.
type Change struct {
	ID          string      `json:"id"` // deterministic: execution, step, attempt, sequence
	Remediation ID          `json:"remediation"`
	Execution   string      `json:"execution"`
	Call        PlannedCall `json:"call"`
	Before      *Image      `json:"before,omitempty"`
	Outcome     Outcome     `json:"outcome"`
	RequestID   string      `json:"request_id,omitempty"`
	Error       string      `json:"error,omitempty"`
	// NotSent says of a refused change that it certainly never left, so that what
	// it took from the budgets is given back.
	NotSent bool `json:"not_sent,omitempty"`
	// Budgets are those that the change was counted in.
	Budgets   []Budget  `json:"budgets,omitempty"`
	IntentAt  time.Time `json:"intent_at"`
	OutcomeAt time.Time `json:"outcome_at"`
}

// MayHaveHappened reports whether c was, or may have been, made: a change whose
// outcome is not known counts.
func (c Change) MayHaveHappened() bool { return c.Outcome != Refused }
