package automation

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// maxScriptCalls bounds the calls of one script: a loop that never ends must not
// fill the journal.
const maxScriptCalls = 5_000

// journaling makes the calls of one attempt of a script. After a crash the
// script begins again, and each call whose like was answered before gets that
// answer: in order, by what it asks. What was not asked before is made.
//
// Invariant: a change is never made while a recorded one has not been asked for
// again. Then the script takes another way than the first time, and nobody can
// tell which of the two changes it means.
type journaling struct {
	x     *execution
	c     *call
	key   string
	label string
	stop  context.CancelCauseFunc // ends the script

	mu       sync.Mutex
	n        int // of the last entry
	kept     []kept
	answered int
	strayed  string // the call that took another way; "" = none
	end      error  // what ends or parks the step, whatever the script makes of it
	unknown  bool   // planning answered with a stand-in
	changes  int    // planning recorded a change
}

// load reads what was answered in an earlier run of this attempt.
func (j *journaling) load(ctx context.Context) error {
	if r, ok := j.x.run.Caller.(Replayer); ok {
		r.Begins(j.label, j.c.attempt)
	}
	if j.x.run.Journal == nil || j.x.run.Planning {
		return nil
	}
	entries, err := j.x.run.Journal.Entries(ctx, j.key)
	if err != nil {
		return fmt.Errorf("read the journal of step %s: %w", j.label, err)
	}
	for _, e := range entries {
		_, _, change, err := unpackAnswer(e.Answer)
		if err != nil {
			return err
		}
		j.kept = append(j.kept, kept{digest: e.Digest, answer: e.Answer, change: change})
		j.n = max(j.n, e.N)
	}
	return nil
}

// call answers one call of the script. The script's own context, inside, does
// not reach a call under way: a cancellation does not cut off a change. It keeps
// the next one from being made.
func (j *journaling) call(outer, inside context.Context) func(context.Context, apimodel.Call) (apimodel.Reply, error) {
	return func(_ context.Context, c apimodel.Call) (apimodel.Reply, error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case j.end != nil:
			return apimodel.Reply{}, j.end
		case inside.Err() != nil:
			return apimodel.Reply{}, fmt.Errorf("the script was stopped: %w", context.Cause(inside))
		}
		reply, err := j.answer(outer, c)
		if err != nil && j.end != nil {
			j.stop(j.end)
		}
		return reply, err
	}
}

func (j *journaling) answer(ctx context.Context, c apimodel.Call) (apimodel.Reply, error) {
	if j.answered++; j.answered > maxScriptCalls {
		j.end = &scriptError{Failure: sandboxFailure("The script made more than %d calls.", maxScriptCalls)}
		return apimodel.Reply{}, j.end
	}
	if c.Account == "" {
		c.Account = j.x.run.Account
	}
	if c.Region == "" {
		c.Region = j.x.run.Region
	}
	if c.As == "" {
		c.As = j.x.run.Role
	}
	name, err := digest(c)
	if err != nil {
		return apimodel.Reply{}, err
	}
	for i := range j.kept {
		if k := &j.kept[i]; !k.used && k.digest == name {
			k.used = true
			reply, answered, _, err := unpackAnswer(k.answer)
			if err != nil {
				j.end = err
				return apimodel.Reply{}, err
			}
			if r, ok := j.x.run.Caller.(Replayer); ok {
				if err := r.Replayed(ctx, j.label, c.Clone(), reply, answered); err != nil {
					j.end = err
					return apimodel.Reply{}, err
				}
			}
			return reply, answered
		}
	}
	change := j.x.changes(c)
	if unused(j.kept) {
		if j.strayed == "" {
			j.strayed = c.Operation
		}
		if change {
			j.end = j.astray()
			return apimodel.Reply{}, j.end
		}
	}
	return j.live(ctx, c, name, change)
}

// live makes the call and keeps the answer before the script gets it.
func (j *journaling) live(ctx context.Context, c apimodel.Call, name string, change bool) (apimodel.Reply, error) {
	limit := j.x.bounded(j.x.cfg.CallTimeout)
	timed, cancel := context.WithTimeoutCause(ctx, limit, callTimeoutError{limit})
	defer cancel()
	reply, err := j.x.run.Caller.Call(timed, j.label, c.Clone())
	j.x.errs[j.c.step.Name] = err
	_, later := held(err)
	switch {
	case ctx.Err() != nil:
		j.end = ended(ctx)
		return apimodel.Reply{}, j.end
	case later, stops(err):
		j.end = err
		return apimodel.Reply{}, err
	case passes(err):
		// It says nothing about the call: the run is made again, with this journal.
		after, _ := fault.IsTransient(err)
		j.end = fault.Transient(fault.Errorf(fault.Unavailable, "run step "+j.c.step.Name, "%w", err), after)
		return apimodel.Reply{}, j.end
	}
	if j.x.run.Planning {
		j.unknown = j.unknown || j.x.unknown(reply.Output) || planUnknown(err)
		if change {
			j.changes++
		}
		return reply, err
	}
	if j.x.run.Journal == nil {
		return reply, err
	}
	raw, wrong := packAnswer(reply, err, change)
	if wrong == nil {
		j.n++
		wrong = j.x.run.Journal.Append(ctx, j.key, JournalEntry{N: j.n, Digest: name, Answer: raw})
	}
	if wrong != nil {
		j.end = fmt.Errorf("keep the answer to step %s: %w", j.label, wrong)
		return apimodel.Reply{}, j.end
	}
	return reply, err
}

// astray is the failure of a script that goes another way than the first time.
func (j *journaling) astray() error {
	what := j.strayed
	if what == "" {
		what = "its end"
	}
	return &scriptError{Failure: sandboxFailure(
		"The script was interrupted and begun again, and took another way than the first time: it came to %.100s without repeating a change that it had made. Look at what it changed, and start the runbook again.", what)}
}

// finish looks whether every recorded change was reached again.
func (j *journaling) finish() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == nil && unused(j.kept) {
		j.end = j.astray()
	}
	return j.end
}

// scriptError carries a failure of the step through a script.
type scriptError struct{ *Failure }

func (e *scriptError) Error() string { return e.Message }

// planUnknown reports whether planning refused a call because it cannot tell the
// answer.
func planUnknown(err error) bool {
	var api *apimodel.APIError
	return errors.As(err, &api) && api.Code == PlanUnknownCode
}

// PlanUnknownCode is the error code that a script sees in planning where the
// answer to a call can be known only by applying.
const PlanUnknownCode = "ParryPlanUnknown"

func asAPIError(err error, api **apimodel.APIError) bool { return errors.As(err, api) }
