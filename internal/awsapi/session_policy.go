package awsapi

import (
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// deriver gives the IAM permissions that a call, and the read of what it
// changes, needs: *apimodel.Catalog.
type deriver interface {
	GrantsAround(c apimodel.Call, with apimodel.Surround) ([]apimodel.Grant, error)
}

// scope is what one session of an apply session may do in AWS: its session
// policy, and the same as grants.
type scope struct {
	grants []apimodel.Grant
	policy string
}

// scopes divide the permissions that an approved plan needs into session
// policies that STS takes: by account, over 2,048 characters by service as well,
// and over that by groups of calls in their order. Nothing is widened to make it
// fit. See docs/design/0005-session-policies.md.
type scopes struct {
	byCall  map[int]*scope      // by due.scope; none = its policy does not fit alone
	reading map[sphere][]*scope // for reads that the plan holds
}

// sphere is where one session can go at all: a role in an account.
type sphere struct{ account, as string }

// planScopes derives the scopes of a plan. Without a deriver there are none, and
// every call goes under the role's own permissions.
func planScopes(d deriver, plan *remediation.Plan) (*scopes, error) {
	out := &scopes{byCall: map[int]*scope{}, reading: map[sphere][]*scope{}}
	spheres := map[sphere][]unit{}
	var order []sphere
	add := func(seq int, class apimodel.Class, call apimodel.Call, open bool) error {
		if open {
			call.Input, _ = forPolicy(call.Input).(map[string]any)
		}
		grants, err := d.GrantsAround(call, apimodel.Surround{Image: class == apimodel.Change})
		if err != nil {
			return fault.E(codeOf(err), "derive session policy", err)
		}
		at := sphere{call.Account, call.As}
		if spheres[at] == nil {
			order = append(order, at)
		}
		spheres[at] = append(spheres[at], unit{seq, call.Service, grants})
		return nil
	}
	for _, pc := range plan.Calls {
		call := pc.APICall()
		if (request{Call: call}).mints() {
			continue // by the gate, not by the session
		}
		if err := add(pc.Seq, pc.Class, call, len(pc.FromOutputs) > 0); err != nil {
			return nil, err
		}
	}
	for i, a := range plan.Beyond {
		call := apimodel.Call{Service: a.Service, Operation: a.Operation, Account: a.Account, Region: a.Region, As: a.As, Input: a.Input}
		if err := add(-1-i, a.Class, call, len(a.FromOutputs) > 0); err != nil {
			return nil, err
		}
	}
	for _, at := range order {
		out.divide(at, spheres[at])
	}
	return out, nil
}

// unit is what one planned call needs.
type unit struct {
	seq     int
	service string
	grants  []apimodel.Grant
}

// divide makes the sessions of one role in an account.
func (s *scopes) divide(at sphere, units []unit) {
	if sc, ok := scopeOf(units); ok {
		s.take(at, units, sc)
		return
	}
	var services []string
	own := map[string][]unit{}
	for _, u := range units {
		if own[u.service] == nil {
			services = append(services, u.service)
		}
		own[u.service] = append(own[u.service], u)
	}
	for _, name := range services {
		if sc, ok := scopeOf(own[name]); ok {
			s.take(at, own[name], sc)
			continue
		}
		s.runs(at, own[name])
	}
}

// runs makes a session for each longest run of calls whose policy fits. A call
// that does not fit alone gets none, and is refused when it comes.
func (s *scopes) runs(at sphere, units []unit) {
	for len(units) > 0 {
		n := 1
		sc, ok := scopeOf(units[:1])
		for ok && n < len(units) {
			more, fits := scopeOf(units[:n+1])
			if !fits {
				break
			}
			sc, n = more, n+1
		}
		if ok {
			s.take(at, units[:n], sc)
		}
		units = units[n:]
	}
}

// scopeOf gives one session for units; false where its policy is too long for STS.
func scopeOf(units []unit) (*scope, bool) {
	sc := &scope{}
	for _, u := range units {
		sc.grants = append(sc.grants, u.grants...)
	}
	if len(sc.grants) == 0 {
		return sc, true // AWS asks no permission for any of them
	}
	sc.policy = apimodel.SessionDocument(sc.grants).String()
	return sc, len(sc.policy) <= apimodel.MaxSessionPolicy
}

func (s *scopes) take(at sphere, units []unit, sc *scope) {
	for _, u := range units {
		s.byCall[u.seq] = sc
	}
	s.reading[at] = append(s.reading[at], sc)
}

// forCall gives the identity under which a planned call is sent: its session is
// allowed what its share of the plan needs and nothing else.
func (p *applying) forCall(d due, r request) (Identity, error) {
	if !p.narrows(r) {
		return r.id, nil
	}
	sc := p.scopes.byCall[d.scope]
	if sc == nil && d.allowance != nil {
		sc = p.scopeOfCall(r)
	}
	pc := d.pc
	if sc == nil {
		return Identity{}, fault.Terminal(fault.Errorf(fault.Exhausted, "apply step "+pc.Step,
			"%s:%s names so many resources that its session policy is longer than the %d characters that STS takes", pc.Service, pc.Operation, apimodel.MaxSessionPolicy).
			WithHint("split the step so that each call names fewer resources"))
	}
	return narrowed(r.id, sc), nil
}

// scopeOfCall gives a call beyond the plan a session of its own, where its
// allowance's does not fit; nil where the call's does not either.
func (p *applying) scopeOfCall(r request) *scope {
	grants, err := p.g.derive.GrantsAround(r.Call, apimodel.Surround{Image: r.class == apimodel.Change})
	if err != nil {
		return nil
	}
	if sc, ok := scopeOf([]unit{{grants: grants}}); ok {
		return sc
	}
	return nil
}

// forRead gives the identity for a read: that of a session whose policy allows
// it, else the reading identity, which the gate lets read only.
func (p *applying) forRead(r request) Identity {
	if !p.narrows(r) {
		return r.id
	}
	need, err := p.g.derive.GrantsAround(r.Call, apimodel.Surround{})
	if err != nil {
		return r.id // it names no operation, and is refused before it is sent
	}
	for _, sc := range p.scopes.reading[sphere{r.Account, r.As}] {
		if apimodel.Allows(sc.grants, need) {
			return narrowed(r.id, sc)
		}
	}
	return r.id
}

// narrows reports whether r goes out in a session that can be narrowed: STS
// narrows the sessions of roles, never the process's own credentials.
func (p *applying) narrows(r request) bool { return p.scopes != nil && r.id.Role != "" }

func narrowed(id Identity, sc *scope) Identity {
	id.policy = sc.policy
	return id
}

// forImage is forRead for the read that shows what r changes, by the role that
// makes the change.
func (p *applying) forImage(spec apimodel.ImageSpec, r request) Identity {
	read := request{Call: spec.ReadCall(), id: r.id}
	read.As = r.As
	if read.Region == "" {
		read.Region = p.g.cfg.Region
	}
	return p.forRead(read)
}
