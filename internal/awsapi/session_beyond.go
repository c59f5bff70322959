package awsapi

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// An open plan allows a step calls that planning could not come to. Such a call
// is made as a planned one is: guards, stop switch, lease, budget, before-image,
// intent and outcome. It is recorded with what planning would have said of it.

// beyond finds the allowance that r is under.
func (p *applying) beyond(ctx context.Context, step string, r request) (due, bool, error) {
	plan := p.auth.Plan
	path, at := remediation.PathOf(step), -1
	for i, a := range plan.Beyond {
		if !a.Covers(path) || !allows(a, r) {
			continue
		}
		if ok, err := p.binds(ctx, a, path, r); err != nil {
			return due{}, false, err
		} else if !ok {
			continue
		}
		if at = i; a.Irreversible {
			break // whichever allows most decides
		}
	}
	if at < 0 {
		return due{}, false, nil
	}
	input, err := plainValue(r.Input)
	if err != nil {
		return due{}, false, nil //nolint:nilerr // what cannot be written down is not allowed
	}
	d := due{i: -1, allowance: &plan.Beyond[at], scope: -1 - at, n: p.made[step] + 1}
	d.pc = remediation.PlannedCall{
		Seq: lastSeq(plan) + d.n, Step: step, Service: r.Service, Operation: r.Operation, Account: r.Account, Region: r.Region,
		As: r.As, Class: r.class, Irreversible: true, EffectUnknown: true,
	}
	d.pc.Input, _ = input.(map[string]any)
	return d, true, nil
}

// binds reports whether the plan is bound to let a be used for r. What an open plan
// lists a person has agreed to as it is. One that is not open lists what no planning
// tells whether it comes: what ends a step that is cancelled, such as
// ssm:CancelCommand, and the steps to which only a failure or a cancellation leads.
// Those may only do to what the plan names, or has itself made, what the plan says:
// nobody may have looked at it, and what a step reads may be anybody's text.
func (p *applying) binds(ctx context.Context, a remediation.Allowance, path string, r request) (bool, error) {
	plan := p.auth.Plan
	switch {
	case plan.Open, strings.HasSuffix(path, runbook.CancelLabel):
		return true, nil
	case !a.Escape, !p.g.Binds(plan.Calls, a):
		return false, nil
	}
	return p.isAnswer(ctx, lastSeq(plan)+1, any(a.Input), any(r.Input))
}

func lastSeq(plan *remediation.Plan) int {
	last := 0
	for _, pc := range plan.Calls {
		last = max(last, pc.Seq)
	}
	return last
}

// allows reports whether r is what a allows.
func allows(a remediation.Allowance, r request) bool {
	if a.Service != r.Service || a.Operation != r.Operation || a.Account != r.Account || a.Region != r.Region || a.As != r.As || a.Class != r.class {
		return false
	}
	actual, err := plainValue(r.Input)
	if err != nil {
		return false
	}
	got, _ := actual.(map[string]any)
	free := slices.Contains(a.FromOutputs, anyMember)
	for member := range got {
		if _, named := a.Input[member]; !named && !free {
			return false
		}
	}
	for member, fixed := range a.Input {
		v, given := got[member]
		if !given || !within(member, fixed, v, a.FromOutputs) {
			return false
		}
	}
	return true
}

// anyMember in Allowance.FromOutputs leaves every member free that Input does not name.
const anyMember = "*"

// within holds a value against an allowed one. What open names may be anything
// that fits the text around the placeholder in it.
func within(path string, fixed, actual any, open []string) bool {
	if slices.Contains(open, path) {
		text, ok := fixed.(string)
		return !ok || placeholder.FindString(text) == text && actual != nil || fitsUnknown(fixed, actual)
	}
	switch f := fixed.(type) {
	case map[string]any:
		a, ok := actual.(map[string]any)
		if !ok || len(a) != len(f) {
			return false
		}
		for k := range maps.Keys(f) {
			v, given := a[k]
			if !given || !within(joinPath(path, k), f[k], v, open) {
				return false
			}
		}
		return true
	case []any:
		a, ok := actual.([]any)
		if !ok || len(a) != len(f) {
			return false
		}
		for i := range f {
			if !within(fmt.Sprintf("%s[%d]", path, i), f[i], a[i], open) {
				return false
			}
		}
		return true
	}
	return jsonText(fixed) == jsonText(actual)
}

