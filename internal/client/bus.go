package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
)

const (
	lettersPath  = "/v1/bus/dead-letters"
	archivesPath = "/v1/bus/archives"
	replaysPath  = "/v1/bus/replays"
)

// DeadLetterFilter selects deliveries that were given up; what is empty selects all.
type DeadLetterFilter struct{ Bus, Rule, Target, Code string }

// DeadLetters lists deliveries of the bus that were given up, the latest first.
func (c *Client) DeadLetters(ctx context.Context, f DeadLetterFilter, p Paging) (api.Page[api.DeadLetter], error) {
	v := p.values()
	for name, value := range map[string]string{"bus": f.Bus, "rule": f.Rule, "target": f.Target, "code": f.Code} {
		set(v, name, value)
	}
	var out api.Page[api.DeadLetter]
	err := c.call(ctx, http.MethodGet, lettersPath, v, nil, &out)
	return out, err
}

// Redrive has deliveries that were given up made again.
func (c *Client) Redrive(ctx context.Context, r api.RedriveRequest) (api.Redriven, error) {
	var out api.Redriven
	err := c.call(ctx, http.MethodPost, lettersPath+"/redrive", nil, r, &out)
	return out, err
}

// BusRules lists rules of a bus by name, those whose name begins with prefix.
func (c *Client) BusRules(ctx context.Context, bus, prefix string, p Paging) (api.Page[api.BusRule], error) {
	v := p.values()
	set(v, "bus", bus)
	set(v, "prefix", prefix)
	var out api.Page[api.BusRule]
	err := c.call(ctx, http.MethodGet, "/v1/bus/rules", v, nil, &out)
	return out, err
}

// Backtest tells what a draft would have done to archived events.
func (c *Client) Backtest(ctx context.Context, q api.BacktestQuestion) (route.Backtest, error) {
	var out route.Backtest
	err := c.call(ctx, http.MethodPost, "/v1/bus/backtests", nil, q, &out)
	return out, err
}

// Archives lists archives by name.
func (c *Client) Archives(ctx context.Context, p Paging) (api.Page[api.Archive], error) {
	var out api.Page[api.Archive]
	err := c.call(ctx, http.MethodGet, archivesPath, p.values(), nil, &out)
	return out, err
}

// Archive shows one with what it holds.
func (c *Client) Archive(ctx context.Context, name string) (api.Archive, error) {
	var out api.Archive
	err := c.at(ctx, http.MethodGet, archivesPath, name, "", nil, nil, &out)
	return out, err
}

// CreateArchive keeps the events of a bus from now on.
func (c *Client) CreateArchive(ctx context.Context, r api.ArchiveRequest) (api.Archive, error) {
	var out api.Archive
	err := c.call(ctx, http.MethodPost, archivesPath, nil, r, &out)
	return out, err
}

// DeleteArchive deletes an archive with its events.
func (c *Client) DeleteArchive(ctx context.Context, name string) error {
	return c.at(ctx, http.MethodDelete, archivesPath, name, "", nil, nil, nil)
}

// Replays lists replays by name.
func (c *Client) Replays(ctx context.Context, p Paging) (api.Page[api.Replay], error) {
	var out api.Page[api.Replay]
	err := c.call(ctx, http.MethodGet, replaysPath, p.values(), nil, &out)
	return out, err
}

// Replay shows one.
func (c *Client) Replay(ctx context.Context, name string) (api.Replay, error) {
	var out api.Replay
	err := c.at(ctx, http.MethodGet, replaysPath, name, "", nil, nil, &out)
	return out, err
}

// StartReplay sends archived events to rules again.
func (c *Client) StartReplay(ctx context.Context, r api.ReplayRequest) (api.Replay, error) {
	var out api.Replay
	err := c.call(ctx, http.MethodPost, replaysPath, nil, r, &out)
	return out, err
}

// PreviewReplay tells which rules would get how many events, and sends nothing.
func (c *Client) PreviewReplay(ctx context.Context, r api.ReplayRequest) (route.ReplayPreview, error) {
	var out route.ReplayPreview
	err := c.call(ctx, http.MethodPost, replaysPath+"/preview", nil, r, &out)
	return out, err
}

// CancelReplay ends a replay.
func (c *Client) CancelReplay(ctx context.Context, name string) (api.Replay, error) {
	var out api.Replay
	err := c.at(ctx, http.MethodPost, replaysPath, name, "/cancel", nil, nil, &out)
	return out, err
}

// Tail gives tell each event that the server puts on its buses, until ctx ends or tell
// answers with an error. An empty pattern matches all.
func (c *Client) Tail(ctx context.Context, on, pattern string, tell func(api.TailLine) error) error {
	patient := *c.cfg.HTTP
	patient.Timeout = 0
	v := url.Values{}
	set(v, "bus", on)
	set(v, "pattern", pattern)
	res, err := c.send(ctx, &patient, http.MethodGet, "/v1/bus/events", v, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	dec := json.NewDecoder(res.Body)
	for {
		var line api.TailLine
		if err := dec.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return nil // it was ended here
			}
			if errors.Is(err, io.EOF) {
				err = errors.New("the server ended the stream")
			}
			return fault.E(fault.Unavailable, "follow the bus", err).WithHint("run it again")
		}
		if err := tell(line); err != nil {
			return err
		}
	}
}

// EventBuses lists the event buses by name.
func (c *Client) EventBuses(ctx context.Context, p Paging) (api.Page[api.EventBus], error) {
	var out api.Page[api.EventBus]
	err := c.call(ctx, http.MethodGet, "/v1/bus/buses", p.values(), nil, &out)
	return out, err
}
