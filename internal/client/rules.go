package client

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/triage"
)

const rulesPath = "/v1/automation-rules"

// Rules lists automation rules in the order of application.
func (c *Client) Rules(ctx context.Context, p Paging) (api.Page[api.AutomationRule], error) {
	var out api.Page[api.AutomationRule]
	err := c.call(ctx, http.MethodGet, rulesPath, p.values(), nil, &out)
	return out, err
}

// Rule gives the automation rule with this key.
func (c *Client) Rule(ctx context.Context, key string) (api.AutomationRuleDetail, error) {
	return c.rule(ctx, http.MethodGet, key, nil)
}

// CreateRule makes an automation rule.
func (c *Client) CreateRule(ctx context.Context, r api.RuleRequest) (api.AutomationRuleDetail, error) {
	var out api.AutomationRuleDetail
	err := c.call(ctx, http.MethodPost, rulesPath, nil, r, &out)
	return out, err
}

// UpdateRule changes the members of a rule that r has.
func (c *Client) UpdateRule(ctx context.Context, key string, r api.RuleRequest) (api.AutomationRuleDetail, error) {
	return c.rule(ctx, http.MethodPatch, key, r)
}

func (c *Client) rule(ctx context.Context, method, key string, in any) (api.AutomationRuleDetail, error) {
	var out api.AutomationRuleDetail
	at, err := path(rulesPath+"/", key, "")
	if err == nil {
		err = c.call(ctx, method, at, nil, in, &out)
	}
	return out, err
}

// DeleteRule deletes an automation rule.
func (c *Client) DeleteRule(ctx context.Context, key string) error {
	at, err := path(rulesPath+"/", key, "")
	if err == nil {
		err = c.call(ctx, http.MethodDelete, at, nil, nil, nil)
	}
	return err
}

// PreviewRule says what a rule would do; nothing is written.
func (c *Client) PreviewRule(ctx context.Context, q api.PreviewRuleRequest) (triage.Preview, error) {
	var out triage.Preview
	err := c.call(ctx, http.MethodPost, rulesPath+"/preview", nil, q, &out)
	return out, err
}

// RunRule begins a run of a rule over the stored findings of accounts; none is all.
func (c *Client) RunRule(ctx context.Context, key string, accounts []string) (triage.RuleRun, error) {
	var out triage.RuleRun
	at, err := path(rulesPath+"/", key, "/runs")
	if err == nil {
		err = c.call(ctx, http.MethodPost, at, nil, api.RunRuleRequest{Accounts: accounts}, &out)
	}
	return out, err
}

// RuleRuns lists runs, the latest first: of the rule with this key, or of all for "".
func (c *Client) RuleRuns(ctx context.Context, key string, p Paging) (api.Page[triage.RuleRun], error) {
	v := p.values()
	set(v, "rule", key)
	var out api.Page[triage.RuleRun]
	err := c.call(ctx, http.MethodGet, "/v1/automation-rule-runs", v, nil, &out)
	return out, err
}

// RuleRun gives one run.
func (c *Client) RuleRun(ctx context.Context, id string) (triage.RuleRun, error) {
	return c.ruleRun(ctx, http.MethodGet, id, "")
}

// CancelRuleRun ends a run; what it changed stays.
func (c *Client) CancelRuleRun(ctx context.Context, id string) (triage.RuleRun, error) {
	return c.ruleRun(ctx, http.MethodPost, id, "/cancel")
}

func (c *Client) ruleRun(ctx context.Context, method, id, suffix string) (triage.RuleRun, error) {
	var out triage.RuleRun
	at, err := path("/v1/automation-rule-runs/", id, suffix)
	if err == nil {
		err = c.call(ctx, method, at, nil, nil, &out)
	}
	return out, err
}
