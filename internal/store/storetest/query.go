package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func queryTests() []conformance {
	return []conformance{
		{"query/operators", queryOperators},
		{"query/agrees with an evaluator in memory", queryModel},
		{"query/the scope is default closed", queryScope},
		{"query/pages are stable while findings come and change", queryStable},
		{"query/match looks at documents within bounds", queryMatch},
		{"query/refuses", queryRefuses},
		{"query/columns only", queryColumns},
		{"query/documents only", queryDocuments},
		{"query/pages that are released do not mix", queryReleased},
	}
}

func numbers(page store.FindingPage) []string {
	var out []string
	for _, r := range page.Records {
		out = append(out, strings.TrimLeft(strings.TrimPrefix(r.ID.Id, "finding-"), "0"))
	}
	return out
}

func queryOperators(t *testing.T, s *store.Store) {
	fill(t, s, 12)
	at := func(i int) string { return Start().Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano) }
	cond := func(column string, op store.Op, values ...string) store.Condition {
		return store.Condition{Column: column, Op: op, Values: values}
	}
	for _, tc := range []struct {
		name  string
		where []store.Condition
		want  []string
	}{
		{"equal to any", []store.Condition{cond("control", store.OpEqual, "S3.8", "EC2.19")}, []string{"11", "8", "7", "4", "3", ""}},
		{"equal to none", []store.Condition{cond("control", store.OpNotEqual, "S3.8", "EC2.19", "S3.1")}, []string{"10", "6", "2"}},
		{"case counts", []store.Condition{cond("control", store.OpEqual, "s3.8")}, nil},
		{"prefix", []store.Condition{cond("title", store.OpPrefix, "Bucket 1", "none")}, []string{"11", "10", "1"}},
		{"prefix is no pattern", []store.Condition{cond("title", store.OpPrefix, "Bucket _", "B%")}, nil},
		{"no prefix", []store.Condition{cond("control", store.OpNotPrefix, "S3", "EC2")}, []string{"10", "6", "2"}},
		{"contains", []store.Condition{cond("resource_id", store.OpContains, "bucket-1", "bucket-7")}, []string{"11", "10", "7", "1"}},
		{"contains is no pattern", []store.Condition{cond("resource_id", store.OpContains, "%", "_", "*")}, nil},
		{"does not contain", []store.Condition{cond("control", store.OpNotContains, "S3", "EC")}, []string{"10", "6", "2"}},
		{"at least", []store.Condition{cond("severity_normalized", store.OpAtLeast, "90")}, []string{"9", "4"}},
		{"less", []store.Condition{cond("severity_normalized", store.OpLess, "1")}, []string{"10", "5", ""}},
		{"between", []store.Condition{cond("severity_normalized", store.OpBetween, "40", "70")}, []string{"8", "7", "3", "2"}},
		{"number equal", []store.Condition{cond("severity_normalized", store.OpEqual, "1", "90")}, []string{"11", "9", "6", "4", "1"}},
		{"time after", []store.Condition{cond("updated_at", store.OpGreater, at(9))}, []string{"11", "10"}},
		{"time at most", []store.Condition{cond("updated_at", store.OpAtMost, at(1))}, []string{"1", ""}},
		{"and", []store.Condition{cond("account", store.OpEqual, "111111111111"), cond("region", store.OpEqual, "us-east-1")}, []string{"7", "1"}},
		{"or", []store.Condition{{Or: []store.Condition{cond("title", store.OpEqual, "Bucket 2 is public"), cond("severity", store.OpEqual, "CRITICAL")}}}, []string{"9", "4", "2"}},
		{"text is never code", []store.Condition{cond("title", store.OpEqual, "' OR '1'='1")}, nil},
		{"zero bytes do no harm", []store.Condition{cond("title", store.OpContains, "\x00")}, nil},
	} {
		page, err := s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Where: tc.where})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := numbers(page); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// holds evaluates a condition in memory: the third opinion beside two databases.
func holds(r store.FindingRecord, c store.Condition) bool {
	if len(c.Or) > 0 {
		return slices.ContainsFunc(c.Or, func(alt store.Condition) bool { return holds(r, alt) })
	}
	if c.Column == "severity_normalized" {
		v, _ := strconv.Atoi(c.Values[0]) // written by the generator below
		switch c.Op {
		case store.OpAtLeast:
			return r.SeverityNormalized >= v
		default:
			return r.SeverityNormalized < v
		}
	}
	text := map[string]string{"account": r.Account, "region": r.Region, "control": r.Control, "severity": r.SeverityLabel, "workflow": r.Workflow, "title": r.Title, "compliance": r.Compliance}[c.Column]
	match := func(f func(a, b string) bool) bool {
		return slices.ContainsFunc(c.Values, func(v string) bool { return f(text, v) })
	}
	equal := func(a, b string) bool { return a == b }
	switch c.Op {
	case store.OpEqual:
		return match(equal)
	case store.OpNotEqual:
		return !match(equal)
	case store.OpPrefix:
		return match(strings.HasPrefix)
	case store.OpNotPrefix:
		return !match(strings.HasPrefix)
	case store.OpContains:
		return match(strings.Contains)
	default:
		return !match(strings.Contains)
	}
}

