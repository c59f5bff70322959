package ssm

import (
	"context"
	"regexp"
	"slices"
	"strconv"

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

// targetSteps shows a run on targets as AWS does: one step for each target that was
// begun, named by it, at most shownSteps of them in the order of their begin. None
// are given for a run that has no children.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/running-automations-map-targets.html
func (h *Handler) targetSteps(ctx context.Context, c Caller, parent remediation.Execution) (steps []stepShape, truncated bool, err error) {
	children, next, err := h.cfg.Executions.ListAutomationExecutions(ctx, remediation.ExecutionFilter{Accounts: c.scope(), Parents: []string{parent.ID}}, shownSteps, "")
	if err != nil {
		return nil, false, err
	}
	slices.SortStableFunc(children, func(a, b remediation.Execution) int { return a.StartedAt.Compare(b.StartedAt) })
	for _, e := range children {
		if !c.covers(e) {
			continue
		}
		inputs := map[string]any{}
		for name, texts := range e.Parameters {
			inputs[name] = texts
			if len(texts) == 1 {
				inputs[name] = texts[0]
			}
		}
		steps = append(steps, stepShape{
			StepName: e.Target, Action: runbook.ActionAutomation, ExecutionStartTime: timestamp(e.StartedAt), ExecutionEndTime: timestamp(e.EndedAt),
			StepStatus: e.Status, FailureMessage: e.Failure, StepExecutionID: DerivedUUID(parent.ID, e.ID), Inputs: inputTexts(inputs),
			Outputs: map[string][]string{"ExecutionId": {e.ID}},
		})
	}
	return steps, next != "", nil
}
