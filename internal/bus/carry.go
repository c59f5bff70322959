package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// worker makes the deliveries of a lane until none is left.
func (c *Courier) worker(ctx context.Context, l *lane) {
	for {
		j, wait, ok := l.take(c.Clock.Now())
		if !ok {
			return
		}
		if wait > 0 {
			pause := time.NewTimer(wait)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
		}
		if ctx.Err() != nil {
			continue // not noted: it is made again
		}
		c.carry(ctx, l, j)
	}
}

// carry makes one delivery and notes what became of it.
func (c *Courier) carry(ctx context.Context, l *lane, j job) {
	timed, cancel := context.WithTimeoutCause(ctx, j.target.Timeout, errSlow)
	err := c.send(timed, j)
	slow := err != nil && errors.Is(context.Cause(timed), errSlow)
	cancel()
	switch {
	case err == nil:
		l.answered()
		j.done(nil)
		return
	case ctx.Err() != nil:
		return // the courier was stopped in the middle: it is made again
	case slow:
		err = fault.Transient(fault.E(fault.Unavailable, "deliver", errSlow), 0)
	}
	now := c.Clock.Now()
	later := c.again(j, err, slow, now)
	if !fault.IsTerminal(err) {
		after, _ := fault.IsTransient(err)
		for _, r := range l.failed(now, after) {
			r.done(c.rested(r.Letter, l.restsUntil()))
		}
	}
	log := c.Logger.With("rule", j.Ref.Rule, "target", j.Ref.Target, "attempt", j.Attempts+1)
	if later.Dead {
		log.ErrorContext(ctx, "delivery given up", "code", later.Code, "reason", later.Reason)
	} else {
		log.WarnContext(ctx, "delivery will be retried", "error", err, "at", later.Due)
	}
	j.done(later)
}

// errSlow is why a delivery that takes too long is cancelled.
var errSlow = errors.New("the target took too long")

// send delivers. A panic becomes an error, so that one event cannot end the process.
func (c *Courier) send(ctx context.Context, j job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.Logger.ErrorContext(ctx, "target panicked", "rule", j.Ref.Rule, "target", j.Ref.Target, "panic", fmt.Sprint(v), "trace", string(debug.Stack()))
			err = fault.Terminal(fault.Errorf(fault.Internal, "deliver", "the target panicked: %v", v))
		}
	}()
	return j.target.Send(ctx, j.Letter)
}

// again says what becomes of a delivery that failed: it is made later, or given up.
func (c *Courier) again(j job, err error, slow bool, now time.Time) *Later {
	later := &Later{Ref: j.Ref, Since: j.Since, Attempts: j.Attempts + 1, Code: codeOf(err, slow), Reason: clip(err.Error())}
	var end target.Exhausted
	if fault.IsTerminal(err) {
		later.Dead = true
	} else {
		after, _ := fault.IsTransient(err)
		var wait time.Duration
		if wait, end = j.target.Retry.Next(j.Attempts, now.Sub(j.Since), c.Random(), after); end != "" {
			later.Dead, later.Reason = true, clip(later.Reason+" (tried until "+string(end)+")")
		} else {
			later.Due = now.Add(wait)
		}
	}
	if later.Dead && j.target.GivenUp != nil {
		c.tell(j, *later, end)
	}
	return later
}

// tellTries is how often a dead-letter queue is tried. What it does not take is kept here
// all the same.
const tellTries = 3

// tell sends a delivery that is given up to the target's dead-letter queue.
func (c *Courier) tell(j job, l Later, end target.Exhausted) {
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), defaultTimeout)
		err := j.target.GivenUp(ctx, j.Letter, l.Code, l.Reason, end)
		cancel()
		if err == nil {
			return
		}
		if try == tellTries || fault.IsTerminal(err) {
			c.Logger.Error("the dead-letter queue took nothing; the delivery is kept here", "rule", j.Ref.Rule, "target", j.Ref.Target, "error", err)
			return
		}
	}
}

// codeOf gives EventBridge's word for why a delivery failed.
func codeOf(err error, slow bool) string {
	if slow {
		return CodeTimeout
	}
	switch fault.CodeOf(err) {
	case fault.Denied:
		return CodeNoPermissions
	case fault.NotFound:
		return CodeNoResource
	case fault.Exhausted:
		return CodeThrottling
	case fault.Invalid:
		return CodeInvalid
	case fault.Unavailable:
		if strings.Contains(err.Error(), "timeout") {
			return CodeTimeout
		}
		return CodeUnavailable
	case fault.Conflict, fault.Internal:
	}
	return CodeInternal
}
