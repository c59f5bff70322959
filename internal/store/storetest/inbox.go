package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func inboxTests() []conformance {
	return []conformance{
		{"inbox/keeps the order of arrival", inboxOrder},
		{"inbox/a commit takes rows out, once", inboxTaken},
		{"inbox/refuses what no finding can be", inboxRefuses},
		{"inbox/concurrent appends lose nothing", inboxConcurrent},
	}
}

func item(i int) store.InboxItem {
	return store.InboxItem{Source: fmt.Sprintf("key-%d", i%2), Trusted: i%2 == 0, Finding: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)), ReceivedAt: Start().Add(time.Duration(i) * time.Second)}
}

func inboxOrder(t *testing.T, s *store.Store) {
	ok(t, s.AppendInbox(t.Context(), nil))
	ok(t, s.AppendInbox(t.Context(), []store.InboxItem{item(0), item(1)}))
	ok(t, s.AppendInbox(t.Context(), []store.InboxItem{item(2)}))
	rows := must(s.PeekInbox(t.Context(), 2))(t)
	if len(rows) != 2 || rows[0].Seq >= rows[1].Seq {
		t.Fatalf("rows %v are not two in order", rows)
	}
	same(t, []store.InboxItem{item(0), item(1)}, []store.InboxItem{rows[0].InboxItem, rows[1].InboxItem})
	same(t, 3, must(s.InboxDepth(t.Context()))(t))
	if again := must(s.PeekInbox(t.Context(), 10))(t); len(again) != 3 {
		t.Errorf("peeking took rows out: %d left", len(again))
	}
}

func inboxTaken(t *testing.T, s *store.Store) {
	ok(t, s.AppendInbox(t.Context(), []store.InboxItem{item(0), item(1), item(2)}))
	rows := must(s.PeekInbox(t.Context(), 2))(t)
	done := []int64{rows[0].Seq, rows[1].Seq, rows[1].Seq}
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{Write(1)}, done, event("a")))
	same(t, 1, must(s.InboxDepth(t.Context()))(t))
	// Another node that worked on the same rows is told so, and writes nothing.
	err := s.CommitFindings(t.Context(), []store.FindingWrite{Write(2)}, done, event("b"))
	sentinel(t, err, store.ErrConflict)
	if got := must(s.Findings(t.Context(), ids(2)))(t); len(got) != 0 {
		t.Errorf("the refused commit wrote %v", got)
	}
	ok(t, s.CommitFindings(t.Context(), nil, []int64{must(s.PeekInbox(t.Context(), 1))(t)[0].Seq}, store.Effects{}))
	same(t, 0, must(s.InboxDepth(t.Context()))(t))
}

func inboxRefuses(t *testing.T, s *store.Store) {
	for name, raw := range map[string]string{"nothing": "", "too much": `"` + strings.Repeat("x", 600<<10) + `"`} {
		err := s.AppendInbox(t.Context(), []store.InboxItem{item(0), {Finding: json.RawMessage(raw)}})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	same(t, 0, must(s.InboxDepth(t.Context()))(t))
}

func inboxConcurrent(t *testing.T, s *store.Store) {
	const callers, each = 16, 25
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if err := s.AppendInbox(t.Context(), []store.InboxItem{item(c*each + i)}); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, r := range must(s.PeekInbox(t.Context(), callers*each+1))(t) {
		seen[string(r.Finding)] = true
	}
	if len(seen) != callers*each {
		t.Errorf("%d findings of %d arrived", len(seen), callers*each)
	}
}
