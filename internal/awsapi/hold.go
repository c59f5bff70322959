package awsapi

import (
	"context"
	"time"
)

// HeldError is a change that was not sent for a reason that passes, the stop
// switch or a used up budget: who asked may ask again later, for as long as the
// plan is good.
type HeldError struct {
	Err   error
	After time.Duration
}

// Error is the reason.
func (e *HeldError) Error() string { return e.Err.Error() }

// Unwrap gives the reason to errors.Is and errors.As.
func (e *HeldError) Unwrap() error { return e.Err }

// Held says after how long to ask again.
func (e *HeldError) Held() time.Duration { return e.After }

const (
	// stopPause is how long an execution waits before it asks again whether the
	// stop switch is off.
	stopPause = 10 * time.Second
	// permitAge is how old the last permission may be when an attempt leaves. With
	// the time of reading the switch it is all that lies between the switch and
	// the wire; the goal is one second.
	permitAge = 250 * time.Millisecond
)

// permitting is the last question before an attempt of a change leaves: it may
// have waited in the throttle or between attempts for longer than people who
// turned the stop switch on can be kept waiting. One that leaves right after the
// caller has asked is not asked about again. None leaves after until, if that is set.
func (p *applying) permitting(ctx context.Context, until time.Time) context.Context {
	last := p.g.cfg.Clock.Now()
	return withPermit(ctx, func(ctx context.Context) error {
		if !until.IsZero() && p.g.cfg.Clock.Now().After(until) {
			return errOld
		}
		if age := p.g.cfg.Clock.Now().Sub(last); age >= 0 && age < permitAge {
			return nil
		}
		err := p.g.permit(ctx, p.auth.Fence)
		last = p.g.cfg.Clock.Now()
		return err
	})
}
