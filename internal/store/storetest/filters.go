package storetest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func filterTests() []conformance {
	return []conformance{
		{"filter/the store finds what the filter matches, all fields", filterDifferential},
		{"filter/conditions of OCSF filters leave what these match", ocsfDifferential},
		{"filter/words are found in title and description", filterWords},
		{"filter/any resource of a finding is found", filterResources},
		{"filter/a relative date keeps its time", filterAt},
	}
}

// The number of findings and of filters of the differential test: of each field
// alone, and of several fields. PARRY_TEST_FILTERS=all tries three times as many, which
// under the race detector takes minutes.
const (
	filteredFindings = 60
	filtersPerField  = 6
	mixedFilters     = 300
	filterSeed       = 20261129
)

func filterRounds() int {
	if os.Getenv("PARRY_TEST_FILTERS") == "all" {
		return 3
	}
	return 1
}

// described gives the write of a document.
func described(f finding.Finding) store.FindingWrite {
	var r store.FindingRecord
	r.Describe(f)
	r.Source = "generator"
	return store.FindingWrite{Record: r}
}

// filterDifferential holds the compiler to SQL against the evaluator in memory:
// whatever a filter matches among all documents, the store must page through.
// Seen to fail with a column that is narrower than narrow believes, with an
// exclusive end of a date range, and with a NOT_EQUALS that is any-of.
func filterDifferential(t *testing.T, s *store.Store) {
	g := newGenerator(filterSeed)
	docs := make([]finding.Finding, filteredFindings)
	writes := make([]store.FindingWrite, filteredFindings)
	for i := range docs {
		docs[i] = g.finding(t, i)
		writes[i] = described(docs[i])
	}
	ok(t, s.CommitFindings(t.Context(), writes, nil, store.Effects{}))
	for _, f := range g.fields {
		telling := 0
		for range filtersPerField * filterRounds() {
			if n := compare(t, s, g, docs, filter.Filter{Criteria: []filter.Criterion{g.criterion(t, f)}}); n > 0 && n < len(docs) {
				telling++
			}
		}
		if telling == 0 {
			t.Errorf("no filter on %s told findings apart: the generator is too weak", f.Name)
		}
	}
	for range mixedFilters * filterRounds() {
		var many filter.Filter
		for _, i := range g.r.Perm(len(g.fields))[:2+g.r.IntN(3)] {
			many.Criteria = append(many.Criteria, g.criterion(t, g.fields[i]))
		}
		compare(t, s, g, docs, many)
	}
}

// compare asks the store for all pages of f, in a random order, and the filter
// itself for all documents; it gives how many findings that are.
func compare(t *testing.T, s *store.Store, g *generator, docs []finding.Finding, f filter.Filter) int {
	t.Helper()
	at := Start()
	var want []string
	for _, doc := range docs {
		if f.Match(doc, at) {
			want = append(want, doc.ID().Id)
		}
	}
	q := store.FindingQuery{Accounts: store.AllAccounts(), Filter: f, At: at, Limit: pick(g.r, []int{9, 50, 1000}), ColumnsOnly: g.r.IntN(2) == 0}
	q.Sort = []store.SortKey{{Column: pick(g.r, []string{"updated_at", "created_at", "severity_normalized", "title", "generator", "resource_id"}), Descending: g.r.IntN(2) == 0}}
	var got []string
	for {
		page := must(s.QueryFindings(t.Context(), q))(t)
		for _, r := range page.Records {
			got = append(got, r.ID.Id)
		}
		if q.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(want, got) {
		text, _ := json.Marshal(f)
		t.Fatalf("seed %d, filter %s:\nthe filter matches %d %.2000q\nthe store gives %d %.2000q", filterSeed, text, len(want), want, len(got), got)
	}
	return len(want)
}

// bucketFinding gives a small valid finding with members set over it.
func bucketFinding(t testing.TB, id string, members map[string]any) finding.Finding {
	t.Helper()
	doc := map[string]any{
		"SchemaVersion": "2018-10-08", "Id": id, "Title": "Bucket is public", "Description": "Anyone can read it", "GeneratorId": "g",
		"ProductArn": ID(0).ProductArn, "AwsAccountId": "111122223333", "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z",
		"Severity": map[string]any{"Label": "LOW"}, "Resources": []any{map[string]any{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + id}},
	}
	for k, v := range members {
		doc[k] = v
	}
	f, err := finding.FromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	return finding.Create(f)
}

func found(t testing.TB, s *store.Store, q store.FindingQuery) []string {
	t.Helper()
	q.Accounts, q.Sort = store.AllAccounts(), []store.SortKey{{Column: "id"}}
	var out []string
	for _, r := range must(s.QueryFindings(t.Context(), q))(t).Records {
		out = append(out, r.ID.Id)
	}
	return out
}

func filterWords(t *testing.T, s *store.Store) {
	words := func(op store.Op, values ...string) store.FindingQuery {
		return store.FindingQuery{Where: []store.Condition{{Column: "text", Op: op, Values: values}}}
	}
	one := bucketFinding(t, "one", nil)
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{
		described(one), described(bucketFinding(t, "two", map[string]any{"Title": "PUBLIC Ünit 100%"})), described(bucketFinding(t, "three", map[string]any{"Description": "a \x00 byte"})),
	}, nil, store.Effects{}))
	for _, tc := range []struct {
		query store.FindingQuery
		want  []string
	}{
		{words(store.OpContains, "pUBLIC"), []string{"one", "three", "two"}},
		{words(store.OpContains, "üNIT"), []string{"two"}},
		{words(store.OpContains, "0%"), []string{"two"}},
		{words(store.OpContains, "_"), nil},
		{words(store.OpContains, "\x00"), []string{"three"}},
		{words(store.OpContains, "is public", "100%"), []string{"one", "three", "two"}},
		{words(store.OpNotContains, "is public", "none"), []string{"two"}},
	} {
		same(t, tc.want, found(t, s, tc.query))
	}
	next := described(bucketFinding(t, "one", map[string]any{"Title": "Closed now"}))
	next.ExpectRev = 1
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{next}, nil, store.Effects{}))
	same(t, []string{"three"}, found(t, s, words(store.OpContains, "bucket is public")))
	same(t, []string{"one"}, found(t, s, words(store.OpContains, "closed now")))
}

