package remediation

import (
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// ID identifies one remediation.
type ID string

// Hash is the SHA-256 of a plan's canonical form, in hexadecimal.
type Hash string

// Kind says whether a remediation fixes a resource, undoes an earlier fix, or runs a document.
type Kind string

// The kinds of remediation.
const (
	KindFix  Kind = "fix"
	KindUndo Kind = "undo"
	// KindRun runs a document that a person, or another program, started; it has no
	// finding and no playbook.
	KindRun Kind = "run"
)

// Remediation is one attempt to make one resource comply: from plan to verified
// result. An undo is a remediation of its own whose UndoOf names the first.
type Remediation struct {
	ID       ID         `json:"id"`
	Kind     Kind       `json:"kind"`
	UndoOf   ID         `json:"undo_of,omitempty"`
	Finding  finding.ID `json:"finding"`
	Control  string     `json:"control"` // security control id: "S3.8"
	Playbook string     `json:"playbook"`
	Runbook  string     `json:"runbook"`
	Account  string     `json:"account"`
	Region   string     `json:"region"`
	Resource string     `json:"resource"` // ARN
	State    State      `json:"state"`
	Reason   string     `json:"reason,omitempty"` // why it is in this state, one sentence for a person
	Hint     string     `json:"hint,omitempty"`   // the next command, when a person must act
	// Exception stopped it before it changed anything. When that ends the same report
	// of the finding asks for another.
	Exception   string    `json:"exception,omitempty"`
	PlanHash    Hash      `json:"plan_hash,omitempty"`
	Execution   string    `json:"execution,omitempty"` // automation execution id
	RequestedBy string    `json:"requested_by"`        // rule id or principal that asked for it
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	// UndoneBy is the latest undo that took this remediation in hand, UndoneFrom
	// where it stood then: it goes back there when that undo ends before its first
	// change.
	UndoneBy   ID    `json:"undone_by,omitempty"`
	UndoneFrom State `json:"undone_from,omitempty"`
	// Version counts the writes; a write names the version it read and is
	// refused when another came between.
	Version int64 `json:"version"`
}

// Moved gives r in state to, and what to announce of it: the remediation as the
// write stores it, one version on.
func (r Remediation) Moved(to State, reason, hint string, at time.Time) (Remediation, StateChange) {
	change := StateChange{From: r.State, To: to, Title: r.Title()}
	r.State, r.Reason, r.Hint, r.UpdatedAt = to, reason, hint, at
	change.Remediation = r
	change.Remediation.Version++
	return r, change
}

// Title says in a word what r is about: its control, or the document that it runs.
func (r Remediation) Title() string {
	if r.Kind == KindRun {
		return r.Runbook
	}
	return r.Control
}

// Again is the command that asks for what r did once more. A fix is named by its own id,
// which people can type: a finding's may be long, and is what somebody sent.
func (r Remediation) Again() string {
	if r.Kind == KindUndo {
		return "parry remediation undo " + string(r.UndoOf)
	}
	if r.Kind == KindRun {
		return "parry runbook start " + r.Runbook
	}
	return "parry finding remediate " + string(r.ID)
}
