package remediation

import "github.com/parry-security/parry/internal/fault"

// State is where a remediation stands (design.md section 4). States are stored
// as they are printed.
type State string

// The states of a remediation.
const (
	Planned          State = "planned"
	AwaitingApproval State = "awaiting_approval"
	Queued           State = "queued"
	Running          State = "running"
	Verifying        State = "verifying"
	Verified         State = "verified"
	Unverified       State = "unverified"
	Failed           State = "failed"
	Cancelled        State = "cancelled"
	Rejected         State = "rejected"
	Expired          State = "expired"
	Superseded       State = "superseded"
	Undoing          State = "undoing"
	Undone           State = "undone"
	Regressed        State = "regressed"
)

// States lists all states in the order in which a remediation passes them.
func States() []State {
	return []State{
		Planned, AwaitingApproval, Queued, Running, Verifying, Verified, Unverified,
		Failed, Cancelled, Rejected, Expired, Superseded, Undoing, Undone, Regressed,
	}
}

// next is the one transition table; docs/states/remediation.md draws it.
// Superseded is design.md decision 6: a member that a change touches differed
// from the plan when the before-image was read again.
func next(s State) []State {
	switch s {
	case Planned:
		return []State{AwaitingApproval, Queued, Failed, Cancelled, Superseded}
	case AwaitingApproval:
		return []State{Queued, Rejected, Expired, Cancelled, Superseded}
	case Queued:
		return []State{Running, Cancelled, Failed, Superseded}
	case Running:
		return []State{Verifying, Failed, Cancelled, Superseded}
	case Verifying:
		return []State{Verified, Unverified}
	case Verified:
		return []State{Undoing, Regressed}
	case Unverified:
		return []State{Verified, Undoing}
	case Failed, Cancelled:
		// What had been changed before can be taken back.
		return []State{Undoing}
	case Superseded:
		// The resource may have changed between two changes of the plan: the first
		// of them can be taken back.
		return []State{Undoing}
	case Undoing:
		// An undo that ends before its first change puts the remediation back where
		// it stood.
		return []State{Undone, Verified, Unverified, Failed, Cancelled, Superseded, Regressed}
	case Regressed:
		return []State{Undoing}
	}
	return nil
}

// Valid reports whether s is one of the states.
func (s State) Valid() bool {
	for _, v := range States() {
		if s == v {
			return true
		}
	}
	return false
}

// Can reports whether a remediation may go from s to t.
func (s State) Can(t State) bool {
	for _, v := range next(s) {
		if v == t {
			return true
		}
	}
	return false
}

// Final reports whether no work is under way or waiting in state s.
func (s State) Final() bool {
	switch s {
	case Planned, AwaitingApproval, Queued, Running, Verifying, Undoing:
		return false
	}
	return true
}

// Check returns a conflict error when s may not become t.
func (s State) Check(t State) error {
	if s.Can(t) {
		return nil
	}
	return fault.Errorf(fault.Conflict, "change remediation state", "%s cannot become %s", s, t)
}
