package execute

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// The statuses that the stage itself gives or reads, in AWS's words.
const (
	inProgress = "InProgress"
	succeeded  = "Success"
	failed     = "Failed"
)

// job is the input of one segment.
type job struct {
	Remediation remediation.ID `json:"remediation"`
	Execution   string         `json:"execution"`
	Segment     int            `json:"segment"`
	StartedAt   time.Time      `json:"started_at"`
}

func (j job) id() string { return fmt.Sprintf("%s#%d", j.Execution, j.Segment) }

// Run is the body of one segment; the durable engine calls it, and calls it
// again after a crash. Everything in it is either checkpointed by steps or safe
// to repeat.
func (s *Stage) Run(ctx context.Context, input []byte, steps Stepper) error {
	var j job
	if err := json.Unmarshal(input, &j); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, "read execution input", err))
	}
	r, err := s.Store.Remediation(ctx, j.Remediation)
	if err != nil {
		return err
	}
	if r.State == remediation.Queued {
		if r, err = s.begin(ctx, r, j); err != nil {
			return err
		}
	}
	if r.State != remediation.Running {
		return nil // ended before; this is a repetition
	}
	plan, doc, err := s.admit(ctx, r)
	if fault.IsTerminal(err) {
		return s.finish(ctx, r, j, Result{Status: failed, Abort: err})
	}
	if err != nil {
		return err
	}
	history, err := s.Store.Execution(ctx, j.Execution)
	if err != nil {
		return err
	}
	if history.Segment > j.Segment {
		// A crash came between storing the next segment's state and its timer.
		return s.next(ctx, j, s.Clock.Now())
	}
	var state []byte
	if j.Segment > 1 {
		state = history.State
	}
	result, err := s.Interpreter.Interpret(ctx, Segment{
		Document: doc, Parameters: plan.Parameters, State: state, Execution: j.Execution, Where: r,
		Caller: s.Gate.Applier(r, &plan, j.Execution), Steps: steps, StartedAt: j.StartedAt,
	})
	switch {
	case err != nil:
		return err
	case !result.ResumeAt.IsZero():
		return s.park(ctx, j, result)
	}
	return s.finish(ctx, r, j, result)
}

// begin moves a queued remediation to running, and for an undo the first one to
// undoing.
func (s *Stage) begin(ctx context.Context, r remediation.Remediation, j job) (remediation.Remediation, error) {
	if err := s.put(ctx, store.ExecutionRecord{ID: j.Execution, Remediation: r.ID, Segment: j.Segment, Status: inProgress, StartedAt: j.StartedAt}); err != nil {
		return r, err
	}
	if r.Kind == remediation.KindUndo {
		if err := s.take(ctx, r); err != nil {
			return r, err
		}
	}
	r.Execution = j.Execution
	return s.move(ctx, r, remediation.Running, "execution "+j.Execution, "", "")
}

// take puts the remediation that undo is about into undoing, for this undo
// alone: two at once would each take the other's changes for somebody's.
func (s *Stage) take(ctx context.Context, undo remediation.Remediation) error {
	first, err := s.Store.Remediation(ctx, undo.UndoOf)
	if err != nil {
		return err
	}
	if first.State == remediation.Undoing && first.UndoneBy == undo.ID {
		return nil // a crash came before the undo itself was running
	}
	if !first.State.Can(remediation.Undoing) {
		return fault.Terminal(fault.Errorf(fault.Conflict, "begin undo", "remediation %s is %s and cannot be undone", first.ID, first.State))
	}
	first.UndoneBy, first.UndoneFrom = undo.ID, first.State
	_, err = s.move(ctx, first, remediation.Undoing, "by "+string(undo.ID), "", "")
	return err
}

// admit gives the plan and its document if an approval binds to this very plan.
// A terminal error is a refusal; any other says that it could not be found out.
func (s *Stage) admit(ctx context.Context, r remediation.Remediation) (remediation.Plan, *runbook.Document, error) {
	plan, err := s.Store.Plan(ctx, r.PlanHash)
	if err != nil {
		return plan, nil, missing(err)
	}
	approval, err := s.Store.ApprovalFor(ctx, r.ID)
	if err != nil {
		return plan, nil, missing(err)
	}
	if err := s.binds(r, plan, approval); err != nil {
		return plan, nil, fault.Terminal(err)
	}
	doc, err := runbook.Parse([]byte(plan.Runbook.Content))
	if err != nil {
		return plan, nil, fault.Terminal(fault.E(fault.Invalid, "read the plan's runbook", err))
	}
	return plan, doc, nil
}

// missing makes a refusal of a row that is not there.
func missing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.Terminal(err)
	}
	return err
}

// binds says why the approval does not let the plan run, nil when it does.
func (s *Stage) binds(r remediation.Remediation, plan remediation.Plan, approval remediation.Approval) error {
	const op = "admit plan"
	hash, err := plan.Hash()
	switch {
	case err != nil:
		return fault.E(fault.Invalid, op, err)
	case hash != r.PlanHash:
		return fault.Errorf(fault.Denied, op, "the stored plan does not have the approved hash %.12s", r.PlanHash)
	case approval.State != remediation.ApprovalApproved || approval.Plan != hash:
		return fault.Errorf(fault.Denied, op, "no approval binds to plan %.12s", hash)
	case !plan.ExpiresAt.IsZero() && s.Clock.Now().After(plan.ExpiresAt):
		return fault.Errorf(fault.Conflict, op, "the plan expired at %s", plan.ExpiresAt.UTC().Format(time.RFC3339))
	case runbook.Revision([]byte(plan.Runbook.Content)) != plan.Runbook.Revision:
		return fault.Errorf(fault.Denied, op, "the runbook's content does not have the pinned revision")
	}
	return nil
}

// park stores where the execution stands and asks for the next segment.
func (s *Stage) park(ctx context.Context, j job, result Result) error {
	if err := s.put(ctx, store.ExecutionRecord{
		ID: j.Execution, Remediation: j.Remediation, Segment: j.Segment + 1, Status: result.Status, State: result.State, StartedAt: j.StartedAt,
	}); err != nil {
		return err
	}
	return s.next(ctx, j, result.ResumeAt)
}

// next asks for the segment that follows j.
func (s *Stage) next(ctx context.Context, j job, at time.Time) error {
	j.Segment++
	input, err := json.Marshal(j)
	if err != nil {
		return fault.E(fault.Internal, "write execution input", err)
	}
	return s.Engine.Schedule(ctx, at, j.id(), input)
}

// finish stores how the execution ended and settles its remediation.
func (s *Stage) finish(ctx context.Context, r remediation.Remediation, j job, result Result) error {
	if err := s.put(ctx, store.ExecutionRecord{
		ID: j.Execution, Remediation: r.ID, Segment: j.Segment, Status: result.Status, State: result.State, StartedAt: j.StartedAt, EndedAt: s.Clock.Now(),
	}); err != nil {
		return err
	}
	return s.end(ctx, r, result)
}

// put stores e under this node's lease.
func (s *Stage) put(ctx context.Context, e store.ExecutionRecord) error {
	e.LeaseOwner, e.LeaseEpoch = s.Engine.Holder()
	return s.Store.PutExecution(ctx, e)
}
