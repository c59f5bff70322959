package automation

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// Defaults of Config.
const (
	DefaultMaxSteps     = 10_000
	DefaultSegmentSteps = 500
	DefaultInline       = time.Minute
	DefaultCallTimeout  = time.Minute
	DefaultWaitTimeout  = time.Hour
	// planSteps bounds planning: a document that polls by branching never sees
	// the change that it waits for.
	planSteps = 1_000
)

// Config is what an interpreter is made of.
type Config struct {
	Clock  Clock        // required
	Logger *slog.Logger // default: discard
	// MaxSteps ends an execution that circles. Default: DefaultMaxSteps.
	MaxSteps int
	// SegmentSteps ends a segment. Default: DefaultSegmentSteps.
	SegmentSteps int
	// Inline is the longest sleep or wait that stays in memory. Default: DefaultInline.
	Inline time.Duration
	// CallTimeout is the time limit of one call when the step gives none. Default: DefaultCallTimeout.
	CallTimeout time.Duration
}

// Interpreter runs documents. It has no state of its own and is safe for
// concurrent use.
type Interpreter struct {
	cfg     Config
	actions map[string]actionFunc
}

// New checks cfg and fills defaults.
func New(cfg Config) (*Interpreter, error) {
	if cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make interpreter", "a clock is required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxSteps <= 0 {
		cfg.MaxSteps = DefaultMaxSteps
	}
	if cfg.SegmentSteps <= 0 {
		cfg.SegmentSteps = DefaultSegmentSteps
	}
	if cfg.Inline <= 0 {
		cfg.Inline = DefaultInline
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = DefaultCallTimeout
	}
	return &Interpreter{cfg: cfg, actions: actions()}, nil
}

// Run runs one segment of an execution. An error means that it was interrupted
// or could not keep its records, and may be run again with the same arguments;
// everything that is the execution's own fate is in the Outcome.
func (i *Interpreter) Run(ctx context.Context, run Run) (Outcome, error) {
	if run.Document == nil || run.Caller == nil {
		return Outcome{}, fault.Errorf(fault.Internal, "run document", "a document and a caller are required")
	}
	if refused := runbook.Refusals(run.Document); len(refused) > 0 {
		// Refused before the first step: half a runbook is worse than none.
		return Outcome{}, fault.Errorf(fault.Invalid, "run document", "%s", refused[0]).WithHint("%s; run: parry runbook check", refused[0].Fix)
	}
	if run.Steps == nil {
		run.Steps = Direct{}
	}
	if run.Clock == nil {
		run.Clock = i.cfg.Clock
	}
	if run.Partition == "" {
		run.Partition = "aws"
	}
	state := run.State
	if state == nil {
		state = NewState(run.Document)
	}
	x := &execution{Interpreter: i, run: &run, state: state.clone(), errs: map[string]error{}}
	return x.segment(ctx)
}

// execution is one segment under way.
type execution struct {
	*Interpreter
	run   *Run
	state *State
	steps int // executed in this segment
	// errs holds the last error of each step's calls in this process.
	errs map[string]error
	// notes are what the calls of the step under way answered: see task.
	notes map[int]map[string]map[string]any
}

// result is how a step ended, after all its attempts.
type result struct {
	status  Status
	outputs map[string]any
	failure *Failure
	next    string // the step that a branch chose
	park    *Park
	open    string
	abort   error
}

func (x *execution) segment(ctx context.Context) (Outcome, error) {
	for x.state.Cursor != "" {
		if err := ended(ctx); err != nil {
			return Outcome{}, err
		}
		s, ok := x.run.Document.Step(x.state.Cursor)
		if !ok {
			return Outcome{}, fault.Errorf(fault.Invalid, "run document", "there is no step %q", x.state.Cursor)
		}
		if x.state.Park == nil {
			if x.run.Planning && x.state.Executed >= planSteps {
				return x.stopped(s, result{open: fmt.Sprintf("planning ran %d steps without coming to an end", planSteps)}), nil
			}
			if x.state.Executed >= x.cfg.MaxSteps {
				return x.circling(s), nil
			}
			if x.steps >= x.cfg.SegmentSteps && !x.run.Planning {
				o := x.outcome(InProgress)
				o.ResumeAt = x.run.Clock.Now().UTC()
				return o, nil
			}
			x.state.Executed++
			x.state.Passes[s.Name]++
			x.steps++
		}
		r, err := x.step(ctx, s)
		if err != nil {
			return Outcome{}, err
		}
		if r.abort != nil || r.open != "" || r.park != nil {
			return x.stopped(s, r), nil //nolint:nilerr // the failed step is in the outcome
		}
		x.state.Park = nil
		x.leave(s, r)
	}
	return x.finished(), nil
}

