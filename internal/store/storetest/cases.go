package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func caseTests() []conformance {
	return []conformance{
		{"case/is kept, replaced and has a timeline", caseLife},
		{"case/an event is told once, whoever tells it", caseEvents},
		{"case/one open case has a group", caseGroups},
		{"case/many writers open one case for a group", caseRace},
		{"case/limits and refusals", caseLimits},
		{"case/lists keep to accounts", caseLists},
		{"case/goes with its timeline when it is past its retention", casePrune},
	}
}

func caseOf(i int) casefile.Case {
	return casefile.Case{
		ID: fmt.Sprintf("%d", 1_000_000_000+i), Title: fmt.Sprintf("case %d", i), Description: "what happened", Engagement: casefile.Incident,
		Status: casefile.Submitted, Severity: "HIGH", Accounts: []string{"111111111111"}, ReportedAt: Start(),
		CreatedAt: Start().Add(time.Duration(i) * time.Second), UpdatedAt: Start(), CreatedBy: "ana", Entries: 1, Rev: 1,
	}
}

func entry(text string) store.CaseWrite {
	return store.CaseWrite{Entry: casefile.Entry{At: Start(), OccurredAt: Start(), By: "ana", Kind: casefile.Noted, Text: text}}
}

const caseMost = 100

func caseLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	c := caseOf(1)
	ok(t, s.CreateCase(ctx, c, entry("opened"), caseMost, event("made")))
	sentinel(t, s.CreateCase(ctx, c, entry("again"), caseMost, event("made again")), store.ErrExists)
	same(t, c, must(s.Case(ctx, c.ID))(t))
	_, err := s.Case(ctx, "1999999999")
	sentinel(t, err, store.ErrNotFound)

	c.Status, c.Entries = casefile.Containment, 2
	ok(t, s.UpdateCase(ctx, c, entry("moved"), event("moved")))
	sentinel(t, s.UpdateCase(ctx, c, entry("moved twice"), event("moved twice")), store.ErrConflict)
	c.Rev, c.Entries = 2, 3
	code(t, s.UpdateCase(ctx, c, entry("broken"), broken()), fault.Invalid)
	c.Entries = 2
	same(t, c, must(s.Case(ctx, c.ID))(t))

	first, next, err := s.CaseEntries(ctx, c.ID, 1, "")
	ok(t, err)
	second, last, err := s.CaseEntries(ctx, c.ID, 1, next)
	ok(t, err)
	same(t, []string{"1 opened", "2 moved"}, []string{fmt.Sprint(first[0].Seq, " ", first[0].Text), fmt.Sprint(second[0].Seq, " ", second[0].Text)})
	same(t, "", last)
	same(t, []string{"made", "moved"}, claimIDs(t, s, store.Execution))
}

func caseEvents(t *testing.T, s *store.Store) {
	ctx := t.Context()
	w := entry("first")
	w.Event = "event-1"
	c := caseOf(1)
	ok(t, s.CreateCase(ctx, c, w, caseMost, store.Effects{}))
	same(t, c.ID, must(s.CaseOfEvent(ctx, "event-1"))(t))
	same(t, "", must(s.CaseOfEvent(ctx, "event-2"))(t))
	same(t, "", must(s.CaseOfEvent(ctx, ""))(t))
	// The same event into another case, and into the same one: nothing of it is written.
	sentinel(t, s.CreateCase(ctx, caseOf(2), w, caseMost, event("second case")), store.ErrExists)
	_, err := s.Case(ctx, caseOf(2).ID)
	sentinel(t, err, store.ErrNotFound)
	c.Entries = 2
	sentinel(t, s.UpdateCase(ctx, c, w, event("second entry")), store.ErrExists)
	ok(t, s.UpdateCase(ctx, c, entry("by people"), store.Effects{}))
	c.Rev, c.Entries = 2, 3
	ok(t, s.UpdateCase(ctx, c, entry("by people again"), store.Effects{}))
	nothingSent(t, s, store.Execution)
}

func caseGroups(t *testing.T, s *store.Store) {
	ctx := t.Context()
	in := func(name, replaces string) store.CaseWrite {
		w := entry("grouped")
		w.Group, w.Replaces, w.Last = name, replaces, Start()
		return w
	}
	same(t, store.CaseGroup{}, must(s.CaseGroup(ctx, "g"))(t))
	c := caseOf(1)
	ok(t, s.CreateCase(ctx, c, in("g", ""), caseMost, store.Effects{}))
	same(t, store.CaseGroup{Case: c.ID, Last: Start()}, must(s.CaseGroup(ctx, "g"))(t))
	sentinel(t, s.CreateCase(ctx, caseOf(2), in("g", ""), caseMost, store.Effects{}), store.ErrConflict)

	c.Entries = 2
	later := in("g", c.ID)
	later.Last = Start().Add(time.Minute)
	ok(t, s.UpdateCase(ctx, c, later, store.Effects{}))
	same(t, store.CaseGroup{Case: c.ID, Last: later.Last}, must(s.CaseGroup(ctx, "g"))(t))
	// Another case goes on where the first is full.
	ok(t, s.CreateCase(ctx, caseOf(3), in("g", c.ID), caseMost, store.Effects{}))
	same(t, caseOf(3).ID, must(s.CaseGroup(ctx, "g"))(t).Case)
	c.Rev, c.Entries = 2, 3
	sentinel(t, s.UpdateCase(ctx, c, in("g", c.ID), store.Effects{}), store.ErrConflict)

	closed := caseOf(3)
	closed.Status, closed.Closure, closed.ClosedAt, closed.Entries = casefile.Closed, casefile.Completed, Start(), 2
	ok(t, s.UpdateCase(ctx, closed, entry("closed"), store.Effects{}))
	same(t, store.CaseGroup{}, must(s.CaseGroup(ctx, "g"))(t))
}

