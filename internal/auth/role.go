package auth

import (
	"slices"

	"github.com/parry-security/parry/internal/fault"
)

// Role is a set of actions. The roles are closed; a key may have several.
type Role string

// The roles.
const (
	// RoleAdmin may do everything.
	RoleAdmin Role = "admin"
	// RoleOperator runs the daily work: reads, imports, updates findings, asks
	// for remediations, undos and exceptions, works on cases. It cannot approve.
	RoleOperator Role = "operator"
	// RoleApprover reads and decides on approvals and exceptions.
	RoleApprover Role = "approver"
	// RoleReader reads.
	RoleReader Role = "reader"
	// RoleSource is a program that reports findings. It cannot read anything else.
	RoleSource Role = "source"
)

// Roles lists them all, the mightiest first.
func Roles() []Role {
	return []Role{RoleAdmin, RoleOperator, RoleApprover, RoleReader, RoleSource}
}

// people gives each role of a person by the name that people know it by. A key may
// have its roles by these names too.
func people() map[string]Role {
	return map[string]Role{"viewer": RoleReader, "responder": RoleOperator, "approver": RoleApprover, "administrator": RoleAdmin}
}

// PersonRoles lists the roles of people, the least first.
func PersonRoles() []string { return []string{"viewer", "responder", "approver", "administrator"} }

