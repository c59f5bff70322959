package ssm

import (
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// Show gives an execution with its steps as GetAutomationExecution answers it, for
// programs that run documents without a server. Doc is the execution's document,
// from which steps that were not reached and what is declared of the others come.
// Partition and account are whose execution it is.
func Show(e remediation.Execution, steps []remediation.StepExecution, doc *runbook.Document, partition, account string) any {
	h := &Handler{cfg: Config{Partition: partition, Account: account}}
	out := executionShape{common: h.common(e), Parameters: e.Parameters, Variables: e.Variables, StepExecutions: []stepShape{}}
	for _, s := range steps {
		out.StepExecutions = append(out.StepExecutions, stepOf(s, doc))
	}
	out.StepExecutions, out.StepExecutionsTruncated = pendingSteps(out.StepExecutions, e.ID, doc)
	if a := e.Asked; a != nil {
		out.TargetLocations = a.TargetLocations
		if len(a.Targets)+len(a.TargetMaps)+len(a.TargetLocations) > 0 {
			out.ProgressCounters = count(out.StepExecutions)
		}
	}
	return out
}
