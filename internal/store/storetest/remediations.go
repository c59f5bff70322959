package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func remediationTests() []conformance {
	return []conformance{
		{"remediation/is created once", remediationCreate},
		{"remediation/every state pair is legal or refused", remediationStates},
		{"remediation/versions are compared and set", remediationVersions},
		{"remediation/what it is about is fixed", remediationFixed},
		{"remediation/several change together", remediationSeveral},
		{"remediation/is listed by filter and scope", remediationList},
		{"remediation/one of many writers wins", remediationRace},
		{"plan/is bound to its hash", planHash},
	}
}

func remediationCreate(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r, p := Remediation(t, "rem-1")
	ok(t, s.CreateRemediation(ctx, r, &p, event("a")))
	sentinel(t, s.CreateRemediation(ctx, r, &p, event("b")), store.ErrExists)
	r.Version = 1
	same(t, r, must(s.Remediation(ctx, "rem-1"))(t))
	same(t, p, must(s.Plan(ctx, r.PlanHash))(t))
	_, err := s.Remediation(ctx, "rem-2")
	sentinel(t, err, store.ErrNotFound)
	_, err = s.Plan(ctx, "none")
	sentinel(t, err, store.ErrNotFound)
	same(t, []string{"a"}, claimIDs(t, s, store.Execution))

	failed := r
	failed.ID, failed.State, failed.PlanHash = "rem-3", remediation.Failed, ""
	ok(t, s.CreateRemediation(ctx, failed, nil, store.Effects{}))
	for name, spoil := range map[string]func(*remediation.Remediation, *remediation.Plan){
		"no id":                   func(r *remediation.Remediation, p *remediation.Plan) { r.ID, p.Remediation = "", "" },
		"no account":              func(r *remediation.Remediation, _ *remediation.Plan) { r.Account = "" },
		"no such state":           func(r *remediation.Remediation, _ *remediation.Plan) { r.State = "done" },
		"another plan":            func(_ *remediation.Remediation, p *remediation.Plan) { p.Region = "us-east-1" },
		"another one's plan":      func(_ *remediation.Remediation, p *remediation.Plan) { p.Remediation = "rem-1" },
		"a plan and another hash": func(r *remediation.Remediation, _ *remediation.Plan) { r.PlanHash = "x" },
	} {
		r, p := Remediation(t, "rem-9")
		spoil(&r, &p)
		if err := s.CreateRemediation(ctx, r, &p, store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func remediationStates(t *testing.T, s *store.Store) {
	for i, from := range remediation.States() {
		for j, to := range remediation.States() {
			r, _ := Remediation(t, remediation.ID(fmt.Sprintf("rem-%d-%d", i, j)))
			r.State, r.PlanHash = from, ""
			ok(t, s.CreateRemediation(t.Context(), r, nil, store.Effects{}))
			r.State, r.Version = to, 1
			err := s.UpdateRemediation(t.Context(), r, store.Effects{})
			switch legal := from == to || from.Can(to); {
			case legal && err != nil:
				t.Errorf("%s to %s: %v", from, to, err)
			case !legal:
				sentinel(t, err, store.ErrConflict)
			}
		}
	}
}

func remediationVersions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := create(t, s, "rem-1")
	r.State, r.Reason = remediation.AwaitingApproval, "people decide"
	stale := r
	ok(t, s.UpdateRemediation(ctx, r, event("a")))
	sentinel(t, s.UpdateRemediation(ctx, stale, event("b")), store.ErrConflict)
	ahead := r
	ahead.Version = 7
	sentinel(t, s.UpdateRemediation(ctx, ahead, event("c")), store.ErrConflict)
	r.Version = 2
	same(t, r, must(s.Remediation(ctx, "rem-1"))(t))
	absent, _ := Remediation(t, "rem-2")
	sentinel(t, s.UpdateRemediation(ctx, absent, event("d")), store.ErrNotFound)
	same(t, []string{"a"}, claimIDs(t, s, store.Execution))
}

func remediationFixed(t *testing.T, s *store.Store) {
	was := create(t, s, "rem-1")
	for name, spoil := range map[string]func(*remediation.Remediation){
		"kind":    func(r *remediation.Remediation) { r.Kind = remediation.KindUndo },
		"undo of": func(r *remediation.Remediation) { r.UndoOf = "rem-0" },
		"finding": func(r *remediation.Remediation) { r.Finding = ID(2) },
		"account": func(r *remediation.Remediation) { r.Account = "999999999999" },
		"plan":    func(r *remediation.Remediation) { r.PlanHash = "another" },
	} {
		r := was
		spoil(&r)
		if err := s.UpdateRemediation(t.Context(), r, store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	same(t, was, must(s.Remediation(t.Context(), "rem-1"))(t))
}

func remediationSeveral(t *testing.T, s *store.Store) {
	ctx := t.Context()
	a, b := create(t, s, "rem-1"), create(t, s, "rem-2")
	a.State, b.State = remediation.Queued, remediation.Verified
	sentinel(t, s.UpdateRemediations(ctx, []remediation.Remediation{a, b}, event("x")), store.ErrConflict)
	same(t, remediation.Planned, must(s.Remediation(ctx, "rem-1"))(t).State)
	b.State = remediation.Cancelled
	ok(t, s.UpdateRemediations(ctx, []remediation.Remediation{a, b}, event("y")))
	same(t, remediation.Queued, must(s.Remediation(ctx, "rem-1"))(t).State)
	same(t, remediation.Cancelled, must(s.Remediation(ctx, "rem-2"))(t).State)
	same(t, []string{"y"}, claimIDs(t, s, store.Execution))
}

func remediationList(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 12 {
		r, _ := Remediation(t, remediation.ID(fmt.Sprintf("rem-%02d", i)))
		r.PlanHash, r.CreatedAt = "", Start().Add(time.Duration(i/2)*time.Second)
		r.Account = fmt.Sprintf("11111111111%d", i%2)
		r.Control = []string{"S3.8", "S3.1", "IAM.6"}[i%3]
		r.Finding = ID(i % 4)
		r.State = []remediation.State{remediation.Planned, remediation.Verified}[i%2]
		if i == 11 {
			r.Kind, r.UndoOf = remediation.KindUndo, "rem-01"
		}
		ok(t, s.CreateRemediation(ctx, r, nil, store.Effects{}))
	}
	all := store.AllAccounts()
	for name, tc := range map[string]struct {
		filter store.RemediationFilter
		want   []string
	}{
		"all":       {store.RemediationFilter{Accounts: all}, []string{"11", "10", "09", "08", "07", "06", "05", "04", "03", "02", "01", "00"}},
		"state":     {store.RemediationFilter{Accounts: all, State: remediation.Verified}, []string{"11", "09", "07", "05", "03", "01"}},
		"account":   {store.RemediationFilter{Accounts: all, Account: "111111111110"}, []string{"10", "08", "06", "04", "02", "00"}},
		"scope":     {store.RemediationFilter{Accounts: []string{"111111111110"}}, []string{"10", "08", "06", "04", "02", "00"}},
		"no way":    {store.RemediationFilter{Accounts: []string{"111111111110"}, Account: "111111111111"}, nil},
		"no scope":  {store.RemediationFilter{Accounts: []string{}}, nil},
		"finding":   {store.RemediationFilter{Accounts: all, Finding: ID(3)}, []string{"11", "07", "03"}},
		"stranger":  {store.RemediationFilter{Accounts: all, Finding: finding.ID{ProductArn: "x", Id: "y"}}, nil},
		"control":   {store.RemediationFilter{Accounts: all, Control: "IAM.6"}, []string{"11", "08", "05", "02"}},
		"undo of":   {store.RemediationFilter{Accounts: all, UndoOf: "rem-01"}, []string{"11"}},
		"two of it": {store.RemediationFilter{Accounts: all, State: remediation.Planned, Control: "S3.8"}, []string{"06", "00"}},
	} {
		for _, limit := range []int{0, 1, 5} {
			var got []string
			cursor := ""
			for {
				page, next, err := s.ListRemediations(ctx, tc.filter, limit, cursor)
				ok(t, err)
				for _, r := range page {
					got = append(got, string(r.ID[4:]))
				}
				if cursor = next; next == "" {
					break
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("%s by %d: got %v, want %v", name, limit, got, tc.want)
			}
		}
	}
	_, _, err := s.ListRemediations(ctx, store.RemediationFilter{}, 0, "")
	code(t, err, fault.Invalid)
	_, _, err = s.ListRemediations(ctx, store.RemediationFilter{Accounts: all}, 0, "nonsense")
	code(t, err, fault.Invalid)
}

func remediationRace(t *testing.T, s *store.Store) {
	r := create(t, s, "rem-1")
	r.State = remediation.Queued
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := s.UpdateRemediation(t.Context(), r, event(fmt.Sprint(i)))
			if err == nil {
				won.Add(1)
				return
			}
			if !fault.Is(err, fault.Conflict) {
				t.Errorf("update: %v", err)
			}
		})
	}
	wg.Wait()
	same(t, int32(1), won.Load())
	same(t, 1, len(claimIDs(t, s, store.Execution)))
}

func planHash(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := Plan("rem-1")
	hash := must(p.Hash())(t)
	code(t, s.PutPlan(ctx, p, "another"), fault.Invalid)
	ok(t, s.PutPlan(ctx, p, hash))
	ok(t, s.PutPlan(ctx, p, hash))
	got := must(s.Plan(ctx, hash))(t)
	same(t, p, got)
	same(t, hash, must(got.Hash())(t))
}
