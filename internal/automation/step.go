package automation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/runbook"
)

// record is what a checkpoint keeps of one attempt.
type record struct {
	Status  Status         `json:"status"`
	Outputs map[string]any `json:"outputs,omitempty"`
	// Blob names the blob that holds Outputs.
	Blob    string   `json:"blob,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
	Park    *Park    `json:"park,omitempty"`
	Open    string   `json:"open,omitempty"`
	OpenAt  string   `json:"open_at,omitempty"`
	// What followed from signals: the last one read, and what they asked for.
	Signal    int64     `json:"signal,omitempty"`
	Cancel    *Signal   `json:"cancel,omitempty"`
	Start     string    `json:"start,omitempty"`
	Complete  bool      `json:"complete,omitempty"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
}

// name is the name of a checkpoint. Invariant: it is unique in an execution and
// the same in a replay.
func (x *execution) name(s *runbook.Step, suffix string) string {
	return fmt.Sprintf("%d/%s/%s", x.state.Executed, s.Name, suffix)
}

// step runs s with all its attempts.
func (x *execution) step(ctx context.Context, s *runbook.Step) (result, error) {
	now, err := x.stepTime(ctx, s)
	if err != nil {
		return result{}, err
	}
	sc := x.scope(now)
	attempts, failure := integer(s.MaxAttempts, 1, sc)
	timeout, failure2 := integer(s.Timeout, 0, sc)
	if failure == nil {
		failure = failure2
	}
	if saw := sc.saw(); saw != "" && failure != nil {
		return result{status: Failed, open: fmt.Sprintf("step %s has limits from {{ %s }}, which only applying will tell", x.label(s), saw)}, nil
	}
	if failure != nil {
		return x.failed(ctx, s, 1, nil, failure)
	}
	act, ok := x.actions[s.Action]
	if !ok {
		return x.failed(ctx, s, 1, nil, inputFailure(fmt.Errorf("%s is not supported by this version of Parry", s.Action)))
	}
	first := 1
	if x.state.Park != nil {
		first = x.state.Park.Attempt
	}
	if x.run.Planning {
		attempts = 1 // what fails now fails again
	}
	for attempt := first; ; attempt++ {
		r, err := act(x, ctx, s, sc, attempt, time.Duration(timeout)*time.Second)
		if err != nil || r.status == Success || r.status == Cancelled || r.abort != nil || r.park != nil || r.open != "" {
			return r, err
		}
		x.state.Park = nil
		// Inputs that do not resolve will not resolve the next time.
		if attempt >= int(attempts) || r.failure.Final || r.failure.Type == FailureInputValidation {
			return r, nil
		}
		if err := x.betweenAttempts(ctx, s, attempt); err != nil {
			return result{}, err
		}
	}
}

// betweenAttempts waits a moment, longer each time. Systems Manager documents
// no pause; without one, attempts of a call that fails at once prove nothing.
func (x *execution) betweenAttempts(ctx context.Context, s *runbook.Step, attempt int) error {
	if x.run.Planning {
		return nil
	}
	d := min(time.Second<<min(attempt-1, 4), 10*time.Second)
	// A signal only shortens the wait: the checkpoint of the next attempt acts on it.
	peek := &call{step: s, mail: mail{last: x.state.Signal}}
	if err := x.pause(ctx, peek, d); err != nil && !errors.Is(err, errAsked) {
		return err
	}
	return nil
}

// stepTime gives the time for {{ global:DATE }}: a checkpoint of its own, since
// a branch may depend on it.
func (x *execution) stepTime(ctx context.Context, s *runbook.Step) (time.Time, error) {
	if !x.run.Date.IsZero() || !usesTime(x.run.Document, s.Inputs) {
		return x.run.Date, nil
	}
	round := 0
	if x.state.Park != nil {
		round = x.state.Park.Round
	}
	return x.recordedTime(ctx, x.name(s, fmt.Sprintf("time/%d", round)))
}

// integer gives a whole number that may be templated.
func integer(v any, fallback int64, sc scope) (int64, *Failure) {
	if v == nil {
		return fallback, nil
	}
	resolved, err := runbook.Resolve(v, sc)
	if err == nil {
		resolved, err = runbook.Coerce(resolved, runbook.TypeInteger)
	}
	if err != nil {
		return 0, inputFailure(err)
	}
	n, _ := resolved.(int64)
	if n < 1 || n > 1_000_000 {
		return 0, inputFailure(fmt.Errorf("timeoutSeconds and maxAttempts need a number from 1 to 1,000,000, it is %d", n))
	}
	return n, nil
}

// callStep is one attempt of an action that makes one call, or one round of its
// calls, and whose inputs are those of the call.
func (x *execution) callStep(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration, rounds bool, body func(context.Context, *call) (record, error)) (result, error) {
	inputs, err := runbook.ResolveInputs(s.Inputs, sc)
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	c, failure := x.newCall(s, inputs)
	if failure != nil {
		return x.failed(ctx, s, attempt, inputs, failure)
	}
	c.timeout, c.attempt, c.inputs = timeout, attempt, inputs
	suffix := strconv.Itoa(attempt)
	if x.state.Park != nil { // the attempt goes on in a segment of its own
		c.park = *x.state.Park
		rounds = true
	}
	if rounds {
		suffix = fmt.Sprintf("%d.%d", attempt, c.park.Round)
	}
	return x.checkpoint(ctx, c, suffix, body)
}

