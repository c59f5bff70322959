package storetest

import (
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func effectTests() []conformance {
	return []conformance{{"effects/a change whose effects fail did not happen", effectsFail}}
}

// effectsFail makes the effects of every mutation fail after the change was
// written, and looks that nothing of it is left.
func effectsFail(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.AppendInbox(ctx, []store.InboxItem{item(0)}))
	inbox := must(s.PeekInbox(ctx, 1))(t)[0].Seq
	ok(t, s.PutKey(ctx, key("PK"), store.Effects{}))
	r := create(t, s, "rem-1")
	a := approval(r)
	ok(t, s.CreateApproval(ctx, a, nil, store.Effects{}))
	a.Version, a.State = 1, remediation.ApprovalApproved
	moved := r
	moved.State = remediation.Queued
	second, plan := Remediation(t, "rem-2")
	fresh := approval(r)
	fresh.ID = "apr-2"
	for name, mutate := range map[string]func() error{
		"commit findings":    func() error { return s.CommitFindings(ctx, []store.FindingWrite{Write(0)}, []int64{inbox}, broken()) },
		"put key":            func() error { return s.PutKey(ctx, key("PK2"), broken()) },
		"revoke key":         func() error { return s.RevokeKey(ctx, "PK", broken()) },
		"create remediation": func() error { return s.CreateRemediation(ctx, second, &plan, broken()) },
		"update remediation": func() error { return s.UpdateRemediation(ctx, moved, broken()) },
		"create approval":    func() error { return s.CreateApproval(ctx, fresh, &moved, broken()) },
		"update approval":    func() error { return s.UpdateApproval(ctx, a, &moved, broken()) },
		"set stop switch":    func() error { return s.SetStopSwitch(ctx, true, "x", broken()) },
		"enqueue":            func() error { return s.Enqueue(ctx, store.Execution, broken()) },
	} {
		if err := mutate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	same(t, 0, len(readAll(t, s, 0)))
	same(t, 1, must(s.InboxDepth(ctx))(t))
	same(t, 1, len(must(s.ListKeys(ctx))(t)))
	same(t, true, must(s.Key(ctx, "PK"))(t).RevokedAt.IsZero())
	_, err := s.Remediation(ctx, "rem-2")
	sentinel(t, err, store.ErrNotFound)
	_, err = s.Plan(ctx, second.PlanHash)
	sentinel(t, err, store.ErrNotFound)
	same(t, r, must(s.Remediation(ctx, "rem-1"))(t))
	same(t, remediation.ApprovalPending, must(s.ApprovalFor(ctx, "rem-1"))(t).State)
	on, _, err := s.StopSwitch(ctx)
	ok(t, err)
	same(t, false, on)
	nothingSent(t, s, store.Findings)
	nothingSent(t, s, store.Execution)
}
