package awsapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// PlanOptions bound one planning run.
type PlanOptions struct {
	// MaxCalls bounds the calls of the plan. Default: the gate's; upper limit: the
	// gate's for runs on many targets.
	MaxCalls int
	// CoerceStrings turns "true" and "30" into what the model asks for, as Systems
	// Manager does for runbooks. Applying must say the same.
	CoerceStrings bool
	// Roles are those that calls may be made as besides the identity's own: ARNs, or
	// patterns of them with * and ?. The plan takes them over as Plan.Roles.
	Roles []string
}

// Planner is plan mode: the same way as Applying, stopped before the change.
// Reads are sent; a change is recorded with its before-image, its diff and its
// inverse, and answered in the shape of the model; later reads of what it would
// have changed see the change. Nothing that needs approval is ever sent.
type Planner struct {
	s       *Session
	limit   int
	unknown unknowns

	mu      sync.Mutex
	calls   []remediation.PlannedCall
	answers map[string]realAnswer // the real answers to image reads, by answerKey
	changed []changedThing        // in the order of their first change
	at      map[string]int        // where in changed a thing is, by its key
	// made are the steps whose answers are about what this plan makes.
	made   map[string]bool
	making []string // ARNs of what this plan makes under names that it gives

	open     string // why the plan cannot be told to its end
	lastRead string // the read that was made last, while it is made again and again
	polls    int
	changes  bool // one is planned
}

// realAnswer is what AWS answered a read.
type realAnswer struct {
	reply apimodel.Reply
	err   error
}

// changedThing is one thing as it will be after the changes planned so far.
type changedThing struct {
	spec    apimodel.ImageSpec
	img     apimodel.Image
	opaque  bool   // changed in a way that cannot be told
	account string // of spec
}

// Planning gives a planner that calls as id.
func (g *Gate) Planning(id Identity, o PlanOptions) *Planner {
	p := &Planner{
		made:    map[string]bool{},
		limit:   g.cfg.MaxPlannedCalls,
		unknown: newUnknowns(g.cfg.IDs.NewID("u"), g.cfg.Clock.Now()),
		answers: map[string]realAnswer{},
		at:      map[string]int{},
	}
	if o.MaxCalls > 0 {
		p.limit = min(o.MaxCalls, g.cfg.MaxRunCalls)
	}
	p.s = &Session{g: g, id: id, mode: ModePlan, lenient: o.CoerceStrings, roles: newRoles(o.Roles, p.unknown.nonce), do: p.do}
	return p
}

// Call makes one call for the named step.
func (p *Planner) Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	return p.s.Call(ctx, step, c)
}

// Look makes a read that is not part of the plan, such as the one that confirms
// the violation. What it shows is not read a second time when a change to it is
// planned.
func (p *Planner) Look(ctx context.Context, c apimodel.Call) (apimodel.Reply, error) {
	look := &Session{g: p.s.g, id: p.s.id, mode: ModePlan, lenient: p.s.lenient, roles: p.s.roles}
	look.do = func(ctx context.Context, _ string, r request) (apimodel.Reply, error) {
		if r.class != apimodel.Read {
			return apimodel.Reply{}, fault.Errorf(fault.Denied, "call "+r.Service+":"+r.Operation, "looking sends no %s", classWord(r.class))
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := p.s.g.check(r.id, r); err != nil {
			return apimodel.Reply{}, err
		}
		return p.read(ctx, &remediation.PlannedCall{Step: "Look", FromOutputs: p.unknown.paths(r.Input)}, r)
	}
	return look.Call(ctx, "", c)
}

// Calls gives what was planned so far, in order.
func (p *Planner) Calls() []remediation.PlannedCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// IsUnknown reports whether v is, or holds anywhere inside it, a value that only
// applying will tell. A wait for such a value counts as met; a branch on it
// leaves the plan open.
func (p *Planner) IsUnknown(v any) bool { return len(p.unknown.paths(v)) > 0 }

// Display gives v as people and plans may see it, with unknown values as
// "<known after apply: step.Member>".
func (p *Planner) Display(v any) any { return p.unknown.clean(v) }

func (p *Planner) do(ctx context.Context, step string, r request) (apimodel.Reply, error) {
	// One call at a time: the order of the plan is the order of the calls.
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.calls) >= p.limit {
		return apimodel.Reply{}, fault.Errorf(fault.Exhausted, "plan step "+step, "the plan holds %d calls, which is the limit", p.limit).
			WithHint("split the runbook, or narrow it to fewer resources")
	}
	if p.IsUnknown(r.Account) || p.IsUnknown(r.Region) {
		return apimodel.Reply{}, p.untold(step, r, "the account or region is known only after apply")
	}
	if path := p.unknown.torn(r.Input); path != "" {
		return apimodel.Reply{}, p.untold(step, r, "%s is made of a part of what is known only after apply", path)
	}
	if err := p.s.g.validate(r); err != nil {
		return apimodel.Reply{}, err
	}
	if err := p.s.g.checkWhole(ctx, r.id, r); err != nil {
		return apimodel.Reply{}, err
	}
	pc := remediation.PlannedCall{
		Seq: len(p.calls) + 1, Step: step, Service: r.Service, Operation: r.Operation, Account: r.Account, Region: r.Region,
		As: r.As, Class: r.class, FromOutputs: p.unknown.paths(r.Input),
	}
	if r.Input != nil {
		input, err := plainValue(r.Input)
		if err != nil {
			return apimodel.Reply{}, fault.E(fault.Invalid, "plan step "+step, err)
		}
		pc.Input, _ = p.unknown.clean(input).(map[string]any)
	}
	if err := p.polled(&pc, r); err != nil {
		return apimodel.Reply{}, err
	}
	var reply apimodel.Reply
	var err error
	switch r.class {
	case apimodel.Read:
		if r.mints() {
			if err := p.assume(&pc, r); err != nil {
				return apimodel.Reply{}, err
			}
			reply, err = p.s.mint(ctx, r)
			break
		}
		reply, err = p.read(ctx, &pc, r)
	case apimodel.SensitiveRead:
		reply = p.unknown.reply(r.op, step)
	default:
		if why := openScope(&pc, r, p.made); why != "" {
			return apimodel.Reply{}, p.untold(step, r, "%s", why)
		}
		if err := p.change(ctx, &pc, r); err != nil {
			return apimodel.Reply{}, err
		}
		if err := p.prove(ctx, &pc, r); err != nil {
			return apimodel.Reply{}, err
		}
		reply = p.unknown.reply(r.op, step)
		p.made[step] = true
		p.makes(r)
	}
	var api *apimodel.APIError
	if err == nil || errors.As(err, &api) {
		p.calls = append(p.calls, pc)
	}
	return reply, err
}

