package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

const (
	// settleTimeout bounds how long the outbox may take to note an outcome. When
	// it takes longer the lease ends and the message comes again.
	settleTimeout = 10 * time.Second
	// maxReason bounds the reason kept with a message.
	maxReason = 2000
)

// deliver hands m to its handler and notes the outcome.
func (d *Dispatcher) deliver(handlers context.Context, r *run, m Delivery) {
	log := d.Logger.With("topic", m.Topic, "message_id", m.ID, "attempt", m.Attempts)
	ctx, cancel := context.WithTimeoutCause(handlers, d.Timeout, fmt.Errorf("the handler took longer than %s", d.Timeout))
	err := d.handle(ctx, m)
	stopped := errors.Is(context.Cause(handlers), errStopped)
	if err != nil && ctx.Err() != nil && !stopped {
		err = errors.Join(context.Cause(ctx), err)
	}
	cancel()

	settle, cancel := context.WithTimeout(context.WithoutCancel(handlers), settleTimeout)
	defer cancel()
	now := d.Clock.Now()
	var noted error
	switch reason, dead := d.verdict(m, err, now); {
	case err == nil:
		noted = d.Outbox.Ack(settle, m)
	case dead && (!stopped || fault.IsTerminal(err)):
		log.ErrorContext(settle, "message given up", "reason", reason)
		noted = d.Outbox.Dead(settle, m, clip(reason))
	case stopped:
		noted = d.Outbox.Retry(settle, m, now, clip(errStopped.Error()))
	default:
		at := now.Add(d.delay(m.Attempts, err))
		log.WarnContext(settle, "message will be retried", "error", err, "at", at)
		back := d.Outbox.Retry
		if _, held := fault.IsHeld(err); held {
			back = d.Outbox.Hold
		}
		if noted = back(settle, m, at, clip(err.Error())); noted == nil {
			r.retryAt(at)
		}
	}
	if noted != nil {
		// Not noted means that the message comes again when its lease ends, which
		// every handler must bear.
		log.WarnContext(settle, "outcome of a message was not noted", "error", noted)
	}
}

// handle runs the handler. A panic becomes an error, so that one message cannot
// end the process; its trace goes to the log.
func (d *Dispatcher) handle(ctx context.Context, m Delivery) (err error) {
	defer func() {
		if v := recover(); v != nil {
			d.Logger.ErrorContext(ctx, "handler panicked", "topic", m.Topic, "message_id", m.ID, "panic", fmt.Sprint(v), "trace", string(debug.Stack()))
			err = fault.Errorf(fault.Internal, "handle "+m.Topic, "the handler panicked: %v", v)
		}
	}()
	h, ok := d.Handlers[m.Topic]
	if !ok {
		return fault.Errorf(fault.Internal, "handle "+m.Topic, "there is no handler for it")
	}
	return h(ctx, m)
}

// verdict says whether m is given up after err, and why.
func (d *Dispatcher) verdict(m Delivery, err error, now time.Time) (reason string, dead bool) {
	_, held := fault.IsHeld(err)
	switch {
	case err == nil || held:
		return "", false
	case fault.IsTerminal(err):
		return err.Error(), true
	case m.Attempts >= d.MaxAttempts:
		return fmt.Sprintf("%d attempts, the last one: %v", m.Attempts, err), true
	case !m.Since.IsZero() && now.Sub(m.Since) >= d.MaxAge:
		return fmt.Sprintf("tried for %s, the last time: %v", now.Sub(m.Since).Round(time.Second), err), true
	}
	return "", false
}

// delay is the wait before the next attempt: a random part of a bound that
// doubles each time, and no less than the error asks for. What people hold goes on soon
// after they let go, however long they held it.
func (d *Dispatcher) delay(attempts int, err error) time.Duration {
	if after, held := fault.IsHeld(err); held {
		return after
	}
	bound := float64(d.Base) * math.Pow(2, float64(max(attempts, 1)-1))
	wait := time.Duration(d.Random() * min(bound, float64(d.Cap)))
	if after, ok := fault.IsTransient(err); ok {
		wait = max(wait, after)
	}
	return wait
}

func clip(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason], "")
}
