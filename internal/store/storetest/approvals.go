package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func approvalTests() []conformance {
	return []conformance{
		{"approval/moves with its remediation", approvalLife},
		{"approval/is all or nothing", approvalAtomic},
		{"approval/is bound", approvalBound},
		{"approval/every state pair is legal or refused", approvalStates},
		{"approval/is listed and falls due", approvalLists},
		{"approval/of a step is not that of the plan", approvalOfStep},
	}
}

func approval(r remediation.Remediation) remediation.Approval {
	return remediation.Approval{
		ID: "apr-" + string(r.ID), Remediation: r.ID, Plan: r.PlanHash, Account: r.Account, State: remediation.ApprovalPending,
		Policy: "people", Quorum: 1, CreatedAt: Start(), ExpiresAt: Start().Add(time.Hour),
	}
}

func approvalOfStep(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := create(t, s, "rem-1")
	a := approval(r)
	ok(t, s.CreateApproval(ctx, a, nil, store.Effects{}))
	step := approval(r)
	step.ID, step.Execution, step.Step, step.Approvers, step.Message, step.Version = "apr-step", "exe-1", "Ask", []string{"alice"}, "please", 1
	step.CreatedAt = Start().Add(time.Second)
	ok(t, s.CreateApproval(ctx, step, nil, store.Effects{}))
	same(t, a.ID, must(s.ApprovalFor(ctx, "rem-1"))(t).ID)
	same(t, step, must(s.ApprovalOfStep(ctx, "exe-1", "Ask"))(t))
	for _, other := range [][2]string{{"exe-1", "Other"}, {"exe-2", "Ask"}, {"", ""}} {
		_, err := s.ApprovalOfStep(ctx, other[0], other[1])
		sentinel(t, err, store.ErrNotFound)
	}
}

func approvalLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := create(t, s, "rem-1")
	a := approval(r)
	r.State = remediation.AwaitingApproval
	ok(t, s.CreateApproval(ctx, a, &r, event("asked")))
	// Created again, with a remediation that has moved on: it exists, first of all.
	sentinel(t, s.CreateApproval(ctx, a, &r, event("asked again")), store.ErrExists)
	a.Version = 1
	same(t, a, must(s.Approval(ctx, a.ID))(t))
	same(t, a, must(s.ApprovalFor(ctx, "rem-1"))(t))
	same(t, remediation.AwaitingApproval, must(s.Remediation(ctx, "rem-1"))(t).State)

	a.State = remediation.ApprovalApproved
	a.Decisions = []remediation.Decision{{Principal: "alice", Grant: true, At: Start()}}
	r = must(s.Remediation(ctx, "rem-1"))(t)
	r.State = remediation.Queued
	ok(t, s.UpdateApproval(ctx, a, &r, event("granted")))
	a.Version = 2
	same(t, a, must(s.Approval(ctx, a.ID))(t))
	same(t, remediation.Queued, must(s.Remediation(ctx, "rem-1"))(t).State)
	same(t, []string{"asked", "granted"}, claimIDs(t, s, store.Execution))
	for _, read := range []func() error{
		func() error { _, err := s.Approval(ctx, "none"); return err },
		func() error { _, err := s.ApprovalFor(ctx, "none"); return err },
		func() error {
			b := approval(r)
			b.ID = "none"
			return s.UpdateApproval(ctx, b, nil, store.Effects{})
		},
	} {
		sentinel(t, read(), store.ErrNotFound)
	}
}

func approvalAtomic(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := create(t, s, "rem-1")
	a := approval(r)
	stale := r
	stale.Version, stale.State = 5, remediation.AwaitingApproval
	sentinel(t, s.CreateApproval(ctx, a, &stale, event("a")), store.ErrConflict)
	_, err := s.Approval(ctx, a.ID)
	sentinel(t, err, store.ErrNotFound)
	ok(t, s.CreateApproval(ctx, a, nil, store.Effects{}))
	a.Version, a.State = 1, remediation.ApprovalApproved
	sentinel(t, s.UpdateApproval(ctx, a, &stale, event("b")), store.ErrConflict)
	same(t, remediation.ApprovalPending, must(s.Approval(ctx, a.ID))(t).State)
	old := a
	old.Version = 0
	sentinel(t, s.UpdateApproval(ctx, old, nil, event("c")), store.ErrConflict)
	nothingSent(t, s, store.Execution)
}

