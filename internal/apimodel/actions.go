package apimodel

import (
	_ "embed"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed actions.json
var actionsJSON []byte

// actionTable says where an IAM action is not "<signing name>:<operation>".
type actionTable struct {
	Prefixes   map[string]string            `json:"prefixes"`
	ByMethod   []string                     `json:"by_method"`
	Unsigned   []string                     `json:"unsigned"` // services whose calls carry no AWS signature
	Operations map[string]map[string]needed `json:"operations"`
}

// needed lists what an operation needs. In the table an entry is the action, or
// an object that ties it to the input.
type needed []actionRule

// actionRule is one action that an operation needs.
type actionRule struct {
	Action string `json:"action"`
	// When and Unless name an input member by whose presence the action is needed,
	// or not needed.
	When   string `json:"when"`
	Unless string `json:"unless"`
	// Like is text that the member of When must hold, where its value decides.
	Like string `json:"like"`
	// On overrides, for this action, where the variables of its ARNs come from:
	// variable -> member path, as in resources.json.
	On map[string]string `json:"on"`
	// Where ties the action to values of the input: condition key -> member path.
	Where map[string]string `json:"where"`
}

// UnmarshalJSON reads an entry that is only an action as well.
func (r *actionRule) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, &r.Action)
	}
	type plainRule actionRule
	return json.Unmarshal(raw, (*plainRule)(r))
}

var actions = sync.OnceValues(func() (*actionTable, error) {
	t := &actionTable{}
	err := json.Unmarshal(actionsJSON, t)
	return t, err
})

// CheckPolicies reports whether the embedded tables of policy derivation are sound.
func CheckPolicies() error {
	_, a := actions()
	_, b := bindings()
	return errors.Join(a, b)
}

// IAMAction gives the IAM actions that a caller of the operation needs, as far
// as they follow from the operation alone: the service's prefix and the
// operation's name, except where IAM calls it otherwise. It is nil for an
// operation that no model knows, and empty for one that AWS asks no permission
// for.
func (c *Catalog) IAMAction(service, operation string) []string {
	s, op, err := c.Find(service, operation)
	if err != nil {
		return nil
	}
	out := []string{}
	for _, r := range actionRules(s, op) {
		if r.When == "" && !slices.Contains(out, r.Action) {
			out = append(out, r.Action)
		}
	}
	return out
}

// actionRules gives what op needs.
func actionRules(s *Service, op *Operation) needed {
	t, err := actions()
	if err != nil {
		return nil
	}
	if list, ok := t.Operations[s.Name][op.Name]; ok {
		return list
	}
	if op.AuthType == "none" || slices.Contains(t.Unsigned, s.Name) {
		return nil
	}
	prefix := iamPrefix(t, s)
	name := op.Name
	// API Gateway's older actions are HTTP methods; those of its portals and routing
	// rules have names.
	if slices.Contains(t.ByMethod, s.Name) && !knownAction(prefix, name) {
		name = op.Method
	}
	return needed{{Action: prefix + ":" + Undated(name)}}
}

func iamPrefix(t *actionTable, s *Service) string {
	if prefix := t.Prefixes[s.Name]; prefix != "" {
		return prefix
	}
	return strings.ToLower(s.SigningName)
}

// dated is the API version at the end of an operation's name as CloudTrail and
// some models have it.
var dated = regexp.MustCompile(`20\d\d_?\d\d_?\d\d(v\d+)?$`)

// Undated takes the API version off an operation's name: IAM's and boto3's name
// for UpdateFunctionCode20150331v2 is UpdateFunctionCode.
func Undated(operation string) string { return dated.ReplaceAllString(operation, "") }
