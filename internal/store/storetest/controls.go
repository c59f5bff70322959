package storetest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func controlTests() []conformance {
	return []conformance{
		{"control counters equal a recount", controlRecount},
		{"control counters are within the scope", controlScope},
		{"control counters come to an end", controlStops},
	}
}

// evidences are what the findings of the tests may say.
func evidences() []control.Evidence {
	return []control.Evidence{
		{},
		{State: control.Failed, Controls: []string{"S3.8"}, Standards: []string{"cis-5.0", "fsbp"}},
		{State: control.Passed, Controls: []string{"S3.8"}},
		{State: control.Suppressed, Controls: []string{"S3.8"}, Standards: []string{"fsbp"}},
		{State: control.Warning, Controls: []string{"CloudWatch.1", "IAM.20"}, Standards: []string{"cis-1.2"}},
	}
}

// counts reads the counters of a query.
func counts(t testing.TB, s *store.Store, q store.ControlQuery) map[control.Count]int64 {
	t.Helper()
	out := map[control.Count]int64{}
	ok(t, s.ControlCounts(t.Context(), q, func(c control.Count) error {
		n := c.N
		c.N = 0
		if _, twice := out[c]; twice {
			t.Errorf("the counter %v came twice", c)
		}
		out[c] = n
		return nil
	}))
	return out
}

// recount counts what the findings say, by account or together.
func recount(said map[int]control.Evidence, byAccount bool) map[control.Count]int64 {
	out := map[control.Count]int64{}
	for i, e := range said {
		if e.IsZero() {
			continue
		}
		for _, id := range e.Controls {
			c := control.Count{Control: id, Set: e.Set(), State: e.State}
			if byAccount {
				c.Account = Record(i).Account
			}
			out[c]++
		}
	}
	return out
}

// controlRecount is broken by forgetting the counter of what a finding said
// before, by counting one of two controls, or by leaving counters at a pruning.
func controlRecount(t *testing.T, s *store.Store) {
	r := rand.New(rand.NewPCG(1, 2))
	said, revs := map[int]control.Evidence{}, map[int]int64{}
	check := func(when string) {
		t.Helper()
		for _, byAccount := range []bool{false, true} {
			want, got := recount(said, byAccount), counts(t, s, store.ControlQuery{Accounts: store.AllAccounts(), ByAccount: byAccount})
			t.Logf("%s: %d counters", when, len(got))
			same(t, want, got, cmpopts.EquateEmpty())
		}
	}
	for range 20 {
		seen, batch := map[int]bool{}, []store.FindingWrite(nil)
		for range 10 {
			i := r.IntN(40)
			if seen[i] {
				continue
			}
			seen[i] = true
			w := Write(i)
			w.Record.Evidence = evidences()[r.IntN(len(evidences()))]
			w.ExpectRev = revs[i]
			batch = append(batch, w)
			said[i] = w.Record.Evidence
			revs[i]++
		}
		ok(t, s.CommitFindings(t.Context(), batch, nil, store.Effects{}))
	}
	check("after writes")
	stale := Write(1)
	stale.ExpectRev, stale.Record.Evidence = 99, evidences()[1]
	sentinel(t, s.CommitFindings(t.Context(), []store.FindingWrite{stale}, nil, store.Effects{}), store.ErrConflict)
	check("after a conflict")
	clock(t, s).Advance(time.Hour)
	before := Start().Add(20 * time.Second)
	must(s.Prune(t.Context(), store.Cutoffs{Active: before, Archived: before}))(t)
	for i := range said {
		if Record(i).UpdatedAt.Before(before) {
			delete(said, i)
		}
	}
	check("after pruning")
}

func controlScope(t *testing.T, s *store.Store) {
	var batch []store.FindingWrite
	for i := range 6 { // accounts ...0, ...1, ...2, twice each
		w := Write(i)
		w.Record.Evidence = evidences()[1+i%2]
		batch = append(batch, w)
	}
	ok(t, s.CommitFindings(t.Context(), batch, nil, store.Effects{}))
	of := func(account string, e control.Evidence) control.Count {
		return control.Count{Account: account, Control: "S3.8", Set: e.Set(), State: e.State}
	}
	failed, passed := evidences()[1], evidences()[2]
	one, two := "111111111110", "111111111111"
	all := store.AllAccounts()
	for name, tc := range map[string]struct {
		q    store.ControlQuery
		want map[control.Count]int64
	}{
		"all":                    {store.ControlQuery{Accounts: all}, map[control.Count]int64{of("", failed): 3, of("", passed): 3}},
		"two accounts":           {store.ControlQuery{Accounts: []string{one, two}}, map[control.Count]int64{of("", failed): 2, of("", passed): 2}},
		"two, by account":        {store.ControlQuery{Accounts: []string{one, two}, ByAccount: true}, map[control.Count]int64{of(one, failed): 1, of(one, passed): 1, of(two, failed): 1, of(two, passed): 1}},
		"after the first":        {store.ControlQuery{Accounts: []string{one, two}, ByAccount: true, After: one}, map[control.Count]int64{of(two, failed): 1, of(two, passed): 1}},
		"one of all":             {store.ControlQuery{Accounts: all, Account: two}, map[control.Count]int64{of("", failed): 1, of("", passed): 1}},
		"one outside the scope":  {store.ControlQuery{Accounts: []string{one}, Account: two}, map[control.Count]int64{}},
		"no scope":               {store.ControlQuery{Accounts: []string{}}, map[control.Count]int64{}},
		"another control":        {store.ControlQuery{Accounts: all, Control: "S3.9"}, map[control.Count]int64{}},
		"a control, by account":  {store.ControlQuery{Accounts: []string{two}, Control: "S3.8", ByAccount: true}, map[control.Count]int64{of(two, failed): 1, of(two, passed): 1}},
		"a control that injects": {store.ControlQuery{Accounts: all, Control: "S3.8' OR '1'='1"}, map[control.Count]int64{}},
	} {
		same(t, tc.want, counts(t, s, tc.q))
		if t.Failed() {
			t.Fatal(name)
		}
	}
	code(t, s.ControlCounts(t.Context(), store.ControlQuery{}, func(control.Count) error { return nil }), fault.Invalid)
}

func controlStops(t *testing.T, s *store.Store) {
	w := Write(0)
	w.Record.Evidence = evidences()[4]
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}))
	enough := errors.New("enough")
	n := 0
	err := s.ControlCounts(t.Context(), store.ControlQuery{Accounts: store.AllAccounts()}, func(control.Count) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d counters, then %v", n, err)
	}
	same(t, 1, len(must(s.Findings(t.Context(), []finding.ID{ID(0)}))(t))) // the connection is free again
}
