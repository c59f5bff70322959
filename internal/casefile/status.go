package casefile

import (
	"slices"

	"github.com/parry-security/parry/internal/fault"
)

// Status is where a case stands, in AWS's words. It is stored as it is printed.
type Status string

// The statuses. AWS has containment, eradication and recovery as one.
const (
	Submitted    Status = "Submitted"
	Acknowledged Status = "Acknowledged"
	Detection    Status = "Detection and Analysis"
	Containment  Status = "Containment, Eradication and Recovery"
	PostIncident Status = "Post-incident Activities"
	ReadyToClose Status = "Ready to Close"
	Closed       Status = "Closed"
)

// Statuses lists them, in the order in which a case passes them.
func Statuses() []Status {
	return []Status{Submitted, Acknowledged, Detection, Containment, PostIncident, ReadyToClose, Closed}
}

// Valid reports whether s is one of them.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// next is the one transition table; docs/states/case.md draws it. A response goes back
// and forth between its phases, but not to before somebody took it up; a closed case
// stays closed.
func next(s Status) []Status {
	work := []Status{Detection, Containment, PostIncident, ReadyToClose, Closed}
	switch s {
	case Submitted:
		return append([]Status{Acknowledged}, work...)
	case Acknowledged:
		return work
	case Detection, Containment, PostIncident, ReadyToClose:
		return slices.DeleteFunc(work, func(t Status) bool { return t == s })
	case Closed:
	}
	return nil
}

// Can reports whether a case may go from s to t.
func (s Status) Can(t Status) bool { return slices.Contains(next(s), t) }

// Check returns a conflict error when s may not become t.
func (s Status) Check(t Status) error {
	const op = "change case status"
	switch {
	case !t.Valid():
		return fault.Errorf(fault.Invalid, op, "there is no status %q", t)
	case s == Closed:
		return fault.Errorf(fault.Conflict, op, "the case is closed, and a closed case is not opened again").WithHint("open another that names it: parry case open")
	case !s.Can(t):
		return fault.Errorf(fault.Conflict, op, "the case is %s and cannot become %s", s, t).WithHint("docs/cases.md says which status follows which")
	}
	return nil
}

// ClosureCode is why a case was closed, in AWS's words.
type ClosureCode string

// The closure codes.
const (
	Completed     ClosureCode = "Investigation Completed"
	NotResolved   ClosureCode = "Not Resolved"
	FalsePositive ClosureCode = "False Positive"
	Duplicate     ClosureCode = "Duplicate"
)

// ClosureCodes lists them.
func ClosureCodes() []ClosureCode {
	return []ClosureCode{Completed, NotResolved, FalsePositive, Duplicate}
}

// Valid reports whether c is one of them.
func (c ClosureCode) Valid() bool { return slices.Contains(ClosureCodes(), c) }
