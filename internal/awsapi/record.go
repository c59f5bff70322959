package awsapi

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

const (
	// maxAttempts bounds how often AWS may refuse one planned change: a runbook
	// step's maxAttempts repeats it under a new record.
	maxAttempts = 20
	// recordTimeout bounds writing an outcome when the caller's context has ended:
	// what was sent must be recorded even on the way down.
	recordTimeout = 5 * time.Second
	// lostAnswerWait is the least wait before a change is tried again whose
	// answers were all lost.
	lostAnswerWait = 10 * time.Second
)

// change carries one planned change to its outcome, from wherever an earlier
// run of the same execution left it.
func (p *applying) change(ctx context.Context, d due, r request) (apimodel.Reply, error) {
	pc := d.pc
	p.fillToken(d, r)
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		id := p.changeID(d, attempt)
		rec, err := p.auth.Recorder.Change(ctx, id)
		if fault.Is(err, fault.NotFound) {
			reply, err := p.fresh(ctx, id, d, r)
			if errors.Is(err, errOld) {
				attempt-- // its record, which says that nothing was sent, is what comes next
				continue
			}
			return reply, err
		}
		if err != nil {
			return apimodel.Reply{}, fault.Errorf(fault.Unavailable, "read change "+id, "nothing was sent: %w", err)
		}
		if err := d.sameAs(rec, r); err != nil {
			return apimodel.Reply{}, err
		}
		switch {
		case rec.Outcome == remediation.Applied:
			p.g.log.Info("change was applied before", "change", id, "operation", r.Service+":"+r.Operation)
			return p.repeat(pc, r, rec)
		case rec.Outcome == remediation.Refused:
			continue
		default:
			return p.resume(ctx, d, r, rec)
		}
	}
	return apimodel.Reply{}, fault.Terminal(fault.Errorf(fault.Exhausted, "apply step "+pc.Step, "AWS refused %s:%s %d times", r.Service, r.Operation, maxAttempts))
}

// fresh makes a change for the first time: the before-image is read again and
// held against the plan, then stop switch and lease, then intent, then AWS.
func (p *applying) fresh(ctx context.Context, id string, d due, r request) (apimodel.Reply, error) {
	pc := d.pc
	rec := remediation.Change{ID: id, Remediation: p.auth.Remediation, Execution: p.auth.Execution, Call: pc, Outcome: remediation.Intended}
	if input, err := plainValue(r.Input); err == nil {
		rec.Call.Input, _ = input.(map[string]any)
	}
	rec.Sending.Digest = p.g.redact.Digest(p.g.shown(r))
	if spec, ok := apimodel.ImageOf(r.Call); ok {
		now, until, err := p.beforeImage(ctx, d, spec, r, id)
		if err != nil {
			return apimodel.Reply{}, fault.Errorf(codeOf(err), "apply step "+pc.Step, "read %s before changing it: %w", spec.Resource(), err)
		}
		if d.allowance != nil {
			if rec.Call, err = p.foretell(d, spec, now); err != nil {
				return apimodel.Reply{}, err
			}
		}
		if err := p.unchanged(spec, pc, now); err != nil {
			return apimodel.Reply{}, err
		}
		rec.Before, d.until = toImage(now), until
	} else if err := p.mayBeFinal(d, pc); err != nil {
		return apimodel.Reply{}, err
	}
	if err := p.clear(ctx, r); err != nil {
		return apimodel.Reply{}, err
	}
	rec.IntentAt = p.g.cfg.Clock.Now()
	if err := p.intend(ctx, rec); err != nil {
		return apimodel.Reply{}, err
	}
	return p.deliver(ctx, d, r, rec, false)
}

// unchanged holds the before-image against the plan. Where the effect of the
// call is known, the effect now must be the planned one, line by line: this
// catches what somebody added and the change would silently remove, and lets
// pass what the change does not touch. Otherwise the whole image must be equal.
func (p *applying) unchanged(spec apimodel.ImageSpec, pc remediation.PlannedCall, now apimodel.Image) error {
	if pc.Before == nil {
		return nil // made by this plan, or unknown to planning: approved as irreversible
	}
	planned := fromImage(pc.Before)
	plannedAfter, knew := p.plannedEffect(pc, planned)
	after, known := spec.Expected(now)
	if !knew || !known || len(pc.FromOutputs) > 0 {
		return superseded(pc, p.g.shownDiff(spec, planned, now))
	}
	// The effects are compared as they are shown: marks of equal secrets are equal.
	was, is := p.g.shownDiff(spec, planned, plannedAfter), p.g.shownDiff(spec, now, after)
	changed := slices.DeleteFunc(slices.Clone(is), func(m apimodel.MemberChange) bool { return slices.Contains(was, m) })
	for _, m := range was {
		if !slices.Contains(is, m) {
			changed = append(changed, m)
		}
	}
	return superseded(pc, changed)
}

