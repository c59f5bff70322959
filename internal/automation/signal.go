package automation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// cancelLimit is how long the steps of an onCancel may take.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html
const cancelLimit = 2 * time.Minute

// errAsked is what a body ends with when a signal, or the end of the time of a
// cancellation, ends its step. The checkpoint makes a record of it.
var errAsked = errors.New("the step was asked to end")

// mail is what a checkpoint has read of the inbox. Invariant: signals are read
// inside checkpoints only, and the record keeps what followed from them, so that
// a replay decides the same.
type mail struct {
	last int64
	list []Signal
}

// read takes what came since the last time.
func (x *execution) read(ctx context.Context, c *call) error {
	if x.run.Inbox == nil || x.run.Planning {
		return nil
	}
	list, err := x.run.Inbox.Signals(ctx, x.run.ExecutionID, c.mail.last)
	if err != nil {
		return fmt.Errorf("read signals of execution %s: %w", x.run.ExecutionID, err)
	}
	for _, s := range list {
		if s.N > c.mail.last {
			c.mail.last = s.N
			c.mail.list = append(c.mail.list, s)
		}
	}
	return nil
}

// asked gives the signal that ends the step of c; idle says that it only waits
// for the time or for people, so that Complete ends it too. A second
// cancellation changes nothing.
func (x *execution) asked(c *call) (Signal, bool) {
	for _, s := range c.mail.list {
		switch s.Kind {
		case SignalCancel:
			if x.state.Cancel == nil {
				return s, true
			}
		case SignalStopStep:
			if s.Step == "" || s.Step == c.step.Name {
				return s, true
			}
		case SignalComplete:
			if c.idle {
				return s, true
			}
		}
	}
	return Signal{}, false
}

// overdue reports whether the time of the cancellation under way is over.
func (x *execution) overdue(now time.Time) bool {
	return x.state.Cancel != nil && !x.state.Cancel.Deadline.IsZero() && !now.Before(x.state.Cancel.Deadline)
}

// bounded cuts d to what is left of the cancellation under way.
func (x *execution) bounded(d time.Duration) time.Duration {
	if c := x.state.Cancel; c != nil && !c.Deadline.IsZero() {
		return min(d, max(c.Deadline.Sub(x.run.Clock.Now()), time.Second))
	}
	return d
}

// pause lets d pass inside a body. It ends with errAsked when the step is asked
// to end, about a second after the signal.
func (x *execution) pause(ctx context.Context, c *call, d time.Duration) error {
	until := x.run.Clock.Now().Add(d)
	for {
		now := x.run.Clock.Now()
		left := until.Sub(now)
		if x.overdue(now) {
			return errAsked
		}
		if left <= 0 {
			return nil
		}
		if x.run.Inbox != nil {
			left = min(left, x.cfg.Watch)
		}
		if err := x.run.Clock.Wait(ctx, left); err != nil {
			return fmt.Errorf("run interrupted: %w", err)
		}
		if err := x.read(ctx, c); err != nil {
			return err
		}
		if _, asked := x.asked(c); asked {
			return errAsked
		}
	}
}

// askedRecord is the record of a step that a signal ended.
func (x *execution) askedRecord(c *call) record {
	rec := record{Status: Cancelled}
	s, ok := x.asked(c)
	switch {
	case !ok:
		rec.Failure = cancelFailure("The steps of onCancel took more than %s.", cancelLimit)
	case s.Kind == SignalStopStep:
		rec.Failure = cancelFailure("The step was stopped%s.", by(s))
	case s.Kind == SignalComplete:
		rec.Failure = cancelFailure("The execution was completed%s.", by(s))
	default:
		rec.Cancel = &s
		rec.Failure = cancelFailure("The execution was cancelled%s.", by(s))
	}
	return rec
}

// by names the person behind a signal. What people wrote is data, never a format.
func by(s Signal) string {
	text := ""
	if s.By != "" {
		text = fmt.Sprintf(" by %.200s", s.By)
	}
	if s.Comment != "" {
		text += fmt.Sprintf(" (%.500s)", s.Comment)
	}
	return text
}

// keepMail puts into rec what a replay needs of the mail.
func keepMail(c *call, rec *record) {
	rec.Signal = c.mail.last
	for i := range c.mail.list {
		switch s := c.mail.list[i]; s.Kind {
		case SignalStartStep:
			if rec.Start = s.Step; rec.Start == "" {
				rec.Start = anyStep
			}
		case SignalComplete:
			rec.Complete = true
		}
	}
}

// anyStep is State.Start where the signal named no step.
const anyStep = "*"

// take changes the state by what a record kept of signals.
func (x *execution) take(rec record) {
	x.state.Signal = max(x.state.Signal, rec.Signal)
	if rec.Start != "" {
		x.state.Start = rec.Start
	}
	x.state.Complete = x.state.Complete || rec.Complete
	if rec.Cancel != nil && x.state.Cancel == nil {
		x.state.Cancel = &Cancel{By: rec.Cancel.By, Comment: rec.Cancel.Comment}
	}
}

// cancelled goes on after the step that was under way when the execution was
// cancelled: to the step that its onCancel names, or to the end.
func (x *execution) cancelled(ctx context.Context, s *runbook.Step, at time.Time) error {
	x.state.Cancel.Step, x.state.Start, x.state.Complete = s.Name, "", false
	target, ok := x.run.Document.Step(s.OnCancel)
	if !ok || !mayRunOnCancel(target.Action) {
		return x.end(ctx, Cancelled)
	}
	x.state.Cancel.Deadline = at.Add(cancelLimit)
	return x.jump(ctx, target.Name, Cancelled)
}

// mayRunOnCancel leaves out what Systems Manager does as the target of onCancel.
func mayRunOnCancel(action string) bool {
	switch action {
	case runbook.ActionApprove, runbook.ActionCopyImage, runbook.ActionCreateImage, runbook.ActionCreateStack, runbook.ActionCreateTags,
		runbook.ActionPause, runbook.ActionRunInstances, runbook.ActionSleep:
		return false
	}
	return true
}

// awaitStart lets interactive mode wait for the signal that starts s. It is a
// checkpoint of its own, before the step is counted.
func (x *execution) awaitStart(ctx context.Context, s *runbook.Step) (result, error) {
	c := &call{step: s, attempt: 1, idle: true, silent: true}
	if x.state.Park != nil {
		c.park = *x.state.Park
	}
	if x.starts(s, x.state.Start) {
		x.state.Start = ""
		return result{status: Success}, nil
	}
	r, err := x.checkpoint(ctx, c, fmt.Sprintf("start.%d", c.park.Round), func(context.Context, *call) (record, error) {
		for _, sig := range c.mail.list {
			if sig.Kind == SignalStartStep && (sig.Step == "" || sig.Step == s.Name) {
				return record{Status: Success}, nil
			}
		}
		park := c.park
		park.Attempt, park.Round, park.Start = 1, park.Round+1, true
		if park.StartedAt.IsZero() {
			park.StartedAt = x.run.Clock.Now().UTC()
		}
		return record{Status: Waiting, Park: &park}, nil
	})
	if err == nil && r.status == Success {
		x.state.Start, x.state.Park = "", nil
	}
	return r, err
}

func (x *execution) starts(s *runbook.Step, start string) bool {
	return start == anyStep || start == s.Name
}

// needs refuses an action whose port nobody wired.
func needs(port any, what string) error {
	if port == nil {
		return fault.Errorf(fault.Invalid, "", "%s is not available where this execution runs", what)
	}
	return nil
}