func filterResources(t *testing.T, s *store.Store) {
	resources := func(ids ...string) map[string]any {
		var list []any
		for _, id := range ids {
			list = append(list, map[string]any{"Type": "Other", "Id": id})
		}
		return map[string]any{"Resources": list}
	}
	ask := func(id string) store.FindingQuery {
		return store.FindingQuery{Filter: parsed(t, fmt.Sprintf(`{"ResourceId":[{"Value":%q,"Comparison":"EQUALS"}]}`, id))}
	}
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{
		described(bucketFinding(t, "one", resources("a", "b", "b"))), described(bucketFinding(t, "two", resources("b"))), described(bucketFinding(t, "three", resources("c", strings.Repeat("x", 2000)))),
	}, nil, store.Effects{}))
	same(t, []string{"one"}, found(t, s, ask("a")))
	same(t, []string{"one", "two"}, found(t, s, ask("b")))
	same(t, []string{"three"}, found(t, s, ask(strings.Repeat("x", 2000))))
	same(t, []string(nil), found(t, s, ask(strings.Repeat("x", 1999))))
	for rev, tc := range []struct {
		has  []string
		want []string
	}{{[]string{"a", "d"}, []string{"two"}}, {[]string{"d"}, []string{"two"}}, {[]string{"d", "b"}, []string{"one", "two"}}} {
		next := described(bucketFinding(t, "one", resources(tc.has...)))
		next.ExpectRev = int64(rev + 1)
		ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{next}, nil, store.Effects{}))
		same(t, tc.want, found(t, s, ask("b")))
	}
}

// filterAt: relative dates are measured from At, so that the pages of one
// listing answer one question.
func filterAt(t *testing.T, s *store.Store) {
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{described(bucketFinding(t, "one", map[string]any{"UpdatedAt": "2026-02-01T12:00:00Z"}))}, nil, store.Effects{}))
	f := parsed(t, `{"UpdatedAt":[{"DateRange":{"Value":10,"Unit":"DAYS"}}]}`)
	same(t, []string(nil), found(t, s, store.FindingQuery{Filter: f})) // by the store's clock
	same(t, []string{"one"}, found(t, s, store.FindingQuery{Filter: f, At: Start().AddDate(0, 0, -20)}))
}

func parsed(t testing.TB, text string) filter.Filter {
	t.Helper()
	return must(filter.Parse([]byte(text)))(t)
}

// Unsearched checks that findings of the schema before the search tables are
// entered in them when the store is opened again. SQL runs a statement, apart
// from the store; s is migrated and empty.
func Unsearched(t *testing.T, s *store.Store, sql func(statement string)) {
	t.Helper()
	var writes []store.FindingWrite
	for i := range 4100 { // more than two chunks
		members := map[string]any{"Resources": []any{map[string]any{"Type": "Other", "Id": "a"}, map[string]any{"Type": "Other", "Id": fmt.Sprintf("r-%d", i)}}}
		if i == 9 {
			members["Types"] = []any{"Effects", "TTPs/Discovery"}
		}
		writes = append(writes, described(bucketFinding(t, fmt.Sprintf("f-%04d", i), members)))
	}
	ok(t, s.CommitFindings(t.Context(), writes, nil, store.Effects{}))
	for _, statement := range []string{
		"DELETE FROM finding_text", "DELETE FROM finding_further", "UPDATE finding SET resources = 2, types = ''",
		"UPDATE finding_unsearched SET rid = (SELECT MAX(rid) FROM finding)",
	} {
		sql(statement)
	}
	word := store.FindingQuery{Where: []store.Condition{{Column: "text", Op: store.OpContains, Values: []string{"anyone"}}}, Limit: 1}
	further := store.FindingQuery{Filter: parsed(t, `{"ResourceId":[{"Value":"r-7","Comparison":"EQUALS"}]}`)}
	same(t, []string(nil), found(t, s, word))
	same(t, []string(nil), found(t, s, further))
	typed := store.FindingQuery{Filter: parsed(t, `{"Type":[{"Value":"TTPs","Comparison":"PREFIX"}]}`)}
	same(t, []string(nil), found(t, s, typed))
	ok(t, s.Migrate(t.Context()))
	same(t, []string{"f-0000"}, found(t, s, word))
	same(t, []string{"f-0007"}, found(t, s, further))
	same(t, []string{"f-0009"}, found(t, s, typed))
}
