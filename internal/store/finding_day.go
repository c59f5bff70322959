package store

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// standing is how a finding counts in trends.
type standing int

const (
	absent     standing = iota
	active              // somebody has to deal with it: active, and new or notified
	suppressed          // active and suppressed
	closed              // resolved or archived
)

func (k kind) standing() standing {
	switch {
	case k == kind{}:
		return absent
	case k.recordState != string(finding.Active):
		return closed
	case k.workflow == string(finding.New), k.workflow == string(finding.Notified):
		return active
	case k.workflow == string(finding.Suppressed):
		return suppressed
	}
	return closed
}

// cell is what the counters of a day tell findings apart by.
type cell struct{ account, control, severity string }

func (c cell) compare(d cell) int {
	return cmp.Or(strings.Compare(c.account, d.account), strings.Compare(c.control, d.control), strings.Compare(c.severity, d.severity))
}

// DayCount is what changed on a day.
type DayCount struct {
	// Active is by how much the active findings became more, or less.
	Active int64
	// New became active: they came, or had been closed or suppressed. Resolved were
	// closed after they had been active or suppressed; Suppressed became so.
	New, Resolved, Suppressed int64
}

func (d *DayCount) add(e DayCount) {
	d.Active, d.New, d.Resolved, d.Suppressed = d.Active+e.Active, d.New+e.New, d.Resolved+e.Resolved, d.Suppressed+e.Suppressed
}

// move enters what became of a finding in the counters of today: from is the zero
// kind of one that is new, to of one that is removed, which is neither resolved nor
// anything else but gone.
func (b *batch) move(from, to kind) {
	was, is := from.standing(), to.standing()
	at := func(k kind) cell { return cell{k.account, k.control, k.severity} }
	if was == is && at(from) == at(to) {
		return
	}
	enter := func(k kind, d DayCount) {
		if b.days == nil {
			b.days = map[cell]DayCount{}
		}
		c := b.days[at(k)]
		c.add(d)
		b.days[at(k)] = c
	}
	if was == active {
		enter(from, DayCount{Active: -1})
	}
	switch is {
	case active:
		d := DayCount{Active: 1}
		if was != active {
			d.New = 1
		}
		enter(to, d)
	case suppressed:
		if was != suppressed {
			enter(to, DayCount{Suppressed: 1})
		}
	case closed:
		if was == active || was == suppressed {
			enter(to, DayCount{Resolved: 1})
		}
	case absent:
	}
}

const day = 24 * time.Hour

// dayOf numbers the days since 1970, UTC.
func dayOf(t time.Time) int64 {
	n := t.UnixMicro() / day.Microseconds()
	if t.UnixMicro()%day.Microseconds() < 0 {
		n--
	}
	return n
}

// dayCounts gives what is added to the counters of today.
func (t *tx) dayCounts(today int64, delta map[cell]DayCount) rollups {
	sum := func(query string, part func(c cell) cell, key func(c cell) []any) rollup {
		sums := map[cell]DayCount{}
		for c, d := range delta {
			one := sums[part(c)]
			one.add(d)
			sums[part(c)] = one
		}
		r := rollup{query: query}
		for _, c := range slices.SortedFunc(maps.Keys(sums), cell.compare) {
			if d := sums[c]; d != (DayCount{}) {
				r.rows = append(r.rows, append(key(c), d.Active, d.New, d.Resolved, d.Suppressed))
			}
		}
		return r
	}
	q := t.s.q
	return rollups{
		each:     sum(q.DayAdd, func(c cell) cell { return c }, func(c cell) []any { return []any{c.account, today, c.control, c.severity} }),
		accounts: sum(q.DayAddAccount, func(c cell) cell { c.control = ""; return c }, func(c cell) []any { return []any{today, c.account, c.severity} }),
		all:      sum(q.DayAddKind, func(c cell) cell { c.account = ""; return c }, func(c cell) []any { return []any{today, c.control, c.severity} }),
	}
}

// TrendQuery asks how the number of findings went day by day, from the counters that
// the commits keep.
type TrendQuery struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	// WithoutAccounts are left out of all days, at most MaxWithout.
	WithoutAccounts []string
	// Days is how far back: 1 is today alone. At most 3,660.
	Days int
	// Where and GroupBy ("" is one group) know account, control and severity.
	Where   []Condition
	GroupBy string
}

const maxTrendDays = 3660

// Trends are the answer: what is active now, and what changed on each day.
type Trends struct {
	// Today is the last day, From the first that was asked for and recorded.
	From, Today time.Time
	// Now counts the active findings of each group.
	Now map[string]int64
	// Changes are by group and by day, days without changes left out.
	Changes map[string]map[time.Time]DayCount
}

// FindingTrends reads the counters as of one moment.
func (s *Store) FindingTrends(ctx context.Context, q TrendQuery) (Trends, error) {
	const op = "read trends"
	if q.Days < 1 || q.Days > maxTrendDays {
		return Trends{}, invalid(op, "%d days are outside 1 to %d", q.Days, maxTrendDays)
	}
	today := dayOf(s.now())
	raw, err := s.findings.Read.BeginTx(ctx, s.dialect.Snapshot)
	if err != nil {
		return Trends{}, s.fail(op, err)
	}
	t, err := s.trends(ctx, raw, q, today)
	return t, s.fail(op, errors.Join(err, raw.Rollback()))
}

