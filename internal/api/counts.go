package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// Counter counts findings.
type Counter interface {
	CountFindings(ctx context.Context, q store.CountQuery) ([]store.FindingCount, error)
	GroupFindings(ctx context.Context, q store.GroupQuery) ([]store.GroupCount, error)
	FindingTrends(ctx context.Context, q store.TrendQuery) (store.Trends, error)
}

// FindingCounts is how many findings there are.
type FindingCounts struct {
	Total  int64          `json:"total"`
	Groups []FindingGroup `json:"groups" nullable:"false" doc:"The greatest first."`
	Others int64          `json:"others" doc:"How many findings are in groups beyond the limit."`
	Hidden int64          `json:"hidden,omitempty" doc:"How many are not counted because their accounts are out of use; all_accounts=true counts them."`
}

// FindingGroup is one group of findings.
type FindingGroup struct {
	Group map[string]string `json:"group" doc:"The value of each attribute that was asked for; values are untrusted text."`
	Count int64             `json:"count"`
}

// FindingTrends is how the number of findings went.
type FindingTrends struct {
	From   string         `json:"from" format:"date" doc:"The first day, UTC: the first that was asked for and recorded."`
	To     string         `json:"to" format:"date" doc:"The last day: today."`
	Hidden int64          `json:"hidden,omitempty" doc:"How many findings that are open now are left out, of all days, because their accounts are out of use; all_accounts=true counts them."`
	Series []FindingTrend `json:"series" nullable:"false" doc:"One for each group, the one with the most active findings first; (others) is what is beyond the limit."`
}

// FindingTrend is one group of findings, day by day.
type FindingTrend struct {
	Group  string     `json:"group" doc:"Untrusted text; empty when there is no grouping."`
	Points []DayPoint `json:"points" nullable:"false"`
}

// DayPoint is one day of one group.
type DayPoint struct {
	Day        string `json:"day" format:"date"`
	Active     int64  `json:"active" doc:"At the end of the day: active, and new or notified."`
	New        int64  `json:"new" doc:"Became active: came, or had been resolved, suppressed or archived."`
	Resolved   int64  `json:"resolved" doc:"Were resolved or archived."`
	Suppressed int64  `json:"suppressed" doc:"Were suppressed."`
}

