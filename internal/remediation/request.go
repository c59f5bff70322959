package remediation

import "github.com/parry-security/parry/internal/finding"

// Request asks the plan stage for a plan. Its ID is deterministic (finding,
// playbook, generation), so that a repeated event makes no second remediation.
type Request struct {
	ID       ID         `json:"id"`
	Kind     Kind       `json:"kind"`
	Finding  finding.ID `json:"finding"`
	Playbook string     `json:"playbook"`
	// UndoOf names the remediation to undo; Playbook is then empty.
	UndoOf      ID     `json:"undo_of,omitempty"`
	RequestedBy string `json:"requested_by"`
	// Run is what to run, for KindRun.
	Run *Run `json:"run,omitempty"`
}

// Run is a document to run, as StartAutomationExecution asks for it. Lists and
// maps of AWS's own shapes (targets, locations) are kept as they came.
type Run struct {
	// Execution is the execution's id, given out before anything is planned.
	Execution string  `json:"execution"`
	Document  Runbook `json:"document"`
	Version   string  `json:"version,omitempty"` // of the document; "" = it has none
	// Parameters are as given: lists of text, or values.
	Parameters  map[string]any    `json:"parameters,omitempty"`
	Account     string            `json:"account"`
	Region      string            `json:"region"`
	Mode        string            `json:"mode,omitempty"` // Auto or Interactive
	Tags        map[string]string `json:"tags,omitempty"`
	ClientToken string            `json:"client_token,omitempty"`
	// Parent is the execution whose step or script asked for the run by Systems
	// Manager's API, Depth how many stand above; "" and 0 for a person's.
	Parent string `json:"parent,omitempty"`
	Depth  int    `json:"depth,omitempty"`
	// Rule and Event say which rule of the bus asked for the run, and by which event.
	Rule  string `json:"rule,omitempty"` // bus/name
	Event string `json:"event,omitempty"`
	// Preview asks for the plan alone: once planned, the remediation ends cancelled
	// with its plan, and the execution stands in no list.
	Preview bool `json:"preview,omitempty"`

	TargetParameterName string           `json:"target_parameter_name,omitempty"`
	Targets             []map[string]any `json:"targets,omitempty"`
	TargetMaps          []map[string]any `json:"target_maps,omitempty"`
	TargetLocations     []map[string]any `json:"target_locations,omitempty"`
	MaxConcurrency      string           `json:"max_concurrency,omitempty"`
	MaxErrors           string           `json:"max_errors,omitempty"`
	// Waves, when set, launches targets in waves: a canary first, then growing.
	Waves *Waves `json:"waves,omitempty"`
}

// OnTargets reports whether the run starts its document once for each of several
// targets.
func (r Run) OnTargets() bool {
	return len(r.Targets) > 0 || len(r.TargetMaps) > 0 || len(r.TargetLocations) > 0
}

// Waves launches the targets of a run in growing groups; each has to end within
// MaxErrors before the next begins.
type Waves struct {
	Canary int `json:"canary"` // targets of the first wave; at least 1
	Growth int `json:"growth"` // each wave is so many times the one before; at least 1
}

// StateChange is the detail of a "Parry Remediation State Change" event. It
// carries no call inputs and no before-images.
type StateChange struct {
	Remediation Remediation `json:"remediation"`
	From        State       `json:"from"`
	To          State       `json:"to"`
	ApprovalID  string      `json:"approval_id,omitempty"`
	Changes     int         `json:"changes"` // changing calls in the plan
	Title       string      `json:"title"`   // the finding's title: untrusted text
}
