package automation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// childStep is what an aws:executeAutomation step asks, its inputs resolved.
type childStep struct {
	document, version string
	parameters        map[string]any
	fan               *FanSpec // nil = one child
}

// automation is aws:executeAutomation: it starts children and waits, parked, for
// their ChildEnded signals. Which targets there are is a checkpoint of its own,
// before the first child is started.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeAutomation.html
func (x *execution) automation(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	inputs, err := runbook.ResolveInputs(s.Inputs, sc)
	if err == nil {
		err = needs(x.run.Children, "starting other documents")
	}
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	ask, err := parseChildStep(inputs)
	if err != nil && !x.unknown(inputs) {
		return x.failed(ctx, s, attempt, inputs, inputFailure(err))
	}
	c := &call{step: s, attempt: attempt, inputs: inputs, timeout: timeout, endsItself: true}
	if x.run.Planning {
		return x.planChildren(ctx, c, ask, err)
	}
	if x.state.Park != nil {
		c.park = *x.state.Park
	}
	if c.park.Fan == nil {
		if c.park.Fan, err = x.openFan(ctx, c, ask); err != nil {
			if interrupted := ended(ctx); interrupted != nil {
				return result{}, interrupted
			}
			var refused *targetError
			if errors.As(err, &refused) {
				return x.failed(ctx, s, attempt, inputs, inputFailure(refused))
			}
			return result{}, err
		}
	}
	c.undo = func(ctx context.Context, c *call) error { return x.cancelChildren(ctx, c, c.park.Fan) }
	return x.checkpoint(ctx, c, fmt.Sprintf("%d.%d", attempt, c.park.Round), func(ctx context.Context, c *call) (record, error) {
		return x.children(ctx, c, ask)
	})
}

// children is one round: count those that ended, start those that may start.
func (x *execution) children(ctx context.Context, c *call, ask childStep) (record, error) {
	now := x.run.Clock.Now().UTC()
	park, fan := c.park, c.park.Fan.clone()
	park.Fan = fan
	if park.StartedAt.IsZero() {
		park.Attempt, park.StartedAt = c.attempt, now
		if c.timeout > 0 {
			park.Deadline = now.Add(c.timeout)
		}
	}
	targets, err := x.fanTargets(ctx, fan)
	if err != nil {
		return record{}, err
	}
	last, err := x.countEnded(ctx, c, fan, targets)
	if err != nil {
		return record{}, err
	}
	if err := x.stopChildren(ctx, c, park, now); err != nil {
		return record{}, err
	}
	if err := x.launch(ctx, c, ask, fan, targets); err != nil {
		return record{}, err
	}
	if fan.done() {
		return x.fanRecord(c, ask, fan, last), nil
	}
	park.Round++
	park.Until = park.Deadline
	if fan.Stopping != "" {
		park.Until = time.Time{} // what it waits for now are the children's ends
	}
	return record{Status: Waiting, Park: &park}, nil
}

// launch starts the children that may start now. One that cannot be started at
// all has failed, and makes room for the next.
func (x *execution) launch(ctx context.Context, c *call, ask childStep, fan *FanState, targets []Target) error {
	for {
		started := fan.launch()
		if len(started) == 0 {
			return nil
		}
		list := make([]Child, 0, len(started))
		for _, i := range started {
			list = append(list, x.child(c, ask, targets[i]))
		}
		err := x.run.Children.Start(ctx, list)
		if err == nil {
			return nil
		}
		var refused *targetError
		if err := refusal(err, &refused); err != nil {
			return fmt.Errorf("start the children of step %s: %w", c.step.Name, err)
		}
		for n, i := range started { // one by one, to see which
			refused = nil
			if err := refusal(x.run.Children.Start(ctx, list[n:n+1]), &refused); err != nil {
				return fmt.Errorf("start a child of step %s: %w", c.step.Name, err)
			}
			if refused != nil {
				fan.end(i, true, fmt.Sprintf("%s was not started: %v", childName(ChildState{ID: list[n].ID}, targets[i]), refused))
			}
		}
	}
}

// countEnded takes the ends that signals tell of. Without any it looks at all
// that run: whatever woke the execution, it may be behind.
func (x *execution) countEnded(ctx context.Context, c *call, fan *FanState, targets []Target) (last ChildState, err error) {
	byID := make(map[string]int, len(fan.Running))
	ids := make([]string, 0, len(fan.Running))
	for _, i := range fan.Running {
		id := x.childID(c, targets[i])
		byID[id] = i
		ids = append(ids, id)
	}
	var told []string
	for _, s := range c.mail.list {
		if _, runs := byID[s.Child]; runs && s.Kind == SignalChildEnded && !slices.Contains(told, s.Child) {
			told = append(told, s.Child)
		}
	}
	if len(told) > 0 {
		ids = told
	}
	if len(ids) == 0 {
		return ChildState{}, nil
	}
	states, err := x.run.Children.Children(ctx, ids)
	if err != nil {
		return ChildState{}, fmt.Errorf("read the children of step %s: %w", c.step.Name, err)
	}
	for _, st := range states {
		if i, runs := byID[st.ID]; runs && st.Status.Ended() {
			// Whoever asks for what the plan does not hold was led astray, or wants to
			// lead astray: no rate of errors covers that. A resource that changed after the
			// plan, or an answer that was lost, is about its target alone.
			if st.Stopped != "" && (st.Refused || targets[i].Key == "") {
				return st, stopOf(st, targets[i])
			}
			last = st
			fan.end(i, st.Status != Success, fmt.Sprintf("%s ended with %s: %s", childName(st, targets[i]), st.Status, st.Failure))
		}
	}
	return last, nil
}

