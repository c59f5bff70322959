package ssm

import (
	"slices"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// Shown is an execution for Show.
type Shown struct {
	Execution remediation.Execution
	Steps     []remediation.StepExecution
	// Targets are the children of a run on targets, in the order of their begin.
	Targets []remediation.Execution
	// Document is the execution's document, from which steps that were not reached and
	// what is declared of the others come; nil where it cannot be told.
	Document *runbook.Document
	// Partition and Account are whose execution it is.
	Partition, Account string
}

// Show gives an execution with its steps as GetAutomationExecution answers it, for
// programs that run documents without a server.
func Show(s Shown) any {
	h := &Handler{cfg: Config{Partition: s.Partition, Account: s.Account}}
	out := h.shape(s.Execution)
	for _, t := range s.Targets {
		out.StepExecutions = append(out.StepExecutions, targetStep(s.Execution, t))
	}
	if len(s.Targets) == 0 {
		for _, step := range s.Steps {
			out.StepExecutions = append(out.StepExecutions, stepOf(step, s.Document))
		}
	}
	if doc := s.Document; doc != nil && len(doc.Variables) > 0 && !s.Execution.OnTargets && s.Execution.EndedAt.IsZero() {
		out.Variables = variables(s.Execution, s.updates(), doc)
	}
	if !s.Execution.OnTargets {
		out.StepExecutions, out.StepExecutionsTruncated = pendingSteps(out.StepExecutions, s.Execution.ID, s.Document)
	}
	out.targets(s.Execution)
	return out
}

// updates gives what updated selects.
func (s Shown) updates() []remediation.StepExecution {
	var out []remediation.StepExecution
	for _, step := range slices.Backward(s.Steps) {
		if step.Action == runbook.ActionUpdateVariable && step.Status == string(automation.Success) {
			out = append(out, step)
		}
	}
	return out
}
