package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func findingTests() []conformance {
	return []conformance{
		{"finding/is read as it was written", findingRoundTrip},
		{"finding/revisions are compared and set", findingRevisions},
		{"finding/a commit is all or nothing", findingAtomic},
		{"finding/an account cannot take another's identity", findingAccount},
		{"finding/refuses what cannot be kept", findingRefuses},
		{"finding/keeps strange text", findingStrange},
		{"finding/one of many writers wins", findingRace},
		{"finding/commits at the same time fail alone", findingTogether},
		{"finding/history is paged from the latest", findingHistory},
		{"finding/counters follow every commit", findingCounters},
	}
}

func ids(i ...int) []finding.ID {
	var out []finding.ID
	for _, n := range i {
		out = append(out, ID(n))
	}
	return out
}

func readAll(t testing.TB, s *store.Store, i ...int) map[finding.ID]store.FindingRecord {
	t.Helper()
	out := map[finding.ID]store.FindingRecord{}
	for _, r := range must(s.Findings(t.Context(), ids(i...)))(t) {
		out[r.ID] = r
	}
	return out
}

// stored is rec as it must be read at revision rev.
func stored(rec store.FindingRecord, rev int64) store.FindingRecord {
	rec.Rev, rec.StoredAt = rev, Start()
	return rec
}

func findingRoundTrip(t *testing.T, s *store.Store) {
	fill(t, s, 4)
	want := map[finding.ID]store.FindingRecord{}
	for i := range 3 {
		want[ID(i)] = stored(Record(i), 1)
	}
	same(t, want, readAll(t, s, 0, 1, 2, 2, 77), cmpopts.EquateEmpty())
	if none := must(s.Findings(t.Context(), nil))(t); len(none) != 0 {
		t.Errorf("no ids gave %v", none)
	}
}

func findingRevisions(t *testing.T, s *store.Store) {
	fill(t, s, 1)
	next := Record(0)
	next.Title, next.Workflow, next.Doc = "changed", "RESOLVED", json.RawMessage(`{"changed":true}`)
	write := func(rev int64) error {
		return s.CommitFindings(t.Context(), []store.FindingWrite{{Record: next, ExpectRev: rev}}, nil, store.Effects{})
	}
	sentinel(t, write(0), store.ErrConflict)
	sentinel(t, write(2), store.ErrConflict)
	ok(t, write(1))
	sentinel(t, write(1), store.ErrConflict)
	same(t, stored(next, 2), readAll(t, s, 0)[ID(0)], cmpopts.EquateEmpty())
	absent := Write(5)
	absent.ExpectRev = 1
	sentinel(t, s.CommitFindings(t.Context(), []store.FindingWrite{absent}, nil, store.Effects{}), store.ErrConflict)
}

func findingAtomic(t *testing.T, s *store.Store) {
	fill(t, s, 1)
	stale := Write(0)
	stale.ExpectRev = 9
	err := s.CommitFindings(t.Context(), []store.FindingWrite{Write(1), stale, Write(2)}, nil, event("a"))
	sentinel(t, err, store.ErrConflict)
	same(t, 1, len(readAll(t, s, 0, 1, 2)))
	nothingSent(t, s, store.Findings)
	same(t, int64(1), must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts()}))(t)[0].N)
}

func findingAccount(t *testing.T, s *store.Store) {
	fill(t, s, 1)
	foreign := Write(0)
	foreign.Record.Account = "999999999999"
	for _, rev := range []int64{0, 1} {
		foreign.ExpectRev = rev
		sentinel(t, s.CommitFindings(t.Context(), []store.FindingWrite{foreign}, nil, store.Effects{}), store.ErrConflict)
	}
	same(t, stored(Record(0), 1), readAll(t, s, 0)[ID(0)], cmpopts.EquateEmpty())
}

func findingRefuses(t *testing.T, s *store.Store) {
	for name, spoil := range map[string]func(*store.FindingRecord){
		"no id":           func(r *store.FindingRecord) { r.ID.Id = "" },
		"a zero byte":     func(r *store.FindingRecord) { r.ID.Id = "a\x00b" },
		"broken UTF-8":    func(r *store.FindingRecord) { r.ID.ProductArn = "arn\xff" },
		"no account":      func(r *store.FindingRecord) { r.Account = "" },
		"no document":     func(r *store.FindingRecord) { r.Doc = nil },
		"broken JSON":     func(r *store.FindingRecord) { r.Doc = json.RawMessage(`{"a":`) },
		"broken original": func(r *store.FindingRecord) { r.Original = json.RawMessage(`}`) },
		"a huge document": func(r *store.FindingRecord) { r.Doc = json.RawMessage(`"` + strings.Repeat("x", 600<<10) + `"`) },
	} {
		w := Write(0)
		spoil(&w.Record)
		if err := s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	code(t, s.CommitFindings(t.Context(), []store.FindingWrite{Write(0), Write(0)}, nil, store.Effects{}), fault.Invalid)
}

func findingStrange(t *testing.T, s *store.Store) {
	w := Write(0)
	w.Record.ID = finding.ID{ProductArn: strings.Repeat("p", 2048), Id: strings.Repeat("é", 512)}
	w.Record.Title = "zero \x00 byte, broken \xff text, '; DROP TABLE finding; --"
	w.Record.ResourceID = strings.Repeat("ü", 4000)
	w.Record.Doc = json.RawMessage(`{"Title":"zero \u0000 byte","html":"<b>&"}`)
	w.Record.Original = nil
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}))
	got := must(s.Findings(t.Context(), []finding.ID{w.Record.ID, {ProductArn: "\x00", Id: "\xff"}}))(t)
	if len(got) != 1 {
		t.Fatalf("read %d findings, want 1", len(got))
	}
	want := stored(w.Record, 1)
	want.Title = "zero \uFFFD byte, broken \uFFFD text, '; DROP TABLE finding; --"
	want.ResourceID = strings.Repeat("ü", 512)
	same(t, want, got[0], cmpopts.EquateEmpty())
}

