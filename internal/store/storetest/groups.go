package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func groupTests() []conformance {
	return []conformance{
		{"groups equal a count in memory, all attributes", groupDifferential},
		{"groups count all resources of a finding once", groupResources},
		{"groups are within the scope", groupScope},
		{"groups of text that a column cuts", groupCut},
		{"groups beyond those that a count holds", groupMany},
	}
}

// groupOf counts in memory.
func groupOf(docs []finding.Finding, f filter.Filter, by filter.Field, most int) []store.GroupCount {
	counts := map[string]int64{}
	for _, doc := range docs {
		if !f.Match(doc, Start()) {
			continue
		}
		seen := map[string]bool{}
		doc.Values(by.Paths[0], func(v any) bool {
			if s, is := v.(string); is && s != "" && !seen[s] {
				seen[s] = true
				counts[s]++
			}
			return true
		})
	}
	out := []store.GroupCount{}
	for v, n := range counts {
		out = append(out, store.GroupCount{Value: v, N: n})
	}
	slices.SortFunc(out, func(a, b store.GroupCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Value, b.Value))
	})
	return out[:min(most, len(out))]
}

// groupDifferential holds the three ways of counting against one in memory. Seen to
// fail when the resources behind the first are left out, when a finding counts twice
// for a resource it names twice, and when text is counted as a column cut it.
func groupDifferential(t *testing.T, s *store.Store) {
	g := newGenerator(filterSeed + 1)
	docs := make([]finding.Finding, filteredFindings)
	writes := make([]store.FindingWrite, filteredFindings)
	for i := range docs {
		docs[i] = g.finding(t, i)
		writes[i] = described(docs[i])
	}
	ok(t, s.CommitFindings(t.Context(), writes, nil, store.Effects{}))
	var attributes []filter.Field
	for _, f := range g.fields {
		if f.Kind == filter.String {
			attributes = append(attributes, f)
		}
	}
	check := func(f filter.Filter, by filter.Field) {
		t.Helper()
		most := pick(g.r, []int{3, 100})
		got, err := s.GroupFindings(t.Context(), store.GroupQuery{Accounts: store.AllAccounts(), Filter: f, At: Start(), By: by.Name, Limit: most})
		ok(t, err)
		same(t, groupOf(docs, f, by, most), got, cmpopts.EquateEmpty())
		if t.Failed() {
			text, _ := json.Marshal(f)
			t.Fatalf("by %s, filter %s", by.Name, text)
		}
	}
	for _, by := range attributes {
		check(filter.Filter{}, by)
		for range 4 {
			check(filter.Filter{Criteria: []filter.Criterion{g.criterion(t, pick(g.r, g.fields))}}, by)
		}
	}
	for range 200 { // the columns decide about most of these
		var f filter.Filter
		for _, name := range []string{"SeverityLabel", "WorkflowStatus", "ResourceType", "CreatedAt"}[:1+g.r.IntN(4)] {
			field, _ := filter.FieldNamed(name)
			f.Criteria = append(f.Criteria, g.criterion(t, field))
		}
		by, _ := filter.FieldNamed(pick(g.r, []string{"ResourceId", "ResourceType", "AwsAccountId", "SeverityLabel", "ProductName", "GeneratorId"}))
		check(f, by)
	}
}

func groupResources(t *testing.T, s *store.Store) {
	res := func(ids ...string) map[string]any {
		var all []any
		for _, id := range ids {
			all = append(all, map[string]any{"Type": "T-" + id, "Id": id})
		}
		return map[string]any{"Resources": all}
	}
	var writes []store.FindingWrite
	for i, ids := range [][]string{{"a"}, {"a", "b"}, {"b", "a", "b", "b"}, {"c", "c"}} {
		writes = append(writes, described(bucketFinding(t, fmt.Sprint(i), res(ids...))))
	}
	ok(t, s.CommitFindings(t.Context(), writes, nil, store.Effects{}))
	for by, prefix := range map[string]string{"ResourceId": "", "ResourceType": "T-"} {
		got := must(s.GroupFindings(t.Context(), store.GroupQuery{Accounts: store.AllAccounts(), By: by, Limit: 100}))(t)
		same(t, []store.GroupCount{{Value: prefix + "a", N: 3}, {Value: prefix + "b", N: 2}, {Value: prefix + "c", N: 1}}, got)
	}
}

