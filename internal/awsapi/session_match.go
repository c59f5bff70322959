package awsapi

import (
	"context"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// due is what an apply session is asked to make: a call of the plan, or one that
// an open plan allows beyond the calls that it foretold.
type due struct {
	pc        remediation.PlannedCall
	i         int // its place among the plan's calls; -1 for one beyond
	scope     int // names its session: the call's Seq, or for an allowance a negative number
	allowance *remediation.Allowance
	n         int // for one beyond: its place among those of the step's attempt
	// until is when the before-image that planning read stops to count; zero where AWS was asked.
	until time.Time
}

// match finds what right r has: to be the next planned call of its step, or one
// that an open plan allows.
//
// A planned call that AWS refused, or that an earlier run of the execution made,
// is passed over: the script of a step goes on behind it, after a crash too,
// when its journal answers what was made. One that was never made is not, since
// what people approved is the sequence.
func (p *applying) match(ctx context.Context, step string, r request) (due, error) {
	op := "apply step " + step
	refused := fault.Errorf(fault.Denied, op, "%w: the plan holds no further call that needs approval for this step, so %s:%s is refused", ErrNotInPlan, r.Service, r.Operation).
		WithHint("a new plan has to be made and approved")
	for i, pc := range p.auth.Plan.Calls {
		if pc.Step != step || !pc.Class.NeedsApproval() || p.used[i] {
			continue
		}
		where, err := p.differsFrom(ctx, pc, r)
		if err != nil {
			return due{}, err
		}
		if where == "" {
			return due{pc: pc, i: i, scope: pc.Seq}, nil
		}
		if over, err := p.isOver(ctx, i, pc); err != nil {
			return due{}, err
		} else if over {
			continue
		}
		if err := p.drifted(ctx, pc, r); err != nil {
			return due{}, err
		}
		refused = fault.Errorf(fault.Denied, op, "%w: %s:%s differs from the approved call %d in %s", ErrNotInPlan, r.Service, r.Operation, pc.Seq, p.g.shownPath(where, pc, r)).
			WithHint("a new plan has to be made and approved")
		break
	}
	d, ok, err := p.beyond(ctx, step, r)
	switch {
	case err != nil:
		return due{}, err
	case ok:
		return d, nil
	}
	return due{}, refused
}

// differsFrom names what r has otherwise than a planned call, "" for nothing.
func (p *applying) differsFrom(ctx context.Context, pc remediation.PlannedCall, r request) (string, error) {
	if where := differs(pc, r); where != "" {
		return where, nil
	}
	return p.inScope(ctx, pc, r)
}

// isOver reports whether nothing more comes of a planned call: AWS refused it, or
// it was made by an earlier run of the execution.
func (p *applying) isOver(ctx context.Context, i int, pc remediation.PlannedCall) (bool, error) {
	if p.refused[i] {
		return true, nil
	}
	if pc.Class != apimodel.Change {
		return false, nil
	}
	over := false
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		rec, err := p.auth.Recorder.Change(ctx, changeID(p.auth.Execution, pc, attempt))
		if fault.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return false, fault.Errorf(fault.Unavailable, "read change of step "+pc.Step, "nothing was sent: %w", err)
		}
		over = rec.Outcome == remediation.Applied || rec.Outcome == remediation.Refused && !rec.NotSent && !rec.Sending.Throttled
	}
	return over, nil
}

// settle remembers how a call ended, so that the next of its step is known.
func (p *applying) settle(d due, err error) {
	// What AWS answered the call itself with is no fault of ours; one may wrap what
	// it answered to a read before the call.
	var api *apimodel.APIError
	var ours *fault.Error
	answered := err == nil || errors.As(err, &api) && !api.Uncertain && !api.Throttled && !errors.As(err, &ours)
	switch {
	case d.i < 0 && answered:
		p.made[d.pc.Step]++
	case err == nil:
		p.used[d.i] = true
	case answered:
		p.refused[d.i] = true
	}
	if err == nil && (d.i < 0 || !p.counted[d.i]) {
		p.spent++
		if d.i >= 0 {
			p.counted[d.i] = true
		}
	}
}
