package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// CreateApproval stores a as version 1 and, when r is given, updates its
// remediation as UpdateRemediation does, in one transaction. An id that is taken
// answers ErrExists.
func (s *Store) CreateApproval(ctx context.Context, a remediation.Approval, r *remediation.Remediation, eff Effects) error {
	op := "create approval " + a.ID
	if err := checkApproval(op, a, r); err != nil {
		return err
	}
	a.Version = 1
	doc, err := json.Marshal(a)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.ApprovalInsert, a.ID, string(a.Remediation), a.Account, string(a.State),
			micros(a.CreatedAt), expiry(a), a.Version, doc, text(stepOf(a), maxID))
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("%s", op)
		}
		t.hint(HintApproval, a.ID, a.Account, a.Version)
		return t.withRemediation(ctx, r, eff)
	})
}

// expiry is when an approval is due; one that does not expire is never due.
func expiry(a remediation.Approval) int64 {
	if a.ExpiresAt.IsZero() {
		return 1<<63 - 1
	}
	return micros(a.ExpiresAt)
}

func checkApproval(op string, a remediation.Approval, r *remediation.Remediation) error {
	if err := checkID(op, "approval id", a.ID); err != nil {
		return err
	}
	if err := checkID(op, "remediation id", string(a.Remediation)); err != nil {
		return err
	}
	if err := checkID(op, "account", a.Account); err != nil {
		return err
	}
	if r != nil && (r.ID != a.Remediation || r.PlanHash != a.Plan || r.Account != a.Account) {
		return invalid(op, "the approval is for remediation %s and plan %s", a.Remediation, a.Plan)
	}
	return nil
}

func (t *tx) withRemediation(ctx context.Context, r *remediation.Remediation, eff Effects) error {
	if r != nil {
		if err := t.updateRemediation(ctx, *r); err != nil {
			return err
		}
	}
	return t.send(ctx, eff)
}

// UpdateApproval stores a over the version that a names and, when r is given,
// updates its remediation, in one transaction. What an approval is bound to
// cannot change.
func (s *Store) UpdateApproval(ctx context.Context, a remediation.Approval, r *remediation.Remediation, eff Effects) error {
	op := "update approval " + a.ID
	if err := checkApproval(op, a, r); err != nil {
		return err
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		was, err := one(ctx, t, s.q.ApprovalRead, []any{a.ID}, scanApproval)
		if err != nil {
			return s.fail(op, err)
		}
		if was.Version != a.Version {
			return conflict("%s: it is at version %d, not %d", op, was.Version, a.Version)
		}
		if was.State != a.State {
			if err := was.State.Check(a.State); err != nil {
				return fault.E(fault.Conflict, op, errors.Join(ErrConflict, err))
			}
		}
		if was.Remediation != a.Remediation || was.Plan != a.Plan || was.Account != a.Account {
			return invalid(op, "remediation, plan and account are fixed")
		}
		next := a
		next.Version, next.CreatedAt = was.Version+1, was.CreatedAt
		doc, err := json.Marshal(next)
		if err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.ApprovalUpdate, a.ID, was.Version, string(a.State), expiry(a), doc)
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("%s", op)
		}
		t.hint(HintApproval, a.ID, a.Account, next.Version)
		return t.withRemediation(ctx, r, eff)
	})
}

func scanApproval(r scanner) (remediation.Approval, error) {
	var a remediation.Approval
	var version int64
	var doc []byte
	if err := r.Scan(&version, &doc); err != nil {
		return a, err
	}
	err := json.Unmarshal(doc, &a)
	a.Version = version
	return a, err
}

// Approval gives the approval with id.
func (s *Store) Approval(ctx context.Context, id string) (remediation.Approval, error) {
	a, err := one(ctx, s.execution.Read, s.q.ApprovalRead, []any{text(id, maxID)}, scanApproval)
	return a, s.fail("read approval "+id, err)
}

// ApprovalFor gives the latest approval of a remediation's plan.
func (s *Store) ApprovalFor(ctx context.Context, id remediation.ID) (remediation.Approval, error) {
	a, err := one(ctx, s.execution.Read, s.q.ApprovalLatest, []any{text(string(id), maxID)}, scanApproval)
	return a, s.fail("read the approval of "+string(id), err)
}

// ApprovalOfStep gives the latest approval that a step of an execution asked for.
func (s *Store) ApprovalOfStep(ctx context.Context, execution, step string) (remediation.Approval, error) {
	key := stepOf(remediation.Approval{Execution: execution, Step: step})
	a, err := one(ctx, s.execution.Read, s.q.ApprovalOfStep, []any{text(key, maxID)}, scanApproval)
	return a, s.fail("read the approval of step "+step+" of "+execution, err)
}

// stepOf is the column by which the approval of a step is found, "" for that of a plan.
func stepOf(a remediation.Approval) string {
	if !a.OfStep() {
		return ""
	}
	return a.Execution + "/" + a.Step
}

// ListApprovals gives a page of approvals in state ("" for all), the latest
// first. accounts is the scope of the caller: see AllAccounts.
func (s *Store) ListApprovals(ctx context.Context, state remediation.ApprovalState, accounts []string, limit int, cursor string) ([]remediation.Approval, string, error) {
	const op = "list approvals"
	b := builder{columns: findingColumn, dialect: s.dialect}
	if err := b.scope(op, accounts); err != nil {
		return nil, "", err
	}
	if state != "" {
		b.and("f.state = %s", b.arg(text(string(state), maxID)))
	}
	by := order{{"f.created_at", timeColumn, true}, {"f.id", textColumn, true}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.ApprovalPage, &b, by, limit, cursor, scanApproval, func(a remediation.Approval) []any {
		return []any{micros(a.CreatedAt), a.ID}
	})
	return all, next, s.fail(op, err)
}

// DueApprovals gives up to n pending approvals that have expired, the longest
// expired first.
func (s *Store) DueApprovals(ctx context.Context, now time.Time, n int) ([]remediation.Approval, error) {
	all, err := collect(ctx, s.execution.Read, s.q.ApprovalDue, []any{micros(now), int64(n)}, scanApproval)
	return all, s.fail("list due approvals", err)
}
