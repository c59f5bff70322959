package execute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Store is what execution reads and writes.
type Store interface {
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	UpdateRemediation(ctx context.Context, r remediation.Remediation, eff store.Effects) error
	Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error)
	Records
}

// Records are the approval and the history of an execution.
type Records interface {
	ApprovalFor(ctx context.Context, id remediation.ID) (remediation.Approval, error)
	UpdateApproval(ctx context.Context, a remediation.Approval, r *remediation.Remediation, eff store.Effects) error
	Changes(ctx context.Context, id remediation.ID) ([]remediation.Change, error)
	PutExecution(ctx context.Context, e store.ExecutionRecord) error
	Execution(ctx context.Context, id string) (store.ExecutionRecord, error)
}

// Engine runs segments durably. Starting an id twice is starting it once.
type Engine interface {
	Start(ctx context.Context, id string, input []byte) error
	Schedule(ctx context.Context, at time.Time, id string, input []byte) error
	// Holder names this node and the epoch of its lease: an execution's row
	// refuses writes of an older epoch.
	Holder() (node string, epoch int64)
}

// Stepper checkpoints one step: fn runs once, its result is kept.
type Stepper interface {
	Step(ctx context.Context, name string, fn func(context.Context) ([]byte, error)) ([]byte, error)
}

// Caller makes one AWS call for a step.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Gate opens a session that sends the changes of plan and no others.
type Gate interface {
	Applier(r remediation.Remediation, plan *remediation.Plan, execution string) Caller
	// StopSwitch says whether changes are stopped, and why.
	StopSwitch(ctx context.Context) (on bool, reason string, err error)
}

// Segment is one stretch of an execution, from a resumable state to its end or
// to the next long wait (design.md decision 4).
type Segment struct {
	Document   *runbook.Document
	Parameters map[string]any
	State      []byte // nil at the start
	Execution  string
	Where      remediation.Remediation
	Caller     Caller
	Steps      Stepper
	StartedAt  time.Time
}

// Result is how a segment ended.
type Result struct {
	Status   string    // AWS's execution status
	Failure  string    // what failed, for a person
	Abort    error     // a security stop: superseded, not in the plan, denied by a guard
	State    []byte    // to resume from
	ResumeAt time.Time // not zero: the next segment starts then
}

// Interpreter runs one segment of a document.
type Interpreter interface {
	Interpret(ctx context.Context, s Segment) (Result, error)
}

// Config is what the stage is made of.
type Config struct {
	Store       Store
	Engine      Engine
	Gate        Gate
	Interpreter Interpreter
	Clock       service.Clock
	Logger      *slog.Logger // default: discard
}

// Stage executes.
type Stage struct{ Config }

// New checks cfg.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil || cfg.Gate == nil || cfg.Interpreter == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make execute stage", "store, gate, interpreter and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Stage{cfg}, nil
}

// job is the input of one segment.
type job struct {
	Remediation remediation.ID `json:"remediation"`
	Execution   string         `json:"execution"`
	Segment     int            `json:"segment"`
	StartedAt   time.Time      `json:"started_at"`
}

func (j job) id() string { return fmt.Sprintf("%s#%d", j.Execution, j.Segment) }

