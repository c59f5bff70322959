package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func callTests() []conformance {
	return []conformance{
		{"call/pages of a remediation in the order of time", callPages},
		{"call/a change has one row, written with its intent", callOfChange},
		{"call/any text is kept", callText},
		{"call/old and surplus ones are pruned", callPrune},
	}
}

// call gives the i-th call of a remediation, made i seconds after the start.
func call(i int) remediation.CallRecord {
	return remediation.CallRecord{
		At: Start().Add(time.Duration(i) * time.Second), Remediation: "rem-1", Execution: "exe-1", Step: "Read", Mode: "apply", Account: "111111111111",
		Region: "eu-west-1", Service: "s3", Operation: "GetBucketPolicy", Class: "read", Resource: fmt.Sprintf("arn:aws:s3:::bucket-%d", i),
		Digest: "00ff", RequestID: fmt.Sprintf("req-%d", i), Attempts: 2, HTTPStatus: 404, Duration: 1500 * time.Microsecond,
		Outcome: remediation.CallError, Code: "NoSuchBucketPolicy", Detail: "detail",
	}
}

func calls(t *testing.T, s *store.Store, id remediation.ID) []remediation.CallRecord {
	t.Helper()
	all, _, err := s.Calls(t.Context(), id, 1000, "")
	ok(t, err)
	return all
}

func callPages(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.AppendCalls(ctx, nil))
	other, none := call(9), call(9)
	other.Remediation, none.Remediation = "rem-2", ""
	ok(t, s.AppendCalls(ctx, []remediation.CallRecord{call(3), call(1), other, none}))
	ok(t, s.AppendCalls(ctx, []remediation.CallRecord{call(2), call(2), call(0)})) // the same call may be made twice
	var got []remediation.CallRecord
	cursor := ""
	for page := 0; page == 0 || cursor != ""; page++ {
		items, next, err := s.Calls(ctx, "rem-1", 2, cursor)
		ok(t, err)
		if len(items) > 2 || page > 3 {
			t.Fatalf("page %d has %d calls", page, len(items))
		}
		got, cursor = append(got, items...), next
	}
	same(t, []remediation.CallRecord{call(0), call(1), call(2), call(2), call(3)}, got)
	same(t, []remediation.CallRecord{other}, calls(t, s, "rem-2"))
	same(t, 0, len(calls(t, s, "")))
	_, _, err := s.Calls(ctx, "rem-1", 2, "nonsense")
	if err == nil {
		t.Error("a foreign cursor was taken")
	}
}

func callOfChange(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := change(1)
	c.Sending.Digest, c.Call.Resource = "00ff", "arn:aws:s3:::bucket-1"
	ok(t, s.RecordIntent(ctx, c))
	want := remediation.CallRecord{
		At: c.IntentAt, Change: c.ID, Remediation: "rem-1", Execution: "exe-1", Step: "Block", Mode: "apply", Account: "111111111111", Region: "eu-west-1",
		Service: "s3", Operation: "PutPublicAccessBlock", Class: "change", Resource: "arn:aws:s3:::bucket-1", Digest: "00ff", Outcome: remediation.CallMaybeSent,
	}
	same(t, []remediation.CallRecord{want}, calls(t, s, "rem-1"))
	ok(t, s.RecordIntent(ctx, c))                                           // after a restart
	ok(t, s.AppendCalls(ctx, []remediation.CallRecord{change(1).Record()})) // a writer that saw it too
	same(t, []remediation.CallRecord{want}, calls(t, s, "rem-1"))

	sent := remediation.Sending{Attempts: 3, HTTPStatus: 400, Code: "Throttling", Throttled: true}
	c.Outcome, c.RequestID, c.Sending, c.OutcomeAt = remediation.Refused, "req-1", sent, Start().Add(2*time.Second)
	ok(t, s.RecordOutcome(ctx, c))
	want.RequestID, want.Attempts, want.HTTPStatus, want.Code, want.Outcome, want.Duration = "req-1", 3, 400, "Throttling", remediation.CallThrottled, 2*time.Second
	same(t, []remediation.CallRecord{want}, calls(t, s, "rem-1"))
	same(t, "00ff", must(s.Change(ctx, c.ID))(t).Sending.Digest)

	never := change(2)
	ok(t, s.RecordIntent(ctx, never))
	never.Outcome, never.NotSent = remediation.Refused, true
	ok(t, s.RecordOutcome(ctx, never))
	same(t, remediation.NotSent, must(s.Change(ctx, never.ID))(t).State())
	same(t, remediation.CallNotSent, calls(t, s, "rem-1")[1].Outcome)

	doubt := change(3)
	ok(t, s.RecordIntent(ctx, doubt))
	doubt.Outcome = remediation.Uncertain
	ok(t, s.RecordOutcome(ctx, doubt))
	doubt.Outcome, doubt.NotSent = remediation.Refused, true // it may have been sent before
	ok(t, s.RecordOutcome(ctx, doubt))
	same(t, remediation.RefusedSent, must(s.Change(ctx, doubt.ID))(t).State())
}

func callText(t *testing.T, s *store.Store) {
	bad := call(1)
	bad.Resource, bad.Step, bad.Detail = "a\x00b\xff", strings.Repeat("é", 600), strings.Repeat("d", 3000)
	ok(t, s.AppendCalls(t.Context(), []remediation.CallRecord{bad}))
	got := calls(t, s, "rem-1")
	if len(got) != 1 || got[0].Resource != "a\uFFFDb\uFFFD" || len(got[0].Step) != 512 || len(got[0].Detail) != 500 {
		t.Errorf("got %+v", got)
	}
}

func callPrune(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 6 {
		ok(t, s.AppendCalls(ctx, []remediation.CallRecord{call(i)}))
	}
	same(t, store.Pruned{Calls: 2}, must(s.Prune(ctx, store.Cutoffs{Calls: Start().Add(2 * time.Second)}))(t))
	same(t, 4, len(calls(t, s, "rem-1")))
	same(t, store.Pruned{Calls: 1}, must(s.Prune(ctx, store.Cutoffs{MaxCalls: 3}))(t))
	same(t, call(3).RequestID, calls(t, s, "rem-1")[0].RequestID)
	same(t, store.Pruned{}, must(s.Prune(ctx, store.Cutoffs{MaxCalls: 3}))(t))
}
