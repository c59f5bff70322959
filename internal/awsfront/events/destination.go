package events

import (
	"context"

	"github.com/parry-security/parry/internal/route"
)

type destinationInput struct {
	paged
	Name, InvocationEndpoint, HTTPMethod string
	ConnectionARN                        string `json:"ConnectionArn"`
	Description                          *string
	InvocationRateLimitPerSecond         int
}

func (in destinationInput) put(c Caller) route.PutDestination {
	return route.PutDestination{
		Name: in.Name, Description: in.Description, ConnectionARN: in.ConnectionARN, Endpoint: in.InvocationEndpoint, Method: in.HTTPMethod,
		Rate: in.InvocationRateLimitPerSecond, By: c.Principal.Name,
	}
}

type destinationOutput struct {
	ARN                          string    `json:"ApiDestinationArn,omitempty"`
	Name                         string    `json:"Name,omitempty"`
	Description                  string    `json:"Description,omitempty"`
	State                        string    `json:"ApiDestinationState,omitempty"`
	ConnectionARN                string    `json:"ConnectionArn,omitempty"`
	InvocationEndpoint           string    `json:"InvocationEndpoint,omitempty"`
	HTTPMethod                   string    `json:"HttpMethod,omitempty"`
	InvocationRateLimitPerSecond int       `json:"InvocationRateLimitPerSecond,omitempty"`
	CreationTime                 timestamp `json:"CreationTime,omitzero"`
	LastModifiedTime             timestamp `json:"LastModifiedTime,omitzero"`
}

// changedDestination is an API destination as those who change it are told of it.
func changedDestination(e route.Endpoint) destinationOutput {
	return destinationOutput{ARN: e.ARN, State: e.State(), CreationTime: timestamp(e.CreatedAt), LastModifiedTime: timestamp(e.ModifiedAt)}
}

// shownDestination is an API destination as lists have it.
func shownDestination(e route.Endpoint) destinationOutput {
	out := changedDestination(e)
	out.Name, out.ConnectionARN, out.InvocationEndpoint, out.HTTPMethod, out.InvocationRateLimitPerSecond = e.Name, e.ConnectionARN, e.Endpoint, e.Method, e.Rate
	return out
}

func (h *Handler) createDestination(ctx context.Context, c Caller, in *destinationInput) (any, error) {
	e, err := h.cfg.Desk.CreateDestination(ctx, in.put(c))
	return changedDestination(e), err
}

func (h *Handler) updateDestination(ctx context.Context, c Caller, in *destinationInput) (any, error) {
	e, err := h.cfg.Desk.UpdateDestination(ctx, in.put(c))
	return changedDestination(e), err
}

func (h *Handler) deleteDestination(ctx context.Context, c Caller, in *destinationInput) (any, error) {
	return done(h.cfg.Desk.DeleteDestination(ctx, in.Name, c.Principal.Name))
}

func (h *Handler) describeDestination(ctx context.Context, _ Caller, in *destinationInput) (any, error) {
	e, err := h.cfg.Desk.Destination(ctx, in.Name)
	out := shownDestination(e)
	out.Description = e.Description
	return out, err
}

func (h *Handler) listDestinations(ctx context.Context, _ Caller, in *destinationInput) (any, error) {
	question := []string{"destinations", in.ConnectionARN}
	p, err := in.paging(question...)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.Destinations(ctx, in.ConnectionARN, p)
	out := struct {
		ApiDestinations []destinationOutput //nolint:revive // AWS's name
		NextToken       string              `json:",omitempty"`
	}{ApiDestinations: []destinationOutput{}, NextToken: in.token(next, question...)}
	for _, e := range all {
		out.ApiDestinations = append(out.ApiDestinations, shownDestination(e))
	}
	return out, err
}
