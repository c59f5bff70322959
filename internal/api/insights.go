package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/insight"
)

// Insights keeps insights and custom actions, and sends findings to actions.
type Insights interface {
	InsightReader
	CreateInsight(ctx context.Context, c insight.Change, region, by string) (insight.Insight, error)
	UpdateInsight(ctx context.Context, arn string, c insight.Change, by string) (insight.Insight, error)
	DeleteInsight(ctx context.Context, arn, by string) error
	Actions
}

// InsightReader reads insights and answers them.
type InsightReader interface {
	Managed() []insight.Insight
	InsightNamed(ctx context.Context, text string) (insight.Insight, error)
	ListInsights(ctx context.Context, region string, limit int, cursor string) ([]insight.Insight, string, error)
	Results(ctx context.Context, i insight.Insight, accounts []string) ([]insight.Result, error)
}

// Actions are the custom actions.
type Actions interface {
	ActionNamed(ctx context.Context, text, region string) (insight.Action, error)
	ListActions(ctx context.Context, region string, limit int, cursor string) ([]insight.Action, string, error)
	CreateAction(ctx context.Context, n insight.NewAction, region, by string) (insight.Action, error)
	UpdateAction(ctx context.Context, arn string, name, description *string, by string) (insight.Action, error)
	DeleteAction(ctx context.Context, arn, by string) error
	Invoke(ctx context.Context, a insight.Action, ids []finding.ID, accounts []string, by string) ([]string, error)
	InvokeResults(ctx context.Context, a insight.Action, i insight.Insight, values, accounts []string, by string) (string, error)
}

// Insight is a saved question about findings.
type Insight struct {
	Key       string          `json:"key" doc:"Names the insight in paths: the last part of its ARN."`
	ARN       string          `json:"arn"`
	Name      string          `json:"name"`
	GroupBy   string          `json:"group_by" doc:"The attribute by which findings are counted, as AWS names it."`
	Filters   json.RawMessage `json:"filters" doc:"AwsSecurityFindingFilters: the findings that are counted."`
	Overdue   bool            `json:"overdue" doc:"Only findings whose deadline has passed are counted; only insights of Parry's own."`
	Managed   bool            `json:"managed" doc:"It is AWS's or Parry's own, and cannot be changed."`
	Derived   string          `json:"derived,omitempty" doc:"What AWS does not say of a managed one, and from what it follows."`
	Region    string          `json:"region,omitempty"`
	CreatedBy string          `json:"created_by,omitempty"`
	CreatedAt time.Time       `json:"created_at,omitzero"`
	UpdatedAt time.Time       `json:"updated_at,omitzero"`
}

func insightOf(i insight.Insight) (Insight, error) {
	raw, err := json.Marshal(i.Filters)
	return Insight{
		Key: i.Key(), ARN: i.ARN, Name: i.Name, GroupBy: i.GroupBy, Filters: raw, Overdue: i.Overdue(), Managed: i.Managed, Derived: i.Derived,
		Region: i.Region(), CreatedBy: i.CreatedBy, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}, err
}

// InsightRequest is an insight that is to be made or changed; of a change, what is absent
// stays as it is.
type InsightRequest struct {
	Name    *string         `json:"name,omitempty" maxLength:"1024"`
	GroupBy *string         `json:"group_by,omitempty" maxLength:"256" doc:"An attribute of the filters that holds text, such as ResourceId."`
	Filters json.RawMessage `json:"filters,omitempty" doc:"AwsSecurityFindingFilters."`
	Region  string          `json:"region,omitempty" maxLength:"32" pattern:"^[a-z]{2}[a-z0-9-]*$" doc:"Of the ARN; default the home Region. The insight is about all."`
}

func (r InsightRequest) change() insight.Change {
	return insight.Change{Name: r.Name, GroupBy: r.GroupBy, Filters: r.Filters}
}

// InsightAnswer is what an insight counted.
type InsightAnswer struct {
	Insight Insight         `json:"insight"`
	Results []InsightResult `json:"results" nullable:"false" doc:"At most 100, those with the most findings first."`
}

// InsightResult is how many findings have a value.
type InsightResult struct {
	Value string `json:"value" doc:"Untrusted text."`
	Count int64  `json:"count"`
}

// InsightPath names an insight. It is exported because huma skips embedded fields that
// are not.
type InsightPath struct {
	Key string `path:"key" maxLength:"256" doc:"The insight's key."`
}

type (
	insightsInput struct {
		Paging
		Kind string `query:"kind" enum:"all,custom,managed" default:"all"`
	}
	insightOutput       struct{ Body Insight }
	insightAnswerOutput struct{ Body InsightAnswer }
	createInsightInput  struct{ Body InsightRequest }
	updateInsightInput  struct {
		InsightPath
		Body InsightRequest
	}
)

