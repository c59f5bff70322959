package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func exceptionTests() []conformance {
	return []conformance{
		{"exception/is kept and replaced", exceptionLife},
		{"exception/moves the revision with its state", exceptionRevision},
		{"exception/commits findings with its progress", exceptionCommit},
		{"exception/limits hold for all open ones together", exceptionLimits},
		{"exception/many writers keep to the limit", exceptionRace},
		{"exception/refuses", exceptionRefuses},
		{"exception/lists, due work and retention", exceptionLists},
		{"exception/findings that one holds are found and counted", exceptionHeld},
	}
}

func exceptionLimit() store.ExceptionLimits {
	return store.ExceptionLimits{Exceptions: 100, Bytes: 1 << 20}
}

func exception(i int) store.Exception {
	return store.Exception{
		ID: fmt.Sprintf("ex-%d", i), State: "pending", CreatedAt: Start().Add(time.Duration(i) * time.Second), DueAt: Start().Add(time.Duration(10-i) * time.Hour),
		Rev: 1, Doc: json.RawMessage(fmt.Sprintf(`{"title":"exception %d"}`, i)),
	}
}

func exceptionLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	e := exception(1)
	ok(t, s.CreateException(ctx, e, exceptionLimit(), event("made")))
	sentinel(t, s.CreateException(ctx, e, exceptionLimit(), event("made again")), store.ErrExists)
	same(t, e, must(s.Exception(ctx, e.ID))(t))
	_, err := s.Exception(ctx, "none")
	sentinel(t, err, store.ErrNotFound)

	e.State, e.DueAt, e.Doc = "active", Start().Add(time.Minute), json.RawMessage(`{"title":"approved"}`)
	ok(t, s.UpdateException(ctx, e, event("approved")))
	sentinel(t, s.UpdateException(ctx, e, event("approved twice")), store.ErrConflict)
	code(t, s.UpdateException(ctx, store.Exception{ID: e.ID, Rev: 2, State: "active", Doc: e.Doc}, broken()), fault.Invalid)
	e.Rev = 2
	same(t, e, must(s.Exception(ctx, e.ID))(t))
	active, _, err := s.ExceptionsIn(ctx, "active")
	ok(t, err)
	same(t, []store.Exception{e}, active)
	same(t, []string{"made", "approved"}, claimIDs(t, s, store.Findings))
}

func exceptionRevision(t *testing.T, s *store.Store) {
	ctx := t.Context()
	before := must(s.ExceptionRevision(ctx))(t)
	moved := func(what string, want bool) {
		t.Helper()
		now := must(s.ExceptionRevision(ctx))(t)
		if moved := now != before; moved != want {
			t.Errorf("%s: moved %v, want %v", what, moved, want)
		}
		before = now
	}
	e := exception(1)
	ok(t, s.CreateException(ctx, e, exceptionLimit(), store.Effects{}))
	moved("create", true)
	sentinel(t, s.CreateException(ctx, e, exceptionLimit(), store.Effects{}), store.ErrExists)
	moved("create in vain", false)
	ok(t, s.UpdateException(ctx, e, store.Effects{}))
	moved("update", true)
	e.Rev = 2
	ok(t, s.CommitException(ctx, e, nil, store.Effects{}))
	moved("progress", false)
	_, at, err := s.ExceptionsIn(ctx, "active")
	ok(t, err)
	same(t, before, at)
}

func exceptionCommit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	e := exception(1)
	ok(t, s.CreateException(ctx, e, exceptionLimit(), store.Effects{}))
	e.Doc = json.RawMessage(`{"scanned":1}`)
	ok(t, s.CommitException(ctx, e, []store.FindingWrite{Write(1)}, event("first batch")))
	// The same batch again, by a node that was thought to be dead.
	sentinel(t, s.CommitException(ctx, e, []store.FindingWrite{Write(2)}, event("again")), store.ErrConflict)
	e.Rev = 2
	same(t, e, must(s.Exception(ctx, e.ID))(t))
	// A finding that somebody else wrote: neither it nor the progress is written.
	next := e
	next.Doc = json.RawMessage(`{"scanned":2}`)
	sentinel(t, s.CommitException(ctx, next, []store.FindingWrite{Write(1)}, event("stale finding")), store.ErrConflict)
	same(t, e, must(s.Exception(ctx, e.ID))(t))
	same(t, 1, len(must(s.Findings(ctx, []finding.ID{ID(1), ID(2)}))(t)))
	same(t, []string{"first batch"}, claimIDs(t, s, store.Findings))
}

func exceptionLimits(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateException(ctx, exception(1), store.ExceptionLimits{Exceptions: 1, Bytes: 100}, store.Effects{}))
	code(t, s.CreateException(ctx, exception(2), store.ExceptionLimits{Exceptions: 1, Bytes: 100}, event("one too many")), fault.Exhausted)
	code(t, s.CreateException(ctx, exception(2), store.ExceptionLimits{Exceptions: 2, Bytes: 30}, event("too large together")), fault.Exhausted)
	ended := exception(1)
	ended.State, ended.EndedAt = "ended", Start()
	ok(t, s.UpdateException(ctx, ended, store.Effects{}))
	ok(t, s.CreateException(ctx, exception(2), store.ExceptionLimits{Exceptions: 1, Bytes: 100}, store.Effects{}))
	nothingSent(t, s, store.Findings)
}

func exceptionRace(t *testing.T, s *store.Store) {
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			err := s.CreateException(t.Context(), exception(i), store.ExceptionLimits{Exceptions: 5, Bytes: 1 << 20}, store.Effects{})
			if err != nil && !fault.Is(err, fault.Exhausted) && !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, _, err := s.ExceptionsIn(t.Context(), "pending")
	ok(t, err)
	if len(all) != 5 {
		t.Errorf("%d exceptions are stored, the limit is 5", len(all))
	}
}