func caseRace(t *testing.T, s *store.Store) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var opened int
	for i := range 8 {
		wg.Go(func() {
			w := entry("mine")
			w.Group = "g"
			err := s.CreateCase(t.Context(), caseOf(i), w, caseMost, store.Effects{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				opened++
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, _, err := s.ListCases(t.Context(), store.CaseFilter{Accounts: store.AllAccounts()}, 10, "")
	ok(t, err)
	same(t, []int{1, 1}, []int{opened, len(all)})
}

func caseLimits(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateCase(ctx, caseOf(1), entry("a"), 1, store.Effects{}))
	code(t, s.CreateCase(ctx, caseOf(2), entry("b"), 1, event("too many")), fault.Exhausted)
	closed := caseOf(1)
	closed.Status, closed.Closure, closed.ClosedAt, closed.Entries = casefile.Closed, casefile.Completed, Start(), 2
	ok(t, s.UpdateCase(ctx, closed, entry("c"), store.Effects{}))
	ok(t, s.CreateCase(ctx, caseOf(2), entry("b"), 1, store.Effects{}))
	bad := caseOf(3)
	bad.Title = ""
	code(t, s.CreateCase(ctx, bad, entry("d"), caseMost, store.Effects{}), fault.Invalid)
	bad.ID = caseOf(2).ID
	code(t, s.UpdateCase(ctx, bad, entry("d"), store.Effects{}), fault.Invalid)
	_, _, err := s.ListCases(ctx, store.CaseFilter{}, 10, "")
	code(t, err, fault.Invalid)
	nothingSent(t, s, store.Execution)
}

func caseLists(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const a, b = "111111111111", "222222222222"
	for i, accounts := range [][]string{{a}, {b}, {a, b}, nil, {a}} {
		c := caseOf(i)
		c.Accounts = accounts
		ok(t, s.CreateCase(ctx, c, entry("x"), caseMost, store.Effects{}))
		if i == 4 {
			c.Status, c.Closure, c.ClosedAt, c.Entries = casefile.Closed, casefile.Duplicate, Start(), 2
			ok(t, s.UpdateCase(ctx, c, entry("closed"), store.Effects{}))
		}
	}
	listed := func(f store.CaseFilter) (got []string) {
		cursor := ""
		for page := 0; page == 0 || cursor != ""; page++ {
			all, next, err := s.ListCases(ctx, f, 1, cursor)
			ok(t, err)
			for _, c := range all {
				got = append(got, c.ID[9:])
			}
			cursor = next
		}
		return got
	}
	for name, test := range map[string]struct {
		f    store.CaseFilter
		want []string
	}{
		"all":                        {store.CaseFilter{Accounts: store.AllAccounts()}, []string{"4", "3", "2", "1", "0"}},
		"of one":                     {store.CaseFilter{Accounts: []string{a}}, []string{"4", "0"}},
		"of both":                    {store.CaseFilter{Accounts: []string{a, b}}, []string{"4", "2", "1", "0"}},
		"of nobody":                  {store.CaseFilter{Accounts: []string{}}, nil},
		"of another":                 {store.CaseFilter{Accounts: []string{"333333333333"}}, nil},
		"open":                       {store.CaseFilter{Accounts: []string{a}, Open: true}, []string{"0"}},
		"closed":                     {store.CaseFilter{Accounts: store.AllAccounts(), Status: casefile.Closed}, []string{"4"}},
		"about one":                  {store.CaseFilter{Accounts: store.AllAccounts(), Account: b}, []string{"2", "1"}},
		"about one that is not mine": {store.CaseFilter{Accounts: []string{a}, Account: b}, nil},
		"a wildcard is no account":   {store.CaseFilter{Accounts: []string{"%"}}, nil},
	} {
		if got := listed(test.f); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func casePrune(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 3 {
		c := caseOf(i)
		w := entry("came")
		w.Event, w.Group = fmt.Sprint("event-", i), fmt.Sprint("group-", i)
		ok(t, s.CreateCase(ctx, c, w, caseMost, store.Effects{}))
		if i < 2 {
			c.Status, c.Closure, c.ClosedAt, c.Entries = casefile.Closed, casefile.Completed, Start().Add(time.Duration(i)*time.Hour), 2
			ok(t, s.UpdateCase(ctx, c, entry("closed"), store.Effects{}))
		}
	}
	pruned := must(s.Prune(ctx, store.Cutoffs{Cases: Start().Add(time.Minute)}))(t)
	same(t, int64(1), pruned.Cases)
	_, err := s.Case(ctx, caseOf(0).ID)
	sentinel(t, err, store.ErrNotFound)
	same(t, []casefile.Entry{}, timeline(ctx, t, s, caseOf(0).ID), cmpopts.EquateEmpty())
	same(t, "", must(s.CaseOfEvent(ctx, "event-0"))(t))
	same(t, caseOf(1).ID, must(s.CaseOfEvent(ctx, "event-1"))(t))
	same(t, 2, len(timeline(ctx, t, s, caseOf(1).ID)))
}

func timeline(ctx context.Context, t *testing.T, s *store.Store, id string) []casefile.Entry {
	t.Helper()
	all, _, err := s.CaseEntries(ctx, id, 100, "")
	ok(t, err)
	return all
}
