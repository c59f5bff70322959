package runbook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// The actions of schema 0.3, all of which Parry runs.
const (
	ActionAPI            = "aws:executeAwsApi"
	ActionApprove        = "aws:approve"
	ActionAssert         = "aws:assertAwsResourceProperty"
	ActionAutomation     = "aws:executeAutomation"
	ActionBranch         = "aws:branch"
	ActionChangeState    = "aws:changeInstanceState"
	ActionCopyImage      = "aws:copyImage"
	ActionCreateImage    = "aws:createImage"
	ActionCreateStack    = "aws:createStack"
	ActionCreateTags     = "aws:createTags"
	ActionDeleteImage    = "aws:deleteImage"
	ActionDeleteStack    = "aws:deleteStack"
	ActionLambda         = "aws:invokeLambdaFunction"
	ActionLoop           = "aws:loop"
	ActionPause          = "aws:pause"
	ActionRunCommand     = "aws:runCommand"
	ActionRunInstances   = "aws:runInstances"
	ActionScript         = "aws:executeScript"
	ActionSleep          = "aws:sleep"
	ActionStateMachine   = "aws:executeStateMachine"
	ActionUpdateVariable = "aws:updateVariable"
	ActionWait           = "aws:waitForAwsResourceProperty"
	ActionWebhook        = "aws:invokeWebhook"
)

// Runnable reports whether Parry runs action: all that schema 0.3 knows. What a
// step of such an action may still be refused for is in Refusals.
func Runnable(action string) bool {
	_, ok := defaultOutputs(action)
	return ok
}

// defaultOutputs gives the outputs that a step of action has without declaring
// them; ok is false for an action that schema 0.3 does not know.
func defaultOutputs(action string) (names []string, ok bool) {
	name, ok := strings.CutPrefix(action, "aws:")
	if !ok {
		return nil, false
	}
	switch name {
	case "executeAwsApi", "waitForAwsResourceProperty", "assertAwsResourceProperty", "sleep", "createTags", "pause", "updateVariable", "deleteImage":
		return nil, true
	case "branch":
		return []string{"NextStep"}, true
	case "executeScript":
		return []string{"Payload", "OutputPayload"}, true
	case "runCommand":
		return []string{"CommandId", "Status", "ResponseCode", "Output"}, true
	case "executeAutomation":
		return []string{"Output", "ExecutionId", "Status"}, true
	case "changeInstanceState":
		return []string{"InstanceStates"}, true
	case "createStack", "deleteStack":
		return []string{"StackId", "StackStatus", "StackStatusReason"}, true
	case "invokeLambdaFunction":
		return []string{"StatusCode", "FunctionError", "LogResult", "Payload"}, true
	case "approve":
		return []string{"ApprovalStatus", "ApproverDecisions"}, true
	case "loop":
		return []string{"CurrentIteration", "CurrentIteratorValue"}, true
	case "runInstances":
		return []string{"InstanceIds", "InstanceStates"}, true
	case "createImage", "copyImage":
		return []string{"ImageId", "ImageState"}, true
	case "executeStateMachine":
		return []string{"executionArn", "input", "name", "output", "startDate", "stateMachineArn", "status", "stopDate"}, true
	case "invokeWebhook":
		return []string{"Response", "ResponseCode"}, true
	}
	return nil, false
}

// Document is a parsed Automation document. It is read-only after Parse and
// safe for concurrent use.
type Document struct {
	SchemaVersion string
	Description   string
	AssumeRole    string
	Parameters    []Parameter // in document order
	Variables     []Parameter // name, type, default and constraints, as parameters have
	Steps         []Step      // mainSteps, in document order
	Outputs       []Output
	Files         []File // attachments, in document order
	// Revision is the SHA-256 of the text, in hexadecimal.
	Revision string

	root *node
	// index finds a step by its name, those of loop bodies included: all names of a
	// document share one namespace. all has the same steps in the order of the text.
	index map[string]*Step
	all   []*Step
	// warnings are what parsing noticed and Check repeats.
	warnings []Problem
}