func approvalBound(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := create(t, s, "rem-1")
	a := approval(r)
	other := r
	other.PlanHash = "another"
	code(t, s.CreateApproval(ctx, a, &other, store.Effects{}), fault.Invalid)
	ok(t, s.CreateApproval(ctx, a, nil, store.Effects{}))
	for name, spoil := range map[string]func(*remediation.Approval){
		"plan":        func(a *remediation.Approval) { a.Plan = "another" },
		"remediation": func(a *remediation.Approval) { a.Remediation = "rem-2" },
		"account":     func(a *remediation.Approval) { a.Account = "999999999999" },
	} {
		b := a
		b.Version = 1
		spoil(&b)
		if err := s.UpdateApproval(ctx, b, nil, store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func approvalStates(t *testing.T, s *store.Store) {
	r := create(t, s, "rem-1")
	for i, from := range remediation.ApprovalStates() {
		for j, to := range remediation.ApprovalStates() {
			a := approval(r)
			a.ID, a.State = fmt.Sprintf("apr-%d-%d", i, j), from
			ok(t, s.CreateApproval(t.Context(), a, nil, store.Effects{}))
			a.State, a.Version = to, 1
			err := s.UpdateApproval(t.Context(), a, nil, store.Effects{})
			switch legal := from == to || from.Can(to); {
			case legal && err != nil:
				t.Errorf("%s to %s: %v", from, to, err)
			case !legal:
				sentinel(t, err, store.ErrConflict)
			}
		}
	}
}

func approvalLists(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 8 {
		r, _ := Remediation(t, remediation.ID(fmt.Sprintf("rem-%d", i)))
		r.Account = fmt.Sprintf("11111111111%d", i%2)
		a := approval(r)
		a.ID = fmt.Sprintf("apr-%d", i)
		a.CreatedAt, a.ExpiresAt = Start().Add(time.Duration(i/2)*time.Second), Start().Add(time.Duration(10-i)*time.Minute)
		if i == 7 {
			a.ExpiresAt = time.Time{} // never
		}
		if i%4 == 3 {
			a.State = remediation.ApprovalApproved
		}
		ok(t, s.CreateApproval(ctx, a, nil, store.Effects{}))
	}
	list := func(state remediation.ApprovalState, accounts []string) string {
		var got []string
		cursor := ""
		for {
			page, next, err := s.ListApprovals(ctx, state, accounts, 2, cursor)
			ok(t, err)
			for _, a := range page {
				got = append(got, a.ID[4:])
			}
			if cursor = next; next == "" {
				return fmt.Sprint(got)
			}
		}
	}
	same(t, "[7 6 5 4 3 2 1 0]", list("", store.AllAccounts()))
	same(t, "[6 5 4 2 1 0]", list(remediation.ApprovalPending, store.AllAccounts()))
	same(t, "[7 3]", list(remediation.ApprovalApproved, []string{"111111111111"}))
	same(t, "[]", list("", []string{}))
	_, _, err := s.ListApprovals(ctx, "", nil, 2, "")
	code(t, err, fault.Invalid)

	due := func(after time.Duration, n int) string {
		var got []string
		for _, a := range must(s.DueApprovals(ctx, Start().Add(after), n))(t) {
			got = append(got, a.ID[4:])
		}
		return fmt.Sprint(got)
	}
	same(t, "[]", due(4*time.Minute-time.Microsecond, 9))
	same(t, "[6]", due(4*time.Minute, 9))
	same(t, "[6 5]", due(time.Hour, 2))
	same(t, "[6 5 4 2 1 0]", due(time.Hour, 9))
}
