package execute

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
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
	Executions
}

// Executions are the rows of executions, with what is asked of them.
type Executions interface {
	PutSegment(ctx context.Context, e store.ExecutionRecord, w store.SegmentWrite) error
	Execution(ctx context.Context, id string) (store.ExecutionRecord, error)
	Executions(ctx context.Context, ids []string) ([]store.ExecutionRecord, error)
	CreateExecutions(ctx context.Context, all []store.ExecutionRecord, eff store.Effects) error
	EndExecution(ctx context.Context, end store.ExecutionEnd, eff store.Effects) error
	ListExecutions(ctx context.Context, f store.ExecutionFilter, limit int, cursor string) ([]store.ExecutionRecord, string, error)
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
	Signals(ctx context.Context, execution string, after int64) ([]store.Signal, error)
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
	// Applier opens it for an execution; those of children name the one at the top.
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
	Number     int // of the segment
	Where      remediation.Remediation
	Caller     Caller
	Steps      Stepper
	StartedAt  time.Time
	// Of says what the execution is of: account, region, role, prefix, depth. It is
	// that of the remediation for a fix or an undo.
	Of   store.ExecutionOf
	Plan *remediation.Plan
}

// Result is how a segment ended.
type Result struct {
	Status  string // AWS's execution status
	Failure string // what failed, for a person
	Abort   error  // a security stop: superseded, not in the plan, denied by a guard
	State   []byte // to resume from
	// Parked says that the execution goes on in another segment: at ResumeAt, or, when
	// that is zero, as soon as a signal comes. Signal is the last one it has read.
	Parked   bool
	ResumeAt time.Time
	Signal   int64
	// CurrentStep and CurrentAction are what it is parked at.
	CurrentStep, CurrentAction string
	Ended                      store.ExecutionResult
	// Write is what belongs to the segment: its steps, and effects.
	Write store.SegmentWrite
}

// Interpreter runs one segment of a document.
type Interpreter interface {
	Interpret(ctx context.Context, s Segment) (Result, error)
}

// Config is what the stage is made of.
type Config struct {
	Store Store
	// Engine may be set after New, because it needs the stage itself, and must be
	// before the first Handle.
	Engine      Engine
	Gate        Gate
	Interpreter Interpreter
	Clock       service.Clock
	Logger      *slog.Logger // default: discard
	// Announce gives the event of an execution that came into a status; nil = none.
	Announce func(e store.ExecutionRecord) (store.Effects, error)
	// Excepted names the exception that suppresses a finding, "" for none; nil = there
	// are no exceptions.
	Excepted func(ctx context.Context, id finding.ID) (string, error)
}

// Stage executes.
type Stage struct {
	Config
	admitted *admitted
}

// New checks cfg.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil || cfg.Gate == nil || cfg.Interpreter == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make execute stage", "store, gate, interpreter and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Stage{Config: cfg, admitted: newAdmitted()}, nil
}

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
		return fault.Held(fault.Errorf(fault.Unavailable, "start remediation "+string(id), "the stop switch is on: %s", reason), 5*time.Second)
	}
	j := job{Remediation: id, Execution: r.Execution, Segment: 1, StartedAt: s.Clock.Now()}
	if r.Execution == "" {
		j.Execution = "exec-" + strings.TrimPrefix(string(id), "rem-")
	}
	input, err := json.Marshal(j)
	if err != nil {
		return fault.E(fault.Internal, "write execution input", err)
	}
	return s.Engine.Start(ctx, j.id(), input)
}
