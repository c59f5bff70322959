package events

import (
	"context"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/buspolicy"
	"github.com/parry-security/parry/internal/route"
)

// done is the answer of operations that answer nothing.
func done(err error) (any, error) { return struct{}{}, err }

type tag struct{ Key, Value string }

func tagsOf(list []tag) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, t := range list {
		if _, given := out[t.Key]; given {
			return nil, invalid("The tag key %s is given twice.", protocol.Clip(t.Key))
		}
		out[t.Key] = t.Value
	}
	return out, nil
}

type busInput struct {
	Name             string
	Description      string
	EventSourceName  string
	KmsKeyIdentifier string
	DeadLetterConfig *struct{ Arn string }
	LogConfig        *struct{ IncludeDetail, Level string }
	Tags             []tag
}

// check refuses what would be believed and not done.
func (in busInput) check() error {
	switch {
	case in.EventSourceName != "":
		return &protocol.Error{Status: 400, Code: "ResourceNotFoundException", Message: "Event source " + protocol.Clip(in.EventSourceName) + " does not exist. Parry has no partner event sources."}
	case in.KmsKeyIdentifier != "":
		return noKey()
	case in.DeadLetterConfig != nil && in.DeadLetterConfig.Arn != "":
		return invalid("DeadLetterConfig of an event bus is for events that KMS cannot encrypt, which Parry has not. Give it to the target of a rule.")
	case in.LogConfig != nil && in.LogConfig.Level != "" && in.LogConfig.Level != "OFF":
		return invalid("Parry keeps no log of each event. Make a rule with a log as its target.")
	}
	return nil
}

func noKey() error {
	return invalid("KmsKeyIdentifier is not served: Parry seals what it keeps by its own data key.")
}

type busOutput struct {
	EventBusARN      string    `json:"EventBusArn,omitempty"`
	Name             string    `json:"Name,omitempty"`
	ARN              string    `json:"Arn,omitempty"`
	Description      string    `json:"Description,omitempty"`
	Policy           string    `json:"Policy,omitempty"`
	CreationTime     timestamp `json:"CreationTime,omitzero"`
	LastModifiedTime timestamp `json:"LastModifiedTime,omitzero"`
}

func shownBus(b route.EventBus) busOutput {
	return busOutput{Name: b.Name, ARN: b.ARN, Description: b.Description, Policy: b.Policy, CreationTime: timestamp(b.CreatedAt), LastModifiedTime: timestamp(b.UpdatedAt)}
}

func (h *Handler) createBus(ctx context.Context, c Caller, in *busInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	b, err := h.cfg.Desk.CreateBus(ctx, in.Name, in.Description, tags, c.Principal.Name)
	return busOutput{EventBusARN: b.ARN, Description: b.Description}, err
}

func (h *Handler) updateBus(ctx context.Context, c Caller, in *busInput) (any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	b, err := h.cfg.Desk.UpdateBus(ctx, in.Name, in.Description, c.Principal.Name)
	return busOutput{Name: b.Name, ARN: b.ARN, Description: b.Description}, err
}

func (h *Handler) deleteBus(ctx context.Context, c Caller, in *busInput) (any, error) {
	return done(h.cfg.Desk.DeleteBus(ctx, in.Name, c.Principal.Name))
}

func (h *Handler) describeBus(ctx context.Context, _ Caller, in *busInput) (any, error) {
	b, err := h.cfg.Desk.Bus(ctx, in.Name)
	return shownBus(b), err
}

func (h *Handler) listBuses(ctx context.Context, _ Caller, in *paged) (any, error) {
	p, err := in.paging("buses")
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.Buses(ctx, p)
	out := struct {
		EventBuses []busOutput
		NextToken  string `json:",omitempty"`
	}{EventBuses: []busOutput{}, NextToken: in.token(next, "buses")}
	for _, b := range all {
		out.EventBuses = append(out.EventBuses, shownBus(b))
	}
	return out, err
}

type permissionInput struct {
	EventBusName, Action, Principal, StatementID, Policy string
	Condition                                            *struct{ Type, Key, Value string }
	RemoveAllPermissions                                 bool
}

func (h *Handler) putPermission(ctx context.Context, c Caller, in *permissionInput) (any, error) {
	single := in.Action != "" || in.Principal != "" || in.StatementID != "" || in.Condition != nil
	switch {
	case in.Policy != "" && single:
		return nil, invalid("Policy is given in place of Action, Principal, StatementId and Condition.")
	case in.Policy != "":
		return done(h.cfg.Desk.SetPolicy(ctx, in.EventBusName, in.Policy, c.Principal.Name))
	}
	p := buspolicy.Permission{StatementID: in.StatementID, Action: in.Action, Principal: in.Principal}
	if in.Condition != nil {
		p.Condition = &buspolicy.Condition{Type: in.Condition.Type, Key: in.Condition.Key, Value: in.Condition.Value}
	}
	return done(h.cfg.Desk.PutPermission(ctx, in.EventBusName, p, c.Principal.Name))
}

func (h *Handler) removePermission(ctx context.Context, c Caller, in *permissionInput) (any, error) {
	switch {
	case in.RemoveAllPermissions:
		return done(h.cfg.Desk.SetPolicy(ctx, in.EventBusName, "", c.Principal.Name))
	case in.StatementID == "":
		return nil, invalid("Parameter StatementId must be specified, or RemoveAllPermissions.")
	}
	return done(h.cfg.Desk.RemovePermission(ctx, in.EventBusName, in.StatementID, c.Principal.Name))
}

type tagInput struct {
	ResourceARN string
	Tags        []tag
	TagKeys     []string
}

func (h *Handler) tag(ctx context.Context, c Caller, in *tagInput) (any, error) {
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	return done(h.cfg.Desk.SetTags(ctx, in.ResourceARN, tags, nil, c.Principal.Name))
}

func (h *Handler) untag(ctx context.Context, c Caller, in *tagInput) (any, error) {
	return done(h.cfg.Desk.SetTags(ctx, in.ResourceARN, nil, in.TagKeys, c.Principal.Name))
}

func (h *Handler) listTags(ctx context.Context, _ Caller, in *tagInput) (any, error) {
	tags, err := h.cfg.Desk.Tags(ctx, in.ResourceARN)
	out := struct{ Tags []tag }{[]tag{}}
	for _, key := range sortedKeys(tags) {
		out.Tags = append(out.Tags, tag{key, tags[key]})
	}
	return out, err
}