// randomCondition writes a condition over the values of the test findings.
func randomCondition(r *rand.Rand, depth int) store.Condition {
	if depth > 0 && r.IntN(4) == 0 {
		return store.Condition{Or: []store.Condition{randomCondition(r, depth-1), randomCondition(r, depth-1)}}
	}
	if r.IntN(5) == 0 {
		return store.Condition{Column: "severity_normalized", Op: []store.Op{store.OpAtLeast, store.OpLess}[r.IntN(2)], Values: []string{strconv.Itoa(r.IntN(100))}}
	}
	columns := map[string][]string{
		"account": {"111111111110", "111111111111", "11111", ""}, "region": {"eu-west-1", "us-", "east"},
		"control": {"S3.8", "S3", "IAM.6", ".1"}, "severity": {"LOW", "CRITICAL", "I"}, "workflow": {"NEW", "NOT", "D"},
		"title": {"Bucket 1", "is", "7", "ü"}, "compliance": {"FAILED", "PASSED"},
	}
	names := []string{"account", "region", "control", "severity", "workflow", "title", "compliance"}
	c := store.Condition{Column: names[r.IntN(len(names))]}
	ops := []store.Op{store.OpEqual, store.OpNotEqual, store.OpPrefix, store.OpNotPrefix, store.OpContains, store.OpNotContains}
	c.Op = ops[r.IntN(len(ops))]
	for range 1 + r.IntN(2) {
		c.Values = append(c.Values, columns[c.Column][r.IntN(len(columns[c.Column]))])
	}
	return c
}

func queryModel(t *testing.T, s *store.Store) {
	const n = 60
	fill(t, s, n)
	seed := uint64(20260301)
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 150 {
		var where []store.Condition
		for range 1 + r.IntN(3) {
			where = append(where, randomCondition(r, 2))
		}
		var want []string
		for i := n - 1; i >= 0; i-- {
			rec := Record(i)
			if !slices.ContainsFunc(where, func(c store.Condition) bool { return !holds(rec, c) }) {
				want = append(want, rec.ID.Id)
			}
		}
		var got []string
		q := store.FindingQuery{Accounts: store.AllAccounts(), Where: where, Limit: 1 + r.IntN(20), ColumnsOnly: true}
		for {
			page := must(s.QueryFindings(t.Context(), q))(t)
			for _, rec := range page.Records {
				got = append(got, rec.ID.Id)
			}
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if !slices.Equal(want, got) {
			t.Fatalf("round %d of seed %d, %+v:\nwant %v\ngot  %v", round, seed, where, want, got)
		}
	}
}

func queryScope(t *testing.T, s *store.Store) {
	fill(t, s, 9)
	trick := []store.Condition{{Or: []store.Condition{
		{Column: "account", Op: store.OpEqual, Values: []string{"111111111111"}}, {Column: "account", Op: store.OpNotEqual, Values: []string{"x"}},
	}}}
	for name, tc := range map[string]struct {
		accounts []string
		want     int
	}{
		"all": {store.AllAccounts(), 9}, "one": {[]string{"111111111110"}, 3}, "two": {[]string{"111111111110", "111111111112"}, 6},
		"none": {[]string{}, 0}, "a stranger": {[]string{"x' OR '1'='1"}, 0}, "no pattern": {[]string{"%"}, 0},
	} {
		page := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: tc.accounts, Where: trick}))(t)
		if len(page.Records) != tc.want {
			t.Errorf("%s: %d findings, want %d", name, len(page.Records), tc.want)
		}
	}
	_, err := s.QueryFindings(t.Context(), store.FindingQuery{})
	code(t, err, fault.Invalid)
}

func queryStable(t *testing.T, s *store.Store) {
	for _, keys := range [][]store.SortKey{
		{{Column: "updated_at", Descending: true}},
		{{Column: "severity_normalized", Descending: true}, {Column: "updated_at"}},
		{{Column: "control"}, {Column: "account", Descending: true}},
		{{Column: "title", Descending: true}},
		{{Column: "created_at"}},
	} {
		seen := map[string]int{}
		var order []store.FindingRecord
		base := must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts()}))(t)[0].N
		var w []store.FindingWrite
		for i := range 30 {
			w = append(w, Write(int(base)+i))
		}
		ok(t, s.CommitFindings(t.Context(), w, nil, store.Effects{}))
		q := store.FindingQuery{Accounts: store.AllAccounts(), Sort: keys, Limit: 4}
		for n := 1000 + int(base)*10; ; n++ {
			page := must(s.QueryFindings(t.Context(), q))(t)
			for _, r := range page.Records {
				seen[r.ID.Id]++
				order = append(order, r)
			}
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
			if len(order) < 60 { // one more arrives between two pages, anywhere in the order
				late := Write(n)
				late.Record.ID.Id = fmt.Sprintf("late-%d", n)
				ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{late}, nil, store.Effects{}))
			}
		}
		for i := range int(base) + 30 {
			if id := ID(i).Id; seen[id] > 1 || seen[id] == 0 && i >= int(base) {
				t.Errorf("sort %v: %s came %d times", keys, id, seen[id])
			}
		}
		for id, n := range seen {
			if n > 1 {
				t.Errorf("sort %v: %s came %d times", keys, id, n)
			}
		}
	}
}

