package store

import (
	"context"
	"time"
)

// Timer wakes something at a time. It is a row, so ten thousand of them cost
// nothing while they wait.
type Timer struct {
	ID      string
	At      time.Time
	Payload []byte
}

// PutTimer sets a timer, in place of an earlier one with its id.
func (s *Store) PutTimer(ctx context.Context, timer Timer) error {
	if err := checkID("set timer", "timer id", timer.ID); err != nil {
		return err
	}
	return s.write(ctx, Execution, "set timer", func(t *tx) error {
		_, err := t.changed(ctx, s.q.TimerPut, timer.ID, micros(timer.At), blob(timer.Payload))
		return err
	})
}

// DueTimers gives up to n timers that have come, the earliest first. They stay
// until DeleteTimer, so what they start must bear being started twice.
func (s *Store) DueTimers(ctx context.Context, now time.Time, n int) ([]Timer, error) {
	all, err := collect(ctx, s.execution.Read, s.q.TimerDue, []any{micros(now), int64(n)}, func(r scanner) (Timer, error) {
		var t Timer
		var at int64
		err := r.Scan(&t.ID, &at, &t.Payload)
		t.At, t.Payload = fromMicros(at), orNil(t.Payload)
		return t, err
	})
	return all, s.fail("list due timers", err)
}

// DeleteTimer removes a timer; one that is gone is no error.
func (s *Store) DeleteTimer(ctx context.Context, id string) error {
	return s.write(ctx, Execution, "delete timer", func(t *tx) error {
		_, err := t.changed(ctx, s.q.TimerDelete, id)
		return err
	})
}

// StopSwitch reports whether the stop switch is on, and why. A caller that gets
// an error must treat it as on.
func (s *Store) StopSwitch(ctx context.Context) (on bool, reason string, err error) {
	var n int64
	_, err = one(ctx, s.execution.Read, s.q.SwitchRead, nil, func(r scanner) (struct{}, error) {
		return struct{}{}, r.Scan(&n, &reason)
	})
	return n != 0 || err != nil, reason, s.fail("read the stop switch", err)
}

// SetStopSwitch turns the stop switch on or off and sends eff.
func (s *Store) SetStopSwitch(ctx context.Context, on bool, reason string, eff Effects) error {
	return s.write(ctx, Execution, "set the stop switch", func(t *tx) error {
		if _, err := t.changed(ctx, s.q.SwitchSet, flag(on), text(reason, maxReason), micros(s.now())); err != nil {
			return err
		}
		t.hint(HintStop, "", "", 0)
		return t.send(ctx, eff)
	})
}
