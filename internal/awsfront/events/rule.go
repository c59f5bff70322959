package events

import (
	"context"
	"maps"
	"slices"

	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

type ruleInput struct {
	Name, EventBusName, EventPattern, ScheduleExpression, State, Description string
	RoleARN                                                                  string `json:"RoleArn"`
	Tags                                                                     []tag
	// Force is for rules that a service manages; those of parry.yaml do not give way to it.
	Force bool
}

type ruleOutput struct {
	Name               string `json:"Name,omitempty"`
	ARN                string `json:"Arn,omitempty"`
	EventPattern       string `json:"EventPattern,omitempty"`
	ScheduleExpression string `json:"ScheduleExpression,omitempty"`
	State              string `json:"State,omitempty"`
	Description        string `json:"Description,omitempty"`
	RoleARN            string `json:"RoleArn,omitempty"`
	ManagedBy          string `json:"ManagedBy,omitempty"`
	EventBusName       string `json:"EventBusName,omitempty"`
	CreatedBy          string `json:"CreatedBy,omitempty"`
}

func shownRule(r route.StoredRule) ruleOutput {
	out := ruleOutput{
		Name: r.Name, ARN: r.ARN, EventPattern: r.Pattern, ScheduleExpression: r.Schedule, State: r.State, Description: r.Description, RoleARN: r.RoleARN, EventBusName: r.Bus,
	}
	if r.Configured {
		out.ManagedBy = route.ManagedBy
	}
	return out
}

func (h *Handler) putRule(ctx context.Context, c Caller, in *ruleInput) (any, error) {
	tags, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	r, err := h.cfg.Desk.PutRule(ctx, route.PutRule{
		Bus: in.EventBusName, Name: in.Name, Pattern: in.EventPattern, Schedule: in.ScheduleExpression, State: in.State,
		Description: in.Description, RoleARN: in.RoleARN, Tags: tags, By: c.Principal.Name,
	})
	return struct{ RuleArn string }{r.ARN}, err
}

func (h *Handler) deleteRule(ctx context.Context, c Caller, in *ruleInput) (any, error) {
	return done(h.cfg.Desk.DeleteRule(ctx, in.EventBusName, in.Name, c.Principal.Name))
}

func (h *Handler) enableRule(ctx context.Context, c Caller, in *ruleInput) (any, error) {
	return done(h.cfg.Desk.SetRuleState(ctx, in.EventBusName, in.Name, true, c.Principal.Name))
}

func (h *Handler) disableRule(ctx context.Context, c Caller, in *ruleInput) (any, error) {
	return done(h.cfg.Desk.SetRuleState(ctx, in.EventBusName, in.Name, false, c.Principal.Name))
}

func (h *Handler) describeRule(ctx context.Context, _ Caller, in *ruleInput) (any, error) {
	r, err := h.cfg.Desk.Rule(ctx, in.EventBusName, in.Name)
	out := shownRule(r)
	out.CreatedBy = r.CreatedBy
	return out, err
}

type rulesInput struct {
	paged
	EventBusName string
	TargetARN    string `json:"TargetArn"`
}

func (h *Handler) listRules(ctx context.Context, _ Caller, in *rulesInput) (any, error) {
	p, err := in.paging("rules", in.EventBusName)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.Rules(ctx, in.EventBusName, p, nil)
	out := struct {
		Rules     []ruleOutput
		NextToken string `json:",omitempty"`
	}{Rules: []ruleOutput{}, NextToken: in.token(next, "rules", in.EventBusName)}
	for _, r := range all {
		out.Rules = append(out.Rules, shownRule(r))
	}
	return out, err
}

func (h *Handler) listRuleNames(ctx context.Context, _ Caller, in *rulesInput) (any, error) {
	p, err := in.paging("rules of", in.EventBusName, in.TargetARN)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.RulesOf(ctx, in.EventBusName, in.TargetARN, p)
	out := struct {
		RuleNames []string
		NextToken string `json:",omitempty"`
	}{RuleNames: []string{}, NextToken: in.token(next, "rules of", in.EventBusName, in.TargetARN)}
	for _, r := range all {
		out.RuleNames = append(out.RuleNames, r.Name)
	}
	return out, err
}

type targetsInput struct {
	paged
	Rule, EventBusName string
	Targets            []target.Target
	IDs                []string `json:"Ids"`
	Force              bool     // see ruleInput
}

// failedEntry is a target that was not put.
type failedEntry struct {
	TargetID     string `json:"TargetId"`
	ErrorCode    string
	ErrorMessage string
}

type targetsOutput struct {
	FailedEntryCount int
	FailedEntries    []failedEntry
}

func (h *Handler) putTargets(ctx context.Context, c Caller, in *targetsInput) (any, error) {
	put := route.PutTargets{Bus: in.EventBusName, Rule: in.Rule, Targets: in.Targets, By: c.Principal.Name}
	if h.cfg.Starts != nil {
		put.Starts = func(ctx context.Context, t target.Target) error { return h.cfg.Starts(ctx, c.Principal, t) }
	}
	failed, err := h.cfg.Desk.PutTargets(ctx, put)
	out := targetsOutput{FailedEntryCount: len(failed), FailedEntries: []failedEntry{}}
	for _, f := range failed {
		out.FailedEntries = append(out.FailedEntries, failedEntry{f.ID, f.Code, f.Message})
	}
	return out, err
}

func (h *Handler) removeTargets(ctx context.Context, c Caller, in *targetsInput) (any, error) {
	err := h.cfg.Desk.RemoveTargets(ctx, in.EventBusName, in.Rule, in.IDs, c.Principal.Name)
	return targetsOutput{FailedEntries: []failedEntry{}}, err
}

func (h *Handler) listTargets(ctx context.Context, _ Caller, in *targetsInput) (any, error) {
	p, err := in.paging("targets", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Desk.Targets(ctx, in.EventBusName, in.Rule, p)
	if all == nil {
		all = []target.Target{}
	}
	return struct {
		Targets   []target.Target
		NextToken string `json:",omitempty"`
	}{all, in.token(next, "targets", in.EventBusName, in.Rule)}, err
}

type patternInput struct{ EventPattern, Event string }

func (h *Handler) testPattern(_ context.Context, _ Caller, in *patternInput) (any, error) {
	ok, err := route.TestPattern(in.EventPattern, in.Event)
	return struct{ Result bool }{ok}, err
}
