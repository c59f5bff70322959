package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func changeTests() []conformance {
	return []conformance{
		{"change/intent then outcome", changeLife},
		{"change/an intent recorded again keeps the first before-image", changeAgain},
		{"change/outcomes are final", changeFinal},
	}
}

// change gives the i-th recorded change of a remediation.
func change(i int) remediation.Change {
	return remediation.Change{
		ID: fmt.Sprintf("exe-1/Block/1/%d", i), Remediation: "rem-1", Execution: "exe-1",
		Call: remediation.PlannedCall{
			Seq: i, Step: "Block", Service: "s3", Operation: "PutPublicAccessBlock", Account: "111111111111", Region: "eu-west-1",
			Class: "change", Input: map[string]any{"Bucket": "bucket-1", "Days": float64(i)},
		},
		Before:  &remediation.Image{Exists: true, Data: map[string]any{"BlockPublicAcls": false}},
		Outcome: remediation.Intended, IntentAt: Start(),
	}
}

func changeLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, i := range []int{2, 1, 3} { // the order of recording, not of the ids
		ok(t, s.RecordIntent(ctx, change(i)))
	}
	applied := change(2)
	applied.Outcome, applied.RequestID, applied.OutcomeAt = remediation.Applied, "req-1", Start().Add(time.Second)
	sent := applied
	sent.Call.Input, sent.Before = nil, nil // the outcome does not rewrite the intent
	ok(t, s.RecordOutcome(ctx, sent))
	same(t, applied, must(s.Change(ctx, applied.ID))(t))
	same(t, []remediation.Change{applied, change(1), change(3)}, must(s.Changes(ctx, "rem-1"))(t))
	same(t, 0, len(must(s.Changes(ctx, "rem-2"))(t)))
	_, err := s.Change(ctx, "none")
	sentinel(t, err, store.ErrNotFound)
	sent.ID = "none"
	sentinel(t, s.RecordOutcome(ctx, sent), store.ErrNotFound)
	bad := change(1)
	bad.ID = ""
	code(t, s.RecordIntent(ctx, bad), fault.Invalid)
}

func changeAgain(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.RecordIntent(ctx, change(1)))
	again := change(1)
	again.Call.Input = map[string]any{"Days": 1, "Bucket": "bucket-1"} // an int now; read back it was a float
	again.Before = &remediation.Image{Exists: true, Data: map[string]any{"BlockPublicAcls": true}}
	ok(t, s.RecordIntent(ctx, again))
	same(t, change(1), must(s.Change(ctx, change(1).ID))(t))
	other := change(1)
	other.Call.Input = map[string]any{"Bucket": "bucket-2"}
	sentinel(t, s.RecordIntent(ctx, other), store.ErrConflict)
}

func changeFinal(t *testing.T, s *store.Store) {
	outcomes := []remediation.Outcome{remediation.Applied, remediation.Refused, remediation.Uncertain}
	n := 0
	for _, from := range outcomes {
		for _, to := range outcomes {
			n++
			c := change(n)
			ok(t, s.RecordIntent(t.Context(), c))
			c.Outcome = from
			ok(t, s.RecordOutcome(t.Context(), c))
			c.Outcome = to
			err := s.RecordOutcome(t.Context(), c)
			switch legal := from == to || from == remediation.Uncertain; {
			case legal && err != nil:
				t.Errorf("%s to %s: %v", from, to, err)
			case !legal:
				sentinel(t, err, store.ErrConflict)
			}
		}
	}
	c := change(99)
	ok(t, s.RecordIntent(t.Context(), c))
	code(t, s.RecordOutcome(t.Context(), c), fault.Invalid) // intended is no outcome
}