func findingRace(t *testing.T, s *store.Store) {
	const writers = 8
	for round, rev := range []int64{0, 1} {
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				w := Write(0)
				w.ExpectRev = rev
				switch err := s.CommitFindings(t.Context(), []store.FindingWrite{Write(10 + round), w}[1:], nil, store.Effects{}); {
				case err == nil:
					won.Add(1)
				case fault.Is(err, fault.Conflict):
					lost.Add(1)
				default:
					t.Errorf("commit: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != writers-1 {
			t.Errorf("round %d: %d won and %d lost, want 1 and %d", round, won.Load(), lost.Load(), writers-1)
		}
	}
	same(t, int64(1), must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts()}))(t)[0].N)
}

// findingTogether is broken by writing a shared transaction again as a whole when a part of
// it cannot be written, and by counting what was taken back.
func findingTogether(t *testing.T, s *store.Store) {
	const calls, each = 24, 5
	var wg sync.WaitGroup
	errs := make([]error, calls)
	begin := make(chan struct{})
	for i := range calls {
		w := make([]store.FindingWrite, each)
		for j := range w {
			w[j] = Write(i*each + j)
		}
		done := []int64(nil)
		switch {
		case i%6 == 5:
			w[2].ExpectRev = 7 // it is new
		case i%8 == 7:
			done = []int64{1 << 40} // no such row
		}
		eff := store.Effects{Outbox: []store.Message{{ID: fmt.Sprintf("together-%d", i), Topic: "together", Payload: json.RawMessage(`{}`)}}}
		wg.Go(func() {
			<-begin
			errs[i] = s.CommitFindings(t.Context(), w, done, eff)
		})
	}
	close(begin)
	wg.Wait()
	var good int64
	want := map[string]bool{}
	for i, err := range errs {
		if i%6 == 5 || i%8 == 7 {
			code(t, err, fault.Conflict)
			continue
		}
		ok(t, err)
		good++
		want[fmt.Sprintf("together-%d", i)] = true
	}
	same(t, good*each, int64(len(everything(t, s))))
	same(t, good*each, must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts()}))(t)[0].N)
	sent := map[string]bool{}
	for _, m := range must(s.ClaimMessages(t.Context(), store.Findings, []string{"together"}, calls, "test", time.Minute))(t) {
		sent[m.ID] = true
	}
	same(t, want, sent)
}

func findingHistory(t *testing.T, s *store.Store) {
	fill(t, s, 2)
	entry := func(i int) store.HistoryEntry {
		return store.HistoryEntry{
			At: Start().Add(time.Duration(i) * time.Minute), Source: "BATCH_UPDATE_FINDINGS", Identity: "alice",
			Updates: []finding.Update{{UpdatedField: "Workflow", OldValue: fmt.Sprint(i - 1), NewValue: fmt.Sprint(i)}},
		}
	}
	for i := 1; i <= 6; i++ {
		w := store.FindingWrite{Record: Record(0), ExpectRev: int64(i), History: []store.HistoryEntry{entry(i)}}
		ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}))
	}
	var got []store.HistoryEntry
	cursor, pages := "", 0
	for {
		page, next, err := s.FindingHistory(t.Context(), ID(0), 3, cursor)
		ok(t, err)
		got = append(got, page...)
		if pages++; next == "" {
			break
		}
		cursor = next
	}
	want := []store.HistoryEntry{entry(6), entry(5), entry(4), entry(3), entry(2), entry(1), Write(0).History[0]}
	same(t, want, got)
	same(t, 3, pages)
	none, next, err := s.FindingHistory(t.Context(), ID(99), 3, "")
	if err != nil || len(none) != 0 || next != "" {
		t.Errorf("history of nothing: %v %q %v", none, next, err)
	}
	_, _, err = s.FindingHistory(t.Context(), ID(0), 3, "bm90IGEgY3Vyc29y")
	code(t, err, fault.Invalid)
}

