package storetest

import (
	"testing"
	"time"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func rankTests() []conformance {
	return []conformance{
		{"rank/is kept with the finding and sorts it", rankSorts},
		{"rank/is written to findings as they were read", rankWrites},
		{"rank/due findings come the longest due first", rankDue},
		{"rank/threats are found by resource", rankThreats},
		{"rank/resources come by their most urgent finding, within the scope", rankResources},
	}
}

// ranked commits finding i with a rank.
func ranked(t *testing.T, s *store.Store, i int, change func(*store.FindingRecord)) {
	t.Helper()
	w := Write(i)
	w.Record.Workflow, w.Record.RecordState = string(finding.New), string(finding.Active)
	change(&w.Record)
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}))
}

func rankSorts(t *testing.T, s *store.Store) {
	due := Start().Add(time.Hour)
	for i, p := range []int{10, 90, 50, 90} {
		ranked(t, s, i, func(r *store.FindingRecord) { r.Priority, r.DueAt, r.Overdue, r.Threat = p, due, i == 1, i == 2 })
	}
	got := readAll(t, s, 1, 2)
	same(t, []any{90, true, false, true}, []any{got[ID(1)].Priority, got[ID(1)].Overdue, got[ID(1)].Threat, got[ID(1)].DueAt.Equal(due)})
	same(t, []any{50, false, true}, []any{got[ID(2)].Priority, got[ID(2)].Overdue, got[ID(2)].Threat})
	q := store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1, ColumnsOnly: true, Sort: []store.SortKey{{Column: "priority", Descending: true}, {Column: "updated_at", Descending: true}}}
	var order []finding.ID
	for {
		page := must(s.QueryFindings(t.Context(), q))(t)
		for _, r := range page.Records {
			order = append(order, r.ID)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	same(t, ids(3, 1, 2, 0), order)
	q = store.FindingQuery{Accounts: store.AllAccounts(), Where: []store.Condition{{Column: "overdue", Op: store.OpEqual, Values: []string{"1"}}}}
	same(t, 1, len(must(s.QueryFindings(t.Context(), q))(t).Records))
}

func rankWrites(t *testing.T, s *store.Store) {
	ranked(t, s, 0, func(r *store.FindingRecord) { r.Priority = 10 })
	ranked(t, s, 1, func(r *store.FindingRecord) { r.Priority = 10 })
	read := readAll(t, s, 0, 1)
	a, b := read[ID(0)], read[ID(1)]
	next := Record(1)
	next.Priority = 33
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{{Record: next, ExpectRev: 1}}, nil, store.Effects{}))
	a.Priority, a.Overdue, a.DueAt, a.Title = 70, true, Start(), "not written"
	b.Priority = 70
	ok(t, s.RankFindings(t.Context(), []store.FindingRecord{a, b}, event("rank")))
	got := readAll(t, s, 0, 1)
	same(t, []any{70, true, int64(1), Record(0).Title}, []any{got[ID(0)].Priority, got[ID(0)].Overdue, got[ID(0)].Rev, got[ID(0)].Title})
	same(t, 33, got[ID(1)].Priority) // it was written meanwhile
	same(t, []string{"rank"}, claimIDs(t, s, store.Findings))
	if err := s.RankFindings(t.Context(), make([]store.FindingRecord, 1001), store.Effects{}); err == nil {
		t.Error("1,001 findings are ranked at once")
	}
}

func rankDue(t *testing.T, s *store.Store) {
	for i, d := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour, 9 * time.Hour} {
		ranked(t, s, i, func(r *store.FindingRecord) { r.DueAt = Start().Add(d); r.Overdue = i == 2 })
	}
	ranked(t, s, 4, func(*store.FindingRecord) {}) // it has no deadline
	due := func(at time.Duration, n int) []finding.ID {
		return must(s.DueFindings(t.Context(), Start().Add(at), n))(t)
	}
	same(t, 0, len(due(time.Hour-time.Microsecond, 9)))
	same(t, ids(1), due(time.Hour, 9))
	same(t, ids(1, 0), due(8*time.Hour, 9))
	same(t, ids(1), due(8*time.Hour, 1))
}

func rankThreats(t *testing.T, s *store.Store) {
	for i := range 3 {
		ranked(t, s, i, func(r *store.FindingRecord) { r.Threat = i != 1 })
	}
	asked := []string{Record(0).ResourceID, Record(1).ResourceID, Record(0).ResourceID, "none", ""}
	same(t, map[string]bool{Record(0).ResourceID: true}, must(s.Threatened(t.Context(), asked))(t))
	same(t, 0, len(must(s.Threatened(t.Context(), nil))(t)))
}

func rankResources(t *testing.T, s *store.Store) {
	for i, c := range []struct {
		resource, account string
		priority          int
		workflow          finding.Workflow
	}{
		{"a", "111111111111", 50, finding.New},
		{"b", "111111111111", 90, finding.New},
		{"a", "111111111111", 10, finding.Notified},
		{"a", "111111111111", 0, finding.Resolved},
		{"c", "222222222222", 99, finding.New},
		{"d", "111111111111", 0, finding.New},
	} {
		ranked(t, s, i, func(r *store.FindingRecord) {
			r.ResourceID, r.Account, r.Priority, r.Workflow, r.Overdue = c.resource, c.account, c.priority, string(c.workflow), i == 2
		})
	}
	list := func(n int, accounts ...string) []store.Resource {
		return must(s.TopResources(t.Context(), accounts, n))(t)
	}
	got := list(9, "111111111111")
	same(t, []string{"b", "a"}, []string{got[0].ID, got[1].ID})
	same(t, store.Resource{
		ID: "a", Type: "AwsS3Bucket", Account: "111111111111", Region: "eu-west-1", Priority: 50, Open: 2, Overdue: 1,
		BySeverity: map[string]int64{Record(0).SeverityLabel: 1, Record(2).SeverityLabel: 1},
	}, got[1])
	same(t, 2, len(got))
	same(t, "c", list(1, store.AllAccounts()...)[0].ID)
	same(t, 0, len(list(9, "333333333333")))
	same(t, 0, len(must(s.TopResources(t.Context(), []string{}, 9))(t)))
}