type (
	countsInput struct {
		FindingSelection
		AccountsOutOfUse
		Group []string `query:"group" maxItems:"4" enum:"severity,account,unit,region,control,workflow,record_state,compliance,product,resource_type" doc:"Attributes to group by, separated by commas; unit is the account's own."`
		Limit int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many groups."`
	}
	countsOutput struct{ Body FindingCounts }
	trendsInput  struct {
		AccountsOutOfUse
		Days     int    `query:"days" minimum:"1" maximum:"3660" default:"90" doc:"How many days, today being the last."`
		Group    string `query:"group" enum:"severity,account,unit,control"`
		Account  string `query:"account" maxLength:"64"`
		Severity string `query:"severity" enum:"INFORMATIONAL,LOW,MEDIUM,HIGH,CRITICAL"`
		Control  string `query:"control" maxLength:"128"`
		Limit    int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"How many groups."`
	}
	trendsOutput struct{ Body FindingTrends }
)

func (a *API) registerCounts() {
	register(a, operation{id: "count-findings", method: http.MethodGet, path: "/v1/findings/counts", summary: "Count findings by several attributes", tag: "findings"}, auth.FindingRead, a.countFindings)
	register(a, operation{id: "get-finding-trends", method: http.MethodGet, path: "/v1/findings/trends", summary: "How the number of findings went, day by day", tag: "findings"}, auth.FindingRead, a.findingTrends)
}

// maxCounted is where the store ends a list of groups.
const maxCounted = 10_000

func (a *API) countFindings(ctx context.Context, p auth.Principal, in *countsInput) (*countsOutput, error) {
	const op = "count findings"
	without, err := a.hides(ctx, p, hiding{show: in.AccountsOutOfUse, in: in.FindingSelection})
	if err != nil {
		return nil, err
	}
	q := store.CountQuery{Accounts: auth.Scope(p), WithoutAccounts: without, Where: in.where()}
	// A unit is of an account: its findings are counted by account, and then together.
	for _, g := range in.Group {
		if g == "unit" {
			g = "account"
		}
		if slices.Contains(q.GroupBy, g) {
			return nil, fault.Errorf(fault.Invalid, op, "an attribute is named twice, or account and unit are both")
		}
		q.GroupBy = append(q.GroupBy, g)
	}
	counts, err := a.cfg.Counter.CountFindings(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(counts) >= maxCounted {
		return nil, fault.Errorf(fault.Invalid, op, "there are more than %d groups", maxCounted).WithHint("group by fewer attributes, or select fewer findings")
	}
	out := FindingCounts{Groups: []FindingGroup{}}
	if out.Hidden, err = a.hidden(ctx, q); err != nil {
		return nil, err
	}
	for _, g := range a.inUnits(counts, in.Group) {
		out.Total += g.N
		switch {
		case len(in.Group) == 0:
		case len(out.Groups) == in.Limit:
			out.Others += g.N
		default:
			one := FindingGroup{Group: map[string]string{}, Count: g.N}
			for i, name := range in.Group {
				one.Group[name] = g.Group[i]
			}
			out.Groups = append(out.Groups, one)
		}
	}
	return &countsOutput{out}, nil
}

// inUnits adds up the groups of the accounts of each unit, when groups are by unit.
func (a *API) inUnits(counts []store.FindingCount, by []string) []store.FindingCount {
	at := slices.Index(by, "unit")
	if at < 0 {
		return counts
	}
	unit := a.unitOf()
	sums := map[string]*store.FindingCount{}
	for _, c := range counts {
		c.Group = slices.Clone(c.Group)
		c.Group[at] = unit(c.Group[at])
		key := strings.Join(c.Group, "\x00")
		if sums[key] == nil {
			sums[key] = &store.FindingCount{Group: c.Group}
		}
		sums[key].N += c.N
	}
	var out []store.FindingCount
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, *sums[key])
	}
	slices.SortStableFunc(out, func(x, y store.FindingCount) int { return cmp.Compare(y.N, x.N) })
	return out
}

// unitOf gives the unit that an account stands in.
func (a *API) unitOf() func(account string) string {
	units := map[string]string{}
	for _, o := range a.cfg.Accounts() {
		units[o.ID] = o.Unit
	}
	return func(account string) string { return cmp.Or(units[account], noUnit) }
}

// others names what is beyond the limit of groups.
const others = "(others)"

func (a *API) findingTrends(ctx context.Context, p auth.Principal, in *trendsInput) (*trendsOutput, error) {
	without, err := a.hides(ctx, p, hiding{show: in.AccountsOutOfUse, in: FindingSelection{Account: in.Account}})
	if err != nil {
		return nil, err
	}
	q := store.TrendQuery{Accounts: auth.Scope(p), WithoutAccounts: without, Days: in.Days, GroupBy: in.Group}
	if in.Group == "unit" {
		q.GroupBy = "account"
	}
	for _, c := range []struct{ column, value string }{{"account", in.Account}, {"severity", in.Severity}, {"control", in.Control}} {
		if c.value != "" {
			q.Where = append(q.Where, store.Condition{Column: c.column, Op: store.OpEqual, Values: []string{c.value}})
		}
	}
	t, err := a.cfg.Counter.FindingTrends(ctx, q)
	if err != nil {
		return nil, err
	}
	if in.Group == "unit" {
		t = t.Merge(a.unitOf())
	}
	groups := t.Groups()
	if len(groups) > in.Limit {
		shown := groups[:in.Limit]
		t = t.Merge(func(g string) string {
			if slices.Contains(shown, g) {
				return g
			}
			return others
		})
		groups = append(slices.Clone(shown), others)
	}
	if len(groups) == 0 && in.Group == "" {
		groups = []string{""}
	}
	hidden, err := a.hidden(ctx, store.CountQuery{WithoutAccounts: without, Where: slices.Concat(isOpen(), q.Where)})
	if err != nil {
		return nil, err
	}
	out := FindingTrends{Hidden: hidden, From: t.From.Format(time.DateOnly), To: t.Today.Format(time.DateOnly), Series: []FindingTrend{}}
	for _, g := range groups {
		one := FindingTrend{Group: g, Points: []DayPoint{}}
		for _, d := range t.Points(g) {
			one.Points = append(one.Points, DayPoint{d.Day.Format(time.DateOnly), d.Active, d.New, d.Resolved, d.Suppressed})
		}
		out.Series = append(out.Series, one)
	}
	return &trendsOutput{out}, nil
}
