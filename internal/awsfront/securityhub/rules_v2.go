package securityhub

import (
	"encoding/json"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/triage"
)

// ruleOperationsV2 are those of version 2. See
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateAutomationRuleV2.html
// and its neighbours.
func (h *Handler) ruleOperationsV2() map[string]operation {
	const one = "/automationrulesv2/{id}"
	return map[string]operation{
		"POST /automationrulesv2/create": wordedV2(h.writesRules(h.createRuleV2)),
		"GET /automationrulesv2/list":    wordedV2(h.readsRules(h.listRulesV2)),
		"GET " + one:                     wordedV2(h.readsRules(h.getRuleV2)),
		"PATCH " + one:                   wordedV2(h.writesRules(h.updateRuleV2)),
		"DELETE " + one:                  wordedV2(h.writesRules(h.deleteRuleV2)),
	}
}

// wordedV2 gives errors the names that the operations of version 2 have.
func wordedV2(answer operation) operation {
	return func(r *http.Request) (any, error) {
		value, err := answer(r)
		if err == nil {
			return value, nil
		}
		e := *errorOf(err)
		switch e.Code {
		case "InvalidInputException":
			e.Code = "ValidationException"
		case "ResourceConflictException":
			e.Code = "ConflictException"
		case "LimitExceededException":
			e.Code, e.Status = "ServiceQuotaExceededException", http.StatusPaymentRequired
		case "InternalException":
			e.Code = "InternalServerException"
		}
		return nil, &e
	}
}

// ruleMembersV2 are what a caller may say of a rule.
func ruleMembersV2() []string {
	return []string{"RuleName", "RuleStatus", "Description", "RuleOrder", "Criteria", "Actions"}
}

func (h *Handler) createRuleV2(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.only(append(ruleMembersV2(), "Tags", "ClientToken")...); err != nil {
		return nil, err
	}
	token, err := body.text("ClientToken", 63)
	if err != nil {
		return nil, err
	}
	delete(body.members, "ClientToken")
	made, err := h.cfg.Rules.CreateRule(r.Context(), triage.NewRule{
		Version: 2, Document: body.document(), Region: protocol.RegionFrom(r.Context()), By: p.Name, Token: token,
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"RuleArn": made.ARN, "RuleId": made.Key}, nil
}

// ruleV2 is GetAutomationRuleV2's answer, and in part AutomationRulesMetadataV2.
type ruleV2 struct {
	RuleArn     string          `json:"RuleArn"`
	RuleID      string          `json:"RuleId"`
	RuleOrder   float64         `json:"RuleOrder"`
	RuleName    string          `json:"RuleName"`
	RuleStatus  string          `json:"RuleStatus"`
	Description string          `json:"Description"`
	Criteria    json.RawMessage `json:"Criteria,omitempty"`
	Actions     json.RawMessage `json:"Actions"`
	CreatedAt   string          `json:"CreatedAt"`
	UpdatedAt   string          `json:"UpdatedAt"`
}

func ruleV2Of(r triage.StoredRule) (ruleV2, error) {
	out := ruleV2{
		RuleArn: r.ARN, RuleID: r.Key, RuleOrder: r.Order, RuleName: r.Name, RuleStatus: ruleStatus(r), Description: r.Description,
		Actions: json.RawMessage("[]"), CreatedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.UpdatedAt),
	}
	if r.Problem != "" {
		return out, nil // what cannot be read has neither criteria nor actions
	}
	raw, err := json.Marshal(r.Rule)
	if err != nil {
		return out, err
	}
	var d struct{ Criteria, Actions json.RawMessage }
	err = json.Unmarshal(raw, &d)
	out.Criteria, out.Actions = d.Criteria, d.Actions
	return out, err
}

// findV2 gives the rule that the path names by its id or ARN.
func (h *Handler) findV2(r *http.Request) (triage.StoredRule, error) {
	found, err := h.cfg.Rules.FindRules(r.Context(), 2, []string{r.PathValue("id")})
	if err != nil {
		return triage.StoredRule{}, err
	}
	return found[0].Rule, found[0].Err
}

func (h *Handler) getRuleV2(r *http.Request, _ object, _ auth.Principal) (any, error) {
	found, err := h.findV2(r)
	if err != nil {
		return nil, err
	}
	return ruleV2Of(found)
}

func (h *Handler) updateRuleV2(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.only(ruleMembersV2()...); err != nil {
		return nil, err
	}
	c := triage.RuleChange{Rule: r.PathValue("id"), Members: map[string]json.RawMessage{}}
	for name := range body.members {
		if raw, ok := body.given(name); ok {
			c.Members[name] = raw
		}
	}
	outcomes, err := h.cfg.Rules.UpdateRules(r.Context(), 2, []triage.RuleChange{c}, p.Name)
	if err != nil {
		return nil, err
	}
	return struct{}{}, outcomes[0].Err
}

func (h *Handler) deleteRuleV2(r *http.Request, _ object, p auth.Principal) (any, error) {
	outcomes, err := h.cfg.Rules.DeleteRules(r.Context(), 2, []string{r.PathValue("id")}, p.Name)
	if err != nil {
		return nil, err
	}
	return struct{}{}, outcomes[0].Err
}

type ruleListV2 struct {
	Rules     []ruleV2 `json:"Rules"`
	NextToken string   `json:"NextToken,omitempty"`
}

func (h *Handler) listRulesV2(r *http.Request, _ object, _ auth.Principal) (any, error) {
	rules, next, err := h.rulePage(r, 2)
	if err != nil {
		return nil, err
	}
	out := ruleListV2{Rules: make([]ruleV2, 0, len(rules)), NextToken: next}
	for _, one := range rules {
		v, err := ruleV2Of(one)
		if err != nil {
			return nil, err
		}
		// A list has the types of the actions alone, and no criteria.
		var actions []struct{ Type string }
		if err := json.Unmarshal(v.Actions, &actions); err != nil {
			return nil, err
		}
		if v.Actions, err = json.Marshal(actions); err != nil {
			return nil, err
		}
		v.Criteria = nil
		out.Rules = append(out.Rules, v)
	}
	return out, nil
}
