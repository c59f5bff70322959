package exception

import (
	"slices"

	"github.com/parry-security/parry/internal/fault"
)

// State is where an exception stands. States are stored as they are printed.
type State string

// The states of an exception.
const (
	Pending   State = "pending"   // asked for; a second person decides
	Active    State = "active"    // in force
	Ended     State = "ended"     // was in force; see End
	Rejected  State = "rejected"  // a second person refused it
	Withdrawn State = "withdrawn" // taken back before it was decided on
	Expired   State = "expired"   // its time passed before it was decided on
)

// States lists all states.
func States() []State { return []State{Pending, Active, Ended, Rejected, Withdrawn, Expired} }

// next is the one transition table; docs/states/exception.md draws it.
func next(s State) []State {
	switch s {
	case Pending:
		return []State{Active, Rejected, Withdrawn, Expired}
	case Active:
		return []State{Ended}
	}
	return nil
}

// Can reports whether an exception may go from s to t.
func (s State) Can(t State) bool { return slices.Contains(next(s), t) }

// Check returns a conflict error when s may not become t.
func (s State) Check(t State) error {
	if s.Can(t) {
		return nil
	}
	return fault.Errorf(fault.Conflict, "change exception state", "the exception is %s and cannot become %s", s, t).
		WithHint("list them: parry exception list --state all")
}

// End is why an exception that was in force ended.
type End string

// The ends.
const (
	ByTime   End = "expired"
	ByPerson End = "withdrawn"
)
