package automation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// call is one attempt of a step that talks to AWS, with its inputs resolved.
type call struct {
	step     *runbook.Step
	inputs   map[string]any
	attempt  int
	api      apimodel.Call
	timeout  time.Duration // 0 = the action's default
	selector runbook.Selector
	desired  []string
	park     Park
}

// newCall separates the call's own members from those of the action.
func (x *execution) newCall(s *runbook.Step, inputs map[string]any) (*call, *Failure) {
	service, okService := inputs["Service"].(string)
	api, okAPI := inputs["Api"].(string)
	if !okService || !okAPI || service == "" || api == "" {
		return nil, inputFailure(fmt.Errorf("Service and Api are needed as text"))
	}
	c := &call{step: s, api: apimodel.Call{Service: service, Operation: api, Account: x.run.Account, Region: x.run.Region, As: x.run.Role, Input: map[string]any{}}}
	property := s.Action != runbook.ActionAPI
	for k, v := range inputs {
		if k == "Service" || k == "Api" || property && (k == "PropertySelector" || k == "DesiredValues") {
			continue
		}
		c.api.Input[k] = v
	}
	if !property {
		return c, nil
	}
	text, ok := inputs["PropertySelector"].(string)
	if !ok {
		return nil, inputFailure(fmt.Errorf("PropertySelector is needed as text"))
	}
	var err error
	if c.selector, err = runbook.ParseSelector(text); err != nil {
		return nil, inputFailure(fmt.Errorf("PropertySelector %.100q: %w", text, err))
	}
	if c.desired, err = desiredValues(inputs["DesiredValues"]); err != nil {
		return nil, inputFailure(err)
	}
	return c, nil
}

func desiredValues(v any) ([]string, error) {
	list, err := runbook.Coerce(v, runbook.TypeStringList)
	if err != nil {
		return nil, fmt.Errorf("DesiredValues: %w", err)
	}
	items, _ := list.([]any)
	out := make([]string, 0, len(items))
	for _, item := range items {
		text, err := runbook.Text(item)
		if err != nil {
			return nil, fmt.Errorf("DesiredValues: %w", err)
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("DesiredValues has no values")
	}
	return out, nil
}

// callTimeoutError is the cause of a call's own time limit, so that it is not
// taken for the end of the run.
type callTimeoutError struct{ limit time.Duration }

func (e callTimeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.limit) }

// send makes the call within limit. A failure is the step's; an error ends the run.
func (x *execution) send(ctx context.Context, c *call, limit time.Duration) (apimodel.Reply, *Failure, error) {
	cause := callTimeoutError{limit}
	timed, cancel := context.WithTimeoutCause(ctx, limit, cause)
	defer cancel()
	reply, err := x.run.Caller.Call(timed, x.label(c.step), c.api.Clone())
	x.errs[c.step.Name] = err
	_, later := held(err)
	switch {
	case err == nil:
		return reply, nil, nil
	case ctx.Err() != nil:
		return reply, nil, ended(ctx)
	case later, stops(err):
		return reply, nil, err
	case timed.Err() != nil && errors.Is(context.Cause(timed), cause):
		return reply, timeoutFailure("%s: %s", c.api.Operation, cause.Error()), nil
	}
	return reply, callFailure(err), nil
}

// once makes the call of a step that does not wait. AWS out of reach, or calls
// that come too fast, are no failure of the step: the run is interrupted and
// tried again, and gets here again.
func (x *execution) once(ctx context.Context, c *call) (apimodel.Reply, *Failure, error) {
	reply, failure, err := x.send(ctx, c, x.callLimit(c))
	if cause := x.errs[c.step.Name]; failure != nil && failure.Type != FailureTimeout && passes(cause) {
		after, _ := fault.IsTransient(cause)
		return reply, nil, fault.Transient(fault.Errorf(fault.Unavailable, "run step "+c.step.Name, "%w", cause), after)
	}
	return reply, failure, err
}

