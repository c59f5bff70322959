package automation

import (
	"context"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// sleep is aws:sleep. Until when, and whether it stays in memory, is a
// checkpoint: decided twice, it could be decided differently.
func (x *execution) sleep(ctx context.Context, s *runbook.Step, sc scope, attempt int, _ time.Duration) (result, error) {
	c := &call{step: s, attempt: attempt, idle: true}
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
	// In memory: a second checkpoint, so that a crash does not begin it again.
	return x.checkpoint(ctx, c, fmt.Sprintf("%d.%d/slept", attempt, round), func(ctx context.Context, c *call) (record, error) {
		if err := x.pause(ctx, c, r.park.Until.Sub(x.run.Clock.Now())); err != nil {
			return record{}, err
		}
		return record{Status: Success, Outputs: map[string]any{}}, nil
	})
}

// beginSleep records until when to sleep. A park with the round unchanged stays
// in memory; one with the next round ends the segment.
func (x *execution) beginSleep(_ context.Context, c *call) (record, error) {
	now := x.run.Clock.Now().UTC()
	park := c.park
	if park.Until.IsZero() {
		until, err := sleepUntil(c.inputs, now)
		if err != nil {
			if x.unknown(c.inputs) {
				return record{Status: Success, Outputs: map[string]any{}}, nil
			}
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
