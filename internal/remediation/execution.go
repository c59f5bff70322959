package remediation

import "time"

// Execution is a run of a document as people see it, in the words of
// GetAutomationExecution.
type Execution struct {
	ID          string `json:"id"` // a UUID
	Remediation ID     `json:"remediation"`
	Parent      string `json:"parent,omitempty"` // execution id; "" = started by a person
	Root        string `json:"root"`             // the one at the top; ID itself without a parent
	Depth       int    `json:"depth"`            // 0 at the top
	Document    string `json:"document"`
	Version     string `json:"version,omitempty"` // as it was at the start: a number; "" = the document has none
	Account     string `json:"account"`
	Region      string `json:"region"`
	Role        string `json:"role,omitempty"` // ARN; "" = the organization's member role
	Mode        string `json:"mode"`           // Auto or Interactive
	// Status is automation.Status; Failure says why it is Failed, TimedOut or
	// Cancelled, and for how long it will stay Pending.
	Status  string `json:"status"`
	Failure string `json:"failure,omitempty"`
	// Parameters, Outputs and Variables are lists of text, as AWS shows them.
	Parameters map[string][]string `json:"parameters,omitempty"`
	Outputs    map[string][]string `json:"outputs,omitempty"`
	Variables  map[string][]string `json:"variables,omitempty"`
	// CurrentStep and CurrentAction are those of the step that runs or waits.
	CurrentStep   string `json:"current_step,omitempty"`
	CurrentAction string `json:"current_action,omitempty"`
	// Target is the value for which a child of a run with rate control stands.
	Target string `json:"target,omitempty"`
	// Asked is what was asked for; only an execution without a parent has it.
	Asked *Run `json:"asked,omitempty"`
	// OnTargets says that the document runs once for each of its targets, as children
	// of this execution.
	OnTargets bool `json:"on_targets,omitempty"`

	StartedBy string    `json:"started_by"`
	StartedAt time.Time `json:"started_at"` // when it was asked for
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// StepExecution is the latest attempt of a step of an execution. The steps of a
// loop's body stand once for each pass.
type StepExecution struct {
	ID        string    `json:"id"` // unique in the execution and the same in a replay
	Execution string    `json:"execution"`
	Seq       int       `json:"seq"`
	Label     string    `json:"label"` // of this pass: "Body#2"
	Name      string    `json:"name"`
	Action    string    `json:"action"`
	Attempt   int       `json:"attempt"`
	Status    string    `json:"status"` // automation.Status
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`

	Inputs         map[string]any      `json:"inputs,omitempty"`
	Outputs        map[string]any      `json:"outputs,omitempty"`
	Failure        string              `json:"failure,omitempty"` // one sentence
	FailureStage   string              `json:"failure_stage,omitempty"`
	FailureType    string              `json:"failure_type,omitempty"`
	FailureDetails map[string][]string `json:"failure_details,omitempty"`

	// What the document says of the step. Declared is false where nobody kept it.
	Declared       bool     `json:"declared,omitempty"`
	NextStep       string   `json:"next_step,omitempty"`
	IsEnd          bool     `json:"is_end,omitempty"`
	IsCritical     bool     `json:"is_critical,omitempty"`
	OnFailure      string   `json:"on_failure,omitempty"` // Abort, Continue or step:NAME
	MaxAttempts    int      `json:"max_attempts,omitempty"`
	TimeoutSeconds int      `json:"timeout_seconds,omitempty"`
	ValidNextSteps []string `json:"valid_next_steps,omitempty"`

	// ParentStep is the ID of the loop in whose body the step stands; Iteration is
	// its pass from 1, IteratorValue the pass's value as text.
	ParentStep     string `json:"parent_step,omitempty"`
	ParentStepName string `json:"parent_step_name,omitempty"`
	Iteration      int    `json:"iteration,omitempty"`
	IteratorValue  string `json:"iterator_value,omitempty"`
}

// ExecutionFilter selects executions; a zero field does not restrict.
type ExecutionFilter struct {
	// Accounts is the scope of the caller: see store.AllAccounts. It is required.
	Accounts []string
	// Of the lists, one member has to fit.
	IDs            []string
	Statuses       []string
	DocumentPrefix []string
	Parents        []string
	Actions        []string // of the current step
	Targets        []string // for which children stand
	// TopLevel leaves out children.
	TopLevel bool
	// StartedBefore and StartedAfter bound StartedAt, themselves excluded.
	StartedBefore time.Time
	StartedAfter  time.Time
	// CrossAccount, when set, asks for runs with TargetLocations (true) or without.
	CrossAccount *bool
	// Oldest gives the one that was started first before the others.
	Oldest bool
}

// StepFilter selects steps of an execution; a zero field does not restrict.
type StepFilter struct {
	IDs            []string
	Names          []string
	Statuses       []string
	Actions        []string
	ParentSteps    []string
	Iterations     []int
	IteratorValues []string
	StartedBefore  time.Time
	StartedAfter   time.Time
	// Reverse gives the last step first.
	Reverse bool
}

// Signal is something asked of an execution from outside.
type Signal struct {
	Execution string `json:"execution"`
	Kind      string `json:"kind"` // automation.SignalKind
	Step      string `json:"step,omitempty"`
	By        string `json:"by"` // principal
	Comment   string `json:"comment,omitempty"`
}
