package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
)

func (s *shared) guardCommand() *cobra.Command {
	c := &cobra.Command{Use: "guard", Short: "What no plan passes, and how much of the budgets is used"}
	var offline bool
	show := &cobra.Command{
		Use: "show", Short: "List the guards and budgets in force",
		Long: "Lists what is refused whatever was approved: the default denies, the deny and allow rules of guards, and the budgets\n" +
			"with what is used of them. Asks the server; with --offline it reads the configuration file alone, which knows of no use.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := s.guards(cmd, offline)
			if err != nil {
				return err
			}
			return s.print(s.Out, report, func() grid { return guardGrid(report) })
		},
	}
	show.Flags().BoolVar(&offline, "offline", false, "from the configuration file, without a server")
	c.AddCommand(show)
	return c
}

func (s *shared) guards(cmd *cobra.Command, offline bool) (api.GuardReport, error) {
	if offline {
		cfg, err := config.Load(s.config)
		return app.GuardReport(cfg), err
	}
	c, err := s.client()
	if err != nil {
		return api.GuardReport{}, err
	}
	return c.Guards(cmd.Context())
}

func guardGrid(r api.GuardReport) grid {
	g := grid{header: []string{"Kind", "Name", "What", "Decided by"}}
	for _, d := range r.Defaults {
		g.rows = append(g.rows, []string{"default deny", d.Guard, d.What, d.Setting})
	}
	for _, rule := range r.Deny {
		g.rows = append(g.rows, []string{"deny", rule.ID, described(rule.Selection(), rule.Reason), "guards.deny"})
	}
	for _, rule := range r.Allow {
		g.rows = append(g.rows, []string{"allow", rule.ID, described(rule.Selection(), rule.Reason), "guards.allow"})
	}
	for _, l := range r.Limits {
		g.rows = append(g.rows, []string{"budget", l.Name, fmt.Sprintf("at most %d changes", l.Limit), "guards.budgets"})
	}
	for _, u := range r.Used {
		what := fmt.Sprintf("%d of %d, until %s", u.Used, u.Limit, u.FreesAt.Format(time.RFC3339))
		if u.Key != "" {
			what = u.Key + ": " + what
		}
		g.rows = append(g.rows, []string{"used", u.Name, what, ""})
	}
	return g
}

func described(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + " (" + reason + ")"
}
