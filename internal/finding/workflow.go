package finding

// Workflow is where the customer's work on a finding stands.
type Workflow string

// The workflow states.
const (
	New        Workflow = "NEW"
	Notified   Workflow = "NOTIFIED"
	Suppressed Workflow = "SUPPRESSED"
	Resolved   Workflow = "RESOLVED"
)

// Workflows lists the workflow states.
func Workflows() []Workflow { return []Workflow{New, Notified, Suppressed, Resolved} }

// Valid reports whether w is one of the four states.
func (w Workflow) Valid() bool {
	switch w {
	case New, Notified, Suppressed, Resolved:
		return true
	}
	return false
}

// RecordState says whether the provider still observes the finding.
type RecordState string

// The record states.
const (
	Active   RecordState = "ACTIVE"
	Archived RecordState = "ARCHIVED"
)

// Compliance is the result of a check; "" for a finding that is no check.
type Compliance string

// The compliance states.
const (
	Passed       Compliance = "PASSED"
	Warning      Compliance = "WARNING"
	Failed       Compliance = "FAILED"
	NotAvailable Compliance = "NOT_AVAILABLE"
)

// Standing is what the automatic transitions look at.
type Standing struct {
	Workflow   Workflow
	Record     RecordState
	Compliance Compliance
}

// StandingOf reads f's standing.
func StandingOf(f Finding) Standing {
	return Standing{Workflow: f.Workflow(), Record: f.Record(), Compliance: f.Compliance()}
}

// InitialWorkflow gives the workflow state of a finding that was just created
// and names none itself.
func InitialWorkflow(c Compliance) Workflow {
	if c == Passed {
		return Resolved
	}
	return New
}

// NextWorkflow gives the workflow state after the provider moved a finding
// from before to its new record and compliance state (spec/securityhub.md
// 1.4). docs/states/finding.md draws it.
//
// Invariant: a suppressed finding stays suppressed, whatever the provider says.
func NextWorkflow(before Standing, record RecordState, compliance Compliance) Workflow {
	switch {
	case before.Workflow == Suppressed:
		return Suppressed
	case compliance == Passed:
		return Resolved
	case before.Workflow == New:
		return New
	case before.Compliance == Passed && compliance != "":
		return New
	case before.Record == Archived && record == Active:
		return New
	default:
		return before.Workflow
	}
}

// WithWorkflow gives f in workflow state w. The deprecated WorkflowState is
// left as it is, as AWS leaves it.
func (f Finding) WithWorkflow(w Workflow) Finding {
	return f.withMember("Workflow", "Status", string(w))
}
