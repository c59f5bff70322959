package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

const (
	// maxGrouped bounds the documents that one count reads.
	maxGrouped = 200_000
	// maxGroupValues bounds the different values that one count holds in memory.
	maxGroupValues = 200_000
)

// GroupQuery asks how many findings there are of each value of an attribute.
type GroupQuery struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	// WithoutAccounts are left out, at most MaxWithout.
	WithoutAccounts []string
	// Where and Filter hold for every finding that is counted, with relative dates
	// measured from At, by default the store's time.
	Where  []Condition
	Filter filter.Filter
	At     time.Time
	// By is an attribute of the filters that holds text, or a text column of findings.
	By string
	// Limit is how many values are given, those with the most findings first.
	Limit int
}

// GroupCount is how many findings have a value. A finding with several values counts
// for each of them; one without the attribute does not count.
type GroupCount struct {
	Value string
	N     int64
}

// GroupFindings counts by the counters where they know all that is asked, else by the
// columns, and where these do not decide, by the documents: at most 200,000.
func (s *Store) GroupFindings(ctx context.Context, q GroupQuery) ([]GroupCount, error) {
	const op = "group findings"
	if q.At.IsZero() {
		q.At = s.now()
	}
	q.At = q.At.Truncate(time.Microsecond) // as the columns are
	asked := q.Where
	where, rest := narrow(q.Filter, q.At)
	q.Where = slices.Concat(asked, where)
	col, ok := groupColumn(q.By)
	field, isField := filter.FieldNamed(q.By)
	if !ok && (!isField || field.Kind != filter.String) {
		return nil, invalid(op, "cannot group by %q", q.By)
	}
	if ok && len(rest.Criteria) == 0 {
		if out, whole, err := s.groupColumns(ctx, q, col); err != nil || whole {
			return out, s.fail(op, err)
		}
	}
	if single, left := narrowSingle(q.Filter, q.At); ok && len(left.Criteria) == 0 {
		one := q
		one.Where = slices.Concat(asked, single)
		if out, whole, err := s.groupApart(ctx, one, q, col, rest); err != nil || whole {
			return out, s.fail(op, err)
		}
	}
	counts, err := s.groupDocuments(ctx, q, rest)
	return most(counts, q.Limit), err
}

// groupApart counts findings of one resource by the columns, which decide about them,
// and those of several, which are few, by their documents.
func (s *Store) groupApart(ctx context.Context, one, several GroupQuery, col filterColumn, rest filter.Filter) (out []GroupCount, whole bool, err error) {
	one.Limit = maxGroups
	several.Where = slices.Concat(several.Where, []Condition{{Column: "resources", Op: OpGreater, Values: []string{"1"}}})
	counts, err := s.groupDocuments(ctx, several, rest)
	if err != nil {
		return nil, false, err
	}
	first, err := s.groupOne(ctx, one, col)
	if err != nil {
		return nil, false, err
	}
	if len(first) == maxGroups { // the others count where findings of several resources have them
		more, err := s.groupValues(ctx, one, col, counts, first)
		if err != nil {
			return nil, false, err
		}
		first = append(first, more...)
	}
	if slices.ContainsFunc(first, func(g GroupCount) bool { return !col.whole(g.Value) }) {
		return nil, false, nil // what was cut cannot be added up
	}
	for _, g := range first {
		counts[g.Value] += g.N
	}
	return most(counts, several.Limit), true, nil
}

// groupValues counts by a column the values among wanted that known does not have.
func (s *Store) groupValues(ctx context.Context, q GroupQuery, col filterColumn, wanted map[string]int64, known []GroupCount) ([]GroupCount, error) {
	missing := maps.Clone(wanted)
	for _, g := range known {
		delete(missing, g.Value)
	}
	var out []GroupCount
	for values := range slices.Chunk(slices.Sorted(maps.Keys(missing)), maxValues) {
		part := q
		part.Where = slices.Concat(q.Where, []Condition{{Column: col.name, Op: OpEqual, Values: values}})
		counts, err := s.groupOne(ctx, part, col)
		if err != nil {
			return nil, err
		}
		out = append(out, counts...)
	}
	return out, nil
}

// groupColumn gives the column that has all that findings say of by, a column or an
// attribute of the filters.
func groupColumn(by string) (filterColumn, bool) {
	if groupable(by) {
		_, width := findingColumn(by)
		return filterColumn{name: by, width: width}, true
	}
	col, ok := columnOf(by)
	return col, ok && !col.hint
}

// groupColumns counts by a column. Whole says that the column has what the documents
// say: text that is long is cut there.
func (s *Store) groupColumns(ctx context.Context, q GroupQuery, col filterColumn) (out []GroupCount, whole bool, err error) {
	switch {
	case q.By == "ResourceId":
		out, err = s.groupResources(ctx, q)
	case col.first:
		out, err = s.groupFirst(ctx, q, col)
	default:
		out, err = s.groupOne(ctx, q, col)
	}
	whole = !slices.ContainsFunc(out, func(g GroupCount) bool { return !col.whole(g.Value) })
	return out, whole, err
}

