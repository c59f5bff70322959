package awsapi

import (
	"context"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// errOld ends a change whose before-image became too old while it waited for its turn:
// nothing was sent, and the next attempt reads again.
var errOld = errors.New("what planning read is too old by now")

// beforeImage gives what a change finds: what planning read where that is recent, with
// the time until which it counts, else what AWS answers now. A change that was tried
// before is always read again.
func (p *applying) beforeImage(ctx context.Context, d due, spec apimodel.ImageSpec, r request, id string) (img apimodel.Image, until time.Time, err error) {
	if d.allowance == nil && id == p.changeID(d, 1) {
		if until, ok := p.recent(d.pc, spec); ok {
			return fromImage(d.pc.Before), until, nil
		}
	}
	img, err = p.g.readImage(ctx, p.forImage(spec, r), spec, r.by)
	return img, time.Time{}, err
}

// recent reports whether the before-image that planning read of pc counts as read
// right before the change (design 0023), and until when. For what several people write
// parts of that is a shorter time, since what one added in between would be lost. It does
// not count where an earlier change of the plan touches the same thing, or one of which
// that cannot be told: then the image is what planning expects, and not what AWS answered.
func (p *applying) recent(pc remediation.PlannedCall, spec apimodel.ImageSpec) (until time.Time, ok bool) {
	plan := p.auth.Plan
	if p.refuse != nil || plan.LookedAt.IsZero() || plan.Open || len(plan.Beyond) > 0 {
		return until, false
	}
	if pc.Before == nil || pc.EffectUnknown || len(pc.FromOutputs) > 0 {
		return until, false
	}
	most := p.auth.RereadAfter
	if spec.Composed(fromImage(pc.Before)) {
		most = min(most, p.auth.RereadSharedAfter)
	}
	// A clock that went back, or another node's that is ahead, is no reason to trust.
	if age := p.g.cfg.Clock.Now().Sub(plan.LookedAt); most <= 0 || age < 0 || age > most {
		return until, false
	}
	for _, c := range plan.Calls {
		if c.Seq >= pc.Seq {
			break
		}
		if c.Class != apimodel.Change {
			continue
		}
		if other, ok := apimodel.ImageOf(c.APICall()); !ok || other.Key() == spec.Key() {
			return until, false
		}
	}
	return plan.LookedAt.Add(most), true
}

// readRecently answers a read of the runbook with what planning read of the thing that
// the plan changes next, as long as that is recent and the change was not begun. The
// runbook then decides on the very image that the change is held against.
func (p *applying) readRecently(ctx context.Context, r request) (apimodel.Reply, error, bool) {
	if p.auth.RereadAfter <= 0 || p.auth.Plan == nil || !apimodel.IsImageRead(r.Service, r.Operation) {
		return apimodel.Reply{}, nil, false
	}
	for _, pc := range p.auth.Plan.Calls {
		if pc.Class != apimodel.Change || pc.As != r.As {
			continue
		}
		spec, ok := apimodel.ImageOf(pc.APICall())
		if !ok || !spec.Shows(r.Call) {
			continue
		}
		if apimodel.ReadKey(spec.ReadCall()) != apimodel.ReadKey(r.Call) || !spec.IsWhole(r.op) {
			return apimodel.Reply{}, nil, false
		}
		if _, ok := p.recent(pc, spec); !ok {
			return apimodel.Reply{}, nil, false
		}
		if _, err := p.auth.Recorder.Change(ctx, changeID(p.auth.Execution, pc, 1)); !fault.Is(err, fault.NotFound) {
			return apimodel.Reply{}, nil, false // begun, or it cannot be told
		}
		reply, err := spec.Answer(r.Call, fromImage(pc.Before), apimodel.Reply{Output: map[string]any{"ResponseMetadata": responseMetadata("")}})
		return reply, err, true
	}
	return apimodel.Reply{}, nil, false
}
