package route_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
)

// replays keeps replays in memory.
type replays struct {
	all   map[string]route.Replay
	saves int
	fail  func(r route.Replay) error
}

func (r *replays) Running(context.Context) (out []route.Replay, _ error) {
	for _, one := range r.all {
		if !one.Ended() {
			out = append(out, one)
		}
	}
	return out, nil
}

func (r *replays) SaveReplay(_ context.Context, one route.Replay) (route.Replay, error) {
	r.saves++
	if r.fail != nil {
		if err := r.fail(one); err != nil {
			return one, err
		}
	}
	r.all[one.Name] = one
	return one, nil
}

func newReplay(name string) route.Replay {
	return route.Replay{Name: name, ReplayState: route.ReplayState{
		Archive: "findings", Bus: "default", From: at.AddDate(0, 0, -1), To: at.AddDate(0, 0, 1), State: route.ReplayStarting, StartedAt: at,
	}}
}

// manyEvents are n archived events of a shop.
func manyEvents(t *testing.T, n int) archived {
	t.Helper()
	var out archived
	for i := range n {
		raw, err := json.Marshal(bus.Event{Version: "0", ID: fmt.Sprintf("e-%d", i), Source: "shop", DetailType: "Order", Account: "111122223333", Time: at, Detail: json.RawMessage(`{"a":{}}`)})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

func (c *counter) replayer(r *replays, a route.Archived, m *marks) *route.Replayer {
	return &route.Replayer{Replays: r, Archived: a, Exchange: c.Exchange, Lease: m, Node: "one", Clock: c.clock, Logger: slog.New(slog.DiscardHandler)}
}

func TestAReplaySendsEventsAgain(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", ofShop, logARN, playbookARN), busRule("default", "other", ofShop, logARN)}, []route.BusArchive{{Bus: "default", Name: "findings", Rev: "1"}})
	one := newReplay("again")
	one.Rules = []string{"arn:aws:events:us-east-1:111122223333:rule/all"}
	r := &replays{all: map[string]route.Replay{"again": one}}
	if err := c.replayer(r, manyEvents(t, 250), &marks{}).Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if end := r.all["again"]; end.State != route.ReplayCompleted || end.EndedAt.IsZero() || end.LastSeq != 250 {
		t.Errorf("ended as %+v", end)
	}
	if len(c.posted) != 250 {
		t.Fatalf("%d events sent", len(c.posted))
	}
	for i, p := range c.posted {
		var e bus.Event
		if err := json.Unmarshal(p.Text, &e); err != nil || e.ReplayName != "again" || e.ID != fmt.Sprintf("e-%d", i) || string(e.Detail) != `{"a":{}}` {
			t.Fatalf("event %d: %s", i, p.Text)
		}
		// Neither the playbook nor the other rule, and no archive.
		if len(p.Targets) != 1 || p.Targets[0].Rule != "default/all" || p.Targets[0].Target != "t0" || len(p.Archives) != 0 {
			t.Fatalf("event %d goes to %v, %v", i, p.Targets, p.Archives)
		}
	}
}

func TestAReplayGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", ofShop, logARN)}, nil)
	r := &replays{all: map[string]route.Replay{"again": newReplay("again")}}
	crash := errors.New("it crashed")
	r.fail = func(one route.Replay) error {
		if one.LastSeq == 200 {
			return crash
		}
		return nil
	}
	work := c.replayer(r, manyEvents(t, 250), &marks{})
	if err := work.Work(t.Context()); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	r.fail = nil
	if err := work.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, p := range c.posted {
		seen[string(p.Text)]++
	}
	if len(seen) != 250 || len(c.posted) != 350 {
		t.Errorf("%d events, sent %d times", len(seen), len(c.posted))
	}
}

func TestAReplayIsCancelled(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", ofShop, logARN)}, nil)
	r := &replays{all: map[string]route.Replay{"again": newReplay("again"), "gone": newReplay("gone")}}
	gone := r.all["gone"]
	gone.Bus = "gone"
	r.all["gone"] = gone
	r.fail = func(one route.Replay) error {
		if one.Name == "again" && one.LastSeq == 100 { // a person was faster
			one.State = route.ReplayCancelling
			r.all["again"] = one
			return store.ErrConflict
		}
		return nil
	}
	work := c.replayer(r, manyEvents(t, 250), &marks{})
	for range 2 {
		if err := work.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.fail = nil
	}
	if end := r.all["again"]; end.State != route.ReplayCancelled || len(c.posted) != 100 {
		t.Errorf("ended as %s after %d events", end.State, len(c.posted))
	}
	if end := r.all["gone"]; end.State != route.ReplayFailed || end.Reason == "" {
		t.Errorf("on a bus that is gone: %+v", end)
	}
	other := &marks{holder: "another node"}
	r.all["again"] = newReplay("again")
	if err := c.replayer(r, manyEvents(t, 5), other).Work(t.Context()); err != nil || len(c.posted) != 100 {
		t.Errorf("another node's turn: %v, %d events", err, len(c.posted))
	}
}