// foretell fills in what planning would have said of a change beyond the plan,
// from its before-image, and refuses one without a way back that nobody approved
// as such.
func (p *applying) foretell(d due, spec apimodel.ImageSpec, before apimodel.Image) (remediation.PlannedCall, error) {
	pc := d.pc
	pc.Resource = spec.Resource()
	pc.Before = toImage(before)
	if inverse, restores := spec.Inverse(before); restores != "" {
		pc.Irreversible = false
		if len(inverse) > 0 {
			pc.Inverse = inverse[0].Service + ":" + inverse[0].Operation
		}
	}
	if after, known := spec.Expected(before); known {
		pc.EffectUnknown = false
		pc.Diff = toDiff(p.g.shownDiff(spec, before, after))
	} else {
		pc.Diff = opaqueDiff(spec, p.g.shownImage(spec, before))
	}
	return pc, p.mayBeFinal(d, pc)
}

// mayBeFinal refuses a change beyond the plan that cannot be taken back, unless
// the plan said that it might not be.
func (p *applying) mayBeFinal(d due, pc remediation.PlannedCall) error {
	if d.allowance == nil || !pc.Irreversible || d.allowance.Irreversible {
		return nil
	}
	return fault.Errorf(fault.Denied, "apply step "+pc.Step, "%w: the plan allows %s:%s only where it can be undone, and this cannot", ErrNotInPlan, pc.Service, pc.Operation).
		WithHint("a new plan has to be made and approved")
}

// sameAs holds a change beyond the plan against what was recorded under its
// name. Another one there means that the step took another way than the one that
// it is to repeat.
func (d due) sameAs(rec remediation.Change, r request) error {
	if d.i >= 0 || rec.Outcome == remediation.Refused || differs(rec.Call, r) == "" {
		return nil
	}
	return fault.Terminal(fault.Errorf(fault.Denied, "apply step "+d.pc.Step, "%w: the step made %s:%s before it was interrupted, and now asks for %s:%s in its place",
		ErrUncertain, rec.Call.Service, rec.Call.Operation, r.Service, r.Operation).
		WithHint("look at what was done: change %s; undo it, or make a new plan", rec.ID))
}

// id names a change so that a restarted execution finds it again: a planned one
// by its place in the plan, one beyond by its place among those of its step's
// attempt.
func (p *applying) changeID(d due, attempt int) string {
	if d.i >= 0 {
		return changeID(p.auth.Execution, d.pc, attempt)
	}
	return fmt.Sprintf("%s/%s/%d+%d.%d", p.auth.Execution, shortLabel(d.pc.Step), max(p.attempt[d.pc.Step], 1), d.n, attempt)
}

// Begins tells an applying session that an attempt of a step begins, before its
// first call: what the plan holds for the step is due once more, and what is
// recorded as applied is answered without being sent.
func (s *Session) Begins(step string, attempt int) {
	if s.applying != nil {
		s.applying.begins(step, attempt)
	}
}

func (p *applying) begins(step string, attempt int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt[step] = attempt
	delete(p.made, step)
	if p.auth.Plan == nil {
		return
	}
	for i, pc := range p.auth.Plan.Calls {
		if pc.Step == step {
			delete(p.used, i)
			delete(p.refused, i)
		}
	}
}

// Replayed tells an applying session of a call of a script that was answered
// from its journal, in order and before the next live one. Nothing is sent.
func (s *Session) Replayed(ctx context.Context, step string, c apimodel.Call, _ apimodel.Reply, answered error) error {
	if s.applying == nil {
		return nil
	}
	r, err := s.request(ctx, step, c)
	if err != nil {
		return nil //nolint:nilerr // It was refused then as well, and used up nothing.
	}
	return s.applying.replayed(ctx, step, r, answered)
}

func (p *applying) replayed(ctx context.Context, step string, r request, answered error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.mints() && answered == nil:
		arn, _, err := p.session.assumable(r)
		if err == nil {
			p.session.roles.mint(arn)
		}
		return err
	case r.class == apimodel.Read || p.refuse != nil:
		return nil
	}
	d, err := p.match(ctx, step, r)
	if err == nil {
		p.settle(d, answered)
	}
	return nil // a call that the gate refused was answered with the refusal, and used up nothing
}
