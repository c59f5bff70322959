package durable

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/parry-security/parry/internal/fault"
)

const maxID = 256

func checkID(op, id string) error {
	if id == "" || len(id) > maxID {
		return fault.Errorf(fault.Invalid, op, "an id of 1 to %d characters is needed", maxID)
	}
	return nil
}

// Start begins work under id, at once and on this node. Starting an id that
// exists, whatever became of it, does nothing.
func (e *Engine) Start(_ context.Context, id string, input []byte) error {
	const op = "start work"
	if err := checkID(op, id); err != nil {
		return err
	}
	dctx, err := e.live(op)
	if err != nil {
		return err
	}
	sealed, err := e.seal(input, id+"/input")
	if err != nil {
		return err
	}
	if _, err := dbos.RunWorkflow(dctx, e.body, sealed, dbos.WithWorkflowID(id)); err != nil {
		return fault.Transient(fault.E(fault.Unavailable, op+" "+id, err), time.Second)
	}
	return e.settle(op)
}

// Signal sends payload to work that calls Exec.Receive on topic.
func (e *Engine) Signal(_ context.Context, id, topic string, payload []byte) error {
	const op = "signal work"
	dctx, err := e.live(op)
	if err != nil {
		return err
	}
	sealed, err := e.seal(payload, id+"/signal/"+topic)
	if err != nil {
		return err
	}
	if err := known(op, id, dbos.Send(dctx, id, sealed, topic)); err != nil {
		return err
	}
	return e.settle(op)
}

// Cancel ends work: a step under way on this node has its context cancelled,
// one elsewhere is the last. A timer under the id is removed.
func (e *Engine) Cancel(ctx context.Context, id string) error {
	const op = "cancel work"
	dctx, err := e.live(op)
	if err != nil {
		return err
	}
	if err := e.cfg.Timers.DeleteTimer(ctx, id); err != nil {
		return err
	}
	if err := known(op, id, dbos.CancelWorkflow(dctx, id)); err != nil {
		return err
	}
	e.mu.Lock()
	cancel := e.running[id]
	e.mu.Unlock()
	if cancel != nil {
		cancel(ErrCancelled)
	}
	return e.settle(op)
}

func known(op, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dbos.ErrNonExistentWorkflow):
		return fault.Errorf(fault.NotFound, op, "there is no work %q", id)
	}
	return fault.Transient(fault.E(fault.Unavailable, op+" "+id, err), time.Second)
}

// Status is where work stands.
type Status string

// The statuses of work. Queued work was taken over and waits for a node.
const (
	Running   Status = "running"
	Queued    Status = "queued"
	Done      Status = "done"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
	// Parked work took its process down too often to be tried again.
	Parked Status = "parked"
)

func statusOf(s dbos.WorkflowStatusType) Status {
	switch s {
	case dbos.WorkflowStatusPending:
		return Running
	case dbos.WorkflowStatusEnqueued, dbos.WorkflowStatusDelayed:
		return Queued
	case dbos.WorkflowStatusSuccess:
		return Done
	case dbos.WorkflowStatusCancelled:
		return Cancelled
	case dbos.WorkflowStatusMaxRecoveryAttemptsExceeded:
		return Parked
	}
	return Failed
}

func statusesOf(s Status) []dbos.WorkflowStatusType {
	all := []dbos.WorkflowStatusType{
		dbos.WorkflowStatusPending, dbos.WorkflowStatusEnqueued, dbos.WorkflowStatusDelayed, dbos.WorkflowStatusSuccess,
		dbos.WorkflowStatusError, dbos.WorkflowStatusCancelled, dbos.WorkflowStatusMaxRecoveryAttemptsExceeded,
	}
	return slices.DeleteFunc(all, func(t dbos.WorkflowStatusType) bool { return s != "" && statusOf(t) != s })
}

