package apimodel

import (
	_ "embed"
	"encoding/json"
	"slices"
	"sync"
)

//go:embed actions.json
var actionsJSON []byte

type actionTable struct {
	Prefixes   map[string]string              `json:"prefixes"`
	ByMethod   []string                       `json:"by_method"`
	Operations map[string]map[string][]string `json:"operations"`
}

var actions = sync.OnceValues(func() (*actionTable, error) {
	t := &actionTable{}
	err := json.Unmarshal(actionsJSON, t)
	return t, err
})

// IAMAction gives the IAM actions that a caller of the operation needs, as far
// as they follow from the operation alone: the service's prefix and the
// operation's name, except where IAM calls it otherwise. It is nil for an
// operation that no model knows.
func (c *Catalog) IAMAction(service, operation string) []string {
	t, err := actions()
	if err != nil {
		return nil
	}
	s, op, err := c.Find(service, operation)
	if err != nil {
		return nil
	}
	if list := t.Operations[s.Name][op.Name]; list != nil {
		return slices.Clone(list)
	}
	prefix := t.Prefixes[s.Name]
	if prefix == "" {
		prefix = s.SigningName
	}
	// API Gateway's actions are HTTP methods.
	if slices.Contains(t.ByMethod, s.Name) {
		return []string{prefix + ":" + op.Method}
	}
	return []string{prefix + ":" + op.Name}
}