func (x *execution) callLimit(c *call) time.Duration {
	if c.timeout > 0 {
		return c.timeout
	}
	return x.cfg.CallTimeout
}

// api is aws:executeAwsApi: one call, then the declared outputs.
func (x *execution) api(ctx context.Context, c *call) (record, error) {
	reply, failure, err := x.once(ctx, c)
	if err != nil {
		return record{}, err
	}
	return outcomeRecord(c.step, reply, failure), nil
}

// assert is aws:assertAwsResourceProperty: one call, and a failure where the
// property has no desired value.
func (x *execution) assert(ctx context.Context, c *call) (record, error) {
	reply, failure, err := x.once(ctx, c)
	if err != nil {
		return record{}, err
	}
	if failure == nil {
		if met, seen := c.met(reply); !met {
			failure = verificationFailure("%s is %s, not one of %q.", c.selector, seen, c.desired)
		}
	}
	return outcomeRecord(c.step, reply, failure), nil
}

// met reports whether the property has a desired value, and what it has.
func (c *call) met(reply apimodel.Reply) (met bool, seen string) {
	v, ok := c.selector.Select(reply.Output)
	if !ok {
		return false, "absent"
	}
	text, err := runbook.Text(v)
	if err != nil {
		return false, "not text"
	}
	if len(text) > 200 {
		text = text[:200] + "..."
	}
	return runbook.Matches(v, c.selector.Definite(), c.desired), fmt.Sprintf("%q", text)
}

// outcomeRecord selects the declared outputs of a reply.
func outcomeRecord(s *runbook.Step, reply apimodel.Reply, failure *Failure) record {
	if failure != nil {
		status := Failed
		if failure.Type == FailureTimeout {
			status = TimedOut
		}
		return record{Status: status, Failure: failure}
	}
	outputs := make(map[string]any, len(s.Outputs))
	for _, o := range s.Outputs {
		v, ok := o.Selector.Select(reply.Output)
		if !ok {
			outputs[o.Name] = o.Type.Zero()
			continue
		}
		typed, err := runbook.Coerce(v, o.Type)
		if err != nil {
			return record{Status: Failed, Failure: verificationFailure("Output %s at %s: %v.", o.Name, o.Selector, err)}
		}
		outputs[o.Name] = typed
	}
	return record{Status: Success, Outputs: outputs}
}

// The pauses between polls of a wait.
const (
	firstPoll = 2 * time.Second
	lastPoll  = 30 * time.Second
)

// wait is aws:waitForAwsResourceProperty. It polls as long as the segment lasts
// and then parks. Errors of the call are not met conditions: the resource may
// not exist yet.
func (x *execution) wait(ctx context.Context, c *call) (record, error) {
	start := x.run.Clock.Now().UTC()
	park := c.park
	inline := start.Add(x.cfg.Inline)
	if park.Deadline.IsZero() {
		limit := c.timeout
		if limit <= 0 {
			limit = DefaultWaitTimeout
		}
		park = Park{Attempt: c.attempt, Deadline: start.Add(limit), Interval: firstPoll, StartedAt: start}
	} else {
		// A resumed wait polls once: what it waits for takes longer than a segment.
		inline = start
	}
	for {
		reply, failure, err := x.send(ctx, c, x.cfg.CallTimeout)
		if err != nil {
			return record{}, err
		}
		seen := ""
		if failure == nil {
			var met bool
			if met, seen = c.met(reply); met {
				return outcomeRecord(c.step, reply, nil), nil
			}
		}
		if failure != nil && failure.Type == FailureInputValidation {
			return record{Status: Failed, Failure: failure}, nil
		}
		if x.run.Planning {
			return record{Status: Waiting, Open: c.openReason(seen, failure)}, nil
		}
		now := x.run.Clock.Now().UTC()
		left := park.Deadline.Sub(now)
		if left <= 0 {
			return record{Status: TimedOut, Failure: c.waitFailure(seen, failure)}, nil
		}
		pause := min(park.Interval, left)
		park.Interval = min(park.Interval*3/2, lastPoll)
		if now.Add(pause).After(inline) {
			park.Round++
			park.Until = now.Add(pause)
			return record{Status: Waiting, Park: &park}, nil
		}
		if err := x.run.Clock.Wait(ctx, pause); err != nil {
			return record{}, fmt.Errorf("run interrupted: %w", err)
		}
	}
}

