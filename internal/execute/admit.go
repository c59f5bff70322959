package execute

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// keptPlans bounds the plans in memory: a run on a thousand targets reads its plan
// once and not a thousand times.
const keptPlans = 32

// admitted keeps plans whose text was found to have their hash, with their parsed
// documents. Both are read-only.
type admitted struct {
	mu    sync.Mutex
	plans map[remediation.Hash]*admission
	order []remediation.Hash // the longest kept first
}

type admission struct {
	plan *remediation.Plan

	mu        sync.Mutex
	documents map[string]*runbook.Document // by revision
}

func newAdmitted() *admitted { return &admitted{plans: map[remediation.Hash]*admission{}} }

func (a *admitted) get(hash remediation.Hash) *admission {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.plans[hash]
}

func (a *admitted) put(hash remediation.Hash, p *admission) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.plans[hash]; !ok {
		a.order = append(a.order, hash)
	}
	a.plans[hash] = p
	for len(a.order) > keptPlans {
		delete(a.plans, a.order[0])
		a.order = slices.Delete(a.order, 0, 1)
	}
}

// document gives the parsed document of a runbook that the plan pins.
func (p *admission) document(r remediation.Runbook) (*runbook.Document, error) {
	const op = "admit plan"
	p.mu.Lock()
	defer p.mu.Unlock()
	if doc := p.documents[r.Revision]; doc != nil {
		return doc, nil
	}
	if runbook.Revision([]byte(r.Content)) != r.Revision {
		return nil, fault.Errorf(fault.Denied, op, "the content of runbook %s does not have the pinned revision", r.Name)
	}
	doc, err := runbook.Parse([]byte(r.Content))
	if err != nil {
		return nil, fault.E(fault.Invalid, "read the plan's runbook", err)
	}
	p.documents[r.Revision] = doc
	return doc, nil
}

// admit gives the plan and the document of an execution if an approval binds to this
// very plan. A terminal error is a refusal; any other says that it could not be
// found out.
func (s *Stage) admit(ctx context.Context, r remediation.Remediation, j job, e store.ExecutionRecord) (*remediation.Plan, *runbook.Document, error) {
	approval, err := s.Store.ApprovalFor(ctx, r.ID)
	if err != nil {
		return nil, nil, missing(err)
	}
	a := s.admitted.get(r.PlanHash)
	if a == nil {
		plan, err := s.Store.Plan(ctx, r.PlanHash)
		if err != nil {
			return nil, nil, missing(err)
		}
		hash, err := plan.Hash()
		if err != nil {
			return nil, nil, fault.Terminal(fault.E(fault.Invalid, "admit plan", err))
		}
		if hash != r.PlanHash {
			return nil, nil, fault.Terminal(fault.Errorf(fault.Denied, "admit plan", "the stored plan does not have the approved hash %.12s", r.PlanHash))
		}
		a = &admission{plan: &plan, documents: map[string]*runbook.Document{}}
		s.admitted.put(hash, a)
	}
	// How long a plan may wait counts until it begins: a run may last for weeks.
	begins := !j.Child && j.Segment == 1
	if err := s.binds(r, a.plan, approval, begins); err != nil {
		return nil, nil, fault.Terminal(err)
	}
	pinned := a.plan.Runbook
	if j.Child {
		if pinned, err = childRunbook(a.plan, e); err != nil {
			return nil, nil, fault.Terminal(err)
		}
	}
	doc, err := a.document(pinned)
	if err != nil {
		return nil, nil, fault.Terminal(err)
	}
	return a.plan, doc, nil
}

// excepted refuses a fix that has changed nothing yet when an exception suppresses its
// finding, and names that exception, "" for none. One that began goes on: half a fix
// is worse than a whole one.
func (s *Stage) excepted(ctx context.Context, r remediation.Remediation, j job) (string, error) {
	if s.Excepted == nil || j.Child || r.Kind != remediation.KindFix {
		return "", nil
	}
	ex, err := s.Excepted(ctx, r.Finding)
	if err != nil || ex == "" {
		return "", err
	}
	if made, err := s.made(ctx, r.ID); err != nil || made > 0 {
		return "", err
	}
	return ex, fault.Terminal(fault.Errorf(fault.Conflict, "admit plan", "the finding is suppressed by the exception %s", ex).
		WithHint("end it: parry exception expire %s", ex))
}

// childRunbook finds the document of a child among those that the plan pins.
func childRunbook(plan *remediation.Plan, e store.ExecutionRecord) (remediation.Runbook, error) {
	for _, d := range plan.Documents {
		if d.Name == e.Of.Document && d.Version == e.Of.Version {
			return d, nil
		}
	}
	if plan.Runbook.Name == e.Of.Document { // a run on targets starts itself once for each
		return plan.Runbook, nil
	}
	return remediation.Runbook{}, fault.Errorf(fault.Denied, "admit plan", "the plan holds no document %q to start as a child", e.Of.Document)
}

// missing makes a refusal of a row that is not there.
func missing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.Terminal(err)
	}
	return err
}

// binds says why the approval does not let the plan run, nil when it does.
func (s *Stage) binds(r remediation.Remediation, plan *remediation.Plan, approval remediation.Approval, begins bool) error {
	const op = "admit plan"
	switch {
	case approval.State != remediation.ApprovalApproved || approval.Plan != r.PlanHash:
		return fault.Errorf(fault.Denied, op, "no approval binds to plan %.12s", r.PlanHash)
	case begins && !plan.ExpiresAt.IsZero() && s.Clock.Now().After(plan.ExpiresAt):
		return fault.Errorf(fault.Conflict, op, "the plan expired at %s", plan.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return nil
}