func (a *API) registerInsights() {
	const tag, path = "insights", "/v1/insights"
	register(a, operation{id: "list-insights", method: http.MethodGet, path: path, summary: "List insights; the managed ones stand on the first page, whatever its limit", tag: tag}, auth.FindingRead, a.listInsights)
	register(a, operation{id: "create-insight", method: http.MethodPost, path: path, summary: "Make a custom insight", tag: tag, status: http.StatusCreated}, auth.InsightWrite, forAll(auth.InsightWrite, a.createInsight))
	register(a, operation{id: "get-insight", method: http.MethodGet, path: path + "/{key}", summary: "Show an insight", tag: tag}, auth.FindingRead,
		func(ctx context.Context, _ auth.Principal, in *InsightPath) (*insightOutput, error) {
			i, err := a.cfg.Insights.InsightNamed(ctx, in.Key)
			return shownInsight(i, err)
		})
	register(a, operation{id: "get-insight-results", method: http.MethodGet, path: path + "/{key}/results", summary: "Answer an insight, within the caller's accounts", tag: tag}, auth.FindingRead, a.insightResults)
	register(a, operation{id: "update-insight", method: http.MethodPatch, path: path + "/{key}", summary: "Change a custom insight", tag: tag}, auth.InsightWrite, forAll(auth.InsightWrite, a.updateInsight))
	register(a, operation{id: "delete-insight", method: http.MethodDelete, path: path + "/{key}", summary: "Delete a custom insight", tag: tag, status: http.StatusNoContent}, auth.InsightWrite,
		forAll(auth.InsightWrite, func(ctx context.Context, p auth.Principal, in *InsightPath) (*struct{}, error) {
			i, err := a.cfg.Insights.InsightNamed(ctx, in.Key)
			if err != nil {
				return nil, err
			}
			return nil, a.cfg.Insights.DeleteInsight(ctx, i.ARN, p.Name)
		}))
}

func shownInsight(i insight.Insight, err error) (*insightOutput, error) {
	if err != nil {
		return nil, err
	}
	out, err := insightOf(i)
	return &insightOutput{out}, err
}

func (a *API) listInsights(ctx context.Context, _ auth.Principal, in *insightsInput) (*page[Insight], error) {
	var all []insight.Insight
	if in.Kind != "custom" && in.Cursor == "" {
		all = a.cfg.Insights.Managed()
	}
	next := ""
	if in.Kind != "managed" {
		custom, more, err := a.cfg.Insights.ListInsights(ctx, "", in.Limit, in.Cursor)
		if err != nil {
			return nil, err
		}
		all, next = append(all, custom...), more
	}
	items := make([]Insight, len(all))
	for n, i := range all {
		var err error
		if items[n], err = insightOf(i); err != nil {
			return nil, err
		}
	}
	return pageOf(items, next), nil
}

func (a *API) createInsight(ctx context.Context, p auth.Principal, in *createInsightInput) (*insightOutput, error) {
	if in.Body.Name == nil || in.Body.GroupBy == nil || len(in.Body.Filters) == 0 {
		return nil, fault.Errorf(fault.Invalid, "create insight", "name, group_by and filters are needed")
	}
	i, err := a.cfg.Insights.CreateInsight(ctx, in.Body.change(), in.Body.Region, p.Name)
	return shownInsight(i, err)
}

func (a *API) updateInsight(ctx context.Context, p auth.Principal, in *updateInsightInput) (*insightOutput, error) {
	if in.Body.Region != "" {
		return nil, fault.Errorf(fault.Invalid, "change insight", "its Region cannot be changed")
	}
	i, err := a.cfg.Insights.InsightNamed(ctx, in.Key)
	if err == nil {
		i, err = a.cfg.Insights.UpdateInsight(ctx, i.ARN, in.Body.change(), p.Name)
	}
	return shownInsight(i, err)
}

func (a *API) insightResults(ctx context.Context, p auth.Principal, in *InsightPath) (*insightAnswerOutput, error) {
	i, err := a.cfg.Insights.InsightNamed(ctx, in.Key)
	if err != nil {
		return nil, err
	}
	found, err := a.cfg.Insights.Results(ctx, i, auth.Scope(p))
	if err != nil {
		return nil, err
	}
	out := InsightAnswer{Results: make([]InsightResult, len(found))}
	for n, r := range found {
		out.Results[n] = InsightResult{r.Value, r.N}
	}
	out.Insight, err = insightOf(i)
	return &insightAnswerOutput{out}, err
}
