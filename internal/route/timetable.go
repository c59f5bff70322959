package route

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/schedule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/target"
)

const (
	timetableLease = "bus-schedules"
	timetableState = "bus/schedules"
	timetableTTL   = 15 * time.Second
	// late is how far back a due time may lie that is still kept: what was due while no
	// node ran is left out, as in EventBridge. An at() has no other time, and is kept late.
	late = time.Minute
)

// TimetableStore keeps until when schedules have been kept, and who keeps them.
type TimetableStore interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (bool, error)
	SourceState(ctx context.Context, name string, v any) error
	PutSourceState(ctx context.Context, name string, v any) error
}

// Timetable fires the rules that have a schedule, on one node at a time: each due time
// once, or twice when the node that does so dies in the middle.
type Timetable struct {
	Store    TimetableStore
	Exchange *Exchange
	Node     string
	Clock    service.Clock
	Logger   *slog.Logger

	mu    sync.Mutex
	rules map[string]timed // by key
}

// timed is a rule with its schedule.
type timed struct {
	key      string
	revision string
	schedule schedule.Schedule
	since    time.Time // when the rule was last changed
}

// Use puts the schedules of rules in force, and nothing else.
func (t *Timetable) Use(rules []StoredRule) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]timed{}
	for _, r := range rules {
		key, revision := r.Bus+"/"+r.Name, fmt.Sprint(r.Rev, r.CreatedAt.UnixMicro())
		if have, ok := t.rules[key]; ok && have.revision == revision {
			next[key] = have
			continue
		}
		s, err := schedule.ParseRule(r.Schedule)
		if err != nil {
			t.Logger.Error("schedule disabled", "rule", key, "error", err, "hint", fault.HintOf(err))
			continue
		}
		next[key] = timed{key: key, revision: revision, schedule: s.Between(r.CreatedAt, time.Time{}), since: r.UpdatedAt}
	}
	t.rules = next
}

// kept is until when schedules were kept.
type kept struct {
	Until time.Time `json:"until"`
}

// Fire fires what has become due since it was last called, here or elsewhere. Call it
// every second.
func (t *Timetable) Fire(ctx context.Context) error {
	const op = "keep the schedules of the bus"
	t.mu.Lock()
	rules := t.rules
	t.mu.Unlock()
	if len(rules) == 0 {
		return nil
	}
	if mine, err := t.Store.AcquireLease(ctx, timetableLease, t.Node, timetableTTL); err != nil || !mine {
		return err
	}
	now := t.Clock.Now()
	var done kept
	if err := t.Store.SourceState(ctx, timetableState, &done); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	from := done.Until
	if from.Before(now.Add(-late)) {
		from = now.Add(-late)
		if done.Until.IsZero() {
			from = now // nothing was due before the first
		}
	}
	fired := false
	for _, r := range rules {
		after := from
		if !r.schedule.Once().IsZero() && !done.Until.IsZero() {
			after = latest(done.Until, r.since)
		}
		for at, ok := r.schedule.Next(after); ok && !at.After(now); at, ok = r.schedule.Next(at) {
			fired = true
			if err := t.Exchange.Fire(ctx, r.key, at); err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
		}
	}
	// Without anything fired the mark need not be exact: it is moved before it is late.
	if !fired && now.Sub(done.Until) < late/2 {
		return nil
	}
	return t.Store.PutSourceState(ctx, timetableState, kept{Until: now})
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Fire sends a rule's targets the event of a schedule that was due at at.
func (x *Exchange) Fire(ctx context.Context, key string, at time.Time) error {
	on, name, ok := cutKey(key)
	l := (*x.buses.Load())[on]
	if !ok || l == nil {
		return nil
	}
	l.mu.RLock()
	r := l.rules[name]
	l.mu.RUnlock()
	if r == nil {
		return nil
	}
	arn, _ := target.ParseARN(r.ARN)
	e := Entry{Source: "aws.events", DetailType: "Scheduled Event", Account: arn.Account, Region: arn.Region, Time: at, Resources: []string{r.ARN}}
	var err error
	if e.Detail, err = pattern.ValidateString(`{}`); err != nil {
		return err
	}
	text, err := e.envelope(x.cfg.IDs())
	if err != nil {
		return err
	}
	raw := []byte(text.String())
	posted := bus.Posted{Bus: on, At: at, Since: x.cfg.Clock.Now(), Text: raw}
	for _, o := range r.outlets {
		posted.Targets = append(posted.Targets, bus.Ref{Rule: r.key, Target: o.ID, Address: o.outlet.Address})
	}
	if len(posted.Targets) == 0 {
		return nil
	}
	x.tails.show(on, raw)
	return x.cfg.Poster.Post(ctx, []*bus.Posted{&posted})
}
