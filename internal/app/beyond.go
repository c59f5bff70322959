package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// maxBeyond bounds what a plan lets be called beyond its calls: as many as it may hold.
const maxBeyond = maxRunCalls

// beyond lists in found what may be called where planning did not come to. For an open
// plan that is everything that its executions may call; for another what ends a step
// that is cancelled, and the steps to which only a failure or a cancellation leads.
// Where the plan cannot bind what those do to what it names, or itself makes, it is
// open: then a person has to agree to it (docs/design/0010).
func (i interpreter) beyond(ctx context.Context, r plan.Rehearsal, run automation.Run, out automation.Outcome, seen *rehearsal, found *plan.Rehearsed) error {
	p, ok := r.Planner.(beyondPlanner)
	if !ok || found.Open == "" && !mayEscape(append([]*runbook.Document{r.Document}, seen.parsed...)) {
		return nil
	}
	w := beyondWalk{i: i, planner: p, calls: p.Calls(), all: found.Open != "", facts: map[string]map[string]runbook.ScriptFacts{}}
	o := automation.ReachOptions{Planned: out, Stored: func(account, region string) map[string]any {
		return plan.StoredIn(&remediation.Plan{Stored: seen.stored}, account, region)
	}}
	if !w.all {
		o.Answered = answered(w.calls)
	}
	if err := i.engine.Reach(ctx, run, o, func(e automation.Reached) error { return w.execution(ctx, e) }); err != nil {
		return err
	}
	found.Beyond = w.out
	if found.Open == "" {
		found.Open = w.unbound
	}
	return nil
}

// beyondPlanner is a planner that words what may be called besides.
type beyondPlanner interface {
	Calls() []remediation.PlannedCall
	Beyond(calls []runbook.StepCall, o awsapi.BeyondOptions) ([]remediation.Allowance, error)
}

// mayEscape reports whether planning leaves steps of docs out although it comes to
// their end.
func mayEscape(docs []*runbook.Document) bool {
	return slices.ContainsFunc(docs, func(doc *runbook.Document) bool {
		if len(doc.Escapes()) > 0 {
			return true
		}
		calls, _ := doc.Calls(runbook.Where{}, nil)
		return slices.ContainsFunc(calls, func(c runbook.StepCall) bool { return strings.HasSuffix(c.Step, runbook.CancelLabel) })
	})
}

// answered tells of the labels of calls whether AWS answered all of a label's: what
// stands for an answer of a change, or of a read of what only a change makes, is no
// answer.
func answered(calls []remediation.PlannedCall) func(label string) bool {
	all := map[string]bool{}
	for _, c := range calls {
		before, seen := all[c.Step]
		all[c.Step] = (before || !seen) && !c.Class.NeedsApproval() && len(c.FromOutputs) == 0
	}
	return func(label string) bool { return all[label] }
}

type beyondWalk struct {
	i       interpreter
	planner beyondPlanner
	calls   []remediation.PlannedCall
	all     bool // the plan is open
	facts   map[string]map[string]runbook.ScriptFacts
	out     []remediation.Allowance
	unbound string // why the plan has to be open, should it not be
}

// execution adds what one execution may call: all of it, or what planning does not
// come to.
func (w *beyondWalk) execution(ctx context.Context, e automation.Reached) error {
	escapes := e.Document.Escapes()
	calls, _ := e.Document.Calls(runbook.Where{Account: e.Account, Region: e.Region, Known: e.Known}, w.scripts(ctx, e, escapes))
	calls = slices.DeleteFunc(calls, func(c runbook.StepCall) bool {
		s, ok := e.Document.Step(c.Step)
		return ok && s.Action == runbook.ActionAutomation // it calls nothing: children are Parry's own
	})
	found, err := w.planner.Beyond(calls, awsapi.BeyondOptions{Prefix: e.Prefix, Account: e.Account, Region: e.Region, As: e.Role, Identity: w.i.runs.identity})
	if err != nil {
		return err
	}
	for _, a := range found {
		ends := strings.HasSuffix(a.Step, runbook.CancelLabel)
		a.Escape = !ends && (e.Escaped || escapes[strings.TrimPrefix(a.Step, e.Prefix)])
		if !w.all && !ends && !a.Escape {
			continue
		}
		if a.Escape && w.unbound == "" && !w.i.runs.binds(w.calls, a) {
			w.unbound = fmt.Sprintf("step %s, to which only a failure or a cancellation leads, may call %s:%s on what only running it tells", a.Step, a.Service, a.Operation)
		}
		if w.out = append(w.out, a); len(w.out) > maxBeyond {
			return fault.Errorf(fault.Exhausted, "list what may be called", "the plan would allow more than %d calls beyond those that it holds", maxBeyond).
				WithHint("run the document on fewer targets at once")
		}
	}
	return nil
}

// scripts gives what the scripts of the execution's document call, where that is asked
// for: looking into a script costs more than all else.
func (w *beyondWalk) scripts(ctx context.Context, e automation.Reached, escapes map[string]bool) map[string]runbook.ScriptFacts {
	needed := w.all || e.Escaped || slices.ContainsFunc(e.Document.All(), func(s *runbook.Step) bool {
		return s.Action == runbook.ActionScript && escapes[s.Name]
	})
	if !needed || w.i.runs.facts == nil {
		return nil
	}
	facts, ok := w.facts[e.Document.Revision]
	if !ok {
		facts = w.i.runs.facts(ctx, e.Document)
		w.facts[e.Document.Revision] = facts
	}
	return facts
}
