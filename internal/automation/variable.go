package automation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/runbook"
)

// Limits of a variable's value.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-update-variable.html
const (
	maxVariableTexts = 50  // items of a StringList
	maxVariableMaps  = 200 // items of a MapList, members of a StringMap
	maxVariableKey   = 50
	// maxVariableText is far above the 512 characters that AWS documents: its own
	// runbooks keep page tokens in variables, which are longer.
	maxVariableText = 64 << 10
)

// updateVariable is aws:updateVariable. It needs no checkpoint: everything that
// it looks at comes from one.
func (x *execution) updateVariable(ctx context.Context, s *runbook.Step, sc scope, attempt int, _ time.Duration) (result, error) {
	inputs, err := runbook.ResolveInputs(s.Inputs, sc)
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	name, value, err := x.variable(s, inputs)
	if err != nil {
		return x.failed(ctx, s, attempt, inputs, inputFailure(err))
	}
	x.state.Variables[name] = value
	now := x.run.Clock.Now().UTC()
	rec := record{Status: Success, Outputs: map[string]any{}, StartedAt: now, EndedAt: now}
	if err := x.observe(ctx, &call{step: s, attempt: attempt, inputs: inputs}, rec); err != nil {
		return result{}, err
	}
	return result{status: Success, inputs: inputs, outputs: rec.Outputs, ended: now}, nil
}

// updated gives the name of the variable that a step of aws:updateVariable sets.
func updated(s *runbook.Step) string {
	text, _ := s.Inputs["Name"].(string)
	return strings.TrimPrefix(strings.TrimSpace(text), "variable:")
}

// variable checks what the step gives. Name is the document's own text: "variable:x",
// never a reference's value.
func (x *execution) variable(s *runbook.Step, inputs map[string]any) (string, any, error) {
	name := updated(s)
	declared, ok := x.run.Document.Variable(name)
	if !ok {
		return "", nil, fmt.Errorf("the runbook declares no variable %.60q", name)
	}
	raw, ok := inputs["Value"]
	if !ok {
		return "", nil, fmt.Errorf("Value is missing")
	}
	value := runbook.Normalize(raw)
	if x.unknown(value) {
		return name, value, nil
	}
	if !hasType(value, declared.Type) {
		return "", nil, fmt.Errorf("the value of variable %s is not of type %s", name, declared.Type)
	}
	value, err := runbook.Coerce(value, declared.Type)
	if err == nil {
		err = withinLimits(value)
	}
	if err == nil {
		err = declared.Check(value)
	}
	if err != nil {
		return "", nil, fmt.Errorf("variable %s: %w", name, err)
	}
	return name, value, nil
}

// hasType reports whether v has type t as it is: a variable takes no conversions.
func hasType(v any, t runbook.Type) bool {
	switch v := v.(type) {
	case string:
		return t != runbook.TypeInteger && t != runbook.TypeBoolean && t != runbook.TypeStringList && t != runbook.TypeMapList && t != runbook.TypeStringMap
	case bool:
		return t == runbook.TypeBoolean
	case int64:
		return t == runbook.TypeInteger
	case float64:
		return t == runbook.TypeInteger && v == float64(int64(v))
	case map[string]any:
		return t == runbook.TypeStringMap
	case []any:
		maps := 0
		for _, item := range v {
			if _, isMap := item.(map[string]any); isMap {
				maps++
			}
		}
		if t == runbook.TypeMapList {
			return maps == len(v)
		}
		return maps == 0 && (t == runbook.TypeStringList || strings.HasPrefix(string(t), "List<"))
	}
	return false
}

func withinLimits(v any) error {
	switch v := v.(type) {
	case string:
		if len(v) > maxVariableText {
			return fmt.Errorf("the text has %d bytes, the limit is %d", len(v), maxVariableText)
		}
	case []any:
		limit := maxVariableTexts
		if len(v) > 0 {
			if _, isMap := v[0].(map[string]any); isMap {
				limit = maxVariableMaps
			}
		}
		if len(v) > limit {
			return fmt.Errorf("the list has %d items, the limit is %d", len(v), limit)
		}
		for _, item := range v {
			if err := withinLimits(item); err != nil {
				return err
			}
		}
	case map[string]any:
		if len(v) > maxVariableMaps {
			return fmt.Errorf("the map has %d members, the limit is %d", len(v), maxVariableMaps)
		}
		for k, item := range v {
			if len(k) > maxVariableKey {
				return fmt.Errorf("a key of the map has %d characters, the limit is %d", len(k), maxVariableKey)
			}
			if err := withinLimits(item); err != nil {
				return err
			}
		}
	}
	return nil
}
