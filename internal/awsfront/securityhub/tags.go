package securityhub

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/triage"
)

// taggedRule gives the rule that a path names. Nothing else has tags.
func (h *Handler) taggedRule(r *http.Request) (triage.StoredRule, error) {
	found, err := h.cfg.Rules.FindRules(r.Context(), 0, []string{r.PathValue("arn")})
	if err != nil {
		return triage.StoredRule{}, err
	}
	if o := found[0]; o.Err == nil && o.Rule.ARN == r.PathValue("arn") {
		return o.Rule, nil
	}
	return triage.StoredRule{}, fault.Errorf(fault.NotFound, "find resource", "there is no automation rule with this ARN, and Parry keeps tags of nothing else")
}

func (h *Handler) listTags(r *http.Request, _ object, _ auth.Principal) (any, error) {
	rule, err := h.taggedRule(r)
	if err != nil {
		return nil, err
	}
	tags := rule.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return map[string]any{"Tags": tags}, nil
}

func (h *Handler) tag(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.only("Tags"); err != nil {
		return nil, err
	}
	var more map[string]string
	if raw, _ := body.given("Tags"); json.Unmarshal(raw, &more) != nil || len(more) == 0 {
		return nil, invalid("Tags", "data.Tags should be an object of strings with at least 1 member")
	}
	return h.retag(r, p, func(tags map[string]string) { maps.Copy(tags, more) })
}

func (h *Handler) untag(r *http.Request, _ object, p auth.Principal) (any, error) {
	keys := r.URL.Query()["tagKeys"]
	if len(keys) == 0 || len(keys) > 50 {
		return nil, invalid("tagKeys", "data.tagKeys should have 1 to 50 items")
	}
	return h.retag(r, p, func(tags map[string]string) {
		for _, k := range keys {
			delete(tags, k)
		}
	})
}

func (h *Handler) retag(r *http.Request, p auth.Principal, change func(tags map[string]string)) (any, error) {
	rule, err := h.taggedRule(r)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	maps.Copy(tags, rule.Tags)
	change(tags)
	raw, err := json.Marshal(tags)
	if err != nil {
		return nil, err
	}
	outcomes, err := h.cfg.Rules.UpdateRules(r.Context(), 0, []triage.RuleChange{{Rule: rule.ARN, Members: map[string]json.RawMessage{"Tags": raw}}}, p.Name)
	if err != nil {
		return nil, err
	}
	return struct{}{}, outcomes[0].Err
}