// groupMany: the value with the most findings is found although, of findings with one
// resource, 10,000 other values come before it.
func groupMany(t *testing.T, s *store.Store) {
	finding := func(name string, ids ...string) store.FindingWrite {
		var all []any
		for _, id := range ids {
			all = append(all, map[string]any{"Type": "T", "Id": id})
		}
		return described(bucketFinding(t, name, map[string]any{"Resources": all}))
	}
	writes := []store.FindingWrite{finding("z-1", "z"), finding("z-2", "z", "y"), finding("z-3", "x", "z")}
	for i := range 10_001 {
		id := fmt.Sprintf("r-%05d", i)
		writes = append(writes, finding(id, id))
	}
	for part := range slices.Chunk(writes, 1000) {
		ok(t, s.CommitFindings(t.Context(), part, nil, store.Effects{}))
	}
	f := parsed(t, `{"ResourceType":[{"Value":"T","Comparison":"EQUALS"}]}`)
	got := must(s.GroupFindings(t.Context(), store.GroupQuery{Accounts: store.AllAccounts(), Filter: f, By: "ResourceId", Limit: 2}))(t)
	same(t, []store.GroupCount{{Value: "z", N: 3}, {Value: "r-00000", N: 1}}, got)
}

func groupScope(t *testing.T, s *store.Store) {
	fill(t, s, 9) // accounts ...0, ...1, ...2 in turn
	for _, by := range []string{"AwsAccountId", "ResourceId", "control", "Description"} {
		for name, tc := range map[string]struct {
			accounts []string
			want     int64
		}{"one": {[]string{"111111111111"}, 3}, "none": {[]string{}, 0}, "a stranger": {[]string{"999999999999"}, 0}, "no pattern": {[]string{"%"}, 0}} {
			var n int64
			for _, g := range must(s.GroupFindings(t.Context(), store.GroupQuery{Accounts: tc.accounts, By: by, Limit: 100}))(t) {
				n += g.N
			}
			if by == "Description" { // the documents of these findings have none
				tc.want = 0
			}
			if n != tc.want {
				t.Errorf("by %s, %s: %d, want %d", by, name, n, tc.want)
			}
		}
	}
	// Left out alike by counters, columns, rows of resources and documents.
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{
		described(bucketFinding(t, "written", map[string]any{"AwsAccountId": "111111111111"})),
		described(bucketFinding(t, "and kept", map[string]any{"AwsAccountId": "111111111112"})),
	}, nil, store.Effects{}))
	gone, kept := []string{"111111111111"}, []string{"111111111110", "111111111112"}
	for _, by := range []string{"account", "severity", "AwsAccountId", "ResourceId", "product", "Description"} {
		for _, f := range []string{`{}`, `{"SeverityLabel":[{"Value":"none","Comparison":"NOT_EQUALS"}]}`, `{"Description":[{"Value":"none","Comparison":"NOT_EQUALS"}]}`} {
			q := store.GroupQuery{Accounts: store.AllAccounts(), WithoutAccounts: gone, By: by, Filter: parsed(t, f), Limit: 100}
			got := must(s.GroupFindings(t.Context(), q))(t)
			q.Accounts, q.WithoutAccounts = kept, nil
			want := must(s.GroupFindings(t.Context(), q))(t)
			if len(want) == 0 {
				t.Errorf("by %s of %s: nothing", by, f)
			}
			same(t, want, got)
		}
	}
	for _, q := range []store.GroupQuery{
		{By: "AwsAccountId"},
		{Accounts: store.AllAccounts(), By: "ResourceId", WithoutAccounts: make([]string, store.MaxWithout+1)},
		{Accounts: store.AllAccounts(), By: "control", WithoutAccounts: make([]string, store.MaxWithout+1)},
		{Accounts: store.AllAccounts(), By: "rid"},
		{Accounts: store.AllAccounts(), By: "CreatedAt"},
		{Accounts: store.AllAccounts(), By: "ResourceTags"},
		{Accounts: store.AllAccounts(), By: "account; --"},
		{Accounts: store.AllAccounts(), By: ""},
	} {
		_, err := s.GroupFindings(t.Context(), q)
		code(t, err, fault.Invalid)
	}
}

func groupCut(t *testing.T, s *store.Store) {
	long := strings.Repeat("x", 1100)
	var writes []store.FindingWrite
	for i, id := range []string{long + "1", long + "2", long + "2", "short"} {
		writes = append(writes, described(bucketFinding(t, fmt.Sprint(i), map[string]any{
			"GeneratorId": id, "Resources": []any{map[string]any{"Type": "T", "Id": id}},
		})))
	}
	ok(t, s.CommitFindings(t.Context(), writes, nil, store.Effects{}))
	for _, by := range []string{"GeneratorId", "ResourceId"} {
		got := must(s.GroupFindings(t.Context(), store.GroupQuery{Accounts: store.AllAccounts(), By: by, Limit: 100}))(t)
		same(t, []store.GroupCount{{Value: long + "2", N: 2}, {Value: "short", N: 1}, {Value: long + "1", N: 1}}, got)
	}
}
