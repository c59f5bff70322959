package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/fault"
)

// Sweep looks for resources that fail a control and gives each line to tell as it
// comes, but the last, which is the sum. It takes as long as it takes: ctx says when
// it is enough. An answer that breaks off is an error.
func (c *Client) Sweep(ctx context.Context, r api.SweepRequest, tell func(api.SweepLine)) (api.SweepEnd, error) {
	patient := *c.cfg.HTTP
	patient.Timeout = 0
	res, err := c.send(ctx, &patient, http.MethodPost, "/v1/sweeps", nil, r)
	if err != nil {
		return api.SweepEnd{}, err
	}
	defer func() { _ = res.Body.Close() }()
	dec := json.NewDecoder(res.Body)
	for {
		var line api.SweepLine
		if err := dec.Decode(&line); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the answer has no end")
			}
			return api.SweepEnd{}, fault.E(fault.Unavailable, "sweep", err).WithHint("the result is not whole; sweep again")
		}
		if line.End != nil {
			return *line.End, nil
		}
		tell(line)
	}
}
