package automation

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// Scripts runs the code of aws:executeScript, shut in. A nil error with a Failure
// is the script's own fate; an error is the sandbox's.
type Scripts interface {
	RunScript(ctx context.Context, s Script) (ScriptResult, error)
}

// Script is one attempt of one script.
type Script struct {
	Execution string
	Label     string // of the step
	Attempt   int
	Handler   string // "name", or "file.name" where the code is an attachment
	Source    string // inline code; "" where the code is an attachment
	// Attachments are files on the script's path, by name.
	Attachments map[string][]byte
	Payload     any // InputPayload: a map, a text or nil
	Account     string
	Region      string
	Partition   string
	Planning    bool
	Timeout     time.Duration
	// Call answers one AWS call of the script. Calls of one script may come from
	// several of its threads; the sandbox passes them on one after the other.
	Call func(ctx context.Context, c apimodel.Call) (apimodel.Reply, error)
}

// ScriptResult is how a script ended.
type ScriptResult struct {
	Payload any // what the handler returned, in JSON types
	// Stdout and Stderr are what it printed, cut to the sandbox's limit.
	Stdout, Stderr string
	Failure        *ScriptFailure
}

// ScriptFailure is why a script gave no result.
type ScriptFailure struct {
	Type      string // the exception's class: "botocore.exceptions.ClientError"
	Message   string
	Traceback string
	// Limit names the limit that ended the script: time, memory, output, ...; "" for
	// an exception.
	Limit string
	// Stop is what the Caller answered a call of the script with, where that must end
	// the execution or park it whatever the script made of it.
	Stop error
}

// Journal keeps the answered calls of a script while it runs, so that a script
// that begins again after a crash is given the answers that it had: what it did
// is not done twice. Entries are sealed by whoever keeps them.
type Journal interface {
	// Entries gives what key has, in order. Key names one attempt of one step.
	Entries(ctx context.Context, key string) ([]JournalEntry, error)
	// Append is durable when it returns.
	Append(ctx context.Context, key string, e JournalEntry) error
}

// Replayer is a Caller that keeps count of what a script called, for which
// planned calls are used up, and which roles the script has assumed.
type Replayer interface {
	// Begins says that an attempt of a step's script begins, or begins again after a
	// crash: before its first call, journaled or live.
	Begins(step string, attempt int)
	// Replayed tells of every call that the journal answers instead of the Caller, in
	// order and before the next live one. An error is the Caller's, as if the call had
	// been made.
	Replayed(ctx context.Context, step string, c apimodel.Call, reply apimodel.Reply, err error) error
}

// JournalEntry is one answered call.
type JournalEntry struct {
	N      int    // from 1
	Digest string // of the call: service, operation, account, region, identity, input
	Answer []byte // the reply or the error, in a form that gives the script the same again
}

// SignalKind says what is asked of a running execution.
type SignalKind string

// The kinds of signal. The first five are those of SendAutomationSignal, the next
// two those of StopAutomationExecution.
const (
	SignalApprove    SignalKind = "Approve"
	SignalReject     SignalKind = "Reject"
	SignalResume     SignalKind = "Resume"
	SignalStartStep  SignalKind = "StartStep"
	SignalStopStep   SignalKind = "StopStep"
	SignalCancel     SignalKind = "Cancel"
	SignalComplete   SignalKind = "Complete"
	SignalChildEnded SignalKind = "ChildEnded"
)

// Signal is one thing asked of an execution.
type Signal struct {
	N       int64      `json:"n"` // grows within the execution
	Kind    SignalKind `json:"kind"`
	Step    string     `json:"step,omitempty"`  // the step's name, where the kind has one
	Child   string     `json:"child,omitempty"` // the execution id of a child that ended
	By      string     `json:"by,omitempty"`    // principal
	Comment string     `json:"comment,omitempty"`
	At      time.Time  `json:"at"`
}

// Inbox gives the signals of an execution.
type Inbox interface {
	// Signals gives those after a number, in order.
	Signals(ctx context.Context, execution string, after int64) ([]Signal, error)
}

