package api

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// Rules are the automation rules.
type Rules interface {
	RuleReader
	RuleRuns
	CreateRule(ctx context.Context, n triage.NewRule) (triage.StoredRule, error)
	UpdateRules(ctx context.Context, version int, changes []triage.RuleChange, by string) ([]triage.RuleOutcome, error)
	DeleteRules(ctx context.Context, version int, names []string, by string) ([]triage.RuleOutcome, error)
	PreviewRule(ctx context.Context, q triage.PreviewRequest) (triage.Preview, error)
	ExplainRule(r rule.Rule, record store.FindingRecord) (triage.RuleAnswer, error)
}

// RuleReader reads the automation rules and their counters.
type RuleReader interface {
	Rule(ctx context.Context, text string) (triage.StoredRule, error)
	ListRules(ctx context.Context, q triage.RuleQuery) ([]triage.StoredRule, string, error)
	RuleHits(ctx context.Context, rules []triage.StoredRule) (map[string]store.RuleHit, error)
}

// RuleRuns are the runs of rules over what is stored.
type RuleRuns interface {
	StartRun(ctx context.Context, text string, accounts []string, by string) (triage.RuleRun, error)
	CancelRun(ctx context.Context, id, by string) (triage.RuleRun, error)
	Run(ctx context.Context, id string) (triage.RuleRun, error)
	Runs(ctx context.Context, rule string, limit int, cursor string) ([]triage.RuleRun, string, error)
}

// AutomationRule is an automation rule as it is listed.
type AutomationRule struct {
	Key         string    `json:"key" doc:"Names the rule in paths: the last part of its ARN."`
	ARN         string    `json:"arn,omitempty" doc:"Absent of a configured rule."`
	Version     int       `json:"version" enum:"1,2" doc:"Whose criteria and actions it has: Security Hub CSPM's (1, ASFF) or Security Hub's (2, OCSF)."`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Order       float64   `json:"order" doc:"Rules are applied in ascending order."`
	Terminal    bool      `json:"terminal" doc:"Later rules are not applied to a finding that it matched."`
	Status      string    `json:"status" enum:"ENABLED,DISABLED,EXPIRED,BROKEN"`
	Problem     string    `json:"problem,omitempty" doc:"Why it is BROKEN."`
	Configured  bool      `json:"configured" doc:"It is of the configuration, where alone it can be changed."`
	CreatedBy   string    `json:"created_by,omitempty"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero" doc:"From then on it is as good as disabled."`
	Matched     int64     `json:"matched" doc:"Versions of findings that met its criteria."`
	Changed     int64     `json:"changed" doc:"Those of them that its action changed."`
	LastHitAt   time.Time `json:"last_hit_at,omitzero"`
}

// AutomationRuleDetail is an automation rule whole.
type AutomationRuleDetail struct {
	AutomationRule
	Document json.RawMessage `json:"document" doc:"The rule in AWS's form."`
}

// RulePath names an automation rule in a path.
type RulePath struct {
	Key string `path:"key" maxLength:"512" doc:"The rule's key."`
}

// RuleRequest is a rule that is to be made or changed.
type RuleRequest struct {
	Version int `json:"version,omitempty" enum:"1,2" default:"1" doc:"Of a new rule: see AutomationRule."`
	// Document may hold ExpiresAt and Tags beside AWS's members.
	Document map[string]any `json:"document" doc:"The members of the rule in AWS's form, and ExpiresAt; of a change only those that change."`
}

// PreviewRuleRequest asks what a rule would do: one that is stored or one that is given.
type PreviewRuleRequest struct {
	Key      string         `json:"key,omitempty" maxLength:"512" doc:"A stored rule."`
	Version  int            `json:"version,omitempty" enum:"1,2" default:"1"`
	Document map[string]any `json:"document,omitempty" doc:"A rule that is not stored."`
	Scan     int            `json:"scan,omitempty" minimum:"1" maximum:"200000" default:"50000" doc:"How many findings to look at, the latest update first."`
	Examples int            `json:"examples,omitempty" minimum:"1" maximum:"20" default:"20"`
}

// RunRuleRequest says over whose findings a rule is to be run.
type RunRuleRequest struct {
	Accounts []string `json:"accounts,omitempty" maxItems:"1000" nullable:"false" doc:"12-digit ids; default all."`
}

type (
	rulesInput struct {
		Paging
	}
	ruleOutput      struct{ Body AutomationRuleDetail }
	createRuleInput struct{ Body RuleRequest }
	updateRuleInput struct {
		RulePath
		Body RuleRequest
	}
	previewInput  struct{ Body PreviewRuleRequest }
	previewOutput struct{ Body triage.Preview }
	runRuleInput  struct {
		RulePath
		Body RunRuleRequest
	}
	runPath struct {
		ID string `path:"id" maxLength:"512"`
	}
	runsInput struct {
		Paging
		Rule string `query:"rule" maxLength:"512" doc:"Only runs of the rule with this key."`
	}
	runOutput struct{ Body triage.RuleRun }
)

