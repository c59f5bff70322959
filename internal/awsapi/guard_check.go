package awsapi

import (
	"context"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
)

// check holds a call against the guards as far as that needs no reading.
func (g *Gate) check(id Identity, r request) error { return g.guard.check(g.subject(id, r)) }

// checkWhole holds a call against all guards, reading what they need for it: tags
// where a rule is about them, and what is behind a policy, a group, a stack or an
// alias. For most calls that is nothing.
func (g *Gate) checkWhole(ctx context.Context, id Identity, r request) error {
	if err := g.guard.check(g.reading(ctx, id, r)); err != nil {
		return err
	}
	return g.checkBehind(ctx, id, r)
}

// checkOwn holds own traffic against the deny rules.
func (g *Gate) checkOwn(ctx context.Context, id Identity, r request) error {
	return g.guard.checkDenied(g.reading(ctx, id, r))
}

func (g *Gate) subject(id Identity, r request) *subject {
	return &subject{request: r, id: id, guard: g.guard, arns: sync.OnceValues(func() ([]string, error) { return g.resourcesOf(r) })}
}

// reading is a subject whose tags are read when a rule asks for them.
func (g *Gate) reading(ctx context.Context, id Identity, r request) *subject {
	s := g.subject(id, r)
	if r.class != apimodel.Read {
		s.tags = sync.OnceValues(func() ([]map[string]string, error) { return g.readTags(ctx, id, r) })
	}
	return s
}

// clear is asked right before a change is recorded and sent: what the guards have
// to read is read now, then stop switch and lease are.
func (p *applying) clear(ctx context.Context, r request) error {
	if err := p.g.checkWhole(ctx, r.id, r); err != nil {
		return err
	}
	return p.g.permit(ctx, p.auth.Fence)
}