// checkpoint runs body as one durable step and reads back what it recorded, so
// that a first run and a replay see the same bytes.
func (x *execution) checkpoint(ctx context.Context, c *call, suffix string, body func(context.Context, *call) (record, error)) (result, error) {
	raw, err := x.run.Steps.Step(ctx, x.name(c.step, suffix), func(ctx context.Context) ([]byte, error) {
		started := x.run.Clock.Now().UTC()
		if !c.park.StartedAt.IsZero() {
			started = c.park.StartedAt // the attempt goes on
		}
		rec, err := x.perform(ctx, c, started, body)
		if wait, ok := held(err); ok && ctx.Err() == nil {
			rec, err = x.holdRecord(c, started, wait, err), nil
		}
		if err != nil {
			return nil, err
		}
		if x.run.Planning && rec.Failure != nil && planUnknown(x.errs[c.step.Name]) {
			// The step did not fail: its call can be told only by applying.
			rec.Open, rec.Failure = fmt.Sprintf("step %s: %s", x.label(c.step), rec.Failure.Message), nil
		}
		rec.StartedAt, rec.EndedAt = started, x.run.Clock.Now().UTC()
		keepMail(c, &rec)
		return x.encode(ctx, c, rec)
	})
	if err != nil {
		// The context first: a run that lost its lease must not become the outcome.
		if interrupted := ended(ctx); interrupted != nil {
			return result{}, interrupted
		}
		if stops(err) {
			rec := record{Status: Failed, Failure: callFailure(err), EndedAt: x.run.Clock.Now().UTC()}
			return result{status: Failed, inputs: c.inputs, failure: rec.Failure, abort: err}, x.observe(ctx, c, rec)
		}
		return result{}, err
	}
	rec, err := x.decode(ctx, raw)
	if err != nil {
		return result{}, err
	}
	if err := x.observe(ctx, c, rec); err != nil {
		return result{}, err
	}
	x.take(rec)
	return result{
		status: rec.Status, inputs: c.inputs, outputs: rec.Outputs, blob: rec.Blob, failure: rec.Failure, park: rec.Park,
		open: rec.Open, openAt: rec.OpenAt, ended: rec.EndedAt,
	}, nil
}

// perform looks for signals before it runs body. A step that is asked to end
// first stops what it began in AWS.
func (x *execution) perform(ctx context.Context, c *call, started time.Time, body func(context.Context, *call) (record, error)) (record, error) {
	c.mail = mail{last: x.state.Signal}
	if err := x.read(ctx, c); err != nil {
		return record{}, err
	}
	_, asked := x.asked(c)
	var rec record
	var err error
	if asked && !c.endsItself || x.overdue(x.run.Clock.Now()) {
		err = errAsked
	} else {
		if err := x.observe(ctx, c, record{Status: InProgress, StartedAt: started}); err != nil {
			return record{}, err
		}
		rec, err = body(ctx, c)
	}
	if errors.Is(err, errAsked) {
		if c.undo != nil {
			if err := c.undo(ctx, c); err != nil {
				return record{}, err
			}
		}
		return x.askedRecord(c), nil
	}
	return rec, err
}

// holdRecord parks a step whose call was refused for now. It is a checkpoint like
// any other, so that a replay parks too, and the attempt is made again in the
// next segment; it does not count against the step's attempts.
func (x *execution) holdRecord(c *call, started time.Time, wait time.Duration, cause error) record {
	park := c.park
	park.Attempt, park.Round, park.Until = c.attempt, park.Round+1, x.run.Clock.Now().UTC().Add(wait)
	if park.StartedAt.IsZero() {
		park.StartedAt = started
	}
	failure := callFailure(cause)
	failure.Message = "The step waits. " + cause.Error()
	x.cfg.Logger.Warn("execution held", "execution", x.run.ExecutionID, "step", c.step.Name, "until", park.Until, "error", cause)
	return record{Status: Waiting, Park: &park, Failure: failure}
}

func zeroOutputs(s *runbook.Step) map[string]any {
	out := make(map[string]any, len(s.Outputs))
	for _, o := range s.Outputs {
		out[o.Name] = o.Type.Zero()
	}
	return out
}

// failed is the result of an attempt that failed before it called anything.
func (x *execution) failed(ctx context.Context, s *runbook.Step, attempt int, inputs map[string]any, f *Failure) (result, error) {
	f.Step, f.Attempt = s.Name, attempt
	now := x.run.Clock.Now().UTC()
	rec := record{Status: Failed, Failure: f, Outputs: zeroOutputs(s), StartedAt: now, EndedAt: now}
	err := x.observe(ctx, &call{step: s, attempt: attempt, inputs: inputs}, rec)
	return result{status: Failed, inputs: inputs, failure: f, outputs: rec.Outputs, ended: now}, err
}

// branch chooses the next step. It needs no checkpoint: everything that it
// looks at comes from one.
func (x *execution) branch(ctx context.Context, s *runbook.Step, sc scope, attempt int, _ time.Duration) (result, error) {
	b, err := runbook.ParseBranch(s.Inputs)
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	next, err := b.Choose(sc)
	if saw := sc.saw(); saw != "" {
		return result{status: Failed, open: fmt.Sprintf("step %s branches on {{ %s }}, which only applying will tell", x.label(s), saw)}, nil
	}
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	if _, ok := x.run.Document.Step(next); !ok && next != "" {
		return x.failed(ctx, s, attempt, nil, inputFailure(fmt.Errorf("the chosen step %q does not exist", next)))
	}
	now := x.run.Clock.Now().UTC()
	rec := record{Status: Success, Outputs: map[string]any{"NextStep": next}, StartedAt: now, EndedAt: now}
	if err := x.observe(ctx, &call{step: s, attempt: attempt}, rec); err != nil {
		return result{}, err
	}
	return result{status: Success, outputs: rec.Outputs, next: next, ended: now}, nil
}