// Title is the name by which people know r: administrator for admin, responder for
// operator, viewer for reader.
func (r Role) Title() string {
	for title, role := range people() {
		if role == r {
			return title
		}
	}
	return string(r)
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Action is one thing that a principal may be allowed to do.
type Action string

// The actions. Those marked installation concern no single account and ask for
// a principal that holds all accounts, see Authorize.
const (
	FindingRead        Action = "finding.read"
	FindingImport      Action = "finding.import"
	FindingUpdate      Action = "finding.update"
	FindingAct         Action = "finding.act" // send findings to a custom action
	RemediationRead    Action = "remediation.read"
	RemediationRequest Action = "remediation.request"
	RemediationUndo    Action = "remediation.undo"
	PlanRead           Action = "plan.read"
	ApprovalRead       Action = "approval.read"
	ApprovalDecide     Action = "approval.decide"
	SwitchRead         Action = "switch.read"
	HubRead            Action = "hub.read"
	DocumentRead       Action = "document.read"
	ExecutionRead      Action = "execution.read"
	ExecutionStart     Action = "execution.start"
	ExecutionControl   Action = "execution.control" // stop, resume, step by step
	// Whoever does something about an exception must have every account that it can
	// reach.
	ExceptionRead    Action = "exception.read"
	ExceptionRequest Action = "exception.request"
	ExceptionDecide  Action = "exception.decide"
	ExceptionEnd     Action = "exception.end"
	// So must whoever reads or changes a case, with all accounts of the case.
	CaseRead  Action = "case.read"
	CaseWrite Action = "case.write" // open, note, move, close

	AuditRead Action = "audit.read" // installation
	SwitchOn  Action = "switch.on"  // installation
	SwitchOff Action = "switch.off" // installation
	KeyRead   Action = "key.read"   // installation
	KeyWrite  Action = "key.write"  // installation
	HubEnable Action = "hub.enable" // installation

	SourceRead  Action = "source.read"  // installation: sources and what they sent in vain
	SourceWrite Action = "source.write" // installation: send it in again, or forget it
	// DocumentWrite is for an administrator: whoever may start a document by its
	// name starts what its author wrote.
	DocumentWrite Action = "document.write" // installation
	// Automation rules decide over the findings of all accounts.
	RuleRead  Action = "rule.read"  // installation
	RuleWrite Action = "rule.write" // installation

	OrganizationRead Action = "organization.read"
	OrganizationSync Action = "organization.sync" // installation: read it now
	// OrganizationAccept takes for gone what a reading lacks, however much it is.
	OrganizationAccept Action = "organization.accept" // installation
	// Insights are questions that everybody may ask; an action's name is what rules of
	// the bus react to.
	InsightWrite Action = "insight.write" // installation
	ActionWrite  Action = "action.write"  // installation

	// EventPut puts events on a bus, for the account of the principal. What rules say and
	// who may put events is of all accounts.
	EventPut       Action = "event.put"
	EventRuleRead  Action = "event_rule.read"  // installation
	EventRuleWrite Action = "event_rule.write" // installation

	// ChannelRead sees the channels of notifications and what they did, ChannelTest sends
	// a test through one: people and programs outside get it.
	ChannelRead Action = "channel.read" // installation
	ChannelTest Action = "channel.test" // installation

	// PersonRead sees who may sign in, PersonWrite decides it: for administrators alone.
	PersonRead  Action = "person.read"  // installation
	PersonWrite Action = "person.write" // installation
)

// Actions lists them all.
func Actions() []Action {
	return []Action{
		FindingRead, FindingImport, FindingUpdate, FindingAct, InsightWrite, ActionWrite, RemediationRead, RemediationRequest, RemediationUndo, PlanRead,
		ApprovalRead, ApprovalDecide, SwitchRead, HubRead, AuditRead, SwitchOn, SwitchOff, KeyRead, KeyWrite, HubEnable,
		DocumentRead, DocumentWrite, ExecutionRead, ExecutionStart, ExecutionControl, RuleRead, RuleWrite, SourceRead, SourceWrite,
		ExceptionRead, ExceptionRequest, ExceptionDecide, ExceptionEnd, CaseRead, CaseWrite,
		OrganizationRead, OrganizationSync, OrganizationAccept, EventPut, EventRuleRead, EventRuleWrite, ChannelRead, ChannelTest, PersonRead, PersonWrite,
	}
}

// May reports whether r holds action. This is the whole table.
func (r Role) May(action Action) bool {
	switch r {
	case RoleAdmin:
		return slices.Contains(Actions(), action)
	case RoleOperator:
		return reads(action) || slices.Contains([]Action{FindingImport, FindingUpdate, FindingAct, InsightWrite, RemediationRequest, RemediationUndo, SwitchOn, ExecutionStart, ExecutionControl, SourceWrite, ExceptionRequest, ExceptionEnd, CaseWrite, OrganizationSync, EventPut}, action)
	case RoleApprover:
		return reads(action) || slices.Contains([]Action{ApprovalDecide, ExceptionDecide, ExceptionEnd, SwitchOn}, action)
	case RoleReader:
		return reads(action)
	case RoleSource:
		return slices.Contains([]Action{FindingRead, FindingImport, FindingUpdate, HubRead, EventPut}, action)
	}
	return false
}

// reads are the actions that every person's role has. Keys are not among them.
func reads(action Action) bool {
	return slices.Contains([]Action{FindingRead, RemediationRead, PlanRead, ApprovalRead, SwitchRead, HubRead, AuditRead, DocumentRead, ExecutionRead, RuleRead, SourceRead, ExceptionRead, CaseRead, OrganizationRead, EventRuleRead, ChannelRead}, action)
}

// Installation reports whether a concerns the whole installation, so that only a
// principal with all accounts may do it.
func (a Action) Installation() bool {
	return slices.Contains([]Action{
		AuditRead, SwitchOn, SwitchOff, KeyRead, KeyWrite, HubEnable, SourceRead, SourceWrite, DocumentWrite, RuleRead, RuleWrite,
		OrganizationSync, OrganizationAccept, InsightWrite, ActionWrite, EventRuleRead, EventRuleWrite, ChannelRead, ChannelTest, PersonRead, PersonWrite,
	}, a)
}

// ParseRoles checks a list of role names.
func ParseRoles(names []string) ([]Role, error) {
	roles := make([]Role, 0, len(names))
	for _, name := range names {
		r, ok := people()[name]
		if !ok {
			r = Role(name)
		}
		if !r.Valid() {
			return nil, fault.Errorf(fault.Invalid, "read roles", "there is no role %q", name).
				WithHint("the roles are admin, operator, approver, reader and source")
		}
		roles = append(roles, r)
	}
	return roles, nil
}
