package awsapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// ChangeRecorder keeps what was changed. Its writes are durable when they return.
type ChangeRecorder interface {
	// RecordIntent is idempotent by Change.ID.
	RecordIntent(ctx context.Context, c remediation.Change) error
	RecordOutcome(ctx context.Context, c remediation.Change) error
	// Change answers a not_found fault where nothing was recorded.
	Change(ctx context.Context, id string) (remediation.Change, error)
}

// Authority is the right to change: an approved plan, and who carries it out.
type Authority struct {
	Remediation remediation.ID
	// Execution is the automation execution; with the plan's sequence number it
	// names every change, so that a restart finds what was done before it.
	Execution string
	// Plan is not changed as long as anything holds it: its hash is taken once.
	Plan *remediation.Plan
	// Hash is the hash that was approved; the plan must have it.
	Hash remediation.Hash
	// Fence says whether this node still holds the execution's lease. Asked right
	// before every change; an error means that no change is sent. Required.
	Fence    func(ctx context.Context) error
	Recorder ChangeRecorder
	// RereadAfter is how long after Plan.LookedAt a before-image of the plan counts as
	// the one read right before the change. Default: each is read again.
	RereadAfter time.Duration
	// RereadSharedAfter is the same for what several people write parts of, as policies
	// and lists, if it is less. Default: each is read again.
	RereadSharedAfter time.Duration
	// MaxChanges bounds the changes of the session. Default and upper limit: the
	// changes that the plan holds, and for an open plan Config.MaxOpenChanges more.
	MaxChanges int
	// CoerceStrings is PlanOptions.CoerceStrings of the plan.
	CoerceStrings bool
}

// applying is an apply session's memory.
type applying struct {
	g       *Gate
	id      Identity
	auth    Authority
	refuse  error   // why the authority gives no right to change; nil when it does
	scopes  *scopes // the sessions that the plan is divided into; nil = the role alone decides
	session *Session

	mu      sync.Mutex // one change at a time
	used    map[int]bool
	refused map[int]bool   // planned calls that AWS answered with an error
	made    map[string]int // calls beyond the plan that were answered, by label
	attempt map[string]int // which attempt of a step is under way, by label
	spent   int
	counted map[int]bool // planned calls in spent: another attempt of a step is no further change
}

// Applying gives a session that sends reads, and exactly the changes that the
// approved plan holds, step by step in their order, and where the plan is open
// those that it allows beyond. Anything else is refused as
// denied (ErrNotInPlan), or as a conflict (ErrSuperseded) when the resource is no
// longer what the plan was made for.
//
// Nothing is applied twice: a change that is recorded as applied is not sent
// again but answered without sending, with the answer that it had. Where that
// was lost, or is too long to keep, it is ResponseMetadata alone, or ErrUncertain
// if a later call of the plan needs one of its members. A change that was recorded and has no outcome is decided
// by reading the resource.
func (g *Gate) Applying(id Identity, a Authority) *Session {
	p := &applying{g: g, id: id, auth: a, used: map[int]bool{}, refused: map[int]bool{}, counted: map[int]bool{}, made: map[string]int{}, attempt: map[string]int{}}
	p.refuse = p.check()
	if p.refuse == nil {
		most := a.Plan.Changes()
		if len(a.Plan.Beyond) > 0 {
			most += g.cfg.MaxOpenChanges
		}
		if p.auth.MaxChanges <= 0 || p.auth.MaxChanges > most {
			p.auth.MaxChanges = most
		}
		if g.derive != nil {
			p.scopes, p.refuse = g.taken.scopes(g.derive, a.Plan, a.Hash)
		}
	}
	id.Remediation = a.Remediation
	p.id = id
	var allowed []string
	if p.refuse == nil {
		allowed = a.Plan.Roles
	}
	p.session = &Session{g: g, id: id, mode: ModeApply, lenient: a.CoerceStrings, execution: a.Execution, roles: newRoles(allowed, a.Execution), applying: p, do: p.do}
	return p.session
}

// check says why an authority is none.
func (p *applying) check() error {
	const op = "take up plan"
	a := p.auth
	switch {
	case a.Plan == nil:
		return fault.Errorf(fault.Denied, op, "%w: there is no plan", ErrNotInPlan)
	case a.Recorder == nil, a.Fence == nil, a.Execution == "":
		return fault.Errorf(fault.Denied, op, "an execution, its lease and a recorder are required")
	case a.Plan.Remediation != a.Remediation:
		return fault.Errorf(fault.Denied, op, "the plan is of remediation %s, not %s", a.Plan.Remediation, a.Remediation)
	case a.Plan.Role != p.id.Role:
		return fault.Errorf(fault.Denied, op, "the plan was made for role %q, not %q", a.Plan.Role, p.id.Role)
	}
	hash, err := p.g.taken.hash(a.Plan)
	if err != nil {
		return fault.E(fault.Internal, op, err)
	}
	if hash != a.Hash {
		return fault.Errorf(fault.Denied, op, "the plan is not the approved one: its hash is %s, approved was %s", hash, a.Hash)
	}
	if a.Plan.GuardsRevision != p.g.guard.revision {
		return fault.Errorf(fault.Conflict, op, "%w: the guards changed after the plan was made", ErrSuperseded)
	}
	return nil
}