func (a *API) registerRules() {
	const tag, path = "automation rules", "/v1/automation-rules"
	register(a, operation{id: "list-automation-rules", method: http.MethodGet, path: path, summary: "List automation rules in the order of application", tag: tag}, auth.RuleRead, forAll(auth.RuleRead, a.listRules))
	register(a, operation{id: "create-automation-rule", method: http.MethodPost, path: path, summary: "Make an automation rule", tag: tag, status: http.StatusCreated}, auth.RuleWrite, forAll(auth.RuleWrite, a.createRule))
	register(a, operation{id: "preview-automation-rule", method: http.MethodPost, path: path + "/preview", summary: "What a rule would do to the stored findings; nothing is written", tag: tag}, auth.RuleRead, a.previewRule)
	register(a, operation{id: "get-automation-rule", method: http.MethodGet, path: path + "/{key}", summary: "Show an automation rule", tag: tag}, auth.RuleRead, forAll(auth.RuleRead, a.getRule))
	register(a, operation{id: "update-automation-rule", method: http.MethodPatch, path: path + "/{key}", summary: "Change members of an automation rule", tag: tag}, auth.RuleWrite, forAll(auth.RuleWrite, a.updateRule))
	register(a, operation{id: "delete-automation-rule", method: http.MethodDelete, path: path + "/{key}", summary: "Delete an automation rule", tag: tag, status: http.StatusNoContent}, auth.RuleWrite, forAll(auth.RuleWrite, a.deleteRule))
	register(a, operation{id: "run-automation-rule", method: http.MethodPost, path: path + "/{key}/runs", summary: "Apply a rule to the findings that are stored", tag: tag, status: http.StatusAccepted}, auth.RuleWrite, forAll(auth.RuleWrite, a.runRule))
	register(a, operation{id: "list-automation-rule-runs", method: http.MethodGet, path: "/v1/automation-rule-runs", summary: "List runs of automation rules, the latest first", tag: tag}, auth.RuleRead, forAll(auth.RuleRead, a.listRuns))
	register(a, operation{id: "get-automation-rule-run", method: http.MethodGet, path: "/v1/automation-rule-runs/{id}", summary: "Show a run of an automation rule", tag: tag}, auth.RuleRead,
		forAll(auth.RuleRead, func(ctx context.Context, _ auth.Principal, in *runPath) (*runOutput, error) {
			run, err := a.cfg.Rules.Run(ctx, in.ID)
			return &runOutput{run}, err
		}))
	register(a, operation{id: "cancel-automation-rule-run", method: http.MethodPost, path: "/v1/automation-rule-runs/{id}/cancel", summary: "End a run; what it changed stays", tag: tag}, auth.RuleWrite,
		forAll(auth.RuleWrite, func(ctx context.Context, p auth.Principal, in *runPath) (*runOutput, error) {
			run, err := a.cfg.Rules.CancelRun(ctx, in.ID, p.Name)
			return &runOutput{run}, err
		}))
}

// forAll asks for a key of all accounts: rules decide over the findings of all.
func forAll[I, O any](action auth.Action, handle func(ctx context.Context, p auth.Principal, in *I) (*O, error)) func(ctx context.Context, p auth.Principal, in *I) (*O, error) {
	return func(ctx context.Context, p auth.Principal, in *I) (*O, error) {
		if err := auth.Authorize(p, action, auth.All); err != nil {
			return nil, err
		}
		return handle(ctx, p, in)
	}
}

func (a *API) ruleOf(r triage.StoredRule, hits map[string]store.RuleHit) AutomationRule {
	hit := hits[r.ID()]
	return AutomationRule{
		Key: r.Key, ARN: r.ARN, Version: r.Version, Name: r.Name, Description: r.Description, Order: r.Order, Terminal: r.Terminal,
		Status: r.Status(a.cfg.Clock.Now()), Problem: r.Problem, Configured: r.Configured, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
		UpdatedAt: r.UpdatedAt, ExpiresAt: r.ExpiresAt, Matched: hit.Matched, Changed: hit.Changed, LastHitAt: hit.LastAt,
	}
}