func exceptionRefuses(t *testing.T, s *store.Store) {
	for name, change := range map[string]func(*store.Exception){
		"no id": func(e *store.Exception) { e.ID = "" }, "no state": func(e *store.Exception) { e.State = "" },
		"no object": func(e *store.Exception) { e.Doc = json.RawMessage(`[]`) },
		"too large": func(e *store.Exception) {
			e.Doc = append(append(json.RawMessage(`{"a":"`), make([]byte, 1<<20)...), `"}`...)
		},
	} {
		e := exception(1)
		change(&e)
		if err := s.CreateException(t.Context(), e, exceptionLimit(), store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, write := range map[string]func(e store.Exception) error{
		"update": func(e store.Exception) error { return s.UpdateException(t.Context(), e, store.Effects{}) },
		"commit": func(e store.Exception) error { return s.CommitException(t.Context(), e, nil, store.Effects{}) },
	} {
		e := exception(1)
		e.Doc = nil
		if err := write(e); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func exceptionLists(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 5 {
		e := exception(i)
		ok(t, s.CreateException(ctx, e, exceptionLimit(), store.Effects{}))
		if i < 3 {
			e.State, e.EndedAt, e.DueAt = "ended", Start().Add(time.Duration(i)*time.Hour), time.Time{}
			if i == 0 {
				e.DueAt = Start() // it holds findings still
			}
			ok(t, s.UpdateException(ctx, e, store.Effects{}))
		}
	}
	listed := func(state string) (got []string) {
		cursor := ""
		for page := 0; page == 0 || cursor != ""; page++ {
			all, next, err := s.ListExceptions(ctx, state, 2, cursor)
			ok(t, err)
			for _, e := range all {
				got = append(got, e.ID)
			}
			cursor = next
		}
		return got
	}
	same(t, []string{"ex-4", "ex-3", "ex-2", "ex-1", "ex-0"}, listed(""))
	same(t, []string{"ex-4", "ex-3"}, listed("pending"))
	same(t, []string{"ex-4", "ex-3"}, listed(store.OpenExceptions))
	same(t, []string(nil), listed("active"))
	due := func(at time.Time) (got []string) {
		for _, e := range must(s.DueExceptions(ctx, at, 10))(t) {
			got = append(got, e.ID)
		}
		return got
	}
	same(t, []string{"ex-0"}, due(Start()))
	same(t, []string{"ex-0", "ex-4"}, due(Start().Add(6*time.Hour)))
	same(t, []string{"ex-0", "ex-4", "ex-3"}, due(Start().Add(24*time.Hour)))
	same(t, 1, len(must(s.DueExceptions(ctx, Start().Add(24*time.Hour), 1))(t)))
	pruned := must(s.Prune(ctx, store.Cutoffs{Exceptions: Start().Add(2 * time.Hour)}))(t)
	same(t, int64(1), pruned.Exceptions)
	same(t, []string{"ex-4", "ex-3", "ex-2", "ex-0"}, listed(""))
}

func exceptionHeld(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var w []store.FindingWrite
	for i := range 6 {
		one := Write(i)
		if i < 4 {
			one.Record.Exception = fmt.Sprintf("ex-%d", i%2)
		}
		one.Record.ExemptAt = time.Time{}
		w = append(w, one)
	}
	w[5].Record.ExemptAt = Start().Add(time.Minute)
	ok(t, s.CommitFindings(ctx, w, nil, store.Effects{}))
	same(t, stored(w[5].Record, 1), readAll(t, s, 5)[ID(5)], cmpopts.EquateEmpty())
	same(t, map[string]int64{"ex-0": 2, "ex-1": 2}, must(s.CountHeld(ctx, nil))(t))
	same(t, map[string]int64{"ex-1": 2}, must(s.CountHeld(ctx, []string{"ex-1", "ex-9"}))(t))
	same(t, map[string]int64{}, must(s.CountHeld(ctx, []string{}))(t))
	found := func(q store.FindingQuery) (got []string) {
		q.Limit = 1
		for page := 0; page == 0 || q.Cursor != ""; page++ {
			p := must(s.QueryFindings(ctx, q))(t)
			for _, r := range p.Records {
				got = append(got, r.ID.Id+" "+r.Exception)
			}
			q.Cursor = p.Next
		}
		return got
	}
	same(t, []string{"finding-0003 ex-1", "finding-0001 ex-1"}, found(store.FindingQuery{Accounts: store.AllAccounts(), Exception: "ex-1"}))
	same(t, []string{"finding-0003 ex-1", "finding-0002 ex-0", "finding-0001 ex-1", "finding-0000 ex-0"}, found(store.FindingQuery{Accounts: store.AllAccounts(), Exception: store.AnyException}))
	same(t, []string{"finding-0003 ex-1", "finding-0000 ex-0"}, found(store.FindingQuery{Accounts: []string{"111111111110"}, Exception: store.AnyException}))
	first := must(s.QueryFindings(ctx, store.FindingQuery{Accounts: store.AllAccounts(), Exception: "ex-1", Limit: 1}))(t)
	_, err := s.QueryFindings(ctx, store.FindingQuery{Accounts: store.AllAccounts(), Exception: "ex-0", Cursor: first.Next})
	code(t, err, fault.Invalid)

	free := w[1]
	free.Record.Exception, free.ExpectRev = "", 1
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{free}, nil, store.Effects{}))
	same(t, map[string]int64{"ex-0": 2, "ex-1": 1}, must(s.CountHeld(ctx, nil))(t))
}