func findingCounters(t *testing.T, s *store.Store) {
	fill(t, s, 30)
	for i := range 10 { // move some between the groups
		w := store.FindingWrite{Record: Record(i), ExpectRev: 1}
		w.Record.Workflow, w.Record.SeverityLabel = "SUPPRESSED", "LOW"
		ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}))
	}
	want := map[string]int64{}
	for _, r := range everything(t, s) {
		want[r.SeverityLabel+"/"+r.Workflow]++
	}
	got := map[string]int64{}
	for _, c := range must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts(), GroupBy: []string{"severity", "workflow"}}))(t) {
		got[c.Group[0]+"/"+c.Group[1]] = c.N
	}
	same(t, want, got)
	// Whatever is asked, the rollup that answers says what the rows say.
	columns := map[string]func(store.FindingRecord) string{
		"compliance": func(r store.FindingRecord) string { return r.Compliance }, // no counter: the findings are counted
		"account":    func(r store.FindingRecord) string { return r.Account }, "region": func(r store.FindingRecord) string { return r.Region },
		"control": func(r store.FindingRecord) string { return r.Control }, "severity": func(r store.FindingRecord) string { return r.SeverityLabel },
	}
	for _, by := range [][]string{{"account"}, {"region", "control"}, {"severity", "account"}, {"control", "account"}, {"severity"}, {"compliance", "account"}, {"compliance"}} {
		want, got := map[string]int64{}, map[string]int64{}
		for _, r := range everything(t, s) {
			key := ""
			for _, c := range by {
				key += columns[c](r) + "/"
			}
			want[key]++
		}
		for _, c := range must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts(), GroupBy: by}))(t) {
			got[strings.Join(c.Group, "/")+"/"] = c.N
		}
		same(t, want, got)
	}
	// Accounts that are left out are so on every page and in every counter, also when one
	// goes between two pages.
	gone, total := []string{"111111111110"}, int64(0)
	by := map[string]int64{}
	for _, r := range everything(t, s) {
		if r.Account != gone[0] {
			total++
			by[r.Account]++
		}
	}
	rest := store.FindingQuery{Accounts: store.AllAccounts(), WithoutAccounts: gone, Limit: 7}
	seen := map[finding.ID]bool{}
	for {
		page := must(s.QueryFindings(t.Context(), rest))(t)
		for _, r := range page.Records {
			if seen[r.ID] || slices.Contains(rest.WithoutAccounts, r.Account) {
				t.Errorf("%s of %s is not for this page", r.ID.Id, r.Account)
			}
			seen[r.ID] = true
		}
		if rest.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	same(t, total, int64(len(seen)))
	rest.WithoutAccounts, rest.Cursor = nil, must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), WithoutAccounts: gone, Limit: 7}))(t).Next
	must(s.QueryFindings(t.Context(), rest))(t)
	for _, where := range [][]store.Condition{nil, {{Column: "product", Op: store.OpNotEqual, Values: []string{"none"}}}} { // counters, and rows
		q := store.CountQuery{Accounts: store.AllAccounts(), WithoutAccounts: gone, Where: where}
		same(t, total, must(s.CountFindings(t.Context(), q))(t)[0].N)
		q.GroupBy = []string{"account"}
		for _, c := range must(s.CountFindings(t.Context(), q))(t) {
			same(t, by[c.Group[0]], c.N)
		}
		q.GroupBy, q.Accounts = nil, gone
		same(t, int64(0), must(s.CountFindings(t.Context(), q))(t)[0].N)
	}
	same(t, int64(0), must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts(), Exception: store.AnyException}))(t)[0].N)
	same(t, int64(30), must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts(), MainOnly: true}))(t)[0].N)
	scoped := must(s.CountFindings(t.Context(), store.CountQuery{Accounts: []string{"111111111110"}, Where: []store.Condition{{Column: "workflow", Op: store.OpEqual, Values: []string{"SUPPRESSED"}}}}))(t)
	same(t, []store.FindingCount{{Group: []string{}, N: 4}}, scoped)
	same(t, int64(0), must(s.CountFindings(t.Context(), store.CountQuery{Accounts: []string{}}))(t)[0].N)
	for _, q := range []store.CountQuery{
		{},
		{Accounts: store.AllAccounts(), GroupBy: []string{"severity_normalized"}},
		{Accounts: store.AllAccounts(), WithoutAccounts: make([]string, store.MaxWithout+1)},
		{Accounts: store.AllAccounts(), GroupBy: []string{"control", "control"}},
		{Accounts: store.AllAccounts(), Where: []store.Condition{{Column: "n", Op: store.OpEqual, Values: []string{"1"}}}},
	} {
		_, err := s.CountFindings(t.Context(), q)
		code(t, err, fault.Invalid)
	}
}

// everything reads all findings, page by page.
func everything(t testing.TB, s *store.Store) []store.FindingRecord {
	t.Helper()
	var all []store.FindingRecord
	q := store.FindingQuery{Accounts: store.AllAccounts(), Limit: 7}
	for {
		page := must(s.QueryFindings(t.Context(), q))(t)
		all = append(all, page.Records...)
		if q.Cursor = page.Next; page.Next == "" {
			return all
		}
	}
}
