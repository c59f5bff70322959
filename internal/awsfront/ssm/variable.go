package ssm

import (
	"context"
	"strings"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// lookedBack is how many updates are looked at for the variables: those of one
// segment, which ends after as many steps. What came before is in the execution.
const lookedBack = 500

// variables gives the variables of a running execution as they are now: what the
// document declares, over it what the last segment left, and over it what the steps
// since have put. An execution that has ended has them by itself.
func (h *Handler) variables(ctx context.Context, e remediation.Execution, doc *runbook.Document) (map[string][]string, error) {
	if doc == nil || len(doc.Variables) == 0 || !e.EndedAt.IsZero() {
		return e.Variables, nil
	}
	updates, _, err := h.cfg.Executions.ListStepExecutions(ctx, e.ID, updated, lookedBack, "")
	if err != nil {
		return nil, err
	}
	return variables(e, updates, doc), nil
}

// updated selects the updates, the last one first.
var updated = remediation.StepFilter{Actions: []string{runbook.ActionUpdateVariable}, Statuses: []string{string(automation.Success)}, Reverse: true}

// variables puts the variables together; updates are the last one first.
func variables(e remediation.Execution, updates []remediation.StepExecution, doc *runbook.Document) map[string][]string {
	values := map[string]any{}
	for _, v := range doc.Variables {
		if v.HasDefault {
			values[v.Name] = v.Default
		}
	}
	out := runbook.ToWire(values)
	for name, texts := range e.Variables {
		out[name] = texts
	}
	fresh := map[string]any{}
	for _, s := range updates {
		text, _ := s.Inputs["Name"].(string)
		name := strings.TrimPrefix(strings.TrimSpace(text), "variable:")
		if _, later := fresh[name]; later {
			continue
		}
		if _, declared := doc.Variable(name); declared {
			fresh[name] = s.Inputs["Value"]
		}
	}
	for name, texts := range runbook.ToWire(fresh) {
		out[name] = texts
	}
	return out
}
