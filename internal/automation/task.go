package automation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// DefaultTaskTimeout is the time limit of an action that waits for AWS, where
// neither the step nor AWS's reference of actions gives one.
const DefaultTaskTimeout = 12 * time.Hour

// taskActions gives the handlers of the actions that begin something in AWS and
// wait for its end.
func taskActions() map[string]actionFunc {
	out := map[string]actionFunc{}
	for name, t := range tasks() {
		out[name] = t.attempt
	}
	return out
}

func tasks() map[string]task {
	return map[string]task{
		runbook.ActionChangeState:  changeInstanceState(),
		runbook.ActionCopyImage:    copyImage(),
		runbook.ActionCreateImage:  createImage(),
		runbook.ActionCreateStack:  createStack(),
		runbook.ActionCreateTags:   createTags(),
		runbook.ActionDeleteImage:  deleteImage(),
		runbook.ActionDeleteStack:  deleteStack(),
		runbook.ActionStateMachine: executeStateMachine(),
		runbook.ActionLambda:       invokeLambdaFunction(),
		runbook.ActionWebhook:      invokeWebhook(),
		runbook.ActionRunCommand:   runCommand(),
		runbook.ActionRunInstances: runInstances(),
	}
}

// task is an action that begins something in AWS and looks until it has ended.
//
// Each change that begin makes is a checkpoint, and its answer is kept as a note:
// a restart, a later segment and a later attempt are given the note and do not
// make the change again. An approved plan holds it once.
type task struct {
	limit   time.Duration // of an attempt that gives none; 0 = DefaultTaskTimeout
	most    time.Duration // what no attempt may exceed; 0 = nothing
	outputs []string      // that a step has without declaring them
	// begin makes the changes.
	begin func(ctx context.Context, d *doing) error
	// look says how far it is. Without it the task has ended once it was begun.
	look func(ctx context.Context, d *doing) (sight, error)
	// cancel gives the call that ends what begin has begun, if there is one.
	cancel func(d *doing) (service, operation string, input map[string]any)
}

// sight is what one look has shown.
type sight struct {
	done    bool
	seen    string // for people, where it is not done
	outputs map[string]any
}

// doing is one attempt of a task.
type doing struct {
	task
	x       *execution
	c       *call
	calls   []runbook.ActionCall      // that the inputs ask for, in order
	notes   map[string]map[string]any // the answers to what begin has called, by name
	changed bool                      // begin made a change, in this attempt or before
	unknown bool                      // an answer holds what only applying will tell
	assume  map[string]any            // in planning: the outputs that success implies
	started time.Time
}

// stepFailure carries a failure of the step through begin and look. Final says
// that looking again, or another attempt, cannot change it.
type stepFailure struct {
	*Failure
	outputs map[string]any
}

func (f stepFailure) Error() string { return f.Message }

// stepResult carries the end of a segment or of the execution through begin.
type stepResult struct{ result }

func (r stepResult) Error() string { return "the step ended the segment" }

// openPlan ends planning where it cannot go on.
func openPlan(format string, args ...any) error {
	return stepResult{result{status: Waiting, open: fmt.Sprintf(format, args...)}}
}

// finally makes a failure that further attempts would only repeat.
func finally(outputs map[string]any, format string, args ...any) error {
	f := verificationFailure(format, args...)
	f.Final = true
	return stepFailure{f, outputs}
}

// attempt makes one attempt of a task, or goes on with one in a new segment.
func (t task) attempt(x *execution, ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	resolved, err := runbook.ResolveInputs(s.Inputs, sc)
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	d := &doing{task: t, x: x, c: &call{step: s, inputs: resolved, attempt: attempt, timeout: t.within(timeout)}}
	if x.state.Park != nil {
		d.c.park = *x.state.Park
		x.keepNotes(d.c.park.Notes)
	}
	d.notes, d.started = x.notesOf(), d.c.park.StartedAt
	begun := d.plan()
	if begun == nil {
		begun = t.begin(ctx, d)
	}
	body, ends, err := d.bodyAfter(begun)
	if err != nil || ends != nil {
		return *cmp.Or(ends, &result{}), err
	}
	if x.run.Planning && t.cancel != nil {
		d.planCancel(ctx)
	}
	if t.cancel != nil && len(d.notes) > 0 {
		d.c.undo = d.undo
	}
	if d.c.park.StartedAt.IsZero() {
		d.c.park.StartedAt = d.started
	}
	return x.checkpoint(ctx, d.c, d.suffix(), body)
}

// plan takes from the inputs which calls they ask for.
func (d *doing) plan() error {
	var err error
	if d.calls, err = runbook.ActionCalls(d.c.step.Action, d.c.inputs, d.token("parry-")); err != nil {
		return stepFailure{inputFailure(err), nil}
	}
	if len(d.calls) == 0 {
		return fault.Errorf(fault.Internal, "run step "+d.c.step.Name, "nobody says what %s calls", d.c.step.Action)
	}
	return nil
}

