package storetest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func dayTests() []conformance {
	return []conformance{
		{"trends equal a recount, day by day", trendRecount},
		{"trends are within the scope", trendScope},
		{"trends begin where recording began, and end at the retention", trendSpan},
	}
}

// tally is the model that the counters of days are held against: what every finding
// was, looked at one by one.
type tally struct {
	now  map[int]store.FindingRecord
	days map[time.Time]map[string]*store.Point // by group
}

func standing(r store.FindingRecord) string {
	switch {
	case r.RecordState == "ARCHIVED", r.Workflow == "RESOLVED":
		return "closed"
	case r.Workflow == "SUPPRESSED":
		return "suppressed"
	}
	return "active"
}

func (m *tally) point(day time.Time, group string) *store.Point {
	if m.days[day] == nil {
		m.days[day] = map[string]*store.Point{}
	}
	if m.days[day][group] == nil {
		m.days[day][group] = &store.Point{Day: day}
	}
	return m.days[day][group]
}

func (m *tally) write(day time.Time, i int, r store.FindingRecord, group string) {
	was := "absent"
	if old, known := m.now[i]; known {
		was = standing(old)
	}
	switch is := standing(r); {
	case is == "active" && was != "active":
		m.point(day, group).New++
	case is == "suppressed" && was != "suppressed":
		m.point(day, group).Suppressed++
	case is == "closed" && (was == "active" || was == "suppressed"):
		m.point(day, group).Resolved++
	}
	m.now[i] = r
}

// trendRecount is broken by counting a finding that moves to another severity as
// new, by forgetting what a finding was before, and by leaving a pruned one active.
func trendRecount(t *testing.T, s *store.Store) {
	for by, of := range map[string]func(store.FindingRecord) string{
		"": func(store.FindingRecord) string { return "" }, "account": func(r store.FindingRecord) string { return r.Account },
		"severity": func(r store.FindingRecord) string { return r.SeverityLabel }, "control": func(r store.FindingRecord) string { return r.Control },
	} {
		// Each grouping walks on over what the one before left.
		m, revs := &tally{now: map[int]store.FindingRecord{}, days: map[time.Time]map[string]*store.Point{}}, map[int]int64{}
		for _, r := range everything(t, s) {
			for i := range 40 {
				if r.ID == ID(i) {
					m.now[i], revs[i] = r, r.Rev
				}
			}
		}
		r := rand.New(rand.NewPCG(17, 4))
		first := s.Clock().Now().Truncate(24 * time.Hour)
		ends := map[time.Time]map[string]int64{}
		for range 6 {
			today := s.Clock().Now().Truncate(24 * time.Hour)
			for range 8 {
				seen, batch := map[int]bool{}, []store.FindingWrite(nil)
				for range 10 {
					i := r.IntN(40)
					if seen[i] {
						continue
					}
					seen[i] = true
					w := Write(i)
					w.ExpectRev = revs[i]
					w.Record.Workflow = pick(r, []string{"NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"})
					w.Record.RecordState = pick(r, []string{"ACTIVE", "ACTIVE", "ARCHIVED"})
					w.Record.SeverityLabel = pick(r, []string{"LOW", "HIGH"})
					w.Record.Control = pick(r, []string{"S3.8", "EC2.19"})
					batch = append(batch, w)
					m.write(today, i, w.Record, of(w.Record))
					revs[i]++
				}
				ok(t, s.CommitFindings(t.Context(), batch, nil, store.Effects{}))
			}
			stale := Write(1) // what is not written is not counted
			stale.ExpectRev = 999
			sentinel(t, s.CommitFindings(t.Context(), []store.FindingWrite{stale}, nil, store.Effects{}), store.ErrConflict)
			ends[today] = map[string]int64{}
			for _, rec := range m.now {
				if standing(rec) == "active" {
					ends[today][of(rec)]++
				}
			}
			clock(t, s).Advance(24 * time.Hour)
		}
		got := must(s.FindingTrends(t.Context(), store.TrendQuery{Accounts: store.AllAccounts(), Days: 7, GroupBy: by}))(t)
		for _, g := range got.Groups() {
			for _, p := range got.Points(g) {
				want := store.Point{Day: p.Day}
				if d := m.days[p.Day][g]; d != nil {
					want = *d
				}
				want.Active = ends[p.Day][g]
				if p.Day.Equal(got.Today) { // nothing happened yet
					want.Active = ends[p.Day.Add(-24*time.Hour)][g]
				}
				if want != p || p.Day.Before(first) {
					t.Errorf("by %q, group %q: %+v, want %+v", by, g, p, want)
				}
			}
		}
		if n := len(got.Points(got.Groups()[0])); n != 7 {
			t.Errorf("%d days", n)
		}
	}
	// What retention removes is active no more; it was not resolved.
	clock(t, s).Advance(24 * time.Hour)
	must(s.Prune(t.Context(), store.Cutoffs{Active: s.Clock().Now(), Archived: s.Clock().Now()}))(t)
	got := must(s.FindingTrends(t.Context(), store.TrendQuery{Accounts: store.AllAccounts(), Days: 1}))(t)
	same(t, []store.Point{{Day: got.Today}}, got.Points(""))
}

