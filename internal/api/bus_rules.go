package api

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/route"
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
}

// BusRuleTarget is where a rule sends what it gets.
type BusRuleTarget struct {
	ID  string `json:"id"`
	ARN string `json:"arn"`
}

type busRulesInput struct {
	Bus    string `query:"bus" maxLength:"256" default:"default"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"100"`
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
			found, next, err := shelf.Rules(ctx, in.Bus, route.Paging{After: in.Cursor, Limit: in.Limit}, nil)
			items := make([]BusRule, len(found))
			for i, r := range found {
				items[i] = busRuleOf(r)
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
		out.Targets[i] = BusRuleTarget{ID: t.ID, ARN: t.ARN}
	}
	return out
}
