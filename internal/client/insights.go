package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/api"
)

const (
	insightsPath = "/v1/insights"
	actionsPath  = "/v1/actions"
)

// Insights lists insights: kind is all, custom or managed.
func (c *Client) Insights(ctx context.Context, kind string, p Paging) (api.Page[api.Insight], error) {
	v := p.values()
	set(v, "kind", kind)
	var out api.Page[api.Insight]
	err := c.call(ctx, http.MethodGet, insightsPath, v, nil, &out)
	return out, err
}

// Insight gives the insight with this key.
func (c *Client) Insight(ctx context.Context, key string) (api.Insight, error) {
	var out api.Insight
	err := c.at(ctx, http.MethodGet, insightsPath, key, "", nil, nil, &out)
	return out, err
}

// at calls an endpoint whose path has an id from outside.
func (c *Client) at(ctx context.Context, method, prefix, id, suffix string, query url.Values, in, out any) error {
	where, err := path(prefix+"/", id, suffix)
	if err != nil {
		return err
	}
	return c.call(ctx, method, where, query, in, out)
}

// CreateInsight makes a custom insight.
func (c *Client) CreateInsight(ctx context.Context, r api.InsightRequest) (api.Insight, error) {
	var out api.Insight
	err := c.call(ctx, http.MethodPost, insightsPath, nil, r, &out)
	return out, err
}

// UpdateInsight changes what r has of a custom insight.
func (c *Client) UpdateInsight(ctx context.Context, key string, r api.InsightRequest) (api.Insight, error) {
	var out api.Insight
	err := c.at(ctx, http.MethodPatch, insightsPath, key, "", nil, r, &out)
	return out, err
}

// DeleteInsight deletes a custom insight.
func (c *Client) DeleteInsight(ctx context.Context, key string) error {
	return c.at(ctx, http.MethodDelete, insightsPath, key, "", nil, nil, nil)
}

// InsightResults answers an insight.
func (c *Client) InsightResults(ctx context.Context, key string) (api.InsightAnswer, error) {
	var out api.InsightAnswer
	err := c.at(ctx, http.MethodGet, insightsPath, key, "/results", nil, nil, &out)
	return out, err
}

// Actions lists custom actions.
func (c *Client) Actions(ctx context.Context, p Paging) (api.Page[api.Action], error) {
	var out api.Page[api.Action]
	err := c.call(ctx, http.MethodGet, actionsPath, p.values(), nil, &out)
	return out, err
}

// CreateAction makes a custom action.
func (c *Client) CreateAction(ctx context.Context, n api.NewAction) (api.Action, error) {
	var out api.Action
	err := c.call(ctx, http.MethodPost, actionsPath, nil, n, &out)
	return out, err
}

// UpdateAction changes what r has of a custom action; region "" where there is but one.
func (c *Client) UpdateAction(ctx context.Context, id, region string, r api.ActionChange) (api.Action, error) {
	var out api.Action
	err := c.at(ctx, http.MethodPatch, actionsPath, id, "", inRegion(region), r, &out)
	return out, err
}

// DeleteAction deletes a custom action.
func (c *Client) DeleteAction(ctx context.Context, id, region string) error {
	return c.at(ctx, http.MethodDelete, actionsPath, id, "", inRegion(region), nil, nil)
}

// Invoke sends findings, or results of an insight, to a custom action.
func (c *Client) Invoke(ctx context.Context, id, region string, what api.Invocation) (api.Invoked, error) {
	var out api.Invoked
	err := c.at(ctx, http.MethodPost, actionsPath, id, "/invoke", inRegion(region), what, &out)
	return out, err
}

func inRegion(region string) url.Values {
	v := url.Values{}
	set(v, "region", region)
	return v
}

// CountFindings counts the findings that f selects by several attributes.
func (c *Client) CountFindings(ctx context.Context, f FindingFilter, group []string, limit int) (api.FindingCounts, error) {
	v := f.values(Paging{Limit: limit})
	v.Del("sort")
	set(v, "group", strings.Join(group, ","))
	var out api.FindingCounts
	err := c.call(ctx, http.MethodGet, "/v1/findings/counts", v, nil, &out)
	return out, err
}

// TrendQuery asks how the number of findings went; a zero field does not restrict.
type TrendQuery struct {
	Days                              int
	Group, Account, Severity, Control string
	AllAccounts                       bool
	Limit                             int
}

// FindingTrends says how the number of findings went, day by day.
func (c *Client) FindingTrends(ctx context.Context, q TrendQuery) (api.FindingTrends, error) {
	v := Paging{Limit: q.Limit}.values()
	for name, value := range map[string]string{"group": q.Group, "account": q.Account, "severity": q.Severity, "control": q.Control} {
		set(v, name, value)
	}
	if q.Days > 0 {
		v.Set("days", strconv.Itoa(q.Days))
	}
	if q.AllAccounts {
		v.Set("all_accounts", "true")
	}
	var out api.FindingTrends
	err := c.call(ctx, http.MethodGet, "/v1/findings/trends", v, nil, &out)
	return out, err
}
