package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

// RuleShelf keeps buses and their rules.
type RuleShelf interface {
	Buses(ctx context.Context, p route.Paging) ([]route.EventBus, string, error)
	Rules(ctx context.Context, bus string, p route.Paging, keep func(route.StoredRule) bool) ([]route.StoredRule, string, error)
}

// EventBus is a bus of events.
type EventBus struct {
	Name        string `json:"name"`
	ARN         string `json:"arn"`
	Description string `json:"description,omitempty"`
}

// BusRule is a rule of a bus, with what it sends where. Its texts are untrusted.
type BusRule struct {
	Name        string          `json:"name"`
	Bus         string          `json:"bus"`
	ARN         string          `json:"arn"`
	Enabled     bool            `json:"enabled"`
	Configured  bool            `json:"configured" doc:"Whether it is of parry.yaml, and is changed there."`
	Pattern     string          `json:"pattern,omitempty" doc:"The event pattern: JSON."`
	Schedule    string          `json:"schedule,omitempty"`
	Description string          `json:"description,omitempty"`
	Targets     []BusRuleTarget `json:"targets" nullable:"false"`
	// Transformers is how the input transformers of the targets fill in.
	Transformers string    `json:"transformers" enum:"parry,aws" doc:"How input transformers fill in: event_transformers of parry.yaml."`
	Dropped      int64     `json:"dropped" doc:"Events that it matched and did not take, on the node that answers, since it last changed or the node started: they had passed too many rules, or were of a loop."`
	DroppedAt    time.Time `json:"dropped_at,omitzero" doc:"When the last was dropped."`
	DroppedWhy   string    `json:"dropped_reason,omitempty" doc:"Why the last was."`
}

// BusRuleTarget is where a rule sends what it gets.
type BusRuleTarget struct {
	ID            string            `json:"id"`
	ARN           string            `json:"arn"`
	Input         string            `json:"input,omitempty" doc:"A constant that it is sent."`
	InputPath     string            `json:"input_path,omitempty" doc:"The part of the event that it is sent."`
	InputPaths    map[string]string `json:"input_paths,omitempty" doc:"InputPathsMap of the input transformer."`
	InputTemplate string            `json:"input_template,omitempty"`
}

// Target is the target as the bus has it, as far as its input goes.
func (t BusRuleTarget) Target() target.Target {
	out := target.Target{ID: t.ID, ARN: t.ARN, Input: t.Input, InputPath: t.InputPath}
	if t.InputTemplate != "" {
		out.InputTransformer = &target.InputTransformer{InputPathsMap: t.InputPaths, InputTemplate: t.InputTemplate}
	}
	return out
}

type busRulesInput struct {
	Bus    string `query:"bus" maxLength:"256" default:"default"`
	Prefix string `query:"prefix" maxLength:"64" doc:"Only rules whose name begins so."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"100"`
	Cursor string `query:"cursor" maxLength:"400" doc:"The name behind which the page begins."`
}

type busesInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"100"`
	Cursor string `query:"cursor" maxLength:"256" doc:"The name behind which the page begins."`
}

func (a *API) registerBusRules(tag string) {
	shelf := a.cfg.Bus.Rules // nil where only the document is written
	register(a, operation{id: "list-buses", method: http.MethodGet, path: "/v1/bus/buses", summary: "List event buses by name", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *busesInput) (*page[EventBus], error) {
			found, next, err := shelf.Buses(ctx, route.Paging{After: in.Cursor, Limit: in.Limit})
			items := make([]EventBus, len(found))
			for i, b := range found {
				items[i] = EventBus{Name: b.Name, ARN: b.ARN, Description: b.Description}
			}
			return pageOf(items, next), err
		}))
	register(a, operation{id: "list-bus-rules", method: http.MethodGet, path: "/v1/bus/rules", summary: "List the rules of an event bus by name, with their targets", tag: tag}, auth.EventRuleRead,
		forAll(auth.EventRuleRead, func(ctx context.Context, _ auth.Principal, in *busRulesInput) (*page[BusRule], error) {
			found, next, err := shelf.Rules(ctx, in.Bus, route.Paging{Prefix: in.Prefix, After: in.Cursor, Limit: in.Limit}, nil)
			items := make([]BusRule, len(found))
			for i, r := range found {
				drops := a.cfg.Bus.Drops(r.Bus, r.Name)
				items[i] = busRuleOf(r)
				items[i].Transformers, items[i].Dropped, items[i].DroppedAt, items[i].DroppedWhy = a.cfg.Bus.Transformers, drops.Events, drops.At, drops.Reason
			}
			return pageOf(items, next), err
		}))
}

func busRuleOf(r route.StoredRule) BusRule {
	out := BusRule{
		Name: r.Name, Bus: r.Bus, ARN: r.ARN, Enabled: r.Enabled(), Configured: r.Configured, Pattern: r.Pattern, Schedule: r.Schedule, Description: r.Description,
		Targets: make([]BusRuleTarget, len(r.Targets)),
	}
	for i, t := range r.Targets {
		out.Targets[i] = BusRuleTarget{ID: t.ID, ARN: t.ARN, Input: t.Input, InputPath: t.InputPath}
		if tr := t.InputTransformer; tr != nil {
			out.Targets[i].InputPaths, out.Targets[i].InputTemplate = tr.InputPathsMap, tr.InputTemplate
		}
	}
	return out
}
