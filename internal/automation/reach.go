package automation

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// maxReached bounds the executions that a run may come to have.
const maxReached = 10_000

// Reached is an execution that a run may come to have: itself, a child, one of the
// children on targets.
type Reached struct {
	Document *runbook.Document
	// Prefix stands before the names of its steps, without numbers of passes:
	// "Fan[111122223333/eu-west-1]/". A target that nobody knows is
	// remediation.AnyTarget.
	Prefix                string
	Account, Region, Role string
	// Escaped says that only a failure or a cancellation leads to it.
	Escaped bool
	// Known gives what is known before it runs of what its steps refer to, and
	// apimodel.Unknown for the rest.
	Known runbook.Scope
}

// ReachOptions say what is known of a run.
type ReachOptions struct {
	// Planned is how planning it ended.
	Planned Outcome
	// Answered reports whether AWS itself answered all calls of the step that a label
	// names, so that its outputs are what applying will see. Nil = outputs are not
	// known: those of an open plan, whose steps may run once more with others.
	Answered func(label string) bool
	// Stored gives the Parameter Store values that were read for an account and region.
	Stored func(account, region string) map[string]any
}

// Reach visits the executions that run may come to have, whatever happens to its
// steps, so that a plan can list what is called where planning does not come to.
// What cannot be told is left out: a document, an account or a role that only running
// names. Targets are asked for as planning does.
func (i *Interpreter) Reach(ctx context.Context, run Run, o ReachOptions, visit func(Reached) error) error {
	run.Planning = true
	r := reach{Interpreter: i, ReachOptions: o, run: run, visit: visit}
	return r.execution(ctx, run, false)
}

type reach struct {
	*Interpreter
	ReachOptions
	run   Run // the first one, with the ports of all
	visit func(Reached) error
	count int
}

// execution visits run, whose parameters are those that are known, and its children.
func (r *reach) execution(ctx context.Context, run Run, escaped bool) error {
	if r.count++; r.count > maxReached {
		return fault.Errorf(fault.Exhausted, "list what may be called", "the run may have more than %d executions", maxReached).
			WithHint("run the document on fewer targets at once")
	}
	known := r.scope(run)
	if err := r.visit(Reached{Document: run.Document, Prefix: run.Prefix, Account: run.Account, Region: run.Region, Role: run.Role, Escaped: escaped, Known: known}); err != nil {
		return err
	}
	escapes := run.Document.Escapes()
	for _, s := range run.Document.All() {
		if s.Action != runbook.ActionAutomation {
			continue
		}
		inputs, err := runbook.ResolveInputs(s.Inputs, known)
		if err != nil {
			continue // the step will fail when it comes to it
		}
		ask, err := parseChildStep(inputs)
		if err != nil {
			continue // it is not known, or no document
		}
		if err := r.children(ctx, run, s, ask, escaped || escapes[s.Name]); err != nil {
			return err
		}
	}
	return nil
}

// children visits what a step of run starts.
func (r *reach) children(ctx context.Context, run Run, s *runbook.Step, ask childStep, escaped bool) error {
	if run.depth >= maxDepth {
		return fault.Errorf(fault.Exhausted, "list what may be called", "documents start each other more than %d deep", maxDepth)
	}
	doc, err := r.run.Children.Document(ctx, ask.document, ask.version)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return nil // the step will fail when it comes to it
	}
	if err != nil {
		return err
	}
	x := &execution{Interpreter: r.Interpreter, run: &run, state: &State{}} // no pass has a number
	targets, err := r.targets(ctx, x, ask)
	if err != nil {
		return err
	}
	c := &call{step: s}
	for _, t := range targets {
		child := x.child(c, ask, t.Target)
		if t.any {
			child.Label = x.label(s) + remediation.AnyTarget
		}
		if err := r.child(ctx, run, child, doc, escaped); err != nil {
			return err
		}
	}
	return nil
}

type reachedTarget struct {
	Target
	any bool
}

// targets gives the targets of a step, or the one that stands for any. Where their
// accounts are not known there are none.
func (r *reach) targets(ctx context.Context, x *execution, ask childStep) ([]reachedTarget, error) {
	if ask.fan == nil {
		return []reachedTarget{{Target: Target{Location: -1}}}, nil
	}
	unknown := func() ([]reachedTarget, error) {
		if len(ask.fan.Locations) > 0 {
			return nil, nil
		}
		t := reachedTarget{Target: Target{Location: -1, Parameters: map[string]any{}}, any: true}
		if ask.fan.TargetParameterName != "" {
			t.Parameters[ask.fan.TargetParameterName] = apimodel.Unknown
		}
		for _, m := range ask.fan.TargetMaps {
			for name := range m {
				t.Parameters[name] = apimodel.Unknown
			}
		}
		return []reachedTarget{t}, nil
	}
	if r.unknown(ask.fan.Targets) || r.unknown(ask.fan.TargetMaps) || r.unknown(ask.fan.Locations) || r.unknown(ask.fan.TargetParameterName) {
		return unknown()
	}
	found, err := x.targets(ctx, ask.fan)
	switch {
	case err == nil:
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.NotFound), planUnknown(err):
		return unknown()
	default:
		return nil, err
	}
	out := make([]reachedTarget, len(found))
	for i, t := range found {
		out[i].Target = t
	}
	return out, nil
}

