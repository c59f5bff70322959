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
	mail     mail
	// idle says that the step only waits for the time or for people.
	idle bool
	// undo, where set, stops in AWS what the step began, when the step is asked to end.
	undo func(ctx context.Context, c *call) error
	// silent keeps the checkpoint out of the history: the step has not begun.
	silent bool
	// endsItself says that the body deals with being asked to end.
	endsItself bool
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
	limit = x.bounded(limit)
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
	switch {
	case c.timeout > 0:
		return c.timeout
	case c.step.Action == runbook.ActionAPI:
		return min(DefaultAPITimeout, x.cfg.CallTimeout)
	}
	return x.cfg.CallTimeout
}

// api is aws:executeAwsApi: one call within 25 seconds, or the step's
// timeoutSeconds, then the declared outputs.
//
// AWS's page: automation-action-executeAwsApi.html.
func (x *execution) api(ctx context.Context, c *call) (record, error) {
	reply, failure, err := x.once(ctx, c)
	if err != nil {
		return record{}, err
	}
	if x.run.Planning && failure == nil && x.changes(c.api) {
		x.run.planned.changed = true
	}
	return x.outcomeRecord(c.step, reply, failure), nil
}

// assert is aws:assertAwsResourceProperty: one call, and a failure where the
// property has no desired value.
func (x *execution) assert(ctx context.Context, c *call) (record, error) {
	reply, failure, err := x.once(ctx, c)
	if err != nil {
		return record{}, err
	}
	if failure == nil {
		met, seen := c.met(reply)
		if x.unclear(c, reply) {
			return record{Status: Failed, Open: fmt.Sprintf("step %s asserts that %s is one of %q, which only applying will tell", x.label(c.step), c.selector, c.desired)}, nil
		}
		if !met && x.run.Planning && x.run.planned.changed {
			// What a change does is foretold from a table; AWS may do otherwise, or later.
			return record{Status: Failed, Open: fmt.Sprintf("step %s asserts that %s is one of %q; planning sees %s after changes that are only planned", x.label(c.step), c.selector, c.desired, seen)}, nil
		}
		if !met {
			failure = verificationFailure("%s is %s, not one of %q.", c.selector, seen, c.desired)
		}
	}
	return x.outcomeRecord(c.step, reply, failure), nil
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

// unclear reports whether planning cannot tell if the condition of c is met: the
// property, or what is desired, is known only as a stand-in.
func (x *execution) unclear(c *call, reply apimodel.Reply) bool {
	v, _ := c.selector.Select(reply.Output)
	return x.unknown(v) || x.unknown(c.inputs["DesiredValues"])
}

// outcomeRecord selects the declared outputs of a reply.
func (x *execution) outcomeRecord(s *runbook.Step, reply apimodel.Reply, failure *Failure) record {
	if failure != nil {
		status := Failed
		if failure.Type == FailureTimeout {
			status = TimedOut
		}
		return record{Status: status, Failure: failure}
	}
	outputs, failure := x.selected(s, reply.Output)
	if failure != nil {
		return record{Status: Failed, Failure: failure}
	}
	return record{Status: Success, Outputs: outputs}
}

// selected gives the declared outputs of s from what its action answered. A
// stand-in keeps its form whatever the declared type.
func (x *execution) selected(s *runbook.Step, from map[string]any) (map[string]any, *Failure) {
	outputs := make(map[string]any, len(s.Outputs))
	for _, o := range s.Outputs {
		v, ok := o.Selector.Select(from)
		if !ok {
			outputs[o.Name] = o.Type.Zero()
			continue
		}
		typed, err := runbook.Coerce(v, o.Type)
		switch {
		case err == nil:
			outputs[o.Name] = typed
		case x.unknown(v):
			outputs[o.Name] = runbook.Normalize(v)
		default:
			return nil, verificationFailure("Output %s at %s: %v.", o.Name, o.Selector, err)
		}
	}
	return outputs, nil
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
			if met, seen = c.met(reply); met || x.unclear(c, reply) {
				return x.outcomeRecord(c.step, reply, nil), nil
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
		if err := x.pause(ctx, c, pause); err != nil {
			return record{}, err
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