// read answers from the plan what the plan would have changed, and asks AWS for
// the rest. A read of what does not exist yet cannot be sent.
func (p *Planner) read(ctx context.Context, pc *remediation.PlannedCall, r request) (apimodel.Reply, error) {
	if len(pc.FromOutputs) > 0 {
		// It is about what this plan makes if all that it is asked by is.
		if !slices.ContainsFunc(outputsIn(pc.Input), func(from [2]string) bool { return !p.made[from[0]] }) {
			p.made[pc.Step] = true
		}
		return p.unknown.reply(r.op, pc.Step), nil
	}
	reply, err := p.look(ctx, pc, r)
	if err != nil && p.isToCome(r, err) {
		p.made[pc.Step] = true
		return p.unknown.reply(r.op, pc.Step), nil
	}
	return reply, err
}

// look is read for what is asked of AWS.
func (p *Planner) look(ctx context.Context, pc *remediation.PlannedCall, r request) (apimodel.Reply, error) {
	if !apimodel.IsImageRead(r.Service, r.Operation) {
		return p.s.g.send(ctx, r.id, r)
	}
	pc.Resource = apimodel.ReadResource(r.Call)
	key := answerKey(r.Call, r.As)
	got, ok := p.answers[key]
	if !ok {
		got.reply, got.err = p.s.g.read(ctx, r.id, r)
		p.keep(key, got)
	}
	return p.overlay(pc, r, got)
}

// answerKey tells real answers apart: what one role is shown is nothing that
// another is told.
func answerKey(c apimodel.Call, as string) string { return as + " " + apimodel.ReadKey(c) }

// keep remembers an answer of AWS, unless it tells nothing about the resource.
func (p *Planner) keep(key string, a realAnswer) {
	var api *apimodel.APIError
	if a.err == nil || errors.As(a.err, &api) && api.HTTPStatus == http.StatusNotFound {
		p.answers[key] = a
	}
}

// overlay lays the planned changes over what AWS answered.
func (p *Planner) overlay(pc *remediation.PlannedCall, r request, got realAnswer) (apimodel.Reply, error) {
	reply, err := got.reply, got.err
	for _, c := range p.changed {
		// A run on many accounts changes thousands of things: most are passed over by
		// their account alone.
		if c.account != r.Account || !c.spec.Shows(r.Call) {
			continue
		}
		held := c.spec.Holds(reply)
		switch {
		case c.opaque && held, !held && c.img.Exists && apimodel.ReadKey(c.spec.ReadCall()) == apimodel.ReadKey(r.Call):
			return p.unknown.reply(r.op, pc.Step), nil
		case !held:
			continue
		case reply.Output == nil:
			reply.Output = map[string]any{"ResponseMetadata": responseMetadata("")}
		}
		if reply, err = c.spec.Answer(r.Call, c.img, reply); err != nil {
			return apimodel.Reply{}, err
		}
	}
	return reply, err
}

