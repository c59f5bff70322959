package client

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/casefile"
)

const casesPath = "/v1/cases"

// Cases lists cases, the latest first: those of a status, the open ones for "open", or
// all for ""; of one account, or of all for "".
func (c *Client) Cases(ctx context.Context, status, account string, p Paging) (api.Page[api.Case], error) {
	v := p.values()
	set(v, "status", status)
	set(v, "account", account)
	var out api.Page[api.Case]
	err := c.call(ctx, http.MethodGet, casesPath, v, nil, &out)
	return out, err
}

// Case gives one case.
func (c *Client) Case(ctx context.Context, id string) (api.Case, error) {
	var out api.Case
	err := c.on(ctx, http.MethodGet, casesPath+"/", id, "", nil, &out)
	return out, err
}

// CaseTimeline gives a page of a case's timeline, the first entry first.
func (c *Client) CaseTimeline(ctx context.Context, id string, p Paging) (api.Page[api.CaseEntry], error) {
	var out api.Page[api.CaseEntry]
	at, err := path(casesPath+"/", id, "/timeline")
	if err != nil {
		return out, err
	}
	return out, c.call(ctx, http.MethodGet, at, p.values(), nil, &out)
}

// OpenCase opens a case.
func (c *Client) OpenCase(ctx context.Context, r api.CaseRequest) (api.Case, error) {
	var out api.Case
	err := c.call(ctx, http.MethodPost, casesPath, nil, r, &out)
	return out, err
}

// NoteCase writes a note to the timeline of an open case.
func (c *Client) NoteCase(ctx context.Context, id, text string) (api.Case, error) {
	return c.changeCase(ctx, id, "/note", api.CaseNote{Text: text})
}

// MoveCase brings an open case into another status.
func (c *Client) MoveCase(ctx context.Context, id string, to casefile.Status, reason string) (api.Case, error) {
	return c.changeCase(ctx, id, "/status", api.CaseMove{Status: to, Reason: reason})
}

// CloseCase closes a case for good.
func (c *Client) CloseCase(ctx context.Context, id string, code casefile.ClosureCode, reason string) (api.Case, error) {
	return c.changeCase(ctx, id, "/close", api.CaseClosure{ClosureCode: code, Reason: reason})
}

func (c *Client) changeCase(ctx context.Context, id, verb string, body any) (api.Case, error) {
	var out api.Case
	err := c.on(ctx, http.MethodPost, casesPath+"/", id, verb, body, &out)
	return out, err
}
