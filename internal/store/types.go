package store

import (
	"encoding/json"
	"time"

	"github.com/parry-security/parry/internal/pattern"
)

// Effects are what a state change sends out: jobs for the next stage and
// entries for the audit log. They are written in the transaction of the change.
type Effects struct {
	Outbox []Message
	Audit  []AuditRecord
	// Signals are put to executions, Ends ends executions that have not ended; both
	// are of the Execution file.
	Signals []Signal
	Ends    []ExecutionEnd
	// RuleHits are counted for automation rules; they are of the Findings file.
	RuleHits []RuleHit
}

// Message is one job or event handed from a stage to the next.
type Message struct {
	// ID makes delivery idempotent: a second message with the ID of one that is
	// stored, delivered or not, is dropped.
	ID      string
	Topic   string
	Payload json.RawMessage
	// NotBefore delays the first delivery; zero means at once.
	NotBefore time.Time
}

// Topic names of the outboxes. Each has exactly one handling stage.
const (
	TopicEvent    = "event"    // -> route: an EventBridge envelope, or a list of them
	TopicAction   = "action"   // -> route: Invoked, an event that a person asked for
	TopicPlan     = "plan"     // -> plan: remediation.Request
	TopicApprove  = "approve"  // -> approve: remediation id
	TopicExecute  = "execute"  // -> execute: remediation id
	TopicWake     = "wake"     // -> execute: execution id, to which a signal was put
	TopicVerify   = "verify"   // -> verify: remediation id
	TopicAnnotate = "annotate" // -> triage: finding.Annotation, written back on the finding
	TopicNotify   = "notify"   // -> notify: notification
	TopicCase     = "case"     // -> respond: casefile.Report
	// TopicNotifyGroup is -> notify: GroupDue, a message of a group.
	TopicNotifyGroup = "notify_group"
)

// Invoked is an event that a person asked for, by a custom action.
type Invoked struct {
	By    string           `json:"by"`
	Event pattern.Envelope `json:"event"`
}

// Delivery is a claimed message.
type Delivery struct {
	Message
	File     File // which outbox it came from
	Seq      int64
	Attempts int // this one included; a requeued message begins anew
	// Since is when the message was first due.
	Since time.Time
	// Claim is the number of this claim. Whoever acknowledges under an older one
	// has lost its lease to another node and is refused.
	Claim int64
}

// File names one of the two database files (SQLite) or schemas (PostgreSQL).
type File string

// The two files; each has an outbox and an audit outbox.
const (
	Findings  File = "findings"
	Execution File = "execution"
)

// AuditRecord is one entry for the audit log, before it is chained.
type AuditRecord struct {
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"`  // principal, rule or node
	Action string          `json:"action"` // "remediation.approved"
	Object string          `json:"object"` // id of what was acted on
	Detail json.RawMessage `json:"detail,omitempty"`
}
