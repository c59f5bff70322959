package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
)

func (s *shared) findingCountCommand() *cobra.Command {
	var f client.FindingFilter
	var group []string
	var limit int
	c := &cobra.Command{
		Use: "count", Short: "Count findings by several attributes", Args: cobra.NoArgs,
		Example: "  parry finding count --group severity,workflow\n  parry finding count --group account,severity --state ACTIVE --overdue",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(
				checkLimit(limit), oneOf("--severity", &f.Severity, "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"),
				oneOf("--workflow", &f.Workflow, "NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"), oneOf("--state", &f.RecordState, "ACTIVE", "ARCHIVED"),
				oneOf("--compliance", &f.Compliance, "PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"),
			); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			counts, err := c.CountFindings(cmd.Context(), f, group, min(limit, 1000))
			if err != nil {
				return err
			}
			s.tellHidden(counts.Hidden)
			return s.print(s.Out, counts, func() grid { return countGrid(counts, group) })
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&group, "group", nil, "at most four of severity, account, unit, region, control, workflow, record_state, compliance, product, resource_type")
	flags.StringVar(&f.Account, "account", "", "only this account")
	flags.StringVar(&f.Region, "region", "", "only this region")
	flags.StringVar(&f.Control, "control", "", "only this control, such as S3.8")
	flags.StringVar(&f.Severity, "severity", "", "only INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL")
	flags.StringVar(&f.Workflow, "workflow", "", "only NEW, NOTIFIED, SUPPRESSED or RESOLVED")
	flags.StringVar(&f.RecordState, "state", "", "only ACTIVE or ARCHIVED")
	flags.StringVar(&f.Compliance, "compliance", "", "only PASSED, WARNING, FAILED or NOT_AVAILABLE")
	flags.BoolVar(&f.Overdue, "overdue", false, "only those whose deadline has passed")
	flags.BoolVar(&f.AllAccounts, "all-accounts", false, "also those of accounts that are suspended, closed or no longer in the organization")
	limitFlag(c, &limit)
	return c
}

func countGrid(counts api.FindingCounts, group []string) grid {
	g := grid{note: hiddenText(counts.Hidden)}
	for _, name := range group {
		g.header = append(g.header, strings.ToUpper(name[:1])+strings.ReplaceAll(name[1:], "_", " "))
	}
	g.header = append(g.header, "Findings")
	for _, one := range counts.Groups {
		row := make([]string, 0, len(group)+1)
		for _, name := range group {
			row = append(row, orNone(one.Group[name]))
		}
		g.rows = append(g.rows, append(row, number(one.Count)))
	}
	total := func(name string, n int64) {
		row := make([]string, len(g.header))
		row[0] = name
		row[len(row)-1] = number(n)
		g.rows = append(g.rows, row)
	}
	if counts.Others > 0 {
		total("(others)", counts.Others)
	}
	if len(group) == 0 {
		g.rows = [][]string{{number(counts.Total)}}
	} else if len(g.rows) > 0 {
		total("total", counts.Total)
	}
	return g
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func (s *shared) findingTrendCommand() *cobra.Command {
	q := client.TrendQuery{}
	measure := "active"
	c := &cobra.Command{
		Use: "trend", Short: "Show how the number of findings went, day by day", Args: cobra.NoArgs,
		Long: "Shows for each day (UTC) how many findings were active at its end, that is active, and new or notified; and how many became new,\n" +
			"were resolved and were suppressed. With --group it shows one measure for each group. Days before Parry recorded them are left out.",
		Example: "  parry finding trend --days 30\n  parry finding trend --group account --measure resolved",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--severity", &q.Severity, "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"); err != nil {
				return err
			}
			if !slices.Contains([]string{"", "severity", "account", "unit", "control"}, q.Group) {
				return usage("--group is %q, not severity, account, unit or control", q.Group)
			}
			if !slices.Contains([]string{"active", "new", "resolved", "suppressed"}, measure) {
				return usage("--measure is %q, not active, new, resolved or suppressed", measure)
			}
			if q.Days < 1 || q.Days > 3660 {
				return usage("--days is %d, outside 1 to 3660", q.Days)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			trends, err := c.FindingTrends(cmd.Context(), q)
			if err != nil {
				return err
			}
			s.tellHidden(trends.Hidden)
			return s.print(s.Out, trends, func() grid { return trendGrid(trends, q.Group, measure) })
		},
	}
	flags := c.Flags()
	flags.IntVar(&q.Days, "days", 30, "how many days, today being the last")
	flags.StringVar(&q.Group, "group", "", "severity, account, unit or control")
	flags.StringVar(&measure, "measure", measure, "what is shown of each group: active, new, resolved or suppressed")
	flags.StringVar(&q.Account, "account", "", "only this account")
	flags.StringVar(&q.Severity, "severity", "", "only INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL")
	flags.StringVar(&q.Control, "control", "", "only this control, such as S3.8")
	flags.BoolVar(&q.AllAccounts, "all-accounts", false, "also those of accounts that are suspended, closed or no longer in the organization")
	flags.IntVar(&q.Limit, "groups", 8, "at most this many groups; the others are added up")
	return c
}

// trendGrid has a row for each day: all measures, or one of each group.
func trendGrid(t api.FindingTrends, group, measure string) grid {
	if len(t.Series) == 0 {
		return grid{note: hiddenText(t.Hidden), header: []string{"Day"}}
	}
	g := grid{note: hiddenText(t.Hidden), header: []string{"Day", "Active", "New", "Resolved", "Suppressed"}}
	if group != "" {
		g.header = []string{"Day"}
		for _, s := range t.Series {
			g.header = append(g.header, orNone(s.Group))
		}
	}
	for i, first := range t.Series[0].Points {
		row := []string{first.Day}
		if group == "" {
			row = append(row, number(first.Active), number(first.New), number(first.Resolved), number(first.Suppressed))
		} else {
			for _, s := range t.Series {
				row = append(row, fmt.Sprint(measured(s.Points[i], measure)))
			}
		}
		g.rows = append(g.rows, row)
	}
	return g
}

func measured(p api.DayPoint, measure string) int64 {
	switch measure {
	case "new":
		return p.New
	case "resolved":
		return p.Resolved
	case "suppressed":
		return p.Suppressed
	}
	return p.Active
}