// stopped gives the outcome of a segment that a step ended.
func (x *execution) stopped(s *runbook.Step, r result) Outcome {
	switch {
	case r.abort != nil:
		o := x.outcome(Failed)
		o.Abort = r.abort
		o.Failure = &Failure{Step: s.Name, Stage: "Invocation", Type: FailureAction, Message: "The execution was stopped: " + r.abort.Error()}
		x.state.Failure = o.Failure
		x.cfg.Logger.Warn("execution stopped by the gate", "execution", x.run.ExecutionID, "step", s.Name, "error", r.abort)
		return o
	case r.open != "":
		o := x.outcome(InProgress)
		o.Open = r.open
		return o
	}
	x.state.Park = r.park
	o := x.outcome(Waiting)
	o.ResumeAt = r.park.Until
	return o
}

func (x *execution) circling(s *runbook.Step) Outcome {
	x.state.Failure = &Failure{
		Step: s.Name, Stage: "Execution", Type: FailureAction,
		Message: fmt.Sprintf("The execution ran %d steps without coming to an end.", x.state.Executed),
	}
	x.state.Cursor = ""
	return x.finished()
}

func (x *execution) outcome(s Status) Outcome {
	return Outcome{Status: s, State: x.state, Executed: x.state.Executed}
}

func (x *execution) finished() Outcome {
	o := x.outcome(Success)
	if f := x.state.Failure; f != nil {
		o.Status, o.Failure, o.Cause = f.Status(), f, x.errs[f.Step]
	}
	o.Outputs = x.documentOutputs()
	return o
}

// leave follows the transition of spec/ssm-automation.md section 3.2.
func (x *execution) leave(s *runbook.Step, r result) {
	x.state.Outputs[s.Name] = r.outputs
	if r.status == Success {
		switch {
		case r.next != "":
			x.state.Cursor = r.next
		case s.IsEnd:
			x.state.Cursor = ""
		default:
			x.state.Cursor = x.following(s)
		}
		return
	}
	if s.Critical() && x.state.Failure == nil {
		x.state.Failure = r.failure
	}
	switch {
	case s.OnFailureStep:
		x.state.Cursor = s.OnFailure
	case s.IsEnd:
		x.state.Cursor = ""
	case s.OnFailure == runbook.OnFailureContinue:
		x.state.Cursor = x.following(s)
	default:
		if x.state.Failure == nil {
			x.state.Failure = r.failure
		}
		x.state.Cursor = ""
	}
}

func (x *execution) following(s *runbook.Step) string {
	if s.NextStep != "" {
		return s.NextStep
	}
	if next, ok := x.run.Document.After(s.Name); ok {
		return next.Name
	}
	return ""
}

// documentOutputs gives each declared output as a list of texts. A step that
// did not run gives an empty list.
func (x *execution) documentOutputs() map[string][]string {
	out := make(map[string][]string, len(x.run.Document.Outputs))
	for _, o := range x.run.Document.Outputs {
		texts := []string{}
		if v, ok := x.state.Outputs[o.Step][o.Name]; ok {
			items, isList := v.([]any)
			if !isList {
				items = []any{v}
			}
			for _, item := range items {
				// The values came through JSON, so they have a text.
				text, err := runbook.Text(item)
				if err != nil {
					continue
				}
				texts = append(texts, text)
			}
		}
		out[o.Text()] = texts
	}
	return out
}
