package automation

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/runbook"
)

// actionFunc makes one attempt of a step, or one round of an attempt that goes
// over several segments: x.state.Park is then set. Timeout is the step's own time
// limit, 0 where it gives none. A result holds how the attempt ended; an error
// ends the run without an outcome.
type actionFunc func(x *execution, ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error)

// actions gives the handler of every action.
func actions() map[string]actionFunc {
	all := map[string]actionFunc{
		runbook.ActionAPI:    (*execution).apiStep,
		runbook.ActionAssert: (*execution).assertStep,
		runbook.ActionWait:   (*execution).waitStep,
		runbook.ActionBranch: (*execution).branch,
		runbook.ActionSleep:  (*execution).sleep,

		runbook.ActionScript:         (*execution).script,
		runbook.ActionAutomation:     (*execution).automation,
		runbook.ActionApprove:        (*execution).approve,
		runbook.ActionPause:          (*execution).pauseStep,
		runbook.ActionUpdateVariable: (*execution).updateVariable,
	}
	maps.Copy(all, taskActions())
	return all
}

func (x *execution) apiStep(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	return x.callStep(ctx, s, sc, attempt, timeout, false, x.api)
}

func (x *execution) assertStep(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	return x.callStep(ctx, s, sc, attempt, timeout, false, x.assert)
}

func (x *execution) waitStep(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	return x.callStep(ctx, s, sc, attempt, timeout, true, x.wait)
}

// label names the pass of s that is under way, for the Caller: the parent's
// label before it in a child, "#2" behind it the second time that the step runs.
// Invariant: planning and applying give the same pass the same label.
func (x *execution) label(s *runbook.Step) string { return x.labelWith(s, "") }

// labelWith is the label of calls beside those of the step itself.
func (x *execution) labelWith(s *runbook.Step, suffix string) string {
	name := x.run.Prefix + s.Name + suffix
	if n := x.state.Passes[s.Name]; n > 1 {
		name += "#" + strconv.Itoa(n)
	}
	return name
}