func trendScope(t *testing.T, s *store.Store) {
	fill(t, s, 9)
	count := func(q store.TrendQuery) (n int64) {
		t.Helper()
		got := must(s.FindingTrends(t.Context(), q))(t)
		for _, g := range got.Groups() {
			p := got.Points(g)
			n += p[len(p)-1].New
		}
		return n
	}
	all := count(store.TrendQuery{Accounts: store.AllAccounts(), Days: 2})
	for _, by := range []string{"", "account", "severity", "control"} {
		same(t, all, count(store.TrendQuery{Accounts: store.AllAccounts(), Days: 2, GroupBy: by}))
		one := count(store.TrendQuery{Accounts: []string{"111111111111"}, Days: 2, GroupBy: by})
		if one == 0 || one >= all {
			t.Errorf("by %q: %d of %d are of one account", by, one, all)
		}
		for _, none := range [][]string{{}, {"999999999999"}, {"' OR '1'='1"}} {
			same(t, int64(0), count(store.TrendQuery{Accounts: none, Days: 2, GroupBy: by}))
		}
		narrowed := store.TrendQuery{Accounts: store.AllAccounts(), Days: 2, GroupBy: by, Where: []store.Condition{{Column: "account", Op: store.OpEqual, Values: []string{"111111111111"}}}}
		same(t, one, count(narrowed))
		same(t, all-one, count(store.TrendQuery{Accounts: store.AllAccounts(), WithoutAccounts: []string{"111111111111"}, Days: 2, GroupBy: by}))
	}
	for _, q := range []store.TrendQuery{
		{Days: 2},
		{Accounts: store.AllAccounts()},
		{Accounts: store.AllAccounts(), Days: 4000},
		{Accounts: store.AllAccounts(), Days: 2, WithoutAccounts: make([]string, store.MaxWithout+1)},
		{Accounts: store.AllAccounts(), Days: 2, GroupBy: "day"},
		{Accounts: store.AllAccounts(), Days: 2, GroupBy: "region"},
		{Accounts: store.AllAccounts(), Days: 2, Where: []store.Condition{{Column: "n", Op: store.OpEqual, Values: []string{"1"}}}},
	} {
		_, err := s.FindingTrends(t.Context(), q)
		code(t, err, fault.Invalid)
	}
}

func trendSpan(t *testing.T, s *store.Store) {
	days := func() int {
		t.Helper()
		return len(must(s.FindingTrends(t.Context(), store.TrendQuery{Accounts: store.AllAccounts(), Days: 90}))(t).Points(""))
	}
	same(t, 1, days())
	fill(t, s, 3)
	clock(t, s).Advance(10 * 24 * time.Hour)
	w := Write(7)
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}))
	same(t, 11, days())
	p := must(s.Prune(t.Context(), store.Cutoffs{Days: s.Clock().Now().Add(-5 * 24 * time.Hour)}))(t)
	if p.Days == 0 {
		t.Error("no day was pruned")
	}
	same(t, 1, days())
}