func (c *call) openReason(seen string, failure *Failure) string {
	if failure != nil {
		return fmt.Sprintf("step %s waits on %s, which answers: %s", c.step.Name, c.api.Operation, failure.Message)
	}
	return fmt.Sprintf("step %s waits until %s is one of %q; planning sees %s", c.step.Name, c.selector, c.desired, seen)
}

func (c *call) waitFailure(seen string, failure *Failure) *Failure {
	if failure != nil {
		f := timeoutFailure("%s was still failing: %s", c.api.Operation, failure.Message)
		f.Details = failure.Details
		return f
	}
	return timeoutFailure("%s is %s, not one of %q.", c.selector, seen, c.desired)
}

// sleep is aws:sleep. Until when, and whether it stays in memory, is a
// checkpoint: decided twice, it could be decided differently.
func (x *execution) sleep(ctx context.Context, s *runbook.Step, sc scope, attempt int, _ time.Duration) (result, error) {
	c := &call{step: s, attempt: attempt}
	var err error
	if c.inputs, err = runbook.ResolveInputs(s.Inputs, sc); err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	round := 0
	if x.state.Park != nil {
		c.park, round = *x.state.Park, x.state.Park.Round
	}
	r, err := x.checkpoint(ctx, c, fmt.Sprintf("%d.%d", attempt, round), x.beginSleep)
	if err != nil || r.park == nil || r.park.Round > round {
		return r, err
	}
	if err := x.run.Clock.Wait(ctx, r.park.Until.Sub(x.run.Clock.Now())); err != nil {
		return result{}, fmt.Errorf("run interrupted: %w", err)
	}
	slept := record{Status: Success, Outputs: map[string]any{}, StartedAt: r.park.StartedAt, EndedAt: r.park.Until}
	return result{status: Success, outputs: slept.Outputs}, x.observe(ctx, c, slept)
}

// beginSleep records until when to sleep. A park with the round unchanged stays
// in memory; one with the next round ends the segment.
func (x *execution) beginSleep(_ context.Context, c *call) (record, error) {
	now := x.run.Clock.Now().UTC()
	park := c.park
	if park.Until.IsZero() {
		until, err := sleepUntil(c.inputs, now)
		if err != nil {
			return record{Status: Failed, Failure: inputFailure(err)}, nil
		}
		park = Park{Attempt: c.attempt, Until: until, StartedAt: now}
	}
	if x.run.Planning || !park.Until.After(now) {
		return record{Status: Success, Outputs: map[string]any{}}, nil
	}
	if park.Until.Sub(now) > x.cfg.Inline {
		park.Round++
	}
	return record{Status: Waiting, Park: &park}, nil
}

func sleepUntil(inputs map[string]any, now time.Time) (time.Time, error) {
	duration, hasDuration := inputs["Duration"].(string)
	timestamp, hasTimestamp := inputs["Timestamp"].(string)
	switch {
	case hasDuration == hasTimestamp:
		return now, fault.Errorf(fault.Invalid, "", "exactly one of Duration and Timestamp is needed as text")
	case hasDuration:
		d, err := runbook.ParseDuration(duration)
		return now.Add(d), err
	}
	t, err := runbook.ParseTimestamp(timestamp)
	if err == nil && t.Sub(now) > runbook.MaxSleep {
		err = fmt.Errorf("the timestamp is more than %d seconds away", runbook.MaxSleep/time.Second)
	}
	return t, err
}
