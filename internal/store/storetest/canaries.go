package storetest

import (
	"testing"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// canaryTests are about what a policy with a canary reads and writes: package approve.
func canaryTests() []conformance {
	return []conformance{
		{"canary/its fixes are found by account and control, the latest first", canaryTrials},
		{"canary/what waits for it is listed and let run once", canaryWaits},
	}
}

// canaryFix stores a fix in an account, so many minutes after the start, with its plan.
func canaryFix(t *testing.T, s *store.Store, id remediation.ID, account, control string, minute int) remediation.Remediation {
	t.Helper()
	r, p := Remediation(t, id)
	r.Account, r.Control, r.CreatedAt = account, control, Start().Add(time.Duration(minute)*time.Minute)
	p.Account, p.Runbook.Revision = account, string(id)
	for i := range p.Calls {
		p.Calls[i].Account = account
	}
	r.PlanHash = must(p.Hash())(t)
	ok(t, s.CreateRemediation(t.Context(), r, &p, store.Effects{}))
	return must(s.Remediation(t.Context(), id))(t)
}

func canaryTrials(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const one, two, other = "111111111111", "222222222222", "333333333333"
	canaryFix(t, s, "rem-early", one, "S3.8", 1)
	canaryFix(t, s, "rem-elsewhere", other, "S3.8", 2)
	canaryFix(t, s, "rem-control", one, "S3.1", 3)
	canaryFix(t, s, "rem-two", two, "S3.8", 4)
	late := canaryFix(t, s, "rem-late", one, "S3.8", 5)
	trials := func() []remediation.Remediation {
		t.Helper()
		var out []remediation.Remediation
		filter := store.RemediationFilter{Accounts: []string{one, two}, Control: "S3.8"}
		for cursor := ""; ; {
			page, next, err := s.ListRemediations(ctx, filter, 1, cursor)
			ok(t, err)
			out = append(out, page...)
			if cursor = next; next == "" {
				return out
			}
		}
	}
	ids := func(list []remediation.Remediation) []remediation.ID {
		var out []remediation.ID
		for _, r := range list {
			out = append(out, r.ID)
		}
		return out
	}
	want := []remediation.ID{"rem-late", "rem-two", "rem-early"}
	same(t, want, ids(trials()))

	// What becomes of one is seen at once, in its place; its plan says what ran.
	for _, state := range []remediation.State{remediation.AwaitingApproval, remediation.Queued, remediation.Running, remediation.Verifying, remediation.Verified} {
		late.State = state
		ok(t, s.UpdateRemediation(ctx, late, store.Effects{}))
		late = must(s.Remediation(ctx, late.ID))(t)
	}
	found := trials()
	same(t, want, ids(found))
	same(t, remediation.Verified, found[0].State)
	same(t, "rem-late", must(s.Plan(ctx, found[0].PlanHash))(t).Runbook.Revision)
	same(t, "rem-early", must(s.Plan(ctx, found[2].PlanHash))(t).Runbook.Revision)
}

func canaryWaits(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := create(t, s, "rem-1")
	a := approval(r)
	a.Policy, a.Canary = "auto", []string{"222222222222", "333333333333"}
	r.State = remediation.AwaitingApproval
	ok(t, s.CreateApproval(ctx, a, &r, event("waits")))
	page, _, err := s.ListApprovals(ctx, remediation.ApprovalPending, store.AllAccounts(), 10, "")
	ok(t, err)
	if len(page) != 1 {
		t.Fatalf("pending: %+v", page)
	}
	a.Version = 1
	same(t, a, page[0])
	same(t, a, must(s.ApprovalFor(ctx, r.ID))(t))

	// A person and the canary at the same moment: one of them decides.
	let := page[0]
	let.State, let.Automatic = remediation.ApprovalApproved, true
	r = must(s.Remediation(ctx, r.ID))(t)
	queued := r
	queued.State = remediation.Queued
	ok(t, s.UpdateApproval(ctx, let, &queued, event("let run")))
	no := page[0]
	no.State = remediation.ApprovalRejected
	rejected := r
	rejected.State = remediation.Rejected
	sentinel(t, s.UpdateApproval(ctx, no, &rejected, event("rejected")), store.ErrConflict)
	same(t, remediation.Queued, must(s.Remediation(ctx, r.ID))(t).State)
	got := must(s.Approval(ctx, a.ID))(t)
	if got.State != remediation.ApprovalApproved || !got.Automatic || len(got.Canary) != 2 {
		t.Errorf("%+v", got)
	}
	same(t, []string{"waits", "let run"}, claimIDs(t, s, store.Execution))
	page, _, err = s.ListApprovals(ctx, remediation.ApprovalPending, store.AllAccounts(), 10, "")
	ok(t, err)
	same(t, 0, len(page))
}
