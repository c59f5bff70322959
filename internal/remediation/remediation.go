package remediation

import (
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// ID identifies one remediation.
type ID string

// Hash is the SHA-256 of a plan's canonical form, in hexadecimal.
type Hash string

// Kind says whether a remediation fixes a resource or undoes an earlier fix.
type Kind string

// The kinds of remediation.
const (
	KindFix  Kind = "fix"
	KindUndo Kind = "undo"
)

// Remediation is one attempt to make one resource comply: from plan to verified
// result. An undo is a remediation of its own whose UndoOf names the first.
type Remediation struct {
	ID          ID         `json:"id"`
	Kind        Kind       `json:"kind"`
	UndoOf      ID         `json:"undo_of,omitempty"`
	Finding     finding.ID `json:"finding"`
	Control     string     `json:"control"` // security control id: "S3.8"
	Playbook    string     `json:"playbook"`
	Runbook     string     `json:"runbook"`
	Account     string     `json:"account"`
	Region      string     `json:"region"`
	Resource    string     `json:"resource"` // ARN
	State       State      `json:"state"`
	Reason      string     `json:"reason,omitempty"` // why it is in this state, one sentence for a person
	Hint        string     `json:"hint,omitempty"`   // the next command, when a person must act
	PlanHash    Hash       `json:"plan_hash,omitempty"`
	Execution   string     `json:"execution,omitempty"` // automation execution id
	RequestedBy string     `json:"requested_by"`        // rule id or principal that asked for it
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	// Version counts the writes; a write names the version it read and is
	// refused when another came between.
	Version int64 `json:"version"`
}
