package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func hintTests() []conformance {
	return []conformance{
		{"hint/tells what was changed, once it is committed", hintChanges},
		{"hint/many of a kind are one", hintMany},
		{"hint/a change that failed is none", hintNone},
		{"hint/one may watch", hintOneWatcher},
	}
}

// watched gives the hints as they come, having seen the first gap where hints are
// carried by the database.
func watched(t *testing.T, s *store.Store) <-chan store.Hint {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, ready, done := make(chan store.Hint, 1000), make(chan bool, 10), make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Watch(ctx, func(hints []store.Hint, gap bool) {
			if gap {
				ready <- true
			}
			for _, h := range hints {
				out <- h
			}
		}); err != nil {
			t.Errorf("watch: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	if s.Dialect() == "postgres" {
		await(t, ready)
		return out
	}
	// The one node hears itself as soon as it listens: a change shows that it does.
	for i := 0; ; i++ {
		ok(t, s.SetStopSwitch(t.Context(), false, "", store.Effects{}))
		select {
		case <-out:
			return out
		case <-time.After(10 * time.Millisecond):
			if i > 500 {
				t.Fatal("the watch never began")
			}
		}
	}
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func hintChanges(t *testing.T, s *store.Store) {
	hints := watched(t, s)
	ctx := t.Context()
	r := create(t, s, "rem-1")
	same(t, store.Hint{Kind: store.HintRemediation, ID: "rem-1", Account: r.Account, Rev: 1}, await(t, hints))
	r.State = remediation.AwaitingApproval
	ok(t, s.UpdateRemediation(ctx, r, store.Effects{}))
	same(t, store.Hint{Kind: store.HintRemediation, ID: "rem-1", Account: r.Account, Rev: 2}, await(t, hints))
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{Write(1)}, nil, store.Effects{}))
	first := Record(1)
	same(t, store.Hint{Kind: store.HintFinding, ID: first.ID.Key(), Account: first.Account, Rev: 1}, await(t, hints))
	// The same again, with no history, is no news; what follows it is.
	again := store.FindingWrite{Record: first, ExpectRev: 1}
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{again}, nil, store.Effects{}))
	ok(t, s.SetStopSwitch(ctx, true, "test", store.Effects{}))
	same(t, store.Hint{Kind: store.HintStop}, await(t, hints))
}

func hintMany(t *testing.T, s *store.Store) {
	hints := watched(t, s)
	var w []store.FindingWrite
	for i := range 100 {
		w = append(w, Write(i))
	}
	ok(t, s.CommitFindings(t.Context(), w, nil, store.Effects{}))
	ok(t, s.SetStopSwitch(t.Context(), true, "end", store.Effects{}))
	var got []string
	for h := await(t, hints); h.Kind != store.HintStop; h = await(t, hints) {
		got = append(got, fmt.Sprintf("%s %q %s", h.Kind, h.ID, h.Account))
	}
	slices.Sort(got)
	same(t, []string{`finding "" 111111111110`, `finding "" 111111111111`, `finding "" 111111111112`}, got)
}

func hintNone(t *testing.T, s *store.Store) {
	hints := watched(t, s)
	if err := s.CommitFindings(t.Context(), []store.FindingWrite{Write(1)}, nil, broken()); err == nil {
		t.Fatal("the commit did not fail")
	}
	ok(t, s.SetStopSwitch(t.Context(), true, "end", store.Effects{}))
	same(t, store.HintStop, await(t, hints).Kind)
}

func hintOneWatcher(t *testing.T, s *store.Store) {
	watched(t, s)
	if err := s.Watch(t.Context(), func([]store.Hint, bool) {}); err == nil {
		t.Error("two may watch")
	}
}
