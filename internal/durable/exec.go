package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/parry-security/parry/internal/fault"
)

// ErrCancelled is the cause with which Cancel ends work.
var ErrCancelled = errors.New("the work was cancelled")

// errTakenOver is the cause when another node has the work.
var errTakenOver = errors.New("another node has taken the work over")

// Exec is one piece of durable work while it runs. Its methods are called one
// after the other.
type Exec struct {
	id     string
	input  []byte
	engine *Engine
	dctx   dbos.Context
	cancel context.CancelCauseFunc

	mu sync.Mutex
	// memo holds the steps that completed in this process: a body that is tried
	// again finds them by name without a second checkpoint.
	memo map[string]memo
	// replayed says that the last step gave a passing error that an earlier
	// process recorded.
	replayed bool
	// fatal is an error of DBOS itself, with which the workflow must end.
	fatal    error
	received int
}

type memo struct {
	out []byte
	err error
}

// ID gives the id under which the work was started.
func (x *Exec) ID() string { return x.id }

// Input gives what the work was started with.
func (x *Exec) Input() []byte { return append([]byte(nil), x.input...) }

// Step makes fn a checkpoint. If a step of this name completed before, its
// output, or its error, is given and fn is not called. Names are unique in the
// work and come in the same order each time. An error that may pass is not kept
// as the step's outcome: the body is tried again and calls fn again.
func (x *Exec) Step(ctx context.Context, name string, fn func(ctx context.Context) ([]byte, error)) ([]byte, error) {
	if !x.mu.TryLock() {
		return nil, fault.Errorf(fault.Internal, "run step "+name, "steps of one execution cannot run at once")
	}
	defer x.mu.Unlock()
	if m, ok := x.memo[name]; ok {
		return m.out, m.err
	}
	if err := x.ready(ctx); err != nil {
		return nil, err
	}
	defer x.engine.drain.leave()
	aad := x.id + "/step/" + name
	ran := false
	sealed, err := dbos.RunAsStep(x.dctx, func(context.Context) (string, error) {
		ran = true
		out, err := guarded(ctx, fn)
		return x.engine.sealOutcome(out, err, aad)
	}, dbos.WithStepName(name))
	if err != nil {
		return nil, x.broken(name, err)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("run step %s: %w", name, err)
	}
	if ran {
		if err := x.engine.settle("run step " + name); err != nil {
			return nil, err
		}
	}
	out, stepErr, err := x.engine.openOutcome(sealed, aad)
	if err != nil {
		return nil, fault.Terminal(err)
	}
	x.replayed = !ran && passing(stepErr)
	if !passing(stepErr) {
		x.memo[name] = memo{out, stepErr}
	}
	return out, stepErr
}

// ready waits for the end of a process that is stopping: no step begins, and
// the work must not come to an end of its own.
func (x *Exec) ready(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("run interrupted: %w", err)
	}
	if x.fatal != nil {
		return fmt.Errorf("run interrupted: %w", x.fatal)
	}
	if !x.engine.drain.enter() {
		<-x.dctx.Done()
		return fmt.Errorf("run interrupted: %w", errStopping)
	}
	return nil
}

// broken deals with an error of DBOS itself: the step has no outcome.
func (x *Exec) broken(name string, err error) error {
	switch {
	case x.dctx.Err() != nil:
	case errors.Is(err, dbos.ErrWorkflowCancelled):
		x.fatal = err
		x.cancel(ErrCancelled)
	case errors.Is(err, dbos.ErrConflictingWorkflowID):
		x.fatal = err
		x.cancel(errTakenOver)
	case isUnexpectedStep(err):
		x.fatal = err
		x.engine.cfg.Logger.Error("work took another way than before; it is given up", "execution", x.id, "step", name, "error", err)
		x.cancel(err)
	default:
		// Going on would number the steps differently from a replay. The work is
		// recovered from its checkpoints by a process that can write them.
		_ = x.engine.lease.lose("a checkpoint could not be written: " + err.Error())
	}
	if cause := context.Cause(x.dctx); cause != nil {
		return fmt.Errorf("run step %s: %w", name, cause)
	}
	return fmt.Errorf("run step %s: %w", name, err)
}

func isUnexpectedStep(err error) bool {
	var e *dbos.Error
	return errors.Is(err, dbos.ErrStepNondeterminism) || errors.As(err, &e) && e.Code == dbos.ErrorCodeUnexpectedStep ||
		errors.Is(err, &dbos.Error{Code: dbos.ErrorCodeUnexpectedStep})
}

