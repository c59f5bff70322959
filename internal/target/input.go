package target

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// InputTransformer makes what a target is sent of parts of the event.
type InputTransformer struct {
	InputPathsMap map[string]string `json:"InputPathsMap,omitempty"`
	InputTemplate string            `json:"InputTemplate"`
}

// Options are Parry's own.
type Options struct {
	// AWSCompatible fills templates exactly as AWS does, without escaping. See doc.go.
	AWSCompatible bool
}

// Meta is what the predefined variables of templates stand for, beside the event.
type Meta struct {
	RuleARN       string
	RuleName      string
	IngestionTime time.Time
}

// Input is what a target is sent, compiled. It is safe for use by many goroutines.
type Input struct {
	constant string
	path     *Path
	template *template
	warnings []string
}

// Compile reads t's Input, InputPath or InputTransformer once for many events.
func (t Target) Compile(o Options) (*Input, error) {
	in := &Input{constant: t.Input}
	if t.InputPath != "" {
		p, err := ParsePath(t.InputPath)
		if err == nil {
			in.path = &p
		} else {
			in.constant = "null"
			in.warnings = append(in.warnings, "InputPath "+t.InputPath+" is not a path that EventBridge knows: the target is sent null")
		}
	}
	if t.InputTransformer != nil {
		var err error
		if in.template, err = t.InputTransformer.compile(t.ID, o); err != nil {
			return nil, err
		}
		in.warnings = in.template.warnings
	}
	return in, nil
}

// Warnings are what AWS accepts and a person should know of: paths that never find
// anything, variables that the template does not use.
func (in *Input) Warnings() []string { return in.warnings }

// Render gives what the target is sent for an event, which has to be valid JSON.
func (in *Input) Render(event []byte, m Meta) ([]byte, error) {
	switch {
	case in.template != nil:
		return in.template.render(event, m)
	case in.path != nil:
		found, err := in.path.Find(event)
		if found == nil && err == nil {
			found = jsontext.Value("null")
		}
		return found, err
	case in.constant != "":
		return []byte(in.constant), nil
	default:
		return event, nil
	}
}
