package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/control"
)

// maxEvidence bounds what is kept of a finding's evidence, in bytes.
const maxEvidence = wideColumn

// evidence gives the column. Evidence that is too long, which no finding of
// Security Hub's has, is none: half of it would be counted wrong.
func (f FindingRecord) evidence() string {
	e := f.Evidence.String()
	if len(e) > maxEvidence || text(e, maxEvidence) != e {
		return ""
	}
	return e
}

// countControls adds n findings that say evidence to the counters of its controls.
func (b *batch) countControls(account, evidence string, n int64) {
	if evidence == "" {
		return
	}
	e := control.ParseEvidence(evidence)
	for _, id := range e.Controls {
		if b.controls == nil {
			b.controls = map[control.Count]int64{}
		}
		b.controls[control.Count{Account: account, Control: id, Set: e.Set(), State: e.State}] += n
	}
}

// controlCounts gives what is added to the counters of controls.
func (t *tx) controlCounts(delta map[control.Count]int64) rollups {
	out := rollups{each: rollup{query: t.s.q.CountAddControlAccount}, all: rollup{query: t.s.q.CountAddControl}}
	sums := map[control.Count]int64{}
	for _, c := range slices.SortedFunc(maps.Keys(delta), compareCounts) {
		if n := delta[c]; n != 0 {
			out.each.rows = append(out.each.rows, []any{c.Account, c.Control, c.Set, c.State, n})
			c.Account = ""
			sums[c] += n
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(sums), compareCounts) {
		if n := sums[c]; n != 0 {
			out.all.rows = append(out.all.rows, []any{c.Control, c.Set, c.State, n})
		}
	}
	return out
}

func compareCounts(a, b control.Count) int {
	return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Control, b.Control), strings.Compare(a.Set, b.Set), strings.Compare(a.State, b.State))
}

// ControlQuery asks what findings say about controls, from the counters that the
// commits keep.
type ControlQuery struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	// Account is the only one asked for; "" is all in the scope.
	Account string
	// Control is the only one asked for, as the catalogue spells it; "" is all.
	Control string
	// ByAccount gives the counters of each account, in the order of accounts, those
	// after After; without it those of all accounts together.
	ByAccount bool
	After     string
}

// ControlCounts gives the counters to yield, one by one, until it answers an
// error, which is the answer then. With a million findings there are a few
// thousand; by account, hundreds for each.
func (s *Store) ControlCounts(ctx context.Context, q ControlQuery, yield func(control.Count) error) error {
	const op = "count controls"
	query, args, err := s.controlQuery(op, q)
	if err != nil {
		return err
	}
	rows, err := s.findings.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return s.fail(op, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c control.Count
		if err := rows.Scan(&c.Account, &c.Control, &c.Set, &c.State, &c.N); err != nil {
			return s.fail(op, err)
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return s.fail(op, rows.Err())
}

func (s *Store) controlQuery(op string, q ControlQuery) (string, []any, error) {
	b := builder{columns: controlColumn}
	if err := b.scope(op, q.Accounts); err != nil {
		return "", nil, err
	}
	b.and("f.n > 0")
	for _, c := range []struct {
		column string
		op     Op
		value  string
	}{{"account", OpEqual, q.Account}, {"control", OpEqual, q.Control}, {"account", OpGreater, q.After}} {
		if c.value == "" {
			continue
		}
		if err := b.conditions([]Condition{{Column: c.column, Op: c.op, Values: []string{c.value}}}); err != nil {
			return "", nil, err
		}
	}
	switch {
	case q.ByAccount:
		return s.q.CountControlAccount + b.sql() + " ORDER BY f.account, f.control, f.standards, f.state", b.args, nil
	case q.Account == "" && slices.Contains(q.Accounts, everyAccount):
		return s.q.CountControl + b.sql(), b.args, nil
	}
	return s.q.CountControlAccounts + b.sql() + " GROUP BY f.control, f.standards, f.state", b.args, nil
}

// controlColumn is the allow-list of the counters.
func controlColumn(name string) (columnType, int) {
	switch name {
	case "account", "control":
		return textColumn, narrowColumn
	}
	return 0, 0
}
