package ssm

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// wavesText is the value of WavesTag.
var wavesText = regexp.MustCompile(`^([1-9][0-9]{0,3}):([1-9][0-9]{0,2})$`)

// waves reads WavesTag; nil where there is none.
func waves(tags map[string]string, onTargets bool) (*remediation.Waves, error) {
	text, ok := tags[WavesTag]
	if !ok {
		return nil, nil //nolint:nilnil // no waves
	}
	m := wavesText.FindStringSubmatch(text)
	if m == nil || !onTargets {
		return nil, refuse(badParameters, "The tag %s takes CANARY:GROWTH, such as 1:3, on a run with targets: how many targets the first wave has, and how many times as many each next one.", WavesTag)
	}
	canary, err := strconv.Atoi(m[1])
	if err != nil {
		return nil, err
	}
	growth, err := strconv.Atoi(m[2])
	return &remediation.Waves{Canary: canary, Growth: growth}, err
}

// onTargets reports whether an execution is shown by its targets: it runs once for
// each of them, and the first was begun. Before that, and where no target could be
// found, its one step tells what there is to tell.
func (h *Handler) onTargets(ctx context.Context, c Caller, e remediation.Execution) (bool, error) {
	if !e.OnTargets {
		return false, nil
	}
	begun, _, err := h.cfg.Executions.ListAutomationExecutions(ctx, remediation.ExecutionFilter{Accounts: c.scope(), Parents: []string{e.ID}}, 1, "")
	return len(begun) > 0, err
}

// targetSteps gives a page of the targets of an execution as AWS shows them: each that
// was begun is a step, in the order of their begin. A target is what the step's name
// is, and the child that runs there what its id is.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-working-targets-rate.html
func (h *Handler) targetSteps(ctx context.Context, c Caller, parent remediation.Execution, f remediation.StepFilter, limit int, after string) (steps []stepShape, next string, err error) {
	if len(f.Actions) > 0 && !slices.Contains(f.Actions, runbook.ActionAutomation) || len(f.ParentSteps)+len(f.Iterations)+len(f.IteratorValues) > 0 {
		return []stepShape{}, "", nil // none stands in a loop
	}
	children, next, err := h.cfg.Executions.ListAutomationExecutions(ctx, remediation.ExecutionFilter{
		Accounts: c.scope(), Parents: []string{parent.ID}, IDs: f.IDs, Targets: f.Names, Statuses: f.Statuses,
		StartedBefore: f.StartedBefore, StartedAfter: f.StartedAfter, Oldest: !f.Reverse,
	}, limit, after)
	if err != nil {
		return nil, "", err
	}
	steps = make([]stepShape, 0, len(children))
	for _, e := range children {
		if c.covers(e) {
			steps = append(steps, targetStep(parent, e))
		}
	}
	return steps, next, nil
}

// targetStep shows a child that runs on a target. Its inputs are texts, as AWS has
// them here, and not JSON, as with the steps of a document.
func targetStep(parent, e remediation.Execution) stepShape {
	s := stepShape{
		StepName: e.Target, Action: runbook.ActionAutomation, ExecutionStartTime: timestamp(e.StartedAt), ExecutionEndTime: timestamp(e.EndedAt),
		StepStatus: e.Status, FailureMessage: e.Failure, StepExecutionID: e.ID, Outputs: map[string][]string{"ExecutionId": {e.ID}},
	}
	for name, texts := range e.Parameters {
		if s.Inputs == nil {
			s.Inputs = map[string]string{}
		}
		s.Inputs[name] = inputText(texts)
	}
	if a := parent.Asked; a != nil && len(a.TargetLocations) > 0 {
		s.TargetLocation = &targetLocation{Accounts: []string{e.Account}, Regions: []string{e.Region}, ExecutionRoleName: e.Role[strings.LastIndexByte(e.Role, '/')+1:]}
	}
	return s
}

func inputText(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	raw, err := json.Marshal(texts)
	if err != nil {
		return "" // texts always marshal
	}
	return string(raw)
}

// resolved lists the targets of a run that were begun, for ResolvedTargets. Those to
// come, or beyond the first hundred, leave the list truncated.
func resolved(e remediation.Execution, steps []stepShape, more bool) *resolvedTargets {
	out := &resolvedTargets{ParameterValues: make([]string, 0, len(steps)), Truncated: more || e.EndedAt.IsZero()}
	for _, s := range steps {
		out.ParameterValues = append(out.ParameterValues, s.StepName)
	}
	return out
}