// Children starts and reads child executions.
//
// The children of a run belong to its plan: while it is applied, Document and
// Targets give what was planned.
type Children interface {
	// Document gives a document by name and version ("" = default), as the plan
	// pinned it.
	Document(ctx context.Context, name, version string) (*runbook.Document, error)
	// Start starts children; one whose id was started before is left alone.
	Start(ctx context.Context, children []Child) error
	// Children gives the children with ids, in that order.
	Children(ctx context.Context, ids []string) ([]ChildState, error)
	// Cancel asks children to stop.
	Cancel(ctx context.Context, ids []string) error
	// Targets gives the values of Targets, and the accounts and regions of
	// TargetLocations, by reading AWS or the organization.
	Targets(ctx context.Context, t TargetQuery) ([]Target, error)
}

// Child is a child execution to start.
type Child struct {
	ID         string // made from parent and label, so that it is the same in a replay
	Parent     string // execution id
	Label      string // of the parent's step, with "[key]" for one of several targets
	Document   string
	Version    string
	Parameters map[string]any // not yet resolved
	Account    string
	Region     string
	Role       string // ARN that the target names; "" = what ChildRole gives
	ParentRole string // the parent's Run.Role
	Target     string // the target's value, for people; "" = none
	// Fan, when set, makes the child a run on targets of its own: its document is
	// what function Fan makes of Document and Parameters.
	Fan *FanSpec
}

// ChildState is how far a child is.
type ChildState struct {
	ID      string
	Status  Status
	Outputs map[string][]string
	// OutputOrder lists the keys of Outputs as the document declares them.
	OutputOrder []string
	Failure     string
	// Stopped is the code with which the gate stopped the child: conflict or denied;
	// "" = it did not. A stopped child stops its parent, unless it is one of several on
	// targets: there it counts as one that failed.
	Stopped fault.Code
	// Refused says that the child was stopped because it asked for what it may not do,
	// such as a call outside of the plan. That stops its parent always.
	Refused bool
}

// TargetQuery is Targets, TargetMaps and TargetLocations as AWS words them.
type TargetQuery struct {
	Account, Region, Role string
	ParameterName         string // TargetParameterName
	Targets               []map[string]any
	TargetMaps            []map[string]any
	Locations             []map[string]any
}

// Target is one unit of a run with rate control.
type Target struct {
	Key     string // unique and stable: "i-0abc", "222222222222/eu-central-1"
	Account string
	Region  string
	Role    string
	// Parameters are put over the run's own: {"InstanceId": ["i-0abc"]}.
	Parameters map[string]any
	// Location is the index of the TargetLocation it came from, -1 without one: each
	// location has a rate of its own.
	Location int
}

// Approvals asks people.
type Approvals interface {
	// Ask makes it known that a step waits; asking twice is asking once. The answer
	// comes as a signal.
	Ask(ctx context.Context, a ApprovalRequest) error
}

// ApprovalRequest is what aws:approve asks.
type ApprovalRequest struct {
	Execution string
	Step      string
	Label     string
	Approvers []string // IAM user names and ARNs, as the document has them
	Minimum   int
	Message   string
	ExpiresAt time.Time
}

// Attachments gives the files of a document.
type Attachments interface {
	// Attachment gives the content whose SHA-256 the document declares.
	Attachment(ctx context.Context, doc *runbook.Document, name string) ([]byte, error)
}

// Blobs keeps outputs that are too large for a state, sealed, by their hash. They
// are wanted as long as the execution is.
type Blobs interface {
	// PutBlob keeps content and gives its name; the same content has the same name.
	PutBlob(ctx context.Context, content []byte) (string, error)
	Blob(ctx context.Context, name string) ([]byte, error)
}

// Webhooks posts to addresses outside AWS, for aws:invokeWebhook. Where it may
// post to is its own affair: it refuses what nobody allowed as denied.
type Webhooks interface {
	// Post sends once, follows no redirect, and gives any answer of the receiver.
	Post(ctx context.Context, w Webhook) (WebhookAnswer, error)
}

// Webhook is one post. URL and headers may be secret.
type Webhook struct {
	// ID is the same when the post is repeated after a crash.
	ID      string
	URL     string
	Headers map[string]string
	Body    string
}

// WebhookAnswer is what the receiver answered.
type WebhookAnswer struct {
	Code int
	Body string // cut to the limit of Webhooks
}