// see gives the thing that a change is about, as read or as planned so far.
func (p *Planner) see(ctx context.Context, spec apimodel.ImageSpec, r request) (changedThing, error) {
	if i, ok := p.at[spec.Key()]; ok {
		return p.changed[i], nil
	}
	key := answerKey(spec.ReadCall(), r.As)
	got, ok := p.answers[key]
	if !ok || apimodel.HasMore(got.reply) {
		got.reply, got.err = p.s.g.sendImageRead(ctx, r.id, spec, r.by)
		p.keep(key, got)
	}
	img, err := spec.ImageFrom(got.reply, got.err)
	return changedThing{spec: spec, img: img}, err
}

// remember puts down what a thing will be.
func (p *Planner) remember(now changedThing) {
	now.account = now.spec.ReadCall().Account
	key := now.spec.Key()
	if i, ok := p.at[key]; ok {
		p.changed[i] = now
		return
	}
	p.at[key] = len(p.changed)
	p.changed = append(p.changed, now)
}

// change records what a change would do, and lets later reads see it.
func (p *Planner) change(ctx context.Context, pc *remediation.PlannedCall, r request) error {
	spec, ok := apimodel.ImageOf(r.Call)
	pc.Irreversible, pc.EffectUnknown = true, true
	if !ok {
		return nil
	}
	shown := r.Call
	shown.Input = pc.Input
	if s, ok := apimodel.ImageOf(shown); ok {
		pc.Resource = s.Resource()
	}
	for _, m := range spec.Identity() {
		if p.IsUnknown(r.Input[m]) {
			// The resource will be made by this plan: there is nothing to read and
			// nothing to bring back.
			return nil
		}
	}
	seen, err := p.see(ctx, spec, r)
	if err != nil && p.isToCome(r, err) {
		return nil // as above, under a name that it is given
	}
	if err != nil {
		return fault.Errorf(codeOf(err), "plan step "+pc.Step, "read %s before changing it: %w", pc.Resource, err).
			WithHint("the role needs permission for %s:%s", spec.Service, spec.ReadOperation())
	}
	after := changedThing{spec: spec}
	known := false
	if !seen.opaque {
		pc.Before = toImage(p.displayed(seen.img))
		if inverse, restores := spec.Inverse(seen.img); restores != "" {
			pc.Irreversible = false
			if len(inverse) > 0 {
				pc.Inverse = inverse[0].Service + ":" + inverse[0].Operation
			}
		}
		after.img, known = spec.Expected(seen.img)
	}
	if known {
		pc.EffectUnknown = false
		pc.Diff = toDiff(p.s.g.shownDiff(spec, p.displayed(seen.img), p.displayed(after.img)))
	} else {
		after.opaque = true
		pc.Diff = opaqueDiff(spec, p.s.g.shownImage(spec, p.displayed(seen.img)))
	}
	p.remember(after)
	return nil
}

func (p *Planner) displayed(img apimodel.Image) apimodel.Image {
	img.Data, _ = p.unknown.clean(img.Data).(map[string]any)
	return img
}

// sendImageRead sends the read that shows what the spec's call changes.
func (g *Gate) sendImageRead(ctx context.Context, id Identity, spec apimodel.ImageSpec, by *origin) (apimodel.Reply, error) {
	return spec.Read(func(c apimodel.Call) (apimodel.Reply, error) {
		r, err := g.resolve(ctx, id, ModeRead, c)
		if err != nil {
			return apimodel.Reply{}, err
		}
		return g.read(ctx, id, r.from(by))
	})
}

// readImage reads the thing that the spec's call changes, as it is now.
func (g *Gate) readImage(ctx context.Context, id Identity, spec apimodel.ImageSpec, by *origin) (apimodel.Image, error) {
	return spec.ImageFrom(g.sendImageRead(ctx, id, spec, by))
}

func toImage(img apimodel.Image) *remediation.Image {
	return &remediation.Image{Exists: img.Exists, Data: img.Data}
}

func fromImage(img *remediation.Image) apimodel.Image {
	if img == nil {
		return apimodel.Image{}
	}
	return apimodel.Image{Exists: img.Exists, Data: img.Data}
}

func toDiff(list []apimodel.MemberChange) []remediation.MemberChange {
	var out []remediation.MemberChange
	for _, m := range list {
		out = append(out, remediation.MemberChange(m))
	}
	return out
}

// opaqueDiff lists everything that a change whose effect cannot be told may touch.
func opaqueDiff(spec apimodel.ImageSpec, before apimodel.Image) []remediation.MemberChange {
	out := toDiff(spec.Diff(before, apimodel.Image{}))
	if len(out) == 0 {
		out = []remediation.MemberChange{{Path: spec.Aspect()}}
	}
	for i := range out {
		out[i].After = unknownAfter
	}
	return out
}
