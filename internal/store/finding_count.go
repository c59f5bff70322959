package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// CountQuery asks how many findings there are. From the counters that the commits
// keep it costs the same for a thousand findings as for a million.
type CountQuery struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	// The counters know account, region, control, severity, workflow and record_state.
	// Where may name any other column too, and GroupBy others that hold text: then the
	// findings are counted.
	Where   []Condition
	GroupBy []string
	// WithoutAccounts, MainOnly and Exception are those of FindingQuery. With the latter
	// two the findings are counted.
	WithoutAccounts []string
	MainOnly        bool
	Exception       string
}

// FindingCount is one group: the values of GroupBy in its order, and how many.
type FindingCount struct {
	Group []string
	N     int64
}

// maxGroups bounds an answer of CountFindings.
const maxGroups = 10_000

// CountFindings gives the groups that have findings, the greatest first, at most
// 10,000. Without GroupBy it is one group, also when that is empty.
func (s *Store) CountFindings(ctx context.Context, q CountQuery) ([]FindingCount, error) {
	counts, err := s.countFindings(ctx, s.findings.Read, q)
	return counts, s.fail("count findings", err)
}

func (s *Store) countFindings(ctx context.Context, r querier, q CountQuery) ([]FindingCount, error) {
	const op = "count findings"
	b, sum := builder{columns: countColumn, dialect: s.dialect}, "SUM(f.n)"
	page := s.rollup(q)
	if page == s.q.FindingTotal {
		b.columns, sum = findingColumn, "COUNT(*)"
	}
	if err := b.scope(op, q.Accounts); err != nil {
		return nil, err
	}
	if err := b.without(op, q.WithoutAccounts); err != nil {
		return nil, err
	}
	if err := b.conditions(q.Where); err != nil {
		return nil, err
	}
	if q.MainOnly {
		b.where = append(b.where, mainOnly())
	}
	b.excepted(q.Exception)
	var groups []string
	for _, g := range q.GroupBy {
		if !groupable(g) || slices.Contains(groups, "f."+g) {
			return nil, invalid(op, "cannot group by %q", g)
		}
		groups = append(groups, "f."+g)
	}
	query := page + b.sql()
	if len(groups) > 0 {
		by := strings.Join(groups, ", ")
		query = strings.Replace(query, " FROM ", ", "+by+" FROM ", 1) +
			" GROUP BY " + by + " HAVING " + sum + " > 0 ORDER BY 1 DESC, " + by + " LIMIT " + b.arg(int64(maxGroups))
	}
	return collect(ctx, r, query, b.args, func(r scanner) (FindingCount, error) {
		c := FindingCount{Group: make([]string, len(groups))}
		var n *int64 // no rows: the sum is null
		dest := []any{&n}
		for i := range c.Group {
			dest = append(dest, &c.Group[i])
		}
		err := r.Scan(dest...)
		if n != nil {
			c.N = *n
		}
		return c, err
	})
}

func groupable(column string) bool {
	kind, _ := findingColumn(column)
	return kind == textColumn
}

// rollup gives the statement over the smallest counters that can answer q, or over
// the findings themselves.
func (s *Store) rollup(q CountQuery) string {
	asked := askedColumns(q.Accounts, q.GroupBy, q.Where)
	if len(q.WithoutAccounts) > 0 {
		asked = append(asked, "account")
	}
	switch {
	case q.MainOnly || q.Exception != "" || slices.ContainsFunc(asked, func(c string) bool { kind, _ := countColumn(c); return kind == 0 }):
		return s.q.FindingTotal
	case !slices.Contains(asked, "account"):
		return s.q.CountPageKind
	case !slices.Contains(asked, "region") && !slices.Contains(asked, "control"):
		return s.q.CountPageAccount
	}
	return s.q.CountPage
}

// askedColumns gives the columns that a question is about, the scope's among them.
func askedColumns(accounts, groups []string, where []Condition) []string {
	asked := slices.Clone(groups)
	if !slices.Contains(accounts, everyAccount) {
		asked = append(asked, "account")
	}
	var columns func(all []Condition)
	columns = func(all []Condition) {
		for _, c := range all {
			if len(c.Or)+len(c.And) == 0 {
				asked = append(asked, c.Column)
			}
			columns(c.Or)
			columns(c.And)
		}
	}
	columns(where)
	return asked
}

func (s *Store) unpackJSON(frame []byte, v any) error {
	raw, err := s.docs.unpackEntry(frame)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}