// Handle starts one queued remediation. It answers topic execute.
func (s *Stage) Handle(ctx context.Context, payload []byte) error {
	var id remediation.ID
	if err := json.Unmarshal(payload, &id); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, "read execute job", err))
	}
	r, err := s.Store.Remediation(ctx, id)
	if err != nil {
		return err
	}
	if r.State != remediation.Queued {
		return nil
	}
	on, reason, err := s.Gate.StopSwitch(ctx)
	if err != nil {
		return fault.Transient(fmt.Errorf("read the stop switch: %w", err), 5*time.Second)
	}
	if on {
		return fault.Transient(fault.Errorf(fault.Unavailable, "start remediation "+string(id), "the stop switch is on: %s", reason), 5*time.Second)
	}
	j := job{Remediation: id, Execution: "exec-" + strings.TrimPrefix(string(id), "rem-"), Segment: 1, StartedAt: s.Clock.Now()}
	input, err := json.Marshal(j)
	if err != nil {
		return fault.E(fault.Internal, "write execution input", err)
	}
	return s.Engine.Start(ctx, j.id(), input)
}

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
	if err != nil {
		if fault.Is(err, fault.Denied) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
			return s.end(ctx, r, Result{Status: "Failed", Abort: err})
		}
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
	if err != nil {
		return err
	}
	if !result.ResumeAt.IsZero() {
		return s.park(ctx, j, result)
	}
	if err := s.put(ctx, store.ExecutionRecord{
		ID: j.Execution, Remediation: r.ID, Segment: j.Segment, Status: result.Status, State: result.State, StartedAt: j.StartedAt, EndedAt: s.Clock.Now(),
	}); err != nil {
		return err
	}
	return s.end(ctx, r, result)
}

// begin moves a queued remediation to running, and for an undo the first one to
// undoing.
func (s *Stage) begin(ctx context.Context, r remediation.Remediation, j job) (remediation.Remediation, error) {
	if err := s.put(ctx, store.ExecutionRecord{ID: j.Execution, Remediation: r.ID, Segment: j.Segment, Status: "InProgress", StartedAt: j.StartedAt}); err != nil {
		return r, err
	}
	if r.Kind == remediation.KindUndo {
		first, err := s.Store.Remediation(ctx, r.UndoOf)
		if err != nil {
			return r, err
		}
		if first.State != remediation.Undoing {
			if err := s.move(ctx, &first, remediation.Undoing, "by "+string(r.ID), "", ""); err != nil {
				return r, err
			}
		}
	}
	r.Execution = j.Execution
	err := s.move(ctx, &r, remediation.Running, "execution "+j.Execution, "", "")
	return r, err
}

// admit gives the plan and its document if an approval binds to this very plan.
func (s *Stage) admit(ctx context.Context, r remediation.Remediation) (remediation.Plan, *runbook.Document, error) {
	const op = "admit plan"
	plan, err := s.Store.Plan(ctx, r.PlanHash)
	if err != nil {
		return plan, nil, err
	}
	approval, err := s.Store.ApprovalFor(ctx, r.ID)
	if err != nil {
		return plan, nil, err
	}
	hash, err := plan.Hash()
	switch {
	case err != nil:
		return plan, nil, fault.E(fault.Invalid, op, err)
	case hash != r.PlanHash:
		return plan, nil, fault.Errorf(fault.Denied, op, "the stored plan does not have the approved hash %.12s", r.PlanHash)
	case approval.State != remediation.ApprovalApproved || approval.Plan != hash:
		return plan, nil, fault.Errorf(fault.Denied, op, "no approval binds to plan %.12s", hash)
	case !plan.ExpiresAt.IsZero() && s.Clock.Now().After(plan.ExpiresAt):
		return plan, nil, fault.Errorf(fault.Conflict, op, "the plan expired at %s", plan.ExpiresAt.UTC().Format(time.RFC3339)).
			WithHint("plan again: parry finding remediate %s", r.Finding.Key())
	case runbook.Revision([]byte(plan.Runbook.Content)) != plan.Runbook.Revision:
		return plan, nil, fault.Errorf(fault.Denied, op, "the runbook's content does not have the pinned revision")
	}
	doc, err := runbook.Parse([]byte(plan.Runbook.Content))
	if err != nil {
		return plan, nil, fault.E(fault.Invalid, op, err)
	}
	return plan, doc, nil
}

