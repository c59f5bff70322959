package route

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	replayLease = "bus-replays"
	replayTTL   = 30 * time.Second
	replayPage  = 100
)

// Replays keeps replays; a Desk does.
type Replays interface {
	Running(ctx context.Context) ([]Replay, error)
	SaveReplay(ctx context.Context, r Replay) (Replay, error)
}

// ReplayLease makes one node at a time replay.
type ReplayLease interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (bool, error)
}

// Replayer sends archived events again. It goes on where it was after a crash, so that an
// event may be sent twice, and none is left out.
type Replayer struct {
	Replays  Replays
	Archived Archived
	Exchange *Exchange
	Lease    ReplayLease
	Node     string
	Clock    service.Clock
	Logger   *slog.Logger
}

// Work carries replays out, one after the other, until none is under way. Call it every
// second.
func (r *Replayer) Work(ctx context.Context) error {
	running, err := r.Replays.Running(ctx)
	if err != nil || len(running) == 0 {
		return err
	}
	slices.SortFunc(running, func(a, b Replay) int { return a.StartedAt.Compare(b.StartedAt) })
	for _, one := range running {
		if mine, err := r.Lease.AcquireLease(ctx, replayLease, r.Node, replayTTL); err != nil || !mine {
			return err
		}
		err := r.carry(ctx, one)
		if errors.Is(err, store.ErrConflict) {
			continue // somebody cancelled it: the next round reads it again
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// carry sends a page of a replay after the other.
func (r *Replayer) carry(ctx context.Context, one Replay) (err error) {
	if one.State == ReplayCancelling {
		return r.end(ctx, one, ReplayCancelled, "")
	}
	if one.State == ReplayStarting {
		one.State = ReplayRunning
		if one, err = r.Replays.SaveReplay(ctx, one); err != nil {
			return err
		}
	}
	for {
		page, err := r.Archived.ArchivedEvents(ctx, one.Archive, one.From, one.To, one.LastAt, one.LastSeq, replayPage)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			err := r.Exchange.Replay(ctx, one.Bus, one.Name, one.Rules, page)
			if fault.Is(err, fault.NotFound) {
				return r.end(ctx, one, ReplayFailed, err.Error())
			}
			if err != nil {
				return err
			}
			one.LastAt, one.LastSeq = page[len(page)-1].At, page[len(page)-1].Seq
		}
		if len(page) < replayPage {
			return r.end(ctx, one, ReplayCompleted, "")
		}
		if one, err = r.Replays.SaveReplay(ctx, one); err != nil {
			return err
		}
		if mine, err := r.Lease.AcquireLease(ctx, replayLease, r.Node, replayTTL); err != nil || !mine {
			return err
		}
	}
}

func (r *Replayer) end(ctx context.Context, one Replay, state, reason string) error {
	one.State, one.Reason, one.EndedAt = state, reason, r.Clock.Now()
	_, err := r.Replays.SaveReplay(ctx, one)
	if err == nil {
		r.Logger.InfoContext(ctx, "replay ended", "replay", one.Name, "state", state, "reason", reason)
	}
	return err
}

// Replay puts archived events on their bus again, marked with the name of the replay, for
// the rules with these ARNs only, or for all. No archive takes them.
func (x *Exchange) Replay(ctx context.Context, on, name string, rules []string, events []store.BusEvent) error {
	items := make([]item, 0, len(events))
	for _, e := range events {
		raw := marked(e.Doc, name)
		text, err := pattern.Validate(raw)
		if err != nil { // it was an event when it was archived
			x.cfg.Logger.ErrorContext(ctx, "archived event left out", "replay", name, "number", e.Seq, "error", err)
			continue
		}
		items = append(items, item{id: "replayed " + strconv.FormatInt(e.Seq, 10), at: e.At, raw: raw, text: text})
	}
	return x.post(ctx, on, items, cause{replay: name, only: rules})
}

// marked gives an event with the name of the replay that sends it again, EventBridge's
// member replay-name.
func marked(event []byte, name string) []byte {
	body := bytes.TrimRight(event, " \t\r\n")
	body = body[:max(len(body)-1, 0)] // without the last brace
	out := make([]byte, 0, len(event)+len(name)+20)
	out = append(out, body...)
	out = append(out, `,"replay-name":`...)
	out = strconv.AppendQuote(out, name) // letters, digits, dots, dashes and underscores
	return append(out, '}')
}

// ReplayPreview is what a replay would send.
type ReplayPreview struct {
	Events   int            `json:"events" doc:"Archived events in the time span."`
	Rules    map[string]int `json:"rules" doc:"How many of them each rule would get, by bus and name."`
	Complete bool           `json:"complete" doc:"No event was left out for their number or for time."`
}

// Preview tells what a replay would send, and sends nothing. Targets that lead to changes
// get nothing from a replay, and do not count.
func (r *Replayer) Preview(ctx context.Context, one Replay) (ReplayPreview, error) {
	out := ReplayPreview{Rules: map[string]int{}}
	timed, cancel := context.WithTimeout(ctx, backtestTime)
	defer cancel()
	for timed.Err() == nil && out.Events < MaxBacktest {
		page, err := r.Archived.ArchivedEvents(ctx, one.Archive, one.From, one.To, one.LastAt, one.LastSeq, replayPage)
		if err != nil {
			return out, err
		}
		for _, e := range page {
			if err := r.Exchange.count(ctx, one, e, out.Rules); err != nil {
				return out, err
			}
			one.LastAt, one.LastSeq = e.At, e.Seq
		}
		out.Events += len(page)
		if len(page) < replayPage {
			out.Complete = true
			break
		}
	}
	return out, ctx.Err()
}

// count adds to rules those that would get an event of a replay.
func (x *Exchange) count(ctx context.Context, one Replay, e store.BusEvent, rules map[string]int) error {
	l := (*x.buses.Load())[one.Bus]
	if l == nil {
		return fault.Errorf(fault.NotFound, "preview replay", "there is no event bus %q", one.Bus)
	}
	text, err := pattern.Validate(marked(e.Doc, one.Name))
	if err != nil {
		return nil //nolint:nilerr // a replay leaves it out
	}
	last := ""
	for _, ref := range x.sort(ctx, l, text, "", cause{replay: one.Name, only: one.Rules}).targets {
		if ref.Rule != last {
			rules[ref.Rule]++
		}
		last = ref.Rule
	}
	return nil
}
