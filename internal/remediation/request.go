package remediation

import "github.com/parry-security/parry/internal/finding"

// Request asks the plan stage for a plan. Its ID is deterministic (finding,
// playbook, generation), so that a repeated event makes no second remediation.
type Request struct {
	ID       ID         `json:"id"`
	Kind     Kind       `json:"kind"`
	Finding  finding.ID `json:"finding"`
	Playbook string     `json:"playbook"`
	// UndoOf names the remediation to undo; Playbook is then empty.
	UndoOf      ID     `json:"undo_of,omitempty"`
	RequestedBy string `json:"requested_by"`
}

// StateChange is the detail of a "Parry Remediation State Change" event. It
// carries no call inputs and no before-images.
type StateChange struct {
	Remediation Remediation `json:"remediation"`
	From        State       `json:"from"`
	To          State       `json:"to"`
	ApprovalID  string      `json:"approval_id,omitempty"`
	Changes     int         `json:"changes"` // changing calls in the plan
	Title       string      `json:"title"`   // the finding's title: untrusted text
}