// Work describes one piece of work.
type Work struct {
	ID          string    `json:"id"`
	Status      Status    `json:"status"`
	Node        string    `json:"node"`
	Attempts    int       `json:"attempts"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
}

// Filter selects work; zero fields select all.
type Filter struct {
	IDs    []string
	Prefix string // of the id: all segments of an execution
	Status Status
	Limit  int // default and maximum 1,000
}

// List gives work, the newest first.
func (e *Engine) List(_ context.Context, f Filter) ([]Work, error) {
	const op = "list work"
	dctx, err := e.live(op)
	if err != nil {
		return nil, err
	}
	if f.Limit <= 0 || f.Limit > 1000 {
		f.Limit = 1000
	}
	opts := []dbos.ListWorkflowsOption{
		dbos.WithFilterLimit(f.Limit), dbos.WithFilterSortDesc(), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false),
		dbos.WithFilterStatus(statusesOf(f.Status)...),
	}
	if len(f.IDs) > 0 {
		opts = append(opts, dbos.WithFilterWorkflowIDs(f.IDs...))
	}
	if f.Prefix != "" {
		opts = append(opts, dbos.WithFilterWorkflowIDPrefix(f.Prefix))
	}
	rows, err := dbos.ListWorkflows(dctx, opts...)
	if err != nil {
		return nil, known(op, "", err)
	}
	out := make([]Work, 0, len(rows))
	for _, r := range rows {
		out = append(out, Work{
			ID: r.ID, Status: statusOf(r.Status), Node: r.ExecutorID, Attempts: r.Attempts,
			CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), CompletedAt: utc(r.CompletedAt),
		})
	}
	return out, nil
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// StepInfo is one completed step. Err is its recorded error.
type StepInfo struct {
	Name        string
	Output      []byte
	Err         error
	StartedAt   time.Time
	CompletedAt time.Time
}

// Steps gives the completed steps of work, in order.
func (e *Engine) Steps(_ context.Context, id string) ([]StepInfo, error) {
	const op = "list steps"
	dctx, err := e.live(op)
	if err != nil {
		return nil, err
	}
	rows, err := dbos.GetWorkflowSteps(dctx, id)
	if err != nil {
		return nil, known(op, id, err)
	}
	var out []StepInfo
	for _, r := range rows {
		info := StepInfo{Name: r.StepName, StartedAt: r.StartedAt.UTC(), CompletedAt: utc(r.CompletedAt)}
		text, ok := sealedText(r.Output)
		if !ok {
			continue // a step of DBOS itself: a receive or its time limit
		}
		if info.Output, info.Err, err = e.openOutcome(text, id+"/step/"+r.StepName); err != nil {
			continue
		}
		out = append(out, info)
	}
	return out, nil
}

// sealedText reads a step's output as DBOS lists it: text in JSON.
func sealedText(v any) (string, bool) {
	text, ok := v.(string)
	if !ok {
		return "", false
	}
	var inner string
	if json.Unmarshal([]byte(text), &inner) == nil {
		return inner, true
	}
	return text, true
}

// Schedule starts work under id at a time: a row, not a sleeping process. A
// later Schedule of the same id replaces the time.
func (e *Engine) Schedule(ctx context.Context, at time.Time, id string, input []byte) error {
	if err := checkID("schedule work", id); err != nil {
		return err
	}
	sealed, err := e.seal(input, id+"/timer")
	if err != nil {
		return err
	}
	if err := e.cfg.Timers.PutTimer(ctx, Timer{ID: id, At: at.UTC(), Payload: []byte(sealed)}); err != nil {
		return err
	}
	if at.Sub(e.cfg.Clock.Now()) <= e.cfg.Poll {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// timerLoop starts what is due.
func (e *Engine) timerLoop(ctx context.Context) {
	tick := time.NewTicker(e.cfg.Poll)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			n, err := e.fire(ctx)
			if err != nil && ctx.Err() == nil {
				e.cfg.Logger.Warn("timers not started; trying again", "error", err)
			}
			if n == 0 || err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.wake:
		}
	}
}

// fire starts due timers and gives how many. Starting comes before deleting: a
// crash between the two starts the same id again, which does nothing.
func (e *Engine) fire(ctx context.Context) (int, error) {
	due, err := e.cfg.Timers.DueTimers(ctx, e.cfg.Clock.Now(), 100)
	if err != nil {
		return 0, err
	}
	for _, t := range due {
		input, err := e.open(string(t.Payload), t.ID+"/timer")
		if err != nil {
			// Kept for a person, out of the way of the others.
			e.cfg.Logger.Error("timer cannot be opened; it is put off by an hour", "timer", t.ID, "error", err)
			t.At = e.cfg.Clock.Now().Add(time.Hour)
			if err := e.cfg.Timers.PutTimer(ctx, t); err != nil {
				return 0, err
			}
			continue
		}
		if err := e.Start(ctx, t.ID, input); err != nil {
			return 0, err
		}
		if err := e.cfg.Timers.DeleteTimer(ctx, t.ID); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

// sweepLoop takes over the work of dead nodes and deletes old work.
func (e *Engine) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(max(e.cfg.LeaseTTL/5, 200*time.Millisecond))
	defer tick.Stop()
	cleaned := e.cfg.Clock.Now()
	for {
		if err := e.sweep(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Logger.Warn("work of dead nodes not taken over; trying again", "error", err)
		}
		if now := e.cfg.Clock.Now(); now.Sub(cleaned) > 10*time.Minute {
			cleaned = now
			if err := e.clean(); err != nil && ctx.Err() == nil {
				e.cfg.Logger.Warn("old work not deleted; trying again later", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) sweep(ctx context.Context) error {
	dead, err := e.cfg.Lease.DeadNodes(ctx, e.cfg.Clock.Now())
	if err != nil {
		return err
	}
	dead = slices.DeleteFunc(dead, func(n string) bool { return n == e.cfg.Node })
	if len(dead) == 0 {
		return nil
	}
	dctx, err := e.live("take over work")
	if err != nil {
		return err
	}
	return e.recover(dctx, dead)
}

// clean deletes ended work that is older than the retention, a batch at a time.
func (e *Engine) clean() error {
	dctx, err := e.live("delete old work")
	if err != nil {
		return err
	}
	parked, err := dbos.ListWorkflows(dctx, dbos.WithFilterStatus(dbos.WorkflowStatusMaxRecoveryAttemptsExceeded), dbos.WithFilterLimit(10),
		dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
	if err != nil {
		return err
	}
	for _, w := range parked {
		e.cfg.Logger.Error("work took its process down too often and is parked", "execution", w.ID, "attempts", w.Attempts)
	}
	before := e.cfg.Clock.Now().Add(-e.cfg.Retention)
	for {
		rows, err := dbos.ListWorkflows(dctx, dbos.WithFilterCompletedBefore(before), dbos.WithFilterLimit(500),
			dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]string, 0, len(rows))
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		if err := dbos.DeleteWorkflows(dctx, ids); err != nil || len(rows) < 500 {
			return err
		}
	}
}
