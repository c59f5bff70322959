package automation

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

// Status is a status of an execution or a step, in AWS's words.
type Status string

// The statuses that an ordinary execution has.
const (
	Pending    Status = "Pending"
	InProgress Status = "InProgress"
	Waiting    Status = "Waiting"
	Success    Status = "Success"
	TimedOut   Status = "TimedOut"
	Cancelling Status = "Cancelling"
	Cancelled  Status = "Cancelled"
	Failed     Status = "Failed"
)

// Ended reports whether s is final.
func (s Status) Ended() bool {
	return s == Success || s == TimedOut || s == Cancelled || s == Failed
}

// Caller makes the calls of a step. In plan mode it records changes and answers
// reads with what they would give after those changes.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// StepRunner makes fn a checkpoint: a name that completed before gives its
// recorded output and fn is not called.
type StepRunner interface {
	Step(ctx context.Context, name string, fn func(ctx context.Context) ([]byte, error)) ([]byte, error)
}

// Observer learns of steps as they start and end, for the execution's history.
// A replay repeats the call for a step that ended, with the same record; an
// error ends the run.
type Observer interface {
	Observe(ctx context.Context, r StepRecord) error
}

// Clock is the time and how to let it pass.
type Clock interface {
	Now() time.Time
	// Wait returns after d, or with the context's cause when it ends first.
	Wait(ctx context.Context, d time.Duration) error
}

// Run is one segment of one execution.
type Run struct {
	Document   *runbook.Document
	Parameters map[string]any // from Document.ResolveParameters
	// State is where the execution goes on; nil = at the beginning. It is not changed.
	State       *State
	Caller      Caller
	Steps       StepRunner // nil = Direct
	Observer    Observer   // nil = nobody
	Clock       Clock      // nil = the interpreter's
	ExecutionID string
	Account     string
	Region      string
	Partition   string // default: aws
	// Planning says that the Caller sends no changes: sleeps are skipped, a wait
	// polls once, and what is not met leaves the plan open.
	Planning bool
	// Role is the ARN as which the document runs; "" = the Caller's own identity.
	// Every call carries it as apimodel.Call.As.
	Role string
	// Prefix stands before the label of every step: "Parent/" in a child.
	Prefix string
	// Date is what global:DATE and global:DATE_TIME are; zero = the time at which each
	// step runs, as in Systems Manager. A plan fixes every member of a change, so one
	// that is applied later needs the date that it was planned with.
	Date time.Time
	// Unknown reports whether v holds what only applying will tell; planning only,
	// nil = never. A wait for such a value counts as met, a branch on it leaves the
	// plan open.
	Unknown func(v any) bool

	// Interactive waits before every step until a StartStep signal comes.
	Interactive bool

	// What documents beyond the calls of steps need; nil refuses the actions that
	// need it.
	Scripts     Scripts
	Journal     Journal
	Inbox       Inbox
	Children    Children
	Approvals   Approvals
	Attachments Attachments
	Blobs       Blobs // nil = outputs of over 64 KB stay in the state
	Webhooks    Webhooks

	planned *planned // shared by a plan and the children planned with it
	depth   int
}

// Outcome is how a segment ended.
type Outcome struct {
	Status Status
	// State is what the next segment starts from; it is set whatever the status.
	State *State
	// ResumeAt is when the next segment is due, for InProgress and Waiting.
	ResumeAt time.Time
	// Outputs are the document's outputs as text lists, in the form of
	// GetAutomationExecution; set when the execution ended.
	Outputs map[string][]string
	Failure *Failure
	// Cause is the Caller's error behind Failure, for its class: may planning be
	// tried again? It is nil after a replay and for failures without one.
	Cause error
	// Open says why planning could not go on; the plan must be approved as open.
	// OpenAt is the label of the step at which it stopped, in a child the child's.
	Open   string
	OpenAt string
	// Documents lists the documents of the children that were planned, each once, in
	// the order in which they were first met.
	Documents []UsedDocument
	// Abort is the security stop that ended the execution: a fault of code
	// conflict or denied.
	Abort error
	// Executed counts the step executions so far.
	Executed int

	ends map[string]*plannedEnd // for Reach
}

// UsedDocument is a document that a plan starts as a child.
type UsedDocument struct {
	Name     string // as the step names it
	Version  string // as the step names it; "" = the default
	Document *runbook.Document
}

// StepRecord is one attempt of one step.
type StepRecord struct {
	// ID is a UUID of the pass: the same for its attempts and in a replay.
	ID        string         `json:"id"`
	Label     string         `json:"label"`
	Execution string         `json:"execution"`
	Seq       int            `json:"seq"` // of the step in the execution, from 1
	Name      string         `json:"name"`
	Action    string         `json:"action"`
	Attempt   int            `json:"attempt"` // from 1
	Status    Status         `json:"status"`
	Inputs    map[string]any `json:"inputs,omitempty"` // resolved
	Outputs   map[string]any `json:"outputs,omitempty"`
	Failure   *Failure       `json:"failure,omitempty"`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`

	// What the document says of the step, for GetAutomationExecution.
	NextStep       string   `json:"next_step,omitempty"`
	IsEnd          bool     `json:"is_end,omitempty"`
	IsCritical     bool     `json:"is_critical,omitempty"`
	OnFailure      string   `json:"on_failure,omitempty"` // Abort, Continue or step:NAME
	MaxAttempts    int      `json:"max_attempts,omitempty"`
	TimeoutSeconds int      `json:"timeout_seconds,omitempty"` // 0 = none given
	ValidNextSteps []string `json:"valid_next_steps,omitempty"`
	// Parent is the loop in whose body the step stands; nil = none.
	Parent *ParentStep `json:"parent,omitempty"`
}

// ParentStep is ParentStepDetails of Systems Manager: the iteration of a loop.
type ParentStep struct {
	ID            string `json:"id"` // StepRecord.ID of the loop
	Name          string `json:"name"`
	Action        string `json:"action"`
	Iteration     int    `json:"iteration"`
	IteratorValue string `json:"iterator_value,omitempty"`
}

// Direct runs a step without a checkpoint, for plan mode.
type Direct struct{}

// Step calls fn.
func (Direct) Step(ctx context.Context, _ string, fn func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	return fn(ctx)
}
