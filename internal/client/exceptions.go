package client

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/triage"
)

const exceptionsPath = "/v1/exceptions"

// Exceptions lists exceptions, the latest first: those in a state, of the open ones
// for "open", or of all for "".
func (c *Client) Exceptions(ctx context.Context, state string, p Paging) (api.Page[api.Exception], error) {
	v := p.values()
	set(v, "state", state)
	var out api.Page[api.Exception]
	err := c.call(ctx, http.MethodGet, exceptionsPath, v, nil, &out)
	return out, err
}

// Exception gives one exception.
func (c *Client) Exception(ctx context.Context, id string) (api.Exception, error) {
	var out api.Exception
	err := c.on(ctx, http.MethodGet, exceptionsPath+"/", id, "", nil, &out)
	return out, err
}

// RequestException asks for an exception; a second person approves it.
func (c *Client) RequestException(ctx context.Context, r api.ExceptionRequest) (api.Exception, error) {
	var out api.Exception
	err := c.call(ctx, http.MethodPost, exceptionsPath, nil, r, &out)
	return out, err
}

// PreviewException says what an exception would suppress now; nothing is written.
func (c *Client) PreviewException(ctx context.Context, q api.ExceptionQuestion) (triage.ExceptionPreview, error) {
	var out triage.ExceptionPreview
	err := c.call(ctx, http.MethodPost, exceptionsPath+"/preview", nil, q, &out)
	return out, err
}

// ApproveException puts an exception in force.
func (c *Client) ApproveException(ctx context.Context, id, reason string) (api.Exception, error) {
	return c.decideException(ctx, id, "/approve", reason)
}

// RejectException refuses an exception.
func (c *Client) RejectException(ctx context.Context, id, reason string) (api.Exception, error) {
	return c.decideException(ctx, id, "/reject", reason)
}

// ExpireException ends an exception now, or takes back one that is pending.
func (c *Client) ExpireException(ctx context.Context, id, reason string) (api.Exception, error) {
	return c.decideException(ctx, id, "/expire", reason)
}

func (c *Client) decideException(ctx context.Context, id, verb, reason string) (api.Exception, error) {
	var out api.Exception
	err := c.on(ctx, http.MethodPost, exceptionsPath+"/", id, verb, api.ExceptionWord{Reason: reason}, &out)
	return out, err
}
