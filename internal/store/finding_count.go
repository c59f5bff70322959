package store

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// CountQuery asks how many findings there are, from the counters that the
// commits keep: it costs the same for a thousand findings as for a million.
type CountQuery struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	// Where and GroupBy know account, region, control, severity, workflow and
	// record_state.
	Where   []Condition
	GroupBy []string
}

// FindingCount is one group: the values of GroupBy in its order, and how many.
type FindingCount struct {
	Group []string
	N     int64
}

// maxGroups bounds an answer of CountFindings.
const maxGroups = 10_000

// CountFindings gives the groups that have findings, the greatest first.
// Without GroupBy it is one group, also when that is empty.
func (s *Store) CountFindings(ctx context.Context, q CountQuery) ([]FindingCount, error) {
	const op = "count findings"
	b := builder{columns: countColumn, dialect: s.dialect}
	if err := b.scope(op, q.Accounts); err != nil {
		return nil, err
	}
	if err := b.conditions(q.Where); err != nil {
		return nil, err
	}
	var groups []string
	for _, g := range q.GroupBy {
		if kind, _ := countColumn(g); kind == 0 || slices.Contains(groups, "f."+g) {
			return nil, invalid(op, "cannot group by %q", g)
		}
		groups = append(groups, "f."+g)
	}
	query := s.rollup(q) + b.sql()
	if len(groups) > 0 {
		by := strings.Join(groups, ", ")
		query = strings.Replace(query, " FROM ", ", "+by+" FROM ", 1) +
			" GROUP BY " + by + " HAVING SUM(f.n) > 0 ORDER BY 1 DESC, " + by + " LIMIT " + b.arg(int64(maxGroups))
	}
	counts, err := collect(ctx, s.findings.Read, query, b.args, func(r scanner) (FindingCount, error) {
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
	return counts, s.fail(op, err)
}

// rollup gives the statement over the smallest counters that can answer q.
func (s *Store) rollup(q CountQuery) string {
	asked := slices.Clone(q.GroupBy)
	if !slices.Contains(q.Accounts, everyAccount) {
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
	columns(q.Where)
	switch {
	case !slices.Contains(asked, "account"):
		return s.q.CountPageKind
	case !slices.Contains(asked, "region") && !slices.Contains(asked, "control"):
		return s.q.CountPageAccount
	}
	return s.q.CountPage
}

func (s *Store) unpackJSON(frame []byte, v any) error {
	raw, err := s.docs.unpackEntry(frame)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}
