package execute

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// actor is who the audit log names for the stage's own changes of state.
const actor = "parry/execute"

// Abandon ends a remediation whose segment failed for good outside the
// interpreter: an undo that came too late, a store that answers nonsense, a
// state that cannot be read. The durable engine calls it.
func (s *Stage) Abandon(ctx context.Context, input []byte, cause error) error {
	var j job
	if err := json.Unmarshal(input, &j); err != nil {
		return fault.E(fault.Invalid, "read execution input", err)
	}
	if j.Child {
		return s.giveUp(ctx, j, failed, "the execution cannot go on: "+cause.Error())
	}
	r, err := s.Store.Remediation(ctx, j.Remediation)
	if err != nil || r.State != remediation.Running && r.State != remediation.Queued {
		return err
	}
	return s.end(ctx, r, Result{Status: failed, Failure: "the execution cannot go on: " + cause.Error()})
}

// end settles a finished execution.
func (s *Stage) end(ctx context.Context, r remediation.Remediation, result Result) error {
	if result.Status == succeeded && result.Abort == nil {
		_, err := s.move(ctx, r, remediation.Verifying, "the runbook ended with Success; reading back", "", store.TopicVerify)
		return err
	}
	made, err := s.made(ctx, r.ID)
	if err != nil {
		return err
	}
	if r.Kind == remediation.KindUndo {
		if err := s.putBack(ctx, r, made); err != nil {
			return err
		}
	}
	if r.Execution != "" {
		if err := s.cancelChildren(ctx, r.Execution); err != nil {
			return err
		}
	}
	reason := result.Failure
	if result.Abort != nil {
		reason = result.Abort.Error()
	}
	reason = fmt.Sprintf("%s; %d change(s) had been made", reason, made)
	hint := advice(r, result.Abort, made)
	if fault.Is(result.Abort, fault.Conflict) {
		return s.supersede(ctx, r, reason, hint)
	}
	to := remediation.Failed
	if result.Status == cancelled && result.Abort == nil {
		to = remediation.Cancelled
	}
	_, err = s.move(ctx, r, to, reason, hint, "")
	return err
}

// advice names the next step after an execution that did not succeed: what the
// cause suggests, then how to take back what was done, or how to try again.
func advice(r remediation.Remediation, cause error, made int) string {
	next := "mend the cause, then run: " + r.Again()
	if made > 0 && r.Kind != remediation.KindUndo {
		next = "to take the changes back, run: parry remediation undo " + string(r.ID)
	}
	if hint := fault.HintOf(cause); hint != "" {
		return hint + "; " + next
	}
	return next
}

// supersede ends the remediation and its approval together: the plan no longer
// describes the resource.
func (s *Stage) supersede(ctx context.Context, r remediation.Remediation, reason, hint string) error {
	approval, err := s.Store.ApprovalFor(ctx, r.ID)
	if err != nil {
		return err
	}
	r, change := r.Moved(remediation.Superseded, reason, hint, s.Clock.Now())
	change.ApprovalID = approval.ID
	eff, err := store.Announce(change, actor, r.UpdatedAt)
	if err != nil {
		return err
	}
	if approval.State != remediation.ApprovalApproved {
		return s.Store.UpdateRemediation(ctx, r, eff)
	}
	approval.State = remediation.ApprovalSuperseded
	return s.Store.UpdateApproval(ctx, approval, &r, eff)
}

// made counts the changes that were, or may have been, made.
func (s *Stage) made(ctx context.Context, id remediation.ID) (int, error) {
	changes, err := s.Store.Changes(ctx, id)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range changes {
		if c.MayHaveHappened() {
			n++
		}
	}
	return n, nil
}

// putBack takes the first remediation out of undoing when its undo failed: to
// where it stood when nothing was changed, to unverified otherwise.
func (s *Stage) putBack(ctx context.Context, undo remediation.Remediation, made int) error {
	first, err := s.Store.Remediation(ctx, undo.UndoOf)
	if err != nil {
		return err
	}
	if first.State != remediation.Undoing || first.UndoneBy != undo.ID {
		return nil // put back before, or in another undo's hands
	}
	to := first.UndoneFrom
	if made > 0 {
		to = remediation.Unverified
	}
	_, err = s.move(ctx, first, to, fmt.Sprintf("its undo %s failed after %d change(s)", undo.ID, made), "", "")
	return err
}

// move changes one remediation's state, announces it, hands it to topic hand if
// that is not empty, and gives it as it is stored.
func (s *Stage) move(ctx context.Context, r remediation.Remediation, to remediation.State, reason, hint, hand string) (remediation.Remediation, error) {
	r, change := r.Moved(to, reason, hint, s.Clock.Now())
	eff, err := store.Announce(change, actor, r.UpdatedAt)
	if err != nil {
		return r, err
	}
	if hand != "" {
		if eff, err = eff.Hand(hand, string(r.ID), r.ID); err != nil {
			return r, err
		}
	}
	if err := s.Store.UpdateRemediation(ctx, r, eff); err != nil {
		return r, err
	}
	s.Logger.InfoContext(ctx, "remediation moved", "remediation", r.ID, "state", to)
	return change.Remediation, nil
}