func (s *Store) trends(ctx context.Context, r querier, q TrendQuery, today int64) (Trends, error) {
	since, err := one(ctx, r, s.q.DaySince, []any{today}, scanInt)
	if err != nil {
		return Trends{}, err
	}
	// A clock that went back must not hide what was recorded ahead of it.
	from := max(min(since, today), today-int64(q.Days)+1)
	t := Trends{From: dayTime(from), Today: dayTime(today), Now: map[string]int64{}, Changes: map[string]map[time.Time]DayCount{}}
	group := []string{}
	if q.GroupBy != "" {
		group = append(group, q.GroupBy)
	}
	now, err := s.countFindings(ctx, r, CountQuery{Accounts: q.Accounts, WithoutAccounts: q.WithoutAccounts, Where: slices.Concat(openFindings(), q.Where), GroupBy: group})
	if err != nil {
		return t, err
	}
	for _, c := range now {
		t.Now[strings.Join(c.Group, "")] = c.N
	}
	query, args, err := s.trendQuery(q, from)
	if err != nil {
		return t, err
	}
	_, err = collect(ctx, r, query, args, func(r scanner) (struct{}, error) {
		var n int64
		var d DayCount
		name := ""
		dest := []any{&n, &d.Active, &d.New, &d.Resolved, &d.Suppressed}
		if q.GroupBy != "" {
			dest = append(dest, &name)
		}
		err := r.Scan(dest...)
		if t.Changes[name] == nil {
			t.Changes[name] = map[time.Time]DayCount{}
		}
		sum := t.Changes[name][dayTime(min(n, today))]
		sum.add(d)
		t.Changes[name][dayTime(min(n, today))] = sum
		return struct{}{}, err
	})
	return t, err
}

func dayTime(n int64) time.Time { return time.UnixMicro(n * day.Microseconds()).UTC() }

// trendQuery reads the smallest counters that can answer q.
func (s *Store) trendQuery(q TrendQuery, from int64) (string, []any, error) {
	const op = "read trends"
	b := builder{columns: trendColumn, dialect: s.dialect}
	if err := b.scope(op, q.Accounts); err != nil {
		return "", nil, err
	}
	if err := b.without(op, q.WithoutAccounts); err != nil {
		return "", nil, err
	}
	if err := b.conditions(q.Where); err != nil {
		return "", nil, err
	}
	if kind, _ := trendColumn(q.GroupBy); q.GroupBy != "" && kind == 0 {
		return "", nil, invalid(op, "cannot group by %q", q.GroupBy)
	}
	asked := askedColumns(q.Accounts, []string{q.GroupBy}, q.Where)
	if len(q.WithoutAccounts) > 0 {
		asked = append(asked, "account")
	}
	table := s.q.DayPage
	switch {
	case !slices.Contains(asked, "account"):
		table = s.q.DayPageKind
	case !slices.Contains(asked, "control"):
		table = s.q.DayPageAccount
	}
	b.and("f.day >= %s", b.arg(from))
	by := "f.day"
	if q.GroupBy != "" {
		by += ", f." + q.GroupBy
		table = strings.Replace(table, " FROM ", ", f."+q.GroupBy+" FROM ", 1)
	}
	return table + b.sql() + " GROUP BY " + by, b.args, nil
}

// trendColumn is the allow-list of the counters of days.
func trendColumn(name string) (columnType, int) {
	switch name {
	case "account", "control", "severity":
		return textColumn, narrowColumn
	}
	return 0, 0
}

// pruneDays forgets days.
func (s *Store) pruneDays(ctx context.Context, before time.Time) (int64, error) {
	if before.IsZero() {
		return 0, nil
	}
	var total int64
	for _, query := range []string{s.q.DayPrune, s.q.DayPruneKind, s.q.DayPruneAccount} {
		n, err := s.pruneRows(ctx, Findings, query, dayOf(before), int64(pruneChunk))
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// Point is how many findings there were on a day.
type Point struct {
	Day time.Time
	// Active is at the end of the day.
	Active                    int64
	New, Resolved, Suppressed int64
}

// Points gives the days of one group, the first first.
func (t Trends) Points(group string) []Point {
	var out []Point
	left := t.Now[group]
	for d := t.Today; !d.Before(t.From); d = d.Add(-day) {
		c := t.Changes[group][d]
		out = append(out, Point{Day: d, Active: left, New: c.New, Resolved: c.Resolved, Suppressed: c.Suppressed})
		left -= c.Active
	}
	slices.Reverse(out)
	return out
}

// Merge gives the trends of coarser groups: name gives the group that one is of.
func (t Trends) Merge(name func(group string) string) Trends {
	out := Trends{From: t.From, Today: t.Today, Now: map[string]int64{}, Changes: map[string]map[time.Time]DayCount{}}
	for g, n := range t.Now {
		out.Now[name(g)] += n
	}
	for g, days := range t.Changes {
		to := out.Changes[name(g)]
		if to == nil {
			to = map[time.Time]DayCount{}
			out.Changes[name(g)] = to
		}
		for d, c := range days {
			sum := to[d]
			sum.add(c)
			to[d] = sum
		}
	}
	return out
}

// Groups gives the names of all groups, those with the most active findings first.
func (t Trends) Groups() []string {
	all := maps.Clone(t.Now)
	for g := range t.Changes {
		all[g] += 0
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), strings.Compare(a, b))
	})
}