// Receive gives the next signal of topic, or false after timeout. It holds the
// body in memory, so it is for minutes at most.
func (x *Exec) Receive(ctx context.Context, topic string, timeout time.Duration) ([]byte, bool, error) {
	if !x.mu.TryLock() {
		return nil, false, fault.Errorf(fault.Internal, "receive signal "+topic, "steps of one execution cannot run at once")
	}
	defer x.mu.Unlock()
	x.received++
	key := fmt.Sprintf("receive/%d", x.received)
	if m, ok := x.memo[key]; ok {
		return m.out, m.out != nil, m.err
	}
	if err := x.ready(ctx); err != nil {
		return nil, false, err
	}
	// A wait is not a step under way: a stop need not wait for it.
	x.engine.drain.leave()
	sealed, err := dbos.Recv[string](x.dctx, topic, timeout)
	if errors.Is(err, dbos.ErrTimeout) && x.dctx.Err() == nil {
		x.memo[key] = memo{}
		return nil, false, nil
	}
	if err != nil {
		return nil, false, x.broken("receive "+topic, err)
	}
	out, err := x.engine.open(sealed, x.id+"/signal/"+topic)
	if err != nil {
		return nil, false, fault.Terminal(err)
	}
	x.memo[key] = memo{out: out}
	return out, true, nil
}

// guarded turns a panic of fn into an error, so that its text, which may hold
// secrets, is sealed like any other.
func guarded(ctx context.Context, fn func(context.Context) ([]byte, error)) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.Terminal(fault.Errorf(fault.Internal, "run step", "panic: %v\n%s", r, debug.Stack()))
		}
	}()
	return fn(ctx)
}

// body is the one workflow: it opens the input, waits for a slot, and runs
// Config.Run until it ends for good.
func (e *Engine) body(dctx dbos.Context, sealed string) (string, error) {
	id, err := dctx.GetWorkflowID()
	if err != nil {
		return "", errors.New("internal")
	}
	run, cancel := dbos.WithCancelCause(dctx)
	defer cancel(nil)
	x := &Exec{id: id, engine: e, dctx: run, cancel: cancel, memo: map[string]memo{}}
	e.mu.Lock()
	e.running[id] = cancel
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.running, id)
		e.mu.Unlock()
	}()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-run.Done():
		return "", errInterrupted
	}
	x.input, err = e.open(sealed, id+"/input")
	if err == nil {
		err = x.persist(run)
	}
	switch {
	case x.fatal != nil && !isUnexpectedStep(x.fatal):
		return "", x.fatal
	case err == nil:
		return "", nil
	case x.fatal == nil && run.Err() != nil:
		return "", errInterrupted
	}
	return e.giveUp(dctx, x, err)
}

// errInterrupted ends a body whose outcome is not recorded: the work was
// cancelled, or is left to another process.
var errInterrupted = errors.New("interrupted")

// giveUp ends work in an error. DBOS keeps errors as plain text, so it gets the
// code, and the error itself sealed.
func (e *Engine) giveUp(ctx context.Context, x *Exec, err error) (string, error) {
	e.cfg.Logger.ErrorContext(ctx, "work ended in an error", "execution", x.id, "code", fault.CodeOf(err), "error", err)
	if e.cfg.Failed != nil {
		e.cfg.Failed(ctx, x.id, x.input, err)
	}
	sealed, sealErr := e.sealOutcome(nil, err, x.id+"/result")
	if sealErr != nil {
		sealed = ""
	}
	return sealed, errors.New(string(fault.CodeOf(err)))
}

// The pauses between tries of a body, how many tries an error has that is not
// marked as passing, and how long one that is marked may last.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
	maxTries   = 5
	maxOutage  = time.Hour
)

// persist runs the body until it ends, or its error is final, or did not pass.
func (x *Exec) persist(ctx context.Context) error {
	pause, tries := firstRetry, 0
	var since time.Time // the first error
	for {
		x.received, x.replayed = 0, false
		err := x.once(ctx)
		if err == nil || ctx.Err() != nil || x.fatal != nil || final(err) {
			return err
		}
		if !passing(err) {
			tries++
		}
		if since.IsZero() {
			since = x.engine.cfg.Clock.Now()
		}
		if tries >= maxTries || x.engine.cfg.Clock.Now().Sub(since) > maxOutage {
			return err
		}
		if x.replayed {
			continue // the pause was made by the process that failed
		}
		wait := pause
		if after, ok := fault.IsTransient(err); ok {
			wait = max(wait, min(after, lastRetry))
		}
		x.engine.cfg.Logger.Log(ctx, slog.LevelWarn, "work interrupted; trying again", "execution", x.id, "error", err, "pause", wait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		pause = min(pause*2, lastRetry)
	}
}

func (x *Exec) once(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.Terminal(fault.Errorf(fault.Internal, "run "+x.id, "panic: %v\n%s", r, debug.Stack()))
		}
	}()
	return x.engine.cfg.Run(ctx, x)
}

// passing reports whether err may be gone at the next try.
func passing(err error) bool {
	if err == nil || fault.IsTerminal(err) {
		return false
	}
	_, transient := fault.IsTransient(err)
	return transient || fault.Is(err, fault.Unavailable)
}

// final reports whether a further try makes no sense.
func final(err error) bool {
	if fault.IsTerminal(err) {
		return true
	}
	if passing(err) {
		return false
	}
	switch fault.CodeOf(err) {
	case fault.Invalid, fault.Denied, fault.NotFound:
		return true
	}
	return false
}