// Abandon ends a remediation whose segment failed for good outside the
// interpreter: a store that answers nonsense, a state that cannot be read. The
// durable engine calls it.
func (s *Stage) Abandon(ctx context.Context, input []byte, cause error) error {
	var j job
	if err := json.Unmarshal(input, &j); err != nil {
		return fault.E(fault.Invalid, "read execution input", err)
	}
	r, err := s.Store.Remediation(ctx, j.Remediation)
	if err != nil || r.State != remediation.Running && r.State != remediation.Queued {
		return err
	}
	return s.end(ctx, r, Result{Status: "Failed", Failure: "the execution cannot go on: " + cause.Error()})
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

// put stores e under this node's lease.
func (s *Stage) put(ctx context.Context, e store.ExecutionRecord) error {
	e.LeaseOwner, e.LeaseEpoch = s.Engine.Holder()
	return s.Store.PutExecution(ctx, e)
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

// move changes one remediation's state and announces it.
func (s *Stage) move(ctx context.Context, r *remediation.Remediation, to remediation.State, reason, hint, hand string) error {
	eff, err := s.announce(r, to, reason, hint)
	if err != nil {
		return err
	}
	if hand != "" {
		if eff, err = eff.Hand(hand, string(r.ID), r.ID); err != nil {
			return err
		}
	}
	if err := s.Store.UpdateRemediation(ctx, *r, eff); err != nil {
		return err
	}
	r.Version++
	s.Logger.InfoContext(ctx, "remediation moved", "remediation", r.ID, "state", to)
	return nil
}

func (s *Stage) announce(r *remediation.Remediation, to remediation.State, reason, hint string) (store.Effects, error) {
	from, now := r.State, s.Clock.Now()
	r.State, r.Reason, r.Hint, r.UpdatedAt = to, reason, hint, now
	announced := *r
	announced.Version++
	return store.Announce(remediation.StateChange{Remediation: announced, From: from, To: to, Title: r.Control}, "parry/execute", now)
}

// end settles a finished execution.
func (s *Stage) end(ctx context.Context, r remediation.Remediation, result Result) error {
	if result.Status == "Success" && result.Abort == nil {
		return s.move(ctx, &r, remediation.Verifying, "the runbook ended with Success; reading back", "", store.TopicVerify)
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
	reason := result.Failure
	if result.Abort != nil {
		reason = result.Abort.Error()
	}
	reason = fmt.Sprintf("%s; %d change(s) had been made", reason, made)
	hint := fault.HintOf(result.Abort)
	if hint == "" && made > 0 && r.Kind == remediation.KindFix {
		hint = "to take them back, run: parry remediation undo " + string(r.ID)
	}
	if hint == "" {
		hint = "mend the cause, then run: parry finding remediate " + r.Finding.Key()
	}
	if fault.Is(result.Abort, fault.Conflict) {
		return s.supersede(ctx, r, reason, hint)
	}
	return s.move(ctx, &r, remediation.Failed, reason, hint, "")
}

// supersede ends the remediation and its approval together: the plan no longer
// describes the resource.
func (s *Stage) supersede(ctx context.Context, r remediation.Remediation, reason, hint string) error {
	approval, err := s.Store.ApprovalFor(ctx, r.ID)
	if err != nil {
		return err
	}
	eff, err := s.announce(&r, remediation.Superseded, reason, hint)
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
		if c.Outcome != remediation.Refused {
			n++
		}
	}
	return n, nil
}

// putBack takes the first remediation out of undoing when its undo failed:
// to where it stood when nothing was changed, to unverified otherwise.
func (s *Stage) putBack(ctx context.Context, undo remediation.Remediation, made int) error {
	first, err := s.Store.Remediation(ctx, undo.UndoOf)
	if err != nil {
		return err
	}
	if first.State != remediation.Undoing {
		return nil
	}
	to := remediation.Verified
	if made > 0 {
		to = remediation.Unverified
	}
	err = s.move(ctx, &first, to, fmt.Sprintf("its undo %s failed after %d change(s)", undo.ID, made), "", "")
	if errors.Is(err, store.ErrConflict) {
		return fault.Transient(err, 0)
	}
	return err
}
