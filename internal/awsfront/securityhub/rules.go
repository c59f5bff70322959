package securityhub

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/triage"
)

// Rules are the automation rules.
type Rules interface {
	RuleReader
	CreateRule(ctx context.Context, n triage.NewRule) (triage.StoredRule, error)
	UpdateRules(ctx context.Context, version int, changes []triage.RuleChange, by string) ([]triage.RuleOutcome, error)
	DeleteRules(ctx context.Context, version int, names []string, by string) ([]triage.RuleOutcome, error)
}

// RuleReader reads the automation rules.
type RuleReader interface {
	FindRules(ctx context.Context, version int, names []string) ([]triage.RuleOutcome, error)
	ListRules(ctx context.Context, q triage.RuleQuery) ([]triage.StoredRule, string, error)
}

// ruleOperations are those of version 1 and of tags. See
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateAutomationRule.html
// and its neighbours. A rule applies in all Regions: its ARN has the Region that
// the request was signed for.
func (h *Handler) ruleOperations() map[string]operation {
	return map[string]operation{
		"POST /automationrules/create":  h.writesRules(h.createRule),
		"POST /automationrules/get":     h.readsRules(h.getRules),
		"PATCH /automationrules/update": h.writesRules(h.updateRules),
		"POST /automationrules/delete":  h.writesRules(h.deleteRules),
		"GET /automationrules/list":     h.readsRules(h.listRules),
		"GET /tags/{arn...}":            h.readsRules(h.listTags),
		"POST /tags/{arn...}":           h.writesRules(h.tag),
		"DELETE /tags/{arn...}":         h.writesRules(h.untag),
	}
}

// ruleOperation answers one request about rules.
type ruleOperation func(r *http.Request, body object, p auth.Principal) (any, error)

// readsRules and writesRules check that the caller may do answer: rules decide over
// all accounts.
func (h *Handler) readsRules(answer ruleOperation) operation { return permitted(auth.RuleRead, answer) }

func (h *Handler) writesRules(answer ruleOperation) operation {
	return permitted(auth.RuleWrite, answer)
}

func permitted(action auth.Action, answer ruleOperation) operation {
	return func(r *http.Request) (any, error) {
		p := auth.PrincipalFrom(r.Context())
		if err := auth.Authorize(p, action, auth.All); err != nil {
			return nil, err
		}
		body, err := readObject(r)
		if err != nil {
			return nil, err
		}
		return answer(r, body, p)
	}
}

