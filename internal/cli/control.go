package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/control"
)

func (s *shared) controlCommand() *cobra.Command {
	c := &cobra.Command{Use: "control", Short: "See security controls and how they stand"}
	c.AddCommand(s.controlListCommand(), s.controlShowCommand())
	return c
}

func (s *shared) controlListCommand() *cobra.Command {
	var f client.ControlFilter
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List security controls with their status, by id", Args: cobra.NoArgs,
		Long: "Lists the controls of Security Hub, and others that there are findings of, with their status: FAILED when one active finding\n" +
			"is, UNKNOWN when one has no result, PASSED when all passed, NO_DATA without findings. Suppressed findings do not count.",
		Example: "  parry control list --standard cis-5.0 --status FAILED\n  parry control list --service S3 --account 111122223333",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(
				checkLimit(limit), checkStandard(f.Standard), oneOf("--severity", &f.Severity, "LOW", "MEDIUM", "HIGH", "CRITICAL"),
				oneOf("--status", &f.Status, "PASSED", "FAILED", "UNKNOWN", "NO_DATA"),
			); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.Control], error) {
				return c.Controls(ctx, f, p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Control", "Severity", "Status", "Failed", "Findings", "Title", "Standards"}}
				for _, v := range items {
					g.rows = append(g.rows, []string{
						v.ID, v.Severity, string(v.Status), number(v.Findings.Failed), number(v.Findings.Checks()), v.Title, strings.Join(v.Standards, ", "),
					})
				}
				return g
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.Standard, "standard", "", "only those of this standard, with their status in it: "+standardKeys())
	flags.StringVar(&f.Severity, "severity", "", "only LOW, MEDIUM, HIGH or CRITICAL")
	flags.StringVar(&f.Status, "status", "", "only PASSED, FAILED, UNKNOWN or NO_DATA")
	flags.StringVar(&f.Service, "service", "", "only those of this service, such as S3")
	flags.StringVar(&f.Account, "account", "", "how they stand in this account")
	c.Flags().IntVar(&limit, "limit", 1000, fmt.Sprintf("how many to list, at most %d", maxItems))
	return c
}

func (s *shared) controlShowCommand() *cobra.Command {
	var account string
	c := &cobra.Command{
		Use: "show ID", Short: "Show a security control, its standards and where it fails", Args: cobra.ExactArgs(1),
		Example: "  parry control show S3.8",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			d, err := c.Control(cmd.Context(), args[0], account)
			if err != nil {
				return err
			}
			return s.print(s.Out, d, func() grid { return controlGrid(d) })
		},
	}
	c.Flags().StringVar(&account, "account", "", "how it stands in this account")
	return c
}

func controlGrid(d api.ControlDetail) grid {
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	add := func(name, value string) { g.rows = append(g.rows, []string{name, value}) }
	parameters := "no"
	if d.Parameters {
		parameters = "yes"
	}
	add("Control", d.ID)
	add("Title", d.Title)
	add("Severity", d.Severity)
	add("Status", string(d.Status))
	add("Findings", tallied(d.Findings))
	add("Checked", d.Schedule)
	add("Parameters", parameters)
	for _, p := range d.Takes {
		add("Parameter "+p.Name, parameterWords(p))
	}
	add("Remediation", d.RemediationURL)
	for _, in := range d.In {
		value := fmt.Sprintf("%s (%s), rule %s", in.Status, tallied(in.Findings), in.Rule)
		if len(in.Requirements) > 0 {
			value += ", requirement " + strings.Join(in.Requirements, ", ")
		}
		add("In "+in.Standard, value)
	}
	for _, a := range d.Accounts {
		add("Failing in "+a.Account, tallied(a.Findings))
	}
	return g
}

// parameterWords says in words what a parameter may be.
func parameterWords(p api.ControlParameter) string {
	bound := func(n *float64) string { return strconv.FormatFloat(*n, 'f', -1, 64) }
	out := p.Type
	switch {
	case p.Min != nil && p.Max != nil:
		out += ", " + bound(p.Min) + " to " + bound(p.Max)
	case p.Min != nil:
		out += ", at least " + bound(p.Min)
	case p.Max != nil:
		out += ", at most " + bound(p.Max)
	}
	if p.Items > 0 {
		out += fmt.Sprintf(", at most %d items", p.Items)
	}
	if len(p.Allowed) > 0 {
		out += ", of " + strings.Join(p.Allowed, ", ")
	}
	if len(p.Default) == 0 {
		return out + "; no default"
	}
	return out + "; default " + strings.Join(p.Default, ", ")
}

// tallied says in words what findings say.
func tallied(t control.Tally) string {
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{t.Failed, "failed"}, {t.Warning, "warning"}, {t.NotAvailable, "not available"}, {t.Passed, "passed"}, {t.Suppressed, "suppressed"}} {
		if p.n > 0 {
			parts = append(parts, number(p.n)+" "+p.what)
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func standardKeys() string {
	var keys []string
	for _, s := range control.Standards() {
		keys = append(keys, s.Key)
	}
	return strings.Join(keys, ", ")
}

func checkStandard(key string) error {
	if _, ok := control.StandardByKey(key); key == "" || ok {
		return nil
	}
	return usage("--standard %q is not one of %s", key, standardKeys())
}

func (s *shared) scoreCommand() *cobra.Command {
	var q client.ScoreQuery
	var limit int
	c := &cobra.Command{
		Use: "score", Short: "Show the security score", Args: cobra.NoArgs,
		Long: "Shows the security score by AWS's formula: passed controls in percent of those that passed, failed or are unknown, each control\n" +
			"once. Controls without data are left out. It is as of now, not of yesterday.",
		Example: "  parry score --by standard\n  parry score --by account --standard cis-5.0",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkLimit(limit), checkStandard(q.Standard), oneOf("--by", &q.By, "organization", "account", "unit", "standard")); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.SecurityScore], error) {
				return c.Scores(ctx, q, p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Of", "Name", "Score", "Status", "Passed", "Failed", "Unknown", "No data"}}
				for _, v := range items {
					score := "no data"
					if v.Score != nil {
						score = strconv.Itoa(*v.Score) + " %"
					}
					g.rows = append(g.rows, []string{
						v.Name, v.Title, score, string(v.Status), strconv.Itoa(v.Controls.Passed), strconv.Itoa(v.Controls.Failed), strconv.Itoa(v.Controls.Unknown), strconv.Itoa(v.Controls.NoData),
					})
				}
				return g
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&q.By, "by", "organization", "one score for each organization, account, unit or standard")
	flags.StringVar(&q.Standard, "standard", "", "only controls of this standard: "+standardKeys())
	flags.StringVar(&q.Account, "account", "", "only this account")
	limitFlag(c, &limit)
	return c
}