// child visits one child. One with targets of its own starts its document on them.
func (r *reach) child(ctx context.Context, parent Run, child Child, doc *runbook.Document, escaped bool) error {
	run := r.run
	run.Document, run.Prefix, run.depth = doc, child.Label+"/", parent.depth+1
	run.Account, run.Region, run.ExecutionID, run.Role = child.Account, child.Region, "", child.Role
	if run.Role == "" {
		run.Role = child.ParentRole
	}
	if child.Fan != nil {
		ask := childStep{document: child.Document, version: child.Version, parameters: child.Parameters, fan: child.Fan}
		return r.children(ctx, run, &runbook.Step{Name: FanStep}, ask, escaped)
	}
	run.Parameters = r.parameters(run, child.Parameters)
	role, err := ChildRole(child, doc, run.Parameters)
	if err != nil || r.unknown(role) {
		return nil //nolint:nilerr // as whom it would call is not known, so nothing is allowed
	}
	run.Role = role
	return r.execution(ctx, run, escaped)
}

// parameters gives the values of a child's parameters that are known.
func (r *reach) parameters(run Run, given map[string]any) map[string]any {
	var stored map[string]any
	if r.Stored != nil {
		stored = r.Stored(run.Account, run.Region)
	}
	sure := map[string]any{}
	var later []string
	for name, v := range given {
		if r.unknown(v) {
			later = append(later, name)
			continue
		}
		sure[name] = v
	}
	if len(later) == 0 {
		if values, err := run.Document.ResolveParameters(given, stored); err == nil {
			return values
		}
	}
	for i := range run.Document.Parameters {
		p := &run.Document.Parameters[i]
		if _, ok := given[p.Name]; ok {
			continue
		}
		for _, ref := range runbook.References(p.Default) {
			if ref.Kind == runbook.RefSSM {
				later = append(later, p.Name)
				break
			}
		}
	}
	values, err := run.Document.ResolveGiven(sure, later)
	if err != nil {
		return nil // it will fail when it begins
	}
	return values
}

// unknown reports whether v holds what only running tells.
func (r *reach) unknown(v any) bool {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, apimodel.Unknown) {
			return true
		}
	case map[string]any:
		for _, item := range v {
			if r.unknown(item) {
				return true
			}
		}
		return false
	case []map[string]any:
		for _, item := range v {
			if r.unknown(item) {
				return true
			}
		}
		return false
	case []any:
		for _, item := range v {
			if r.unknown(item) {
				return true
			}
		}
		return false
	}
	return r.run.Unknown != nil && r.run.Unknown(v)
}

// scope gives what is known of the references of run's steps.
func (r *reach) scope(run Run) runbook.Scope {
	s := knownScope{run: run, reach: r, state: NewState(run.Document)}
	if r.Planned.ends != nil {
		if end := r.Planned.ends[remediation.PathOf(run.Prefix)]; end != nil && end.times == 1 {
			s.state, s.run.ExecutionID, s.planned = end.state, end.execution, true
		}
	}
	return s
}

// knownScope looks references up before their document has run.
type knownScope struct {
	run     Run
	reach   *reach
	state   *State
	planned bool // state is that with which planning ended
}

// Lookup implements runbook.Scope.
func (s knownScope) Lookup(r runbook.Ref) (any, error) {
	if v, err := s.value(r); err == nil {
		return v, nil
	}
	return apimodel.Unknown, nil
}

func (s knownScope) value(r runbook.Ref) (any, error) {
	at := scope{run: &s.run, state: s.state, now: s.run.Date, unknown: new(string)}
	unknown := fmt.Errorf("%s is not known before the run", r)
	switch r.Kind {
	case runbook.RefGlobal:
		if isTime(r) && s.run.Date.IsZero() {
			return nil, unknown
		}
	case runbook.RefAutomation:
		if s.run.ExecutionID == "" {
			return nil, unknown
		}
	case runbook.RefVariable:
		if s.updates(r.Name) {
			return nil, unknown
		}
	case runbook.RefOutput:
		return s.output(at, r)
	}
	return at.value(r)
}

// updates reports whether a step gives the variable another value.
func (s knownScope) updates(variable string) bool {
	for _, step := range s.run.Document.All() {
		if step.Action == runbook.ActionUpdateVariable && updated(step) == variable {
			return true
		}
	}
	return false
}

// output gives what a step answered while planning, if it will answer the same when
// the plan is applied: it ran once, and AWS answered it. What stands for an answer to
// come does as well, as long as it is the stand-in itself.
func (s knownScope) output(at scope, r runbook.Ref) (any, error) {
	unknown := fmt.Errorf("%s is not known before the run", r)
	if s.reach.Answered == nil || !s.planned || s.state.Passes[r.Step] != 1 {
		return nil, unknown
	}
	v, err := at.value(r)
	if err != nil {
		return nil, err
	}
	if _, isText := v.(string); isText && s.reach.unknown(v) {
		return v, nil
	}
	step, ok := s.run.Document.Step(r.Step)
	if !ok || step.Action != runbook.ActionAPI || s.reach.unknown(v) || !s.reach.Answered(s.run.Prefix+r.Step) {
		return nil, unknown
	}
	return v, nil
}
