package remediation

import (
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// ApprovalState is where an approval stands.
type ApprovalState string

// The states of an approval (design.md section 4).
const (
	ApprovalPending    ApprovalState = "pending"
	ApprovalApproved   ApprovalState = "approved"
	ApprovalRejected   ApprovalState = "rejected"
	ApprovalExpired    ApprovalState = "expired"
	ApprovalSuperseded ApprovalState = "superseded"
)

// ApprovalStates lists them all.
func ApprovalStates() []ApprovalState {
	return []ApprovalState{ApprovalPending, ApprovalApproved, ApprovalRejected, ApprovalExpired, ApprovalSuperseded}
}

// Can reports whether an approval may go from s to t. An approved plan may
// still be superseded, when its resource changed before it was applied.
func (s ApprovalState) Can(t ApprovalState) bool {
	switch s {
	case ApprovalPending:
		return t == ApprovalApproved || t == ApprovalRejected || t == ApprovalExpired || t == ApprovalSuperseded
	case ApprovalApproved:
		return t == ApprovalSuperseded
	}
	return false
}

// Check returns a conflict error when s may not become t.
func (s ApprovalState) Check(t ApprovalState) error {
	if s.Can(t) {
		return nil
	}
	return fault.Errorf(fault.Conflict, "change approval state", "%s cannot become %s", s, t)
}

// Approval is the record that lets a plan run. Plan is the hash it binds to.
type Approval struct {
	ID          string        `json:"id"`
	Remediation ID            `json:"remediation"`
	Plan        Hash          `json:"plan"`
	Account     string        `json:"account"`
	State       ApprovalState `json:"state"`
	// Policy is the id of the policy that decided how approval is given.
	Policy string `json:"policy"`
	// Automatic approvals are granted by the policy itself.
	Automatic bool `json:"automatic"`
	Quorum    int  `json:"quorum"` // people needed; at least 1 unless Automatic
	// Canary are the accounts in one of which the same fix has to be verified: then the
	// policy approves it, if people have not before.
	Canary    []string   `json:"canary,omitempty"`
	Decisions []Decision `json:"decisions"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	Version   int64      `json:"version"`

	// Execution and Step say that this is what a step of a running document asks
	// (aws:approve); the plan is approved already. Approvers are who may decide, by
	// principal name or ARN, Message is the document's text to them.
	Execution string   `json:"execution,omitempty"`
	Step      string   `json:"step,omitempty"`
	Approvers []string `json:"approvers,omitempty"`
	Message   string   `json:"message,omitempty"`
}

// OfStep reports whether a is asked for by a step and not by a plan.
func (a Approval) OfStep() bool { return a.Step != "" }

// Question is the detail of a "Parry Approval Asked" event: a step of a running
// document waits for people. Message is the document's text: untrusted.
type Question struct {
	Approval    string   `json:"approval"`
	Remediation ID       `json:"remediation"`
	Document    string   `json:"document"`
	Execution   string   `json:"execution"`
	Step        string   `json:"step"`
	Approvers   []string `json:"approvers"`
	Quorum      int      `json:"quorum"`
	Message     string   `json:"message,omitempty"`
}

// Decision is one person's word on an approval.
type Decision struct {
	Principal string    `json:"principal"`
	Grant     bool      `json:"grant"`
	Reason    string    `json:"reason,omitempty"` // at most 1,000 characters
	At        time.Time `json:"at"`
}