// plannedEffect is what the call was to leave when it was planned.
func (p *applying) plannedEffect(pc remediation.PlannedCall, before apimodel.Image) (apimodel.Image, bool) {
	spec, ok := apimodel.ImageOf(pc.APICall())
	if !ok {
		return apimodel.Image{}, false
	}
	return spec.Expected(before)
}

// deliver sends a recorded change and writes its outcome. A lost answer is
// decided by reading back, and sent again only when that is harmless. Doubt says
// that it may have been sent before: then a refusal of this sending does not tell
// what became of the earlier one.
func (p *applying) deliver(ctx context.Context, d due, r request, rec remediation.Change, doubt bool) (apimodel.Reply, error) {
	again, pc := false, rec.Call
	id, err := p.forCall(d, r)
	if err != nil {
		rec.NotSent = true
		return apimodel.Reply{}, joined(err, p.outcome(ctx, rec, remediation.Refused, "", err))
	}
	for range p.g.cfg.MaxSends {
		var reply apimodel.Reply
		reply, err = p.g.send(p.permitting(ctx, d.until), id, r.as(rec.ID))
		rec.Sending = sendingOf(rec.Sending, reply, err)
		var api *apimodel.APIError
		switch {
		case err == nil:
			rec.Outputs, rec.Answer = p.keepOutputs(pc, reply), keptAnswer(r.op, reply)
			return reply, p.outcome(ctx, rec, remediation.Applied, reply.RequestID(), nil)
		case doubt && isDefinite(r, err):
			return apimodel.Reply{}, joined(err, p.outcome(ctx, rec, remediation.Uncertain, "", err))
		case errors.As(err, &api) && !api.Uncertain:
			return apimodel.Reply{}, joined(err, p.outcome(ctx, rec, remediation.Refused, api.RequestID, err))
		case isNotSent(r, err):
			rec.NotSent = true
			return apimodel.Reply{}, joined(err, p.outcome(ctx, rec, remediation.Refused, "", err))
		}
		doubt, d.until = true, time.Time{} // from here on it is decided by reading back
		p.g.log.Warn("answer to a change was lost", "change", rec.ID, "operation", r.Service+":"+r.Operation)
		var done *apimodel.Reply
		var unread error
		if done, again, unread = p.settled(ctx, d, r, rec); done != nil {
			p.keepFound(&rec, r, *done)
			return *done, p.outcome(ctx, rec, remediation.Applied, "", nil)
		}
		if unread != nil {
			return apimodel.Reply{}, joined(unread, p.outcome(ctx, rec, remediation.Uncertain, "", err))
		}
		if !again {
			break
		}
		if err := p.g.permit(ctx, p.auth.Fence); err != nil {
			// The intent stays open; whoever takes over reads back first.
			return apimodel.Reply{}, err
		}
	}
	why := p.doubtful(pc, r, err)
	if again {
		// Sending it once more does no harm, so the step may be tried again.
		why = fault.Transient(fault.Errorf(fault.Unavailable, "apply step "+pc.Step, "%s:%s was sent %d times without an answer: %w",
			r.Service, r.Operation, p.g.cfg.MaxSends, err), lostAnswerWait)
	}
	return apimodel.Reply{}, joined(why, p.outcome(ctx, rec, remediation.Uncertain, "", err))
}

// joined keeps an error as it is where nothing else went wrong.
func joined(err, other error) error {
	if other == nil {
		return err
	}
	return errors.Join(err, other)
}

// settled reads back what a change of unknown outcome did. A reply means that
// it was applied; again means that it may be sent again; an error that it could
// not be read now, and may be later.
//
// Reading that nothing has happened is no licence to repeat: the first request
// may still be on its way. Only a change that ends the same when it is made
// twice is sent again.
func (p *applying) settled(ctx context.Context, d due, r request, rec remediation.Change) (done *apimodel.Reply, again bool, err error) {
	spec, ok := apimodel.ImageOf(r.Call)
	if !ok || rec.Before == nil {
		done, err := p.found(ctx, d, r, rec)
		return done, done == nil && err == nil && repeatable(r, rec), err
	}
	now, err := p.g.readImage(ctx, p.forImage(spec, r), spec, r.by)
	if err != nil {
		if code := codeOf(err); code == fault.Unavailable || code == fault.Exhausted { // exhausted: throttled
			return nil, false, fault.Transient(fault.Errorf(fault.Unavailable, "read back "+r.Service+":"+r.Operation, "%w", err), 0)
		}
		return nil, false, nil
	}
	before := fromImage(rec.Before)
	if after, known := spec.Expected(before); known && spec.Equal(now, after) {
		return &apimodel.Reply{Output: map[string]any{"ResponseMetadata": responseMetadata("")}}, false, nil
	}
	// What is half way, as an instance that stops, is neither before nor after.
	return nil, spec.MayRepeat(before, now) || spec.Equal(now, before) && repeatable(r, rec), nil
}