func (a *API) listRules(ctx context.Context, _ auth.Principal, in *rulesInput) (*page[AutomationRule], error) {
	rules, next, err := a.cfg.Rules.ListRules(ctx, triage.RuleQuery{Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	hits, err := a.cfg.Rules.RuleHits(ctx, rules)
	if err != nil {
		return nil, err
	}
	items := make([]AutomationRule, len(rules))
	for i, r := range rules {
		items[i] = a.ruleOf(r, hits)
	}
	return pageOf(items, next), nil
}

// detail gives a rule with its counters and its document.
func (a *API) detail(ctx context.Context, r triage.StoredRule) (*ruleOutput, error) {
	hits, err := a.cfg.Rules.RuleHits(ctx, []triage.StoredRule{r})
	if err != nil {
		return nil, err
	}
	out := &ruleOutput{AutomationRuleDetail{AutomationRule: a.ruleOf(r, hits), Document: json.RawMessage("{}")}}
	if r.Problem != "" {
		return out, nil // what cannot be read is not shown as if it could
	}
	out.Body.Document, err = json.Marshal(r.Rule)
	return out, err
}

// signingRegion is the one of ARNs of rules that are made here: Parry's own API has
// no regions.
const signingRegion = "us-east-1"

func (a *API) createRule(ctx context.Context, p auth.Principal, in *createRuleInput) (*ruleOutput, error) {
	raw, err := json.Marshal(in.Body.Document)
	if err != nil {
		return nil, fault.E(fault.Invalid, "read rule", err)
	}
	made, err := a.cfg.Rules.CreateRule(ctx, triage.NewRule{Version: in.Body.Version, Document: raw, Region: signingRegion, By: p.Name})
	if err != nil {
		return nil, err
	}
	return a.detail(ctx, made)
}

func (a *API) getRule(ctx context.Context, _ auth.Principal, in *RulePath) (*ruleOutput, error) {
	r, err := a.cfg.Rules.Rule(ctx, in.Key)
	if err != nil {
		return nil, err
	}
	return a.detail(ctx, r)
}

func (a *API) updateRule(ctx context.Context, p auth.Principal, in *updateRuleInput) (*ruleOutput, error) {
	change := triage.RuleChange{Rule: in.Key, Members: map[string]json.RawMessage{}}
	for name, value := range in.Body.Document {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fault.E(fault.Invalid, "read rule", err)
		}
		change.Members[name] = raw
	}
	if len(change.Members) == 0 {
		return nil, fault.Errorf(fault.Invalid, "update automation rule", "the document has no members, so nothing would change")
	}
	outcomes, err := a.cfg.Rules.UpdateRules(ctx, 0, []triage.RuleChange{change}, p.Name)
	if err == nil {
		err = outcomes[0].Err
	}
	if err != nil {
		return nil, err
	}
	return a.detail(ctx, outcomes[0].Rule)
}

func (a *API) deleteRule(ctx context.Context, p auth.Principal, in *RulePath) (*struct{}, error) {
	outcomes, err := a.cfg.Rules.DeleteRules(ctx, 0, []string{in.Key}, p.Name)
	if err == nil {
		err = outcomes[0].Err
	}
	return nil, err
}

// previewRule looks at the findings of the caller's accounts alone. A stored rule is
// for those who may see rules, one that is given for everybody who may see findings.
func (a *API) previewRule(ctx context.Context, p auth.Principal, in *previewInput) (*previewOutput, error) {
	if err := auth.Permit(p, auth.FindingRead); err != nil {
		return nil, err
	}
	r, err := a.previewed(ctx, p, in.Body)
	if err != nil {
		return nil, err
	}
	out, err := a.cfg.Rules.PreviewRule(ctx, triage.PreviewRequest{Rule: r, Accounts: auth.Scope(p), Scan: in.Body.Scan, Examples: in.Body.Examples})
	return &previewOutput{out}, err
}

func (a *API) previewed(ctx context.Context, p auth.Principal, q PreviewRuleRequest) (rule.Rule, error) {
	if (q.Key == "") == (q.Document == nil) {
		return rule.Rule{}, fault.Errorf(fault.Invalid, "preview rule", "name a stored rule by key, or give a document; not both")
	}
	if q.Document != nil {
		raw, err := json.Marshal(q.Document)
		if err != nil {
			return rule.Rule{}, fault.E(fault.Invalid, "read rule", err)
		}
		return rule.ParseVersion(q.Version, raw)
	}
	if err := auth.Authorize(p, auth.RuleRead, auth.All); err != nil {
		return rule.Rule{}, err
	}
	r, err := a.cfg.Rules.Rule(ctx, q.Key)
	if err == nil && r.Problem != "" {
		err = fault.Errorf(fault.Conflict, "preview rule", "the rule cannot be read: %s", r.Problem)
	}
	return r.Rule, err
}

// twelveDigits is an account id.
var twelveDigits = regexp.MustCompile(`^[0-9]{12}$`)

func (a *API) runRule(ctx context.Context, p auth.Principal, in *runRuleInput) (*runOutput, error) {
	accounts := in.Body.Accounts
	for _, one := range accounts {
		if one != auth.All && !twelveDigits.MatchString(one) {
			return nil, fault.Errorf(fault.Invalid, "run automation rule", "%q is not a 12-digit account id", one)
		}
	}
	if len(accounts) == 0 {
		accounts = auth.Scope(p)
	}
	run, err := a.cfg.Rules.StartRun(ctx, in.Key, accounts, p.Name)
	return &runOutput{run}, err
}

func (a *API) listRuns(ctx context.Context, _ auth.Principal, in *runsInput) (*page[triage.RuleRun], error) {
	name := ""
	if in.Rule != "" {
		r, err := a.cfg.Rules.Rule(ctx, in.Rule)
		if err != nil {
			return nil, err
		}
		name = r.ID()
	}
	runs, next, err := a.cfg.Rules.Runs(ctx, name, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return pageOf(runs, next), nil
}