func (s *Store) groupOne(ctx context.Context, q GroupQuery, col filterColumn) ([]GroupCount, error) {
	groups, err := s.countFindings(ctx, s.findings.Read, CountQuery{Accounts: q.Accounts, WithoutAccounts: q.WithoutAccounts, Where: q.Where, GroupBy: []string{col.name}})
	counts := make(map[string]int64, len(groups))
	for _, g := range groups {
		counts[g.Group[0]] = g.N
	}
	return most(counts, q.Limit), err
}

// groupFirst counts findings of one resource by the column of the first, and those of
// several by their documents.
func (s *Store) groupFirst(ctx context.Context, q GroupQuery, col filterColumn) ([]GroupCount, error) {
	one, several := q, q
	one.Where = slices.Concat(q.Where, []Condition{{Column: "resources", Op: OpAtMost, Values: []string{"1"}}})
	one.Limit = maxGroups
	several.Where = slices.Concat(q.Where, []Condition{{Column: "resources", Op: OpGreater, Values: []string{"1"}}})
	first, err := s.groupOne(ctx, one, col)
	if err != nil {
		return nil, err
	}
	if len(first) == maxGroups { // there may be more
		first, several = nil, q
	}
	counts, err := s.groupDocuments(ctx, several, filter.Filter{})
	if err != nil {
		return nil, err
	}
	for _, g := range first {
		counts[g.Value] += g.N
	}
	return most(counts, q.Limit), nil
}

// groupResources counts by all resources: the first is a column, the others are rows
// of their own.
func (s *Store) groupResources(ctx context.Context, q GroupQuery) ([]GroupCount, error) {
	const op = "group findings"
	b := builder{columns: findingColumn, dialect: s.dialect}
	if err := b.scope(op, q.Accounts); err != nil {
		return nil, err
	}
	if err := b.without(op, q.WithoutAccounts); err != nil {
		return nil, err
	}
	if err := b.conditions(q.Where); err != nil {
		return nil, err
	}
	first, further := b, b
	first.where = append(slices.Clone(b.where), "f.resource_id <> ''")
	further.where = append(slices.Clone(b.where), "f.resources > 1", "r.resource_id <> ''", "r.resource_id <> f.resource_id")
	query := "SELECT g.value, SUM(g.n) AS n FROM (SELECT f.resource_id AS value, COUNT(*) AS n FROM finding f" + first.sql() + " GROUP BY f.resource_id" +
		" UNION ALL SELECT r.resource_id, COUNT(*) FROM finding f JOIN finding_further r ON r.rid = f.rid" + further.sql() + " GROUP BY r.resource_id) g" +
		" GROUP BY g.value ORDER BY n DESC, g.value LIMIT " + b.arg(int64(q.Limit))
	return collect(ctx, s.findings.Read, query, b.args, func(r scanner) (g GroupCount, err error) {
		err = r.Scan(&g.Value, &g.N)
		return g, err
	})
}

// groupDocuments counts the findings that q.Where leaves and rest holds for.
func (s *Store) groupDocuments(ctx context.Context, q GroupQuery, rest filter.Filter) (map[string]int64, error) {
	const op = "group findings"
	select {
	case s.counting <- struct{}{}: // few at a time: each keeps a processor busy
		defer func() { <-s.counting }()
	case <-ctx.Done():
		return nil, s.fail(op, context.Cause(ctx))
	}
	field, isField := filter.FieldNamed(q.By)
	members := rest.Members()
	if isField {
		for _, path := range field.Paths {
			members = append(members, path[0])
		}
	}
	counts := map[string]int64{}
	page, err := s.QueryFindings(ctx, FindingQuery{
		Accounts: q.Accounts, WithoutAccounts: q.WithoutAccounts, Where: q.Where, At: q.At, MaxScan: maxGrouped, Limit: maxChunk,
		Match: func(r FindingRecord) bool {
			if len(counts) > maxGroupValues {
				return false
			}
			doc, err := finding.ReopenMembers(r.Doc, members...)
			if err != nil || !rest.Match(doc, q.At) {
				return false
			}
			values := []string{}
			if isField {
				values = textsOf(doc, field)
			} else if v, ok := r.column("f." + q.By).(string); ok {
				values = append(values, v)
			}
			for _, v := range values {
				counts[v]++
			}
			return false // counted, and not kept
		},
	})
	switch {
	case err != nil:
		return nil, err
	case page.Next != "", len(counts) > maxGroupValues:
		return nil, fault.Errorf(fault.Invalid, op, "more than %d findings would have to be read, or more than %d values counted", maxGrouped, maxGroupValues).
			WithHint("narrow the filters by account, region, severity, control, status or time")
	}
	return counts, nil
}

// textsOf gives the different texts of a field.
func textsOf(doc finding.Finding, field filter.Field) []string {
	var out []string
	doc.Values(field.Paths[0], func(v any) bool {
		if s, ok := v.(string); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
		return true
	})
	return out
}

// most gives the n values with the most findings. A value that is empty is none.
func most(counts map[string]int64, n int) []GroupCount {
	delete(counts, "")
	out := make([]GroupCount, 0, len(counts))
	for v, n := range counts {
		out = append(out, GroupCount{v, n})
	}
	slices.SortFunc(out, func(a, b GroupCount) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(a.Value, b.Value))
	})
	return out[:min(n, len(out))]
}