// repeatable reports whether sending r twice ends as sending it once: the table
// knows its effect, and that it is the same from the state that it leaves, or says
// so; or it carries the very token under which it may have been sent.
func repeatable(r request, rec remediation.Change) bool {
	if spec, ok := apimodel.ImageOf(r.Call); ok && rec.Before != nil {
		once, known := spec.Expected(fromImage(rec.Before))
		twice, knownAgain := spec.Expected(once)
		if known && knownAgain && spec.Equal(once, twice) {
			return true
		}
	}
	member, ok := r.op.RepeatMember(r.Service, r.Input)
	return ok && r.Input[member] != nil && r.Input[member] == rec.Call.Input[member]
}

// keepFound keeps the answer of a call that was found again. What a read of the
// resource tells is none.
func (p *applying) keepFound(rec *remediation.Change, r request, done apimodel.Reply) {
	if len(done.Output) > 1 {
		rec.Outputs, rec.Answer = p.keepOutputs(rec.Call, done), keptAnswer(r.op, done)
	}
}

// resume decides a change that an earlier run recorded without a final outcome.
func (p *applying) resume(ctx context.Context, d due, r request, rec remediation.Change) (apimodel.Reply, error) {
	pc := d.pc
	done, again, unread := p.settled(ctx, d, r, rec)
	switch {
	case unread != nil:
		return apimodel.Reply{}, unread
	case done != nil:
		p.keepFound(&rec, r, *done)
		if err := p.outcome(ctx, rec, remediation.Applied, rec.RequestID, nil); err != nil {
			return apimodel.Reply{}, err
		}
		return p.repeat(pc, r, rec)
	case again:
		if err := p.clear(ctx, r); err != nil {
			return apimodel.Reply{}, err
		}
		return p.deliver(ctx, d, r, rec, true)
	}
	err := errors.New("the process ended before the answer came")
	return apimodel.Reply{}, joined(p.doubtful(pc, r, err), p.outcome(ctx, rec, remediation.Uncertain, "", err))
}

// repeat answers a change that was applied before without sending it: with the
// answer that it had, where that is kept.
func (p *applying) repeat(pc remediation.PlannedCall, r request, rec remediation.Change) (apimodel.Reply, error) {
	if reply, ok := answerOf(r.op, rec); ok {
		return reply, nil
	}
	if r.op.Output != nil && len(r.op.Output.Members) > 0 {
		for _, later := range p.auth.Plan.Calls {
			if later.Seq > pc.Seq && len(later.FromOutputs) > 0 {
				return apimodel.Reply{}, fault.Terminal(fault.Errorf(fault.Denied, "apply step "+pc.Step,
					"%w: %s:%s was applied, but its answer, which a later step needs, was lost", ErrUncertain, r.Service, r.Operation).
					WithHint("the change is recorded as %s; undo it, or make a new plan", rec.ID))
			}
		}
	}
	return apimodel.Reply{Output: map[string]any{"ResponseMetadata": responseMetadata(rec.RequestID)}}, nil
}

// doubtful is the error of a change whose outcome nobody can tell. It is a
// refusal to go on, and no conflict: that would say that nothing was sent.
func (p *applying) doubtful(pc remediation.PlannedCall, r request, cause error) error {
	what := pc.Resource
	if what == "" {
		what = r.Call.String()
	}
	return fault.Terminal(fault.Errorf(fault.Denied, "apply step "+pc.Step, "%w: %s:%s may or may not have changed %s: %w",
		ErrUncertain, r.Service, r.Operation, what, cause).
		WithHint("look at the resource; `parry remediation show %s` has the before-image", p.auth.Remediation))
}

// outcome writes what became of a change, also when the caller has given up.
func (p *applying) outcome(ctx context.Context, rec remediation.Change, o remediation.Outcome, requestID string, cause error) error {
	rec.Outcome, rec.RequestID, rec.OutcomeAt = o, requestID, p.g.cfg.Clock.Now()
	if cause != nil {
		rec.Error = cause.Error()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := p.auth.Recorder.RecordOutcome(ctx, rec); err != nil {
		return fault.Errorf(fault.Unavailable, "record change "+rec.ID, "outcome %s was not stored: %w", o, err).
			WithHint("run the execution again: it reads the resource before it changes anything")
	}
	return nil
}
