package app

import (
	"context"
	"errors"

	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// work answers api.Work by the stages.
type work struct {
	triage  *triage.Triage
	approve *approve.Stage
	execute *execute.Stage
	content *Content
}

// UpdateFindings changes findings as BatchUpdateFindings does.
func (w work) UpdateFindings(ctx context.Context, req triage.UpdateRequest, by string, accounts []string) (triage.UpdateResult, error) {
	return w.triage.Update(ctx, req, by, accounts)
}

// PlaybookFor gives the playbook that answers a control.
func (w work) PlaybookFor(control string) (playbook.Playbook, bool) {
	return w.content.PlaybookFor(control)
}

// StopRemediation ends a remediation that waits, and asks one that runs to end. One that
// begins between the look and the write is told as one that runs.
func (w work) StopRemediation(ctx context.Context, r remediation.Remediation, principal, reason string) error {
	var moved error
	for range maxWithdrawals {
		moved = w.approve.Withdraw(ctx, r.ID, principal, reason)
		if !errors.Is(moved, store.ErrConflict) {
			break
		}
	}
	if !fault.Is(moved, fault.Conflict) || r.Execution == "" {
		return moved
	}
	err := w.execute.Signal(ctx, store.Signal{Execution: r.Execution, Kind: string(automation.SignalCancel), By: principal, Comment: reason})
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.NotFound) {
		return fault.Errorf(fault.Conflict, "cancel remediation", "remediation %s is %s: nothing of it is under way", r.ID, r.State).WithHint("run: parry remediation show %s", r.ID)
	}
	return err
}
