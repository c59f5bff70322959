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
	waiting    = "Waiting"
	succeeded  = "Success"
	failed     = "Failed"
)

// job is the input of one segment.
type job struct {
	Remediation remediation.ID `json:"remediation"`
	Execution   string         `json:"execution"`
	Segment     int            `json:"segment"`
	StartedAt   time.Time      `json:"started_at"`
	// Child says that the execution was started by another one of the remediation.
	Child bool `json:"child,omitempty"`
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
	if r.State == remediation.Queued && !j.Child {
		if r, err = s.begin(ctx, r, j); err != nil {
			return err
		}
	}
	if r.State != remediation.Running {
		return s.orphan(ctx, r, j) // ended before; this is a repetition
	}
	history, err := s.Store.Execution(ctx, j.Execution)
	switch {
	case err != nil:
		return err
	case !history.EndedAt.IsZero() && j.Child:
		return nil // ended before; this is a repetition
	case history.Segment > j.Segment:
		// A crash came between storing the next segment's state and its timer.
		return s.next(ctx, j, s.Clock.Now())
	}
	plan, doc, err := s.admit(ctx, r, j, history)
	if err == nil {
		r.Exception, err = s.excepted(ctx, r, j) // kept with what it stopped: when it ends, that is planned anew
	}
	if fault.IsTerminal(err) {
		if fault.Is(err, fault.Denied) {
			err = fault.Refused(err)
		}
		return s.finish(ctx, r, j, Result{Status: failed, Abort: err})
	}
	if err != nil {
		return err
	}
	return s.segment(ctx, r, j, history, plan, doc, steps)
}

// segment runs one segment that has been admitted.
func (s *Stage) segment(ctx context.Context, r remediation.Remediation, j job, e store.ExecutionRecord, plan *remediation.Plan, doc *runbook.Document, steps Stepper) error {
	var state []byte
	if j.Segment > 1 {
		state = e.State
	}
	if j.Child && j.Segment == 1 && e.Segment == 0 {
		if err := s.put(ctx, store.ExecutionRecord{ID: j.Execution, Remediation: r.ID, Segment: 1, Status: inProgress, StartedAt: j.StartedAt, Of: e.Of}, store.SegmentWrite{}); err != nil {
			return err
		}
	}
	of := e.Of
	if of.Root == "" { // an execution of a release that kept no more
		of = ofRemediation(r, j.Execution)
	}
	parameters := plan.Parameters
	if j.Child {
		parameters = of.Parameters
	}
	result, err := s.Interpreter.Interpret(ctx, Segment{
		Document: doc, Parameters: parameters, State: state, Execution: j.Execution, Number: j.Segment, Where: r,
		Caller: s.Gate.Applier(r, plan, of.Root), Steps: steps, StartedAt: j.StartedAt, Of: of, Plan: plan,
	})
	switch {
	case err != nil:
		return err
	case result.Parked:
		return s.park(ctx, j, e, result)
	}
	e.Of = of
	return s.finish(ctx, r, j, result)
}

// ofRemediation says what the execution of a fix or an undo is of.
func ofRemediation(r remediation.Remediation, execution string) store.ExecutionOf {
	return store.ExecutionOf{
		Root: execution, Document: r.Runbook, Account: r.Account, Region: r.Region, StartedBy: r.RequestedBy, Mode: "Auto",
	}
}

