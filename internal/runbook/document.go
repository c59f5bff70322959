package runbook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// The actions of schema 0.3. Only those of Runnable are run by this version.
const (
	ActionAPI    = "aws:executeAwsApi"
	ActionAssert = "aws:assertAwsResourceProperty"
	ActionWait   = "aws:waitForAwsResourceProperty"
	ActionBranch = "aws:branch"
	ActionSleep  = "aws:sleep"
)

// Runnable reports whether this version of Parry runs action.
func Runnable(action string) bool {
	switch action {
	case ActionAPI, ActionAssert, ActionWait, ActionBranch, ActionSleep:
		return true
	}
	return false
}

// defaultOutputs gives the outputs that a step of action has without declaring
// them; ok is false for an action that schema 0.3 does not know.
func defaultOutputs(action string) (names []string, ok bool) {
	switch strings.TrimPrefix(action, "aws:") {
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

	root  *node
	index map[string]int
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

	node *node
	path string
}

// Loop is the inputs of aws:loop. Exactly one of Iterators and Condition is set.
type Loop struct {
	Iterators     any    // a list, or text with a reference
	DataType      string // IteratorDataType: Boolean, Integer, String or StringMap
	Condition     *Condition
	MaxIterations any // an integer or templated text; nil = 100
	Steps         []Step
}

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

// Step gives a step by its name.
func (d *Document) Step(name string) (*Step, bool) {
	i, ok := d.index[name]
	if !ok {
		return nil, false
	}
	return &d.Steps[i], true
}

// First gives the step with which an execution begins.
func (d *Document) First() *Step { return &d.Steps[0] }

// After gives the step that follows name in the document.
func (d *Document) After(name string) (*Step, bool) {
	i, ok := d.index[name]
	if !ok || i+1 >= len(d.Steps) {
		return nil, false
	}
	return &d.Steps[i+1], true
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
	out, err := json.MarshalIndent(d.root.value(), "", "  ")
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
