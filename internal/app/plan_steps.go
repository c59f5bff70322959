package app

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// plannedSteps keeps the steps of a run that is planned. If planning fails they are
// the run's history: what was read was read, and the step that failed says why.
type plannedSteps map[int]automation.StepRecord

// Observe keeps the latest record of a step. It answers automation.Observer.
func (p plannedSteps) Observe(_ context.Context, r automation.StepRecord) error {
	p[r.Seq] = r
	return nil
}

// rows gives the steps as the store keeps them. One whose change was only planned, that
// would have waited, or that has what only applying tells, was not carried out: it is
// pending, and has neither times nor outputs.
func (p plannedSteps) rows(calls []remediation.PlannedCall, unknown func(any) bool) ([]store.Step, error) {
	undone := map[string]bool{} // by id, loops by those in them
	for _, r := range p {
		if p.planned(r, calls, unknown) {
			undone[r.ID] = true
			if r.Parent != nil {
				undone[r.Parent.ID] = true
			}
		}
	}
	out := make([]store.Step, 0, len(p))
	for _, seq := range slices.Sorted(maps.Keys(p)) {
		r := p[seq]
		known := func(_ string, v any) bool { return unknown(v) }
		r.Inputs, r.Outputs = maps.Clone(r.Inputs), maps.Clone(r.Outputs)
		maps.DeleteFunc(r.Inputs, known)
		maps.DeleteFunc(r.Outputs, known)
		if undone[r.ID] && r.Failure == nil {
			r.Status, r.Inputs, r.Outputs, r.StartedAt, r.EndedAt = automation.Pending, nil, nil, time.Time{}, time.Time{}
		}
		row, err := stepOf(r)
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// planned reports whether planning only noted what the step would do.
func (p plannedSteps) planned(r automation.StepRecord, calls []remediation.PlannedCall, unknown func(any) bool) bool {
	switch r.Action {
	case runbook.ActionSleep, runbook.ActionApprove, runbook.ActionPause:
		return true
	}
	if r.Status != automation.Success || unknown(r.Inputs) || unknown(r.Outputs) {
		return true
	}
	return slices.ContainsFunc(calls, func(c remediation.PlannedCall) bool {
		return c.Class.NeedsApproval() && (c.Step == r.Label || strings.HasPrefix(c.Step, r.Label+"/"))
	})
}