// begin moves a queued remediation to running, and for an undo the first one to
// undoing.
func (s *Stage) begin(ctx context.Context, r remediation.Remediation, j job) (remediation.Remediation, error) {
	e := store.ExecutionRecord{
		ID: j.Execution, Remediation: r.ID, Segment: j.Segment, Status: inProgress, StartedAt: j.StartedAt, Of: ofRemediation(r, j.Execution),
	}
	if r.Kind == remediation.KindRun { // its row was made when it was asked for
		asked, err := s.Store.Execution(ctx, j.Execution)
		if err != nil {
			return r, err
		}
		if !asked.EndedAt.IsZero() && asked.Segment == 0 { // it was stopped before it began
			return s.move(ctx, r, remediation.Cancelled, "it was stopped before it began", "", "")
		}
		e.StartedAt, e.Of = asked.StartedAt, asked.Of
	}
	if err := s.put(ctx, e, store.SegmentWrite{}); err != nil {
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

// park stores where the execution stands and asks for the next segment.
//
// Invariant: the row and the timer are written before signals are looked for, and
// whoever puts a signal writes it before it looks at the row; so one of the two sees
// the other. A timer written later would put off the one that a signal has set.
func (s *Stage) park(ctx context.Context, j job, e store.ExecutionRecord, result Result) error {
	next := store.ExecutionRecord{
		ID: j.Execution, Remediation: j.Remediation, Segment: j.Segment + 1, Status: result.Status, State: result.State, StartedAt: j.StartedAt,
		Parked: true, CurrentStep: result.CurrentStep, CurrentAction: result.CurrentAction, Of: e.Of,
	}
	result.Write.DropScripts = true
	if err := s.put(ctx, next, result.Write); err != nil {
		return err
	}
	if !result.ResumeAt.IsZero() { // else a signal wakes it
		if err := s.next(ctx, j, result.ResumeAt); err != nil {
			return err
		}
	}
	waiting, err := s.Store.Signals(ctx, j.Execution, result.Signal)
	if err != nil || len(waiting) == 0 {
		return err
	}
	return s.next(ctx, j, s.Clock.Now())
}

// next asks for the segment that follows j.
func (s *Stage) next(ctx context.Context, j job, at time.Time) error {
	j.Segment++
	return s.schedule(ctx, j, at)
}

func (s *Stage) schedule(ctx context.Context, j job, at time.Time) error {
	input, err := json.Marshal(j)
	if err != nil {
		return fault.E(fault.Internal, "write execution input", err)
	}
	return s.Engine.Schedule(ctx, at, j.id(), input)
}

// finish stores how the execution ended and settles its remediation; a child tells
// its parent.
func (s *Stage) finish(ctx context.Context, r remediation.Remediation, j job, result Result) error {
	e, err := s.Store.Execution(ctx, j.Execution)
	if err != nil {
		return err
	}
	e.Segment, e.Status, e.State, e.EndedAt, e.Parked = max(j.Segment, e.Segment), result.Status, result.State, s.Clock.Now(), false
	e.CurrentStep, e.CurrentAction, e.Result = "", "", result.Ended
	if e.Result.Failure == "" && result.Status != succeeded {
		e.Result.Failure = result.Failure
	}
	if result.Abort != nil {
		e.Result.Failure = "The execution was stopped: " + result.Abort.Error()
		e.Result.Stopped, e.Result.Refused = string(fault.CodeOf(result.Abort)), fault.IsRefused(result.Abort)
	}
	result.Write.DropScripts = true
	if j.Child {
		if result.Abort != nil { // what it waited for is of no more use
			if err := s.cancelChildren(ctx, j.Execution); err != nil {
				return err
			}
		}
		result.Write.Effects.Signals = append(result.Write.Effects.Signals, ended(e, s.Clock.Now()))
		return s.put(ctx, e, result.Write)
	}
	if err := s.put(ctx, e, result.Write); err != nil {
		return err
	}
	return s.end(ctx, r, result)
}

// put stores e under this node's lease, and announces the status it came into.
func (s *Stage) put(ctx context.Context, e store.ExecutionRecord, w store.SegmentWrite) error {
	e.LeaseOwner, e.LeaseEpoch = s.Engine.Holder()
	if s.Announce != nil {
		eff, err := s.Announce(e)
		if err != nil {
			return err
		}
		w.Effects.Outbox = append(w.Effects.Outbox, eff.Outbox...)
	}
	return s.Store.PutSegment(ctx, e, w)
}
