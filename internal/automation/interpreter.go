package automation

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// Defaults of Config.
const (
	DefaultMaxSteps     = 10_000
	DefaultSegmentSteps = 500
	DefaultInline       = time.Minute
	DefaultWatch        = time.Second
	DefaultCallTimeout  = time.Minute
	// DefaultAPITimeout is what aws:executeAwsApi has, where the step says nothing.
	DefaultAPITimeout  = 25 * time.Second
	DefaultWaitTimeout = time.Hour
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
	// Watch is how often what stays in memory looks for signals. Default: DefaultWatch.
	Watch time.Duration
	// CallTimeout is the time limit of one call when the step gives none. Default: DefaultCallTimeout.
	CallTimeout time.Duration
	// Class says whether a call of a script changes something, for its journal.
	// Default: every call may.
	Class func(apimodel.Call) apimodel.Class
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
	if cfg.Watch <= 0 {
		cfg.Watch = DefaultWatch
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
	if run.planned == nil {
		run.planned = &planned{}
	}
	state := run.State
	if state == nil {
		state = NewState(run.Document)
	}
	x := &execution{Interpreter: i, run: &run, state: state.clone(), errs: map[string]error{}}
	if err := x.hydrate(ctx); err != nil {
		return Outcome{}, err
	}
	o, err := x.segment(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if run.Planning {
		run.planned.end(&run, x.state)
		o.ends = run.planned.ends
	}
	return o, x.compact(ctx)
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
	inputs  map[string]any
	outputs map[string]any
	blob    string
	failure *Failure
	next    string // the step that a branch chose, or the first of a loop's body
	park    *Park
	open    string
	openAt  string // the label, where it is not that of the step
	abort   error
	ended   time.Time
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
		again := x.looping(s)
		if x.state.Park == nil && !again || x.state.Park != nil && x.state.Park.Start {
			o, goOn, err := x.begin(ctx, s)
			if err != nil || !goOn {
				return o, err
			}
		}
		r, err := x.visit(ctx, s, again)
		if err != nil {
			return Outcome{}, err
		}
		if r.abort != nil || r.open != "" || r.park != nil {
			return x.stopped(s, r), nil //nolint:nilerr // the failed step is in the outcome
		}
		x.state.Park = nil
	}
	return x.finished(), nil
}

// visit runs the step at the cursor, or decides how its loop goes on, and moves
// the cursor.
func (x *execution) visit(ctx context.Context, s *runbook.Step, again bool) (result, error) {
	var r result
	var err error
	switch {
	case again:
		r, err = x.iterate(ctx, s)
	case s.Action == runbook.ActionLoop:
		r, err = x.enterLoop(ctx, s)
	default:
		r, err = x.step(ctx, s)
	}
	if err != nil || r.abort != nil || r.park != nil {
		return r, err
	}
	if r.open == "" && r.status != Success && r.status != Cancelled && x.unknown(r.inputs) {
		// What fails on a stand-in may do well on the value itself.
		r.open = fmt.Sprintf("step %s works on what only applying will tell; planning sees: %s", x.label(s), r.failure.Message)
	}
	if r.open != "" || s.Action == runbook.ActionLoop && r.status == InProgress {
		return r, nil
	}
	return r, x.leave(ctx, s, r)
}

// begin counts a step before its first attempt. With goOn false the outcome is
// that of the segment.
func (x *execution) begin(ctx context.Context, s *runbook.Step) (o Outcome, goOn bool, err error) {
	switch {
	case x.run.Planning && x.run.planned.steps >= planSteps*max(1, x.run.planned.children):
		return x.stopped(s, result{open: fmt.Sprintf("planning ran %d steps without coming to an end", x.run.planned.steps)}), false, nil
	case x.state.Executed >= x.cfg.MaxSteps:
		return x.circling(s), false, nil
	case x.steps >= x.cfg.SegmentSteps && !x.run.Planning:
		o := x.outcome(InProgress)
		o.ResumeAt = x.run.Clock.Now().UTC()
		return o, false, nil
	}
	if x.run.Interactive && !x.run.Planning && x.state.Cancel == nil {
		r, err := x.awaitStart(ctx, s)
		if err != nil {
			return Outcome{}, false, err
		}
		if r.park != nil {
			return x.stopped(s, r), false, nil
		}
		x.state.Park = nil
		if r.status == Cancelled {
			x.steps++
			if err := x.leave(ctx, s, r); err != nil {
				return Outcome{}, false, err
			}
			o, err := x.segment(ctx)
			return o, false, err
		}
	}
	x.run.planned.steps++
	x.state.Executed++
	x.state.Passes[s.Name]++
	x.steps++
	return Outcome{}, true, nil
}

// unknown reports whether planning knows v only as a stand-in.
func (x *execution) unknown(v any) bool {
	return x.run.Planning && x.run.Unknown != nil && x.run.Unknown(v)
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
		o.Open, o.OpenAt = r.open, r.openAt
		if o.OpenAt == "" {
			o.OpenAt = x.label(s)
		}
		return o
	}
	x.state.Park = r.park
	o := x.outcome(Waiting)
	o.ResumeAt = r.park.Until
	if r.park.Fan != nil && r.park.Fan.Cancel != nil {
		o.Status = Cancelling
	}
	if c := x.state.Cancel; c != nil {
		o.Status = Cancelling
		if !c.Deadline.IsZero() && (o.ResumeAt.IsZero() || o.ResumeAt.After(c.Deadline)) {
			o.ResumeAt = c.Deadline
		}
	}
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
	return Outcome{Status: s, State: x.state, Executed: x.state.Executed, Documents: x.run.planned.documents}
}

func (x *execution) finished() Outcome {
	o := x.outcome(Success)
	if f := x.state.Failure; f != nil {
		o.Status, o.Failure, o.Cause = f.Status(), f, x.errs[f.Step]
	}
	if c := x.state.Cancel; c != nil {
		o.Status, o.Failure = Cancelled, cancelFailure("The execution was cancelled%s.", by(Signal{By: c.By, Comment: c.Comment}))
		o.Failure.Step = c.Step
	}
	o.Outputs = x.documentOutputs()
	return o
}
