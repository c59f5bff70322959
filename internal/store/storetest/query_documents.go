package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/parry-security/parry/internal/store"
)

// queryDocuments holds pages of documents against pages of everything: the same findings,
// the same order, and cursors that serve both.
func queryDocuments(t *testing.T, s *store.Store) {
	fill(t, s, 40)
	odd := func(r store.FindingRecord) bool { return !strings.Contains(string(r.Doc), `"n":3`) }
	where := []store.Condition{{Column: "control", Op: store.OpEqual, Values: []string{"S3.8", "EC2.19"}}}
	for name, q := range map[string]store.FindingQuery{
		"all":                {},
		"one each":           {Limit: 1},
		"by text":            {Sort: []store.SortKey{{Column: "title"}}},
		"by text, down":      {Sort: []store.SortKey{{Column: "title", Descending: true}}},
		"by account":         {Sort: []store.SortKey{{Column: "account"}, {Column: "severity_normalized", Descending: true}}},
		"by a column, twice": {Sort: []store.SortKey{{Column: "region"}, {Column: "region", Descending: true}}},
		"of a control":       {Where: where},
		"by words":           {Where: []store.Condition{{Column: "text", Op: store.OpContains, Values: []string{"bucket"}}}},
		"of main findings":   {MainOnly: true},
		"with a match":       {Match: odd, MaxScan: 9},
		"by a filter":        {Filter: parsed(t, `{"Title":[{"Value":"Bucket 1","Comparison":"PREFIX"}]}`)},
		"none":               {Where: []store.Condition{{Column: "title", Op: store.OpEqual, Values: []string{"x"}}}},
	} {
		q.Accounts = store.AllAccounts()
		if q.Limit == 0 {
			q.Limit = 7
		}
		seen := 0
		for {
			full := must(s.QueryFindings(t.Context(), q))(t)
			q.DocumentsOnly = true
			docs := must(s.QueryFindings(t.Context(), q))(t)
			q.DocumentsOnly = false
			if len(full.Records) != len(docs.Records) || (full.Next == "") != (docs.Next == "") {
				t.Fatalf("%s: %d documents, next %q; want %d, next %q", name, len(docs.Records), docs.Next, len(full.Records), full.Next)
			}
			for i, r := range docs.Records {
				same(t, string(full.Records[i].Doc), string(r.Doc))
				same(t, string(full.Records[i].Original), string(r.Original))
				same(t, "", r.Title+r.Account)
			}
			docs.Release()
			docs.Release() // twice does no harm
			same(t, full.Next, docs.Next)
			seen += len(full.Records)
			if q.Cursor = docs.Next; q.Cursor == "" {
				break
			}
		}
		if (seen == 0) != (name == "none") {
			t.Errorf("%s: %d findings", name, seen)
		}
	}
	scoped := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: []string{}, DocumentsOnly: true}))(t)
	same(t, 0, len(scoped.Records))
}

// queryReleased reads pages side by side, some of them with documents that no room is
// made for: none shows what belongs to another.
func queryReleased(t *testing.T, s *store.Store) {
	var writes []store.FindingWrite
	for i := range 60 {
		w := Write(i)
		// Of 1 byte to 400 KB, so that some share memory and some have their own.
		w.Record.Doc = fmt.Appendf(nil, `{"Id":"%d","x":"%s"}`, i, strings.Repeat(string(rune('a'+i%26)), 1+i*i*i*2))
		writes = append(writes, w)
	}
	if err := s.CommitFindings(t.Context(), writes, nil, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, w := range writes {
		want[string(w.Record.Doc)] = true
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 4 {
				q := store.FindingQuery{Accounts: store.AllAccounts(), Limit: 20, DocumentsOnly: true, Sort: []store.SortKey{{Column: "id", Descending: g%2 == 0}}}
				for n := 0; ; {
					page, err := s.QueryFindings(t.Context(), q)
					if err != nil {
						t.Error(err)
						return
					}
					for _, r := range page.Records {
						if !want[string(r.Doc)] {
							t.Errorf("%.40s of %d bytes was never written", r.Doc, len(r.Doc))
						}
					}
					n += len(page.Records)
					page.Release()
					if q.Cursor = page.Next; q.Cursor == "" {
						same(t, len(writes), n)
						break
					}
				}
			}
		})
	}
	wg.Wait()
}
