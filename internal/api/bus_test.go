package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

// noBus is a bus on which there is nothing.
func noBus() api.Bus {
	return api.Bus{
		Letters: emptyBus{}, Shelf: emptyBus{}, Rules: emptyBus{}, Drops: func(string, string) route.Drops { return route.Drops{Events: 3, Reason: "a loop"} }, Transformers: "parry",
		Backtest: func(context.Context, route.BacktestRequest) (route.Backtest, error) {
			return route.Backtest{}, errNoBus
		},
		Preview: func(context.Context, route.Replay) (route.ReplayPreview, error) {
			return route.ReplayPreview{}, errNoBus
		},
		Tail: func(string, *pattern.Pattern) (<-chan route.Seen, func(), error) { return nil, nil, errNoBus },
	}
}

var errNoBus = fault.Errorf(fault.NotFound, "ask the bus", "there is nothing")

type emptyBus struct{}

func (emptyBus) DeadDeliveries(context.Context, store.DeadFilter, int, string) ([]store.BusDelivery, string, error) {
	return nil, "", nil
}

func (emptyBus) Redrive(context.Context, store.DeadFilter, []int64, int, store.Effects) (int64, error) {
	return 0, nil
}

func (emptyBus) Buses(context.Context, route.Paging) ([]route.EventBus, string, error) {
	return []route.EventBus{{Name: "default", ARN: "arn:aws:events:us-east-1:111122223333:event-bus/default"}}, "", nil
}

func (emptyBus) Rules(_ context.Context, bus string, p route.Paging, _ func(route.StoredRule) bool) ([]route.StoredRule, string, error) {
	if bus != "default" {
		return nil, "", errNoBus
	}
	return []route.StoredRule{
		{Bus: bus, Name: "orders", Pattern: `{"source":["a"]}`, State: route.StateDisabled, Targets: []target.Target{{ID: "1", ARN: "arn:aws:parry:us-east-1:111122223333:playbook/S3.8", Input: "{}"}}},
		{Bus: bus, Name: "settings", Configured: true, Schedule: "rate(1 day)"},
	}[:min(2, p.Limit)], "", nil
}

func (emptyBus) BusARN(name string) string {
	return "arn:aws:events:us-east-1:111122223333:event-bus/" + name
}

func (emptyBus) ArchiveARN(name string) string {
	return "arn:aws:events:us-east-1:111122223333:archive/" + name
}

func (emptyBus) Archive(context.Context, string) (route.StoredArchive, error) {
	return route.StoredArchive{}, errNoBus
}

func (emptyBus) Archives(context.Context, string, route.Paging) ([]route.StoredArchive, string, error) {
	return nil, "", nil
}

func (emptyBus) ArchiveSize(context.Context, string) (events, bytes int64, err error) {
	return 0, 0, errNoBus
}

func (emptyBus) CreateArchive(context.Context, string, string, route.ArchiveChange, string) (route.StoredArchive, error) {
	return route.StoredArchive{}, errNoBus
}

func (emptyBus) DeleteArchive(context.Context, string, string) error { return errNoBus }

func (emptyBus) StartReplay(context.Context, route.StartReplay) (route.Replay, error) {
	return route.Replay{}, errNoBus
}

func (emptyBus) Replay(context.Context, string) (route.Replay, error) {
	return route.Replay{}, errNoBus
}

func (emptyBus) Replays(context.Context, string, string, route.Paging) ([]route.Replay, string, error) {
	return nil, "", nil
}

func (emptyBus) CancelReplay(context.Context, string, string) (route.Replay, error) {
	return route.Replay{}, errNoBus
}

// What is about the bus is for keys of all accounts, and what changes it for
// administrators: the others are refused before the bus is asked.
func TestTheBusIsForKeysOfAllAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, now := t.Context(), time.Now()
	reads := map[string]func(c *client.Client) error{
		"letters": func(c *client.Client) error {
			_, err := c.DeadLetters(ctx, client.DeadLetterFilter{}, client.Paging{})
			return err
		},
		"backtest": func(c *client.Client) error {
			_, err := c.Backtest(ctx, api.BacktestQuestion{Archive: "a", Days: 1})
			return err
		},
		"tail":     func(c *client.Client) error { return c.Tail(ctx, "", "", func(api.TailLine) error { return nil }) },
		"archives": func(c *client.Client) error { _, err := c.Archives(ctx, client.Paging{}); return err },
		"archive":  func(c *client.Client) error { _, err := c.Archive(ctx, "a"); return err },
		"replays":  func(c *client.Client) error { _, err := c.Replays(ctx, client.Paging{}); return err },
		"replay":   func(c *client.Client) error { _, err := c.Replay(ctx, "a"); return err },
		"preview": func(c *client.Client) error {
			_, err := c.PreviewReplay(ctx, api.ReplayRequest{Name: "a", Archive: "a", From: now, To: now})
			return err
		},
	}
	changes := map[string]func(c *client.Client) error{
		"redrive": func(c *client.Client) error { _, err := c.Redrive(ctx, api.RedriveRequest{All: true}); return err },
		"create archive": func(c *client.Client) error {
			_, err := c.CreateArchive(ctx, api.ArchiveRequest{Name: "a"})
			return err
		},
		"delete archive": func(c *client.Client) error { return c.DeleteArchive(ctx, "a") },
		"start replay": func(c *client.Client) error {
			_, err := c.StartReplay(ctx, api.ReplayRequest{Name: "a", Archive: "a", From: now, To: now})
			return err
		},
		"cancel replay": func(c *client.Client) error { _, err := c.CancelReplay(ctx, "a"); return err },
	}
	narrow := []*client.Client{b.as(t, "admin", dev), b.as(t, "reader", dev), b.as(t, "source", "*")}
	for name, ask := range reads {
		for _, c := range narrow {
			if err := ask(c); !fault.Is(err, fault.Denied) {
				t.Errorf("%s gives %v", name, err)
			}
		}
	}
	for name, ask := range changes {
		for _, c := range append(narrow, b.as(t, "operator", "*"), b.as(t, "approver", "*"), b.as(t, "reader", "*")) {
			if err := ask(c); !fault.Is(err, fault.Denied) {
				t.Errorf("%s gives %v", name, err)
			}
		}
	}
	if len(b.audited) > 0 {
		t.Errorf("audited: %v", b.audited)
	}
}
