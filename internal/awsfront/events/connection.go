package events

import (
	"context"

	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

type connectionInput struct {
	paged
	Name, AuthorizationType, KmsKeyIdentifier string
	ConnectionState                           string
	Description                               *string
	AuthParameters                            *target.AuthParameters
	InvocationConnectivityParameters          *struct{}
}

// put refuses what would be believed and not done.
func (in connectionInput) put(c Caller) (route.PutConnection, error) {
	switch {
	case in.KmsKeyIdentifier != "":
		return route.PutConnection{}, noKey()
	case in.InvocationConnectivityParameters != nil:
		return route.PutConnection{}, invalid("InvocationConnectivityParameters is not served: Parry reaches no private network by VPC Lattice. Leave it out; Parry calls private addresses itself where webhooks.allow_private of parry.yaml is set.")
	}
	return route.PutConnection{Name: in.Name, Type: in.AuthorizationType, Description: in.Description, Auth: in.AuthParameters, By: c.Principal.Name}, nil
}

type connectionOutput struct {
	ConnectionARN      string                 `json:"ConnectionArn,omitempty"`
	Name               string                 `json:"Name,omitempty"`
	Description        string                 `json:"Description,omitempty"`
	ConnectionState    string                 `json:"ConnectionState,omitempty"`
	StateReason        string                 `json:"StateReason,omitempty"`
	AuthorizationType  string                 `json:"AuthorizationType,omitempty"`
	AuthParameters     *target.AuthParameters `json:"AuthParameters,omitempty"` // without secrets, as all their JSON
	CreationTime       timestamp              `json:"CreationTime,omitzero"`
	LastModifiedTime   timestamp              `json:"LastModifiedTime,omitzero"`
	LastAuthorizedTime timestamp              `json:"LastAuthorizedTime,omitzero"`
}

// changedConnection is a connection as those who change it are told of it.
func changedConnection(c target.Connection) connectionOutput {
	return connectionOutput{
		ConnectionARN: c.ARN, ConnectionState: c.State, CreationTime: timestamp(c.CreatedAt), LastModifiedTime: timestamp(c.ModifiedAt), LastAuthorizedTime: timestamp(c.AuthorizedAt),
	}
}

// shownConnection is a connection as lists have it.
func shownConnection(c target.Connection) connectionOutput {
	out := changedConnection(c)
	out.Name, out.StateReason, out.AuthorizationType = c.Name, c.Reason, c.Type
	return out
}

func (h *Handler) createConnection(ctx context.Context, c Caller, in *connectionInput) (any, error) {
	p, err := in.put(c)
	if err != nil {
		return nil, err
	}
	made, err := h.cfg.Desk.CreateConnection(ctx, p)
	out := changedConnection(made)
	out.LastAuthorizedTime = timestamp{} // it is not among what AWS answers
	return out, err
}

func (h *Handler) updateConnection(ctx context.Context, c Caller, in *connectionInput) (any, error) {
	p, err := in.put(c)
	if err != nil {
		return nil, err
	}
	changed, err := h.cfg.Desk.UpdateConnection(ctx, p)
	return changedConnection(changed), err
}

func (h *Handler) deauthorizeConnection(ctx context.Context, c Caller, in *connectionInput) (any, error) {
	changed, err := h.cfg.Desk.DeauthorizeConnection(ctx, in.Name, c.Principal.Name)
	return changedConnection(changed), err
}

func (h *Handler) deleteConnection(ctx context.Context, c Caller, in *connectionInput) (any, error) {
	gone, err := h.cfg.Desk.DeleteConnection(ctx, in.Name, c.Principal.Name)
	return changedConnection(gone), err
}

func (h *Handler) describeConnection(ctx context.Context, _ Caller, in *connectionInput) (any, error) {
	c, err := h.cfg.Desk.Connection(ctx, in.Name)
	out := shownConnection(c)
	out.Description, out.AuthParameters = c.Description, &c.Auth
	return out, err
}

func (h *Handler) listConnections(ctx context.Context, _ Caller, in *connectionInput) (any, error) {
	question := []string{"connections", in.ConnectionState}
	p, err := in.paging(question...)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.Connections(ctx, in.ConnectionState, p)
	out := struct {
		Connections []connectionOutput
		NextToken   string `json:",omitempty"`
	}{Connections: []connectionOutput{}, NextToken: in.token(next, question...)}
	for _, c := range all {
		out.Connections = append(out.Connections, shownConnection(c))
	}
	return out, err
}