// bodyAfter gives what is left to do after begin: to look, or to record how begin
// ended. A result ends the segment or the execution.
func (d *doing) bodyAfter(err error) (body func(context.Context, *call) (record, error), ends *result, _ error) {
	var failed stepFailure
	var end stepResult
	switch {
	case err == nil:
		return d.watch, nil, nil
	case errors.As(err, &end):
		return nil, &end.result, nil
	case errors.Is(err, errAsked):
		return func(context.Context, *call) (record, error) { return record{}, errAsked }, nil, nil
	case errors.As(err, &failed):
		return func(context.Context, *call) (record, error) { return d.ended(failed), nil }, nil, nil
	}
	return nil, nil, err
}

// within gives the time limit of an attempt.
func (t task) within(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		timeout = t.limit
	}
	if timeout <= 0 {
		timeout = DefaultTaskTimeout
	}
	if t.most > 0 {
		timeout = min(timeout, t.most)
	}
	return timeout
}

func (d *doing) suffix() string { return fmt.Sprintf("%d.%d", d.c.attempt, d.c.park.Round) }

// watch looks until the task has ended, as long as the segment lasts, and then
// parks. Errors while looking are not the end: AWS shows what was made only after
// a while.
func (d *doing) watch(ctx context.Context, _ *call) (record, error) {
	if d.look == nil {
		return d.succeeded(d.assume), nil
	}
	now := d.x.run.Clock.Now().UTC()
	park, inline := d.c.park, now // a resumed watch looks once
	if park.Deadline.IsZero() {
		park.Deadline, park.Interval, inline = now.Add(d.c.timeout), firstPoll, now.Add(d.x.cfg.Inline)
		park.Attempt = d.c.attempt
		if park.StartedAt.IsZero() {
			park.StartedAt = now
		}
	}
	for {
		s, err := d.look(ctx, d)
		var failed stepFailure
		switch {
		case errors.As(err, &failed):
			s.seen = failed.Message
		case err != nil:
			return record{}, err
		}
		if rec, ended := d.judge(s, failed); ended {
			return rec, nil
		}
		now = d.x.run.Clock.Now().UTC()
		left := park.Deadline.Sub(now)
		if left <= 0 {
			return d.ended(stepFailure{timeoutFailure("%s", s.seen), s.outputs}), nil
		}
		pause := min(park.Interval, left)
		park.Interval = min(park.Interval*3/2, lastPoll)
		if now.Add(pause).After(inline) {
			park.Round++
			park.Until, park.Notes = now.Add(pause), d.notes
			return record{Status: Waiting, Park: &park}, nil
		}
		if err := d.x.pause(ctx, d.c, pause); err != nil {
			return record{}, err
		}
	}
}

// judge says whether one look ends the attempt. In planning it always does: what
// depends on a change that was not sent counts as met.
func (d *doing) judge(s sight, failed stepFailure) (record, bool) {
	planned := d.x.run.Planning && (d.changed || d.unknown)
	switch {
	case planned:
		outputs := maps.Clone(s.outputs)
		if outputs == nil {
			outputs = map[string]any{}
		}
		maps.Copy(outputs, d.assume)
		return d.succeeded(outputs), true
	case failed.Failure != nil && (failed.Final || failed.Type == FailureInputValidation):
		return d.ended(failed), true
	case s.done:
		return d.succeeded(s.outputs), true
	case d.x.run.Planning:
		return record{Status: Waiting, Open: fmt.Sprintf("step %s waits; planning sees: %s", d.c.step.Name, s.seen)}, true
	}
	return record{}, false
}

// succeeded makes the record of a success: the action's own outputs, and those
// that the step declares over them.
func (d *doing) succeeded(outputs map[string]any) record {
	if outputs == nil {
		outputs = map[string]any{}
	}
	rec := d.x.outcomeRecord(d.c.step, apimodel.Reply{Output: outputs}, nil)
	if rec.Failure != nil {
		return rec
	}
	rec.Outputs = d.withDefaults(outputs, rec.Outputs)
	return rec
}

// ended makes the record of a failure. Steps that follow may ask for the outputs
// all the same.
func (d *doing) ended(f stepFailure) record {
	rec := record{Status: f.Status(), Failure: f.Failure}
	declared := zeroOutputs(d.c.step)
	for _, o := range d.c.step.Outputs {
		if v, ok := o.Selector.Select(f.outputs); ok {
			if typed, err := runbook.Coerce(v, o.Type); err == nil {
				declared[o.Name] = typed
			}
		}
	}
	// A change that was made is made once. Only waiting for it longer is something
	// that another attempt can do.
	if len(d.notes) > 0 && f.Type != FailureTimeout && f.Type != FailureInvocation {
		f.Final = true
	}
	rec.Outputs = d.withDefaults(f.outputs, declared)
	return rec
}

func (d *doing) withDefaults(got, declared map[string]any) map[string]any {
	out := make(map[string]any, len(d.outputs)+len(declared))
	for _, name := range d.outputs {
		out[name] = ""
		if v, ok := got[name]; ok && v != nil {
			out[name] = v
		}
	}
	maps.Copy(out, declared)
	return out
}