func stopOf(st ChildState, t Target) error {
	err := fault.Errorf(st.Stopped, "run child "+childName(st, t), "%s", st.Failure)
	if st.Refused {
		return fault.Refused(err)
	}
	return err
}

func childName(st ChildState, t Target) string {
	if t.Key == "" {
		return "execution " + st.ID
	}
	return "execution " + st.ID + " on " + t.Key
}

// stopChildren asks the children to stop when the step is cancelled or its time
// is over. The step ends when they have.
func (x *execution) stopChildren(ctx context.Context, c *call, park Park, now time.Time) error {
	fan := park.Fan
	if fan.Stopping != "" {
		return nil
	}
	if s, asked := x.asked(c); asked {
		fan.Stopping, fan.Cancel = "cancel", &s
	} else if !park.Deadline.IsZero() && !now.Before(park.Deadline) {
		fan.Stopping = "timeout"
	}
	if fan.Stopping == "" {
		return nil
	}
	return x.cancelChildren(ctx, c, fan)
}

func (x *execution) cancelChildren(ctx context.Context, c *call, fan *FanState) error {
	if len(fan.Running) == 0 {
		return nil
	}
	targets, err := x.fanTargets(ctx, fan)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(fan.Running))
	for _, i := range fan.Running {
		ids = append(ids, x.childID(c, targets[i]))
	}
	if err := x.run.Children.Cancel(ctx, ids); err != nil {
		return fmt.Errorf("cancel the children of step %s: %w", c.step.Name, err)
	}
	return nil
}

// fanRecord is how the step ends.
func (x *execution) fanRecord(c *call, ask childStep, fan *FanState, last ChildState) record {
	rec := record{Status: Success, Outputs: map[string]any{"Output": []any{}, "ExecutionId": x.run.ExecutionID, "Status": string(Success)}}
	if last.Status == "" {
		last.Status = Failed // it was never started
	}
	if ask.fan == nil {
		rec.Outputs = map[string]any{"Output": childOutput(last), "ExecutionId": x.childID(c, Target{}), "Status": string(last.Status)}
	}
	switch {
	case fan.Stopping == "cancel":
		stop := &call{step: c.step, idle: true, mail: mail{list: []Signal{*fan.Cancel}}}
		ended := x.askedRecord(stop)
		ended.Outputs = rec.Outputs
		return ended
	case fan.Stopping == "timeout":
		rec.Status, rec.Failure = TimedOut, timeoutFailure("%d of %d children had ended.", fan.Ended, fan.Total)
	case fan.Errors > fan.MaxErrors || fan.Launched < fan.Total:
		rec.Status = Failed
		rec.Failure = &Failure{
			Stage: "Verification", Type: FailureVerification,
			Message: fmt.Sprintf("Step fails when it is polling action status for completion. %d of %d children failed, %d were not started. First: %s", fan.Errors, fan.Total, fan.Total-fan.Launched, fan.FirstError),
		}
		if ask.fan == nil {
			rec.Failure.Message = "Step fails when it is polling action status for completion. Child " + fan.FirstError
		}
	}
	if ask.fan != nil {
		rec.Outputs["Status"] = string(rec.Status)
		return rec
	}
	declared, failure := x.selected(c.step, rec.Outputs)
	if failure != nil && rec.Failure == nil {
		rec.Status, rec.Failure = Failed, failure
	}
	for name, v := range declared {
		rec.Outputs[name] = v
	}
	return rec
}

// childOutput gives the outputs of a child in the order in which its document
// declares them, as one list: AWS does not say how a list among them looks, its
// items are taken one by one.
func childOutput(st ChildState) []any {
	out := []any{}
	for _, name := range st.OutputOrder {
		for _, text := range st.Outputs[name] {
			out = append(out, text)
		}
	}
	return out
}

// childID names the child of one target. A second attempt has children of its own.
func (x *execution) childID(c *call, t Target) string {
	return stableID("child", x.run.ExecutionID, fmt.Sprint(x.state.Executed), x.childLabel(c.step, t), fmt.Sprint(c.attempt))
}

// childLabel stands, with a slash, before the labels of a child's steps.
func (x *execution) childLabel(s *runbook.Step, t Target) string {
	if t.Key == "" {
		return x.label(s)
	}
	return x.label(s) + "[" + labelKey(t.Key) + "]"
}

// labelKey keeps a target's key, which may be anybody's text, from passing for
// more than a key in a label: brackets, number signs and what is not printed are
// written as %XX.
func labelKey(key string) string {
	var b strings.Builder
	for i := range len(key) {
		switch c := key[i]; {
		case c == '[' || c == ']' || c == '#' || c == '%' || c < 0x20 || c == 0x7f:
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// child is the execution for one target.
func (x *execution) child(c *call, ask childStep, t Target) Child {
	child := Child{
		ID: x.childID(c, t), Parent: x.run.ExecutionID, Label: x.childLabel(c.step, t), Document: ask.document, Version: ask.version,
		Parameters: copied(ask.parameters), Account: t.Account, Region: t.Region,
		Role: t.Role, ParentRole: x.run.Role, Target: t.Key,
	}
	if child.Account == "" {
		child.Account = x.run.Account
	}
	if child.Region == "" {
		child.Region = x.run.Region
	}
	for name, v := range t.Parameters {
		child.Parameters[name] = v
	}
	if ask.fan != nil && t.Location >= 0 && t.Location < len(ask.fan.Locations) {
		child.Fan = ask.fan.within(ask.fan.Locations[t.Location])
	}
	return child
}