// only refuses members that are none of names: a member that is misspelt would
// otherwise be a criterion that is not applied.
func (o object) only(names ...string) error {
	for name := range o.members {
		if !slices.Contains(names, name) {
			return invalid("body", "data should NOT have additional property '%s'", clip(name))
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// ruleMembers are what a caller may say of a rule.
func ruleMembers() []string {
	return []string{"RuleStatus", "RuleOrder", "RuleName", "Description", "IsTerminal", "Criteria", "Actions"}
}

func (h *Handler) createRule(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.only(append(ruleMembers(), "Tags")...); err != nil {
		return nil, err
	}
	made, err := h.cfg.Rules.CreateRule(r.Context(), triage.NewRule{Version: 1, Document: body.document(), Region: protocol.RegionFrom(r.Context()), By: p.Name})
	if err != nil {
		return nil, err
	}
	return map[string]string{"RuleArn": made.ARN}, nil
}

// document gives the members that are given, as one document. A member that is null
// is one that is not there.
func (o object) document() json.RawMessage {
	given := make(map[string]json.RawMessage, len(o.members))
	for name := range o.members {
		if raw, ok := o.given(name); ok {
			given[name] = raw
		}
	}
	raw, _ := json.Marshal(given) // What was read as JSON can be written.
	return raw
}

// ruleConfig is AutomationRulesConfig, and without criteria and actions
// AutomationRulesMetadata.
type ruleConfig struct {
	RuleArn     string            `json:"RuleArn"`
	RuleStatus  string            `json:"RuleStatus"`
	RuleOrder   int               `json:"RuleOrder"`
	RuleName    string            `json:"RuleName"`
	Description string            `json:"Description"`
	IsTerminal  bool              `json:"IsTerminal"`
	Criteria    json.RawMessage   `json:"Criteria,omitempty"`
	Actions     []json.RawMessage `json:"Actions,omitempty"`
	CreatedAt   string            `json:"CreatedAt"`
	UpdatedAt   string            `json:"UpdatedAt"`
	CreatedBy   string            `json:"CreatedBy"`
}

func ruleStatus(r triage.StoredRule) string {
	if r.Enabled {
		return "ENABLED"
	}
	return "DISABLED"
}

func metadataOf(r triage.StoredRule) ruleConfig {
	return ruleConfig{
		RuleArn: r.ARN, RuleStatus: ruleStatus(r), RuleOrder: int(r.Order), RuleName: r.Name, Description: r.Description, IsTerminal: r.Terminal,
		CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt), CreatedBy: r.CreatedBy,
	}
}

func configOf(r triage.StoredRule) (ruleConfig, error) {
	c := metadataOf(r)
	raw, err := json.Marshal(r.Rule)
	if err != nil {
		return c, err
	}
	var d struct {
		Criteria json.RawMessage
		Actions  []json.RawMessage
	}
	err = json.Unmarshal(raw, &d)
	c.Criteria, c.Actions = d.Criteria, d.Actions
	return c, err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// unprocessedRule is UnprocessedAutomationRule. Its code is an HTTP status, as in
// AWS's example.
type unprocessedRule struct {
	RuleArn      string `json:"RuleArn"`
	ErrorCode    int    `json:"ErrorCode"`
	ErrorMessage string `json:"ErrorMessage"`
}

func unprocessedOf(arn string, err error) unprocessedRule {
	e := errorOf(err)
	return unprocessedRule{arn, e.Status, e.Code + ": " + e.Message}
}

// arns reads AutomationRulesArns.
func (o object) arns() ([]string, error) {
	if err := o.only("AutomationRulesArns"); err != nil {
		return nil, err
	}
	items, err := o.list("AutomationRulesArns", 1, triage.MaxRuleBatch)
	if err != nil {
		return nil, err
	}
	arns := make([]string, len(items))
	for i, raw := range items {
		if json.Unmarshal(raw, &arns[i]) != nil || arns[i] == "" || len(arns[i]) > 2048 {
			return nil, invalid("AutomationRulesArns", "data.AutomationRulesArns[%d] should be a string that is not blank", i)
		}
	}
	return arns, nil
}

type rulesAnswer struct {
	Rules       []ruleConfig      `json:"Rules"`
	Unprocessed []unprocessedRule `json:"UnprocessedAutomationRules"`
}

func (h *Handler) getRules(r *http.Request, body object, _ auth.Principal) (any, error) {
	arns, err := body.arns()
	if err != nil {
		return nil, err
	}
	found, err := h.cfg.Rules.FindRules(r.Context(), 1, arns)
	if err != nil {
		return nil, err
	}
	out := rulesAnswer{[]ruleConfig{}, []unprocessedRule{}}
	for i, o := range found {
		if o.Err != nil {
			out.Unprocessed = append(out.Unprocessed, unprocessedOf(arns[i], o.Err))
			continue
		}
		c, err := configOf(o.Rule)
		if err != nil {
			return nil, err
		}
		out.Rules = append(out.Rules, c)
	}
	return out, nil
}

// processed is the answer of the operations that change rules.
type processed struct {
	Processed   []string          `json:"ProcessedAutomationRules"`
	Unprocessed []unprocessedRule `json:"UnprocessedAutomationRules"`
}

func processedOf(arns []string, outcomes []triage.RuleOutcome) processed {
	out := processed{[]string{}, []unprocessedRule{}}
	for i, o := range outcomes {
		if o.Err != nil {
			out.Unprocessed = append(out.Unprocessed, unprocessedOf(arns[i], o.Err))
			continue
		}
		out.Processed = append(out.Processed, arns[i])
	}
	return out
}

func (h *Handler) updateRules(r *http.Request, body object, p auth.Principal) (any, error) {
	const list = "UpdateAutomationRulesRequestItems"
	if err := body.only(list); err != nil {
		return nil, err
	}
	items, err := body.list(list, 1, triage.MaxRuleBatch)
	if err != nil {
		return nil, err
	}
	arns, changes := make([]string, len(items)), make([]triage.RuleChange, len(items))
	for i, raw := range items {
		item := object{raw: raw}
		if err := json.Unmarshal(raw, &item.members); err != nil || item.members == nil {
			return nil, invalid(list, "data.%s[%d] should be object", list, i)
		}
		if arns[i], err = item.text("RuleArn", 2048); err != nil || arns[i] == "" {
			return nil, invalid(list, "data.%s[%d] should have required property 'RuleArn'", list, i)
		}
		changes[i] = item.change(arns[i])
	}
	outcomes, err := h.cfg.Rules.UpdateRules(r.Context(), 1, changes, p.Name)
	if err != nil {
		return nil, err
	}
	return processedOf(arns, outcomes), nil
}

// change reads an item of BatchUpdateAutomationRules.
func (o object) change(arn string) triage.RuleChange {
	c := triage.RuleChange{Rule: arn, Members: map[string]json.RawMessage{}, Err: o.only(append(ruleMembers(), "RuleArn")...)}
	for _, name := range ruleMembers() {
		if raw, ok := o.given(name); ok {
			c.Members[name] = raw
		}
	}
	return c
}

func (h *Handler) deleteRules(r *http.Request, body object, p auth.Principal) (any, error) {
	arns, err := body.arns()
	if err != nil {
		return nil, err
	}
	outcomes, err := h.cfg.Rules.DeleteRules(r.Context(), 1, arns, p.Name)
	if err != nil {
		return nil, err
	}
	return processedOf(arns, outcomes), nil
}

type ruleList struct {
	Metadata  []ruleConfig `json:"AutomationRulesMetadata"`
	NextToken string       `json:"NextToken,omitempty"`
}

func (h *Handler) listRules(r *http.Request, _ object, _ auth.Principal) (any, error) {
	rules, next, err := h.rulePage(r, 1)
	if err != nil {
		return nil, err
	}
	out := ruleList{Metadata: make([]ruleConfig, 0, len(rules)), NextToken: next}
	for _, one := range rules {
		out.Metadata = append(out.Metadata, metadataOf(one))
	}
	return out, nil
}

// rulePage reads MaxResults and NextToken of the query string and gives the page.
func (h *Handler) rulePage(r *http.Request, version int) ([]triage.StoredRule, string, error) {
	q := triage.RuleQuery{Version: version, Cursor: r.URL.Query().Get("NextToken")}
	if text := r.URL.Query().Get("MaxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return nil, "", invalid("MaxResults", "data.MaxResults should be an integer from 1 to 100")
		}
		q.Limit = n
	}
	return h.cfg.Rules.ListRules(r.Context(), q)
}