func queryMatch(t *testing.T, s *store.Store) {
	fill(t, s, 100)
	odd := func(r store.FindingRecord) bool { return strings.Contains(string(r.Doc), `"n":9`) }
	var got []string
	pages := 0
	q := store.FindingQuery{Accounts: store.AllAccounts(), Match: odd, Limit: 4, MaxScan: 30}
	for {
		page := must(s.QueryFindings(t.Context(), q))(t)
		if len(page.Records) > 4 {
			t.Fatalf("a page of %d, want at most 4", len(page.Records))
		}
		got = append(got, numbers(page)...)
		if pages++; page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	same(t, []string{"99", "98", "97", "96", "95", "94", "93", "92", "91", "90", "9"}, got)
	if pages < 5 {
		t.Errorf("%d pages: the scan was not bounded", pages)
	}
	q.Cursor, q.MaxScan, q.Limit, q.ColumnsOnly = "", 0, 50, true
	page := must(s.QueryFindings(t.Context(), q))(t)
	if len(page.Records) != 11 || page.Next != "" || page.Records[0].Doc != nil {
		t.Errorf("%d findings, next %q, document %s; want 11 on the last page, without documents", len(page.Records), page.Next, page.Records[0].Doc)
	}
}

func queryRefuses(t *testing.T, s *store.Store) {
	fill(t, s, 5)
	page := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Limit: 2}))(t)
	cond := func(column string, op store.Op, values ...string) store.FindingQuery {
		return store.FindingQuery{Accounts: store.AllAccounts(), Where: []store.Condition{{Column: column, Op: op, Values: values}}}
	}
	many := make([]string, 1001)
	deep := store.Condition{Column: "title", Op: store.OpEqual, Values: []string{"x"}}
	for range 300 {
		deep = store.Condition{Or: []store.Condition{deep}}
	}
	for name, q := range map[string]store.FindingQuery{
		"an unknown column":            cond("docs", store.OpEqual, "x"),
		"a column with code in it":     cond("title = title --", store.OpEqual, "x"),
		"the row number":               cond("rid", store.OpEqual, "1"),
		"an unknown operator":          cond("title", "~", "x"),
		"no values":                    cond("title", store.OpEqual),
		"too many values":              cond("title", store.OpEqual, many...),
		"a number that is none":        cond("severity_normalized", store.OpEqual, "high"),
		"a time that is none":          cond("updated_at", store.OpGreater, "yesterday"),
		"a prefix of a number":         cond("severity_normalized", store.OpPrefix, "1"),
		"less than two values":         cond("severity_normalized", store.OpLess, "1", "2"),
		"between one value":            cond("severity_normalized", store.OpBetween, "1"),
		"too deep":                     {Accounts: store.AllAccounts(), Where: []store.Condition{deep}},
		"an unknown sort column":       {Accounts: store.AllAccounts(), Sort: []store.SortKey{{Column: "rid; --"}}},
		"too many sort columns":        {Accounts: store.AllAccounts(), Sort: make([]store.SortKey, 5)},
		"a cursor of another order":    {Accounts: store.AllAccounts(), Sort: []store.SortKey{{Column: "title"}}, Cursor: page.Next},
		"a cursor of another question": {Accounts: store.AllAccounts(), Where: cond("title", store.OpEqual, "x").Where, Cursor: page.Next},
		"a cursor of another scope":    {Accounts: []string{"111111111111"}, Cursor: page.Next},
		"a cursor of another filter":   {Accounts: store.AllAccounts(), Filter: parsed(t, `{"Title":[{"Value":"x","Comparison":"EQUALS"}]}`), Cursor: page.Next},
		"words to sort by":             {Accounts: store.AllAccounts(), Sort: []store.SortKey{{Column: "text"}}},
		"a prefix of any resource":     cond("any_resource_id", store.OpPrefix, "x"),
		"equal words":                  cond("text", store.OpEqual, "x"),
		"a cursor that is none":        {Accounts: store.AllAccounts(), Cursor: "%%%"},
		"a cursor of another type":     {Accounts: store.AllAccounts(), Cursor: "eyJvIjoiZi51cGRhdGVkX2F0IERFU0MsIGYucmlkIERFU0MiLCJ2IjpbIngiLCJ5Il19"},
		"a cursor that is far to long": {Accounts: store.AllAccounts(), Cursor: strings.Repeat("A", 1<<20)},
	} {
		if _, err := s.QueryFindings(t.Context(), q); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func queryColumns(t *testing.T, s *store.Store) {
	fill(t, s, 3)
	page := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), ColumnsOnly: true}))(t)
	for _, r := range page.Records {
		if r.Doc != nil || r.Original != nil || r.Title == "" {
			t.Errorf("finding %v is not columns only", r)
		}
	}
	full := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1}))(t)
	same(t, string(Record(2).Doc), string(full.Records[0].Doc))
	same(t, string(Record(2).Original), string(full.Records[0].Original))
}