func (p *applying) do(ctx context.Context, step string, r request) (apimodel.Reply, error) {
	if r.class == apimodel.Read {
		if err := p.mayRead(r); err != nil {
			return apimodel.Reply{}, err
		}
		if r.mints() {
			return p.session.mint(ctx, r)
		}
		if reply, err, ok := p.readRecently(ctx, r); ok {
			return reply, err
		}
		return p.g.read(ctx, p.forRead(r), r)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return apimodel.Reply{}, p.refuse
	}
	if err := p.g.check(r.id, r); err != nil {
		return apimodel.Reply{}, err
	}
	d, err := p.match(ctx, step, r)
	if err != nil {
		return apimodel.Reply{}, err
	}
	if p.spent >= p.auth.MaxChanges && !p.counted[d.i] {
		return apimodel.Reply{}, fault.Errorf(fault.Exhausted, "apply step "+step, "the execution has made its %d changes", p.auth.MaxChanges)
	}
	var reply apimodel.Reply
	if r.class == apimodel.SensitiveRead {
		if err := p.clear(ctx, r); err != nil {
			return apimodel.Reply{}, err
		}
		reply, err = p.sensitive(ctx, d, r)
	} else {
		reply, err = p.change(ctx, d, r)
	}
	p.settle(d, err)
	return reply, err
}

// sensitive sends a planned read of secret values.
func (p *applying) sensitive(ctx context.Context, d due, r request) (apimodel.Reply, error) {
	id, err := p.forCall(d, r)
	if err != nil {
		return apimodel.Reply{}, err
	}
	return p.g.send(ctx, id, r)
}

// mayRead keeps an execution's reads in the accounts of its plan.
func (p *applying) mayRead(r request) error {
	if p.auth.Plan == nil || r.Account == p.auth.Plan.Account ||
		slices.ContainsFunc(p.auth.Plan.Calls, func(c remediation.PlannedCall) bool { return c.Account == r.Account }) ||
		slices.ContainsFunc(p.auth.Plan.Beyond, func(a remediation.Allowance) bool { return a.Account == r.Account }) {
		return nil
	}
	return fault.Errorf(fault.Denied, "read in account "+r.Account, "%w: the plan is about account %s", ErrNotInPlan, p.auth.Plan.Account)
}

// drifted tells an input that differs because the resource changed after
// planning from one that the runbook should never have made. It reads only.
func (p *applying) drifted(ctx context.Context, pc remediation.PlannedCall, r request) error {
	spec, ok := apimodel.ImageOf(pc.APICall())
	actual, ok2 := apimodel.ImageOf(r.Call)
	if !ok || !ok2 || pc.Before == nil || pc.Service != r.Service || pc.Operation != r.Operation || spec.Key() != actual.Key() {
		return nil
	}
	now, err := p.g.readImage(ctx, p.forImage(spec, r), spec, r.by)
	if err != nil {
		return nil //nolint:nilerr // The call is refused as not in the plan, which needs no reason of ours.
	}
	return superseded(pc, p.g.shownDiff(spec, fromImage(pc.Before), now))
}

// superseded words what changed under a plan; nil when nothing did. Who asked
// for the plan knows how to ask again, so it names no next step.
func superseded(pc remediation.PlannedCall, changed []apimodel.MemberChange) error {
	if len(changed) == 0 {
		return nil
	}
	var paths []string
	for _, m := range changed {
		if len(paths) == 5 {
			paths = append(paths, "...")
			break
		}
		paths = append(paths, m.Path)
	}
	return fault.Errorf(fault.Conflict, "apply step "+pc.Step, "%w: %s changed after the plan was made, in %s",
		ErrSuperseded, pc.Resource, strings.Join(paths, ", "))
}

// changeID names a change so that a restarted execution finds it again.
func changeID(execution string, pc remediation.PlannedCall, attempt int) string {
	return fmt.Sprintf("%s/%s/%d.%d", execution, shortLabel(pc.Step), pc.Seq, attempt)
}

// shortLabel stands for a label that is too long for the name of a change, as
// those of targets of targets can be.
func shortLabel(label string) string {
	const most = 200
	if len(label) <= most {
		return label
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(label)))
}

// isDefinite reports whether err says for certain that this sending did nothing.
func isDefinite(r request, err error) bool {
	var api *apimodel.APIError
	return errors.As(err, &api) && !api.Uncertain || isNotSent(r, err)
}

// isNotSent reports whether err came before anything left the process. The
// sender's contract: an *apimodel.APIError was answered or lost, any other coded
// error means that the last attempt did not leave. An operation with a token is
// repeated by the sender itself, so its earlier attempts may have left.
func isNotSent(r request, err error) bool {
	var api *apimodel.APIError
	var param *ParamError
	var coded *fault.Error
	switch {
	case errors.As(err, &api):
		return false
	case errors.Is(err, errNotSent), errors.As(err, &param):
		return true
	}
	_, token := r.op.RepeatMember(r.Service, r.Input)
	return !token && errors.As(err, &coded)
}
