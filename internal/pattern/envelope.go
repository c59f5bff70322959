package pattern

import (
	"encoding/json"
	"strings"
	"time"
)

// Envelope is an EventBridge event as it stands on a bus (spec/eventbus.md
// section 2): what patterns are written against.
type Envelope struct {
	Version    string          `json:"version"` // always "0"
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
	// ReplayName names the replay that sends the event again, as in AWS.
	ReplayName string `json:"replay-name,omitempty"`
	// Parry says how the event came about when Parry itself caused it.
	Parry *Cause `json:"parry,omitempty"`
}

// Cause marks an event that Parry's own work brought about, so that no rule
// answers Parry with Parry without end.
type Cause struct {
	// By is who did it: "parry/remediation/<id>".
	By string `json:"by"`
	// Hops counts the rules that the chain of events has passed.
	Hops int `json:"hops"`
}

// Reserved reports whether only AWS, or Parry itself, says that it is the source of an
// event: who puts events on a bus cannot.
func Reserved(source string) bool {
	s := strings.ToLower(source)
	return strings.HasPrefix(s, "aws.") || s == SourceParry || strings.HasPrefix(s, SourceParry+".")
}

// The sources and detail types that Parry reads and writes.
const (
	SourceSecurityHub  = "aws.securityhub"
	FindingsImported   = "Security Hub Findings - Imported"
	FindingsImportedV2 = "Findings Imported V2"
	// A person sent findings, or results of an insight, to a custom action.
	FindingsCustomAction = "Security Hub Findings - Custom Action"
	InsightResults       = "Security Hub Insight Results"

	SourceParry        = "parry"
	RemediationChanged = "Parry Remediation State Change" // detail: remediation.StateChange
	ApprovalAsked      = "Parry Approval Asked"           // detail: remediation.Question
	FindingOverdue     = "Parry Finding Overdue"          // detail: priority, reasons, dueAt, findings

	ExceptionRequested = "Parry Exception Requested" // detail of all five: exception, covered
	ExceptionApproved  = "Parry Exception Approved"
	ExceptionRejected  = "Parry Exception Rejected"
	ExceptionExpiring  = "Parry Exception Expiring" // and daysLeft
	ExceptionEnded     = "Parry Exception Ended"

	// What happens to accounts (detail: account, name, unit, state, and what they were
	// before), and to what Parry covers of them (account, regions, reason, next).
	AccountJoined    = "Parry Account Joined"
	AccountMoved     = "Parry Account Moved"
	AccountSuspended = "Parry Account Suspended" // or closed, or being closed: see state
	AccountActivated = "Parry Account Activated"
	AccountLeft      = "Parry Account Left"
	CoverageLost     = "Parry Coverage Lost"
	CoverageRestored = "Parry Coverage Restored"

	// What happens to Parry's cases, in AWS Security Incident Response's words.
	SourceSecurityIR = "aws.security-ir"
	CaseCreated      = "Case Created"
	CaseUpdated      = "Case Updated"
	CaseClosed       = "Case Closed"

	SourceSSM        = "aws.ssm"
	ExecutionChanged = "EC2 Automation Execution Status-change Notification"
	StepChanged      = "EC2 Automation Step Status-change Notification"
)
