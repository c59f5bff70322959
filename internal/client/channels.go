package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/parry-security/parry/internal/api"
)

// Channels lists the channels of notifications with what they did on the node that
// answers.
func (c *Client) Channels(ctx context.Context) (api.Page[api.Channel], error) {
	var out api.Page[api.Channel]
	err := c.call(ctx, http.MethodGet, "/v1/channels", nil, nil, &out)
	return out, err
}

// TestChannel sends a test message through a channel; event "" is succeeded. A receiver
// that does not take it is no error.
func (c *Client) TestChannel(ctx context.Context, name, event string) (api.ChannelTest, error) {
	var in struct {
		Event string `json:"event,omitempty"`
	}
	in.Event = event
	var out api.ChannelTest
	err := c.call(ctx, http.MethodPost, "/v1/channels/"+url.PathEscape(name)+"/test", nil, in, &out)
	return out, err
}