// Step is one step of mainSteps.
type Step struct {
	Name        string
	Action      string
	Description string
	// OnFailure is "Abort", "Continue" or the name of a step; OnFailureStep says
	// that it is a name.
	OnFailure     string
	OnFailureStep bool
	OnCancel      string
	NextStep      string
	IsEnd         bool
	// IsCritical is nil when the document does not say.
	IsCritical *bool
	// Timeout and MaxAttempts are integers or templated text; nil = default.
	Timeout     any
	MaxAttempts any
	Inputs      map[string]any
	Outputs     []StepOutput
	// Loop is the body of aws:loop; nil for every other action.
	Loop *Loop
	// Within is the name of the loop in whose body the step stands; "" = mainSteps.
	Within string
	Pos    Pos

	node  *node
	path  string
	place int // position among its neighbours
}

// templates gives the inputs in which references are replaced: all but Script,
// and the steps of a loop, which are steps of their own.
func (s *Step) templates() map[string]any {
	out := make(map[string]any, len(s.Inputs))
	for k, v := range s.Inputs {
		if k != "Script" && (s.Action != ActionLoop || k != "Steps") {
			out[k] = v
		}
	}
	return out
}

// Loop is the inputs of aws:loop. Exactly one of Iterators and Condition is set.
type Loop struct {
	Iterators     any    // a list, or text with a reference
	DataType      string // IteratorDataType: Boolean, Integer, String or StringMap
	Condition     *Condition
	MaxIterations any // an integer or templated text; nil = 100
	Steps         []Step
}

// First gives the step with which an iteration begins.
func (l *Loop) First() *Step { return &l.Steps[0] }

// File is an entry of the document's files: an attachment.
type File struct {
	Name   string
	SHA256 string // lower case, hexadecimal; "" where the document gives none
	Size   int64  // bytes; 0 = not given
	Pos    Pos
}

// The values of OnFailure that are not the name of a step.
const (
	OnFailureAbort    = "Abort"
	OnFailureContinue = "Continue"
)

// Critical reports whether a failure of the step fails the execution.
func (s *Step) Critical() bool {
	if s.IsCritical != nil {
		return *s.IsCritical
	}
	return s.OnFailureStep || s.OnFailure != OnFailureContinue
}

// StepOutput is a declared output of a step.
type StepOutput struct {
	Name     string
	Selector Selector
	Type     Type
	Pos      Pos
}

// Output is one entry of the document's outputs: a step and one of its outputs.
type Output struct {
	Step string
	Name string
	Pos  Pos
}

// Text gives "step.output".
func (o Output) Text() string { return o.Step + "." + o.Name }

// Step gives a step by its name, wherever it stands.
func (d *Document) Step(name string) (*Step, bool) {
	s, ok := d.index[name]
	return s, ok
}

// All gives every step, those of loop bodies after their loop, in the order of
// the text.
func (d *Document) All() []*Step { return d.all }

// First gives the step with which an execution begins.
func (d *Document) First() *Step { return &d.Steps[0] }

// After gives the step that follows name in the text. The last step of a loop's
// body has none: what follows it is the loop's own business.
func (d *Document) After(name string) (*Step, bool) {
	s, ok := d.index[name]
	if !ok {
		return nil, false
	}
	list := d.beside(s)
	if s.place+1 >= len(list) {
		return nil, false
	}
	return &list[s.place+1], true
}

// beside gives the list in which s stands.
func (d *Document) beside(s *Step) []Step {
	if loop, ok := d.index[s.Within]; ok && loop.Loop != nil {
		return loop.Loop.Steps
	}
	return d.Steps
}

// Inside reports whether s stands in the body of the loop called name, at any
// depth.
func (d *Document) Inside(s *Step, name string) bool {
	for s != nil && s.Within != "" {
		if s.Within == name {
			return true
		}
		s = d.index[s.Within]
	}
	return false
}

// Parameter gives a declared parameter by its name.
func (d *Document) Parameter(name string) (*Parameter, bool) { return find(d.Parameters, name) }

// Variable gives a declared variable by its name.
func (d *Document) Variable(name string) (*Parameter, bool) { return find(d.Variables, name) }

func find(list []Parameter, name string) (*Parameter, bool) {
	for i := range list {
		if list[i].Name == name {
			return &list[i], true
		}
	}
	return nil, false
}

// JSON gives the document as JSON with sorted keys. Parsing it gives an equal
// document but for positions, order of parameters and revision.
func (d *Document) JSON() ([]byte, error) {
	out, err := json.MarshalIndent(d.root.printable(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("print runbook: %w", err)
	}
	return out, nil
}

// Revision gives the SHA-256 of a document's text, in hexadecimal.
func Revision(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
