package verify

import (
	"context"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
)

// complies runs the playbook's checks on a fresh read. Where planning is recent, what
// it saw in order and no change touches is not read again (design 0023): stand counts
// those checks.
func (s *Stage) complies(ctx context.Context, r remediation.Remediation) (results []remediation.CheckResult, stand int, err error) {
	pb, ok := s.Playbooks.Playbook(r.Playbook)
	if !ok {
		return nil, 0, fault.Terminal(fault.Errorf(fault.NotFound, "verify", "there is no playbook %q", r.Playbook))
	}
	resource, err := playbook.NewResource(pb.Resource, r.Resource, r.Account, r.Region)
	if err != nil {
		return nil, 0, fault.Terminal(err)
	}
	earlier, changed, err := s.recent(ctx, r, pb)
	if err != nil {
		return nil, 0, err
	}
	caller := s.Gate.Verifier(r)
	call := func(step string, c apimodel.Call) (apimodel.Reply, error) { return caller.Call(ctx, step, c) }
	if len(earlier) == 0 {
		_, results, err = pb.Look(resource, playbook.Looking{Fixed: true}, call)
		return results, 0, err
	}
	results, again, err := pb.Again(resource, earlier, touching(changed), call)
	return results, len(results) - again, err
}

// recent gives what planning found of r, and the changes that were made since; no
// results where that was too long ago, or where it was another playbook's.
func (s *Stage) recent(ctx context.Context, r remediation.Remediation, pb playbook.Playbook) ([]remediation.CheckResult, []remediation.Change, error) {
	// The row tells what is old without reading the plan; the plan has the last word.
	if s.RereadAfter <= 0 || s.old(r.CreatedAt) {
		return nil, nil, nil
	}
	plan, err := s.Store.Plan(ctx, r.PlanHash)
	if err != nil {
		return nil, nil, err
	}
	if plan.Open || plan.LookedAt.IsZero() || s.old(plan.LookedAt) || plan.PlaybookRevision != pb.Revision {
		return nil, nil, nil
	}
	changes, err := s.Store.Changes(ctx, r.ID)
	return slices.Concat(plan.Violation, plan.Standing), changes, err
}

// old reports whether a reading of t is no recent one. One from the future is by a
// clock that cannot be trusted.
func (s *Stage) old(t time.Time) bool {
	age := s.Clock.Now().Sub(t)
	return age < 0 || age > s.RereadAfter
}

// touching reports whether a read may show something that one of changes touched: all
// do where that cannot be told.
func touching(changes []remediation.Change) func(apimodel.Call) bool {
	return func(read apimodel.Call) bool {
		return !apimodel.IsImageRead(read.Service, read.Operation) || slices.ContainsFunc(changes, func(c remediation.Change) bool {
			spec, ok := apimodel.ImageOf(c.Call.APICall())
			return !ok || c.Call.As != "" || spec.Shows(read)
		})
	}
}
