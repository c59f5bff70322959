package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/triage"
)

func (s *shared) rulePreviewCommand() *cobra.Command {
	var file string
	var scan, version int
	c := &cobra.Command{
		Use: "preview [RULE]", Short: "Show what a rule would do to the findings that are stored; nothing is written", Args: cobra.MaximumNArgs(1),
		Long: "Looks through the stored findings, the latest update first, as if their providers sent them now: which ones meet the\n" +
			"criteria, and what the action would change. The rule is one that is stored, or one of a file that is not.",
		Example: "  parry rule preview --file suppress.yaml\n  parry rule preview 'Suppress sandbox' --scan 200000",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (file == "") {
				return misused(errNoRule)
			}
			q := api.PreviewRuleRequest{Scan: scan, Version: version}
			if file != "" {
				docs, err := s.readDocuments(file)
				if err != nil {
					return err
				}
				if len(docs) > 1 {
					return usage("--file %s holds %d rules, and one is previewed at a time", file, len(docs))
				}
				q.Document = docs[0]
				c, err := s.client()
				if err != nil {
					return err
				}
				return s.preview(cmd.Context(), c, q)
			}
			return s.withRule(cmd.Context(), args[0], func(c *client.Client, r api.AutomationRuleDetail) error {
				q.Key = r.Key
				return s.preview(cmd.Context(), c, q)
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "`FILE` with a rule that is not stored, JSON or YAML, - for standard input")
	c.Flags().IntVar(&scan, "scan", 50_000, fmt.Sprintf("how many findings to look at, at most %d", triage.MaxPreview))
	c.Flags().IntVar(&version, "api-version", 1, "of the rule in --file: 1 (ASFF) or 2 (OCSF)")
	return c
}

// explainStored shows why an automation rule applies to a stored finding or not.
func (s *shared) explainStored(ctx context.Context, rule, subject string) (matched bool, err error) {
	err = s.withRule(ctx, rule, func(c *client.Client, r api.AutomationRuleDetail) error {
		f, err := findFinding(ctx, c, subject)
		if err != nil {
			return err
		}
		answer, err := c.ExplainFinding(ctx, finding.ID{ProductArn: f.ProductArn, Id: f.ID}, api.FilterQuestion{Rule: r.Key})
		if err != nil {
			return err
		}
		matched = answer.Matched
		if err := s.print(s.Out, answer, func() grid { return explainGrid(answer) }); err != nil {
			return err
		}
		s.sumExplained(r, answer)
		return nil
	})
	return matched, err
}

func (s *shared) sumExplained(r api.AutomationRuleDetail, answer api.FilterAnswer) {
	if !answer.Matched {
		fmt.Fprintln(s.Err, "the rule does not apply to the finding")
		return
	}
	what := "nothing that is not so already"
	switch n := len(answer.Updates); {
	case n == 1:
		what = "1 field"
	case n > 1:
		what = fmt.Sprintf("%d fields", n)
	}
	fmt.Fprintf(s.Err, "the rule applies to the finding and would change %s; it is %s\n", what, r.Status)
	for _, u := range answer.Updates {
		fmt.Fprintf(s.Err, "  %s: %s -> %s\n", u.UpdatedField, short(printable(u.OldValue), 40), short(printable(u.NewValue), 40))
	}
}

func (s *shared) preview(ctx context.Context, c *client.Client, q api.PreviewRuleRequest) error {
	out, err := c.PreviewRule(ctx, q)
	if err != nil {
		return err
	}
	if s.format == "table" && s.query == "" {
		fmt.Fprintln(s.Err, previewSummary(out))
	}
	return s.print(s.Out, out, func() grid {
		g := grid{header: []string{"Account", "Title", "Field", "From", "To", "Id"}}
		for _, e := range out.Examples {
			for _, u := range e.Updates {
				g.rows = append(g.rows, []string{e.Account, short(e.Title, 50), u.UpdatedField, short(u.OldValue, 40), short(u.NewValue, 40), e.Finding.Id})
			}
		}
		return g
	})
}

func previewSummary(p triage.Preview) string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		fields = append(fields, fmt.Sprintf("%s on %d", name, p.Fields[name]))
	}
	text := fmt.Sprintf("%d findings looked at, %d match, %d would change", p.Scanned, p.Matched, p.Changed)
	if len(fields) > 0 {
		text += ": " + strings.Join(fields, ", ")
	}
	if !p.Complete {
		text += "; there are more findings: --scan looks at up to " + strconv.Itoa(triage.MaxPreview)
	}
	return text
}

func (s *shared) ruleRunCommand() *cobra.Command {
	var accounts []string
	var wait bool
	c := &cobra.Command{
		Use: "run RULE", Short: "Apply a rule to the findings that are stored", Args: cobra.ExactArgs(1),
		Long: "Rules apply to findings that come in. This applies one, enabled or not, to what is stored, in the background and in\n" +
			"small commits; every change stands in the finding's history and makes an event. Look at parry rule preview first.",
		Example: "  parry rule run 'Suppress sandbox' --account 111122223333 --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRule(cmd.Context(), args[0], func(c *client.Client, r api.AutomationRuleDetail) error {
				run, err := c.RunRule(cmd.Context(), r.Key, accounts)
				if err != nil {
					return err
				}
				if wait {
					if run, err = awaitRun(cmd.Context(), c, run); err != nil {
						return err
					}
				}
				if err := s.printRuns(run, []triage.RuleRun{run}); err != nil {
					return err
				}
				if run.State == triage.RunFailed {
					return exit(ExitFailing, nil)
				}
				return nil
			})
		},
	}
	c.Flags().StringSliceVar(&accounts, "account", nil, "only findings of this account; may be repeated")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it has ended")
	return c
}

func awaitRun(ctx context.Context, c *client.Client, run triage.RuleRun) (triage.RuleRun, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for run.State == triage.RunRunning {
		select {
		case <-ctx.Done():
			return run, context.Cause(ctx)
		case <-tick.C:
		}
		var err error
		if run, err = c.RuleRun(ctx, run.ID); err != nil {
			return run, err
		}
	}
	return run, nil
}

func (s *shared) printRuns(value any, runs []triage.RuleRun) error {
	return s.print(s.Out, value, func() grid {
		g := grid{header: []string{"Run", "Rule", "State", "Scanned", "Matched", "Changed", "Skipped", "By", "Began", "Ended"}}
		for _, r := range runs {
			state := string(r.State)
			if r.Error != "" {
				state += ": " + r.Error
			}
			g.rows = append(g.rows, []string{
				r.ID, short(r.Name, 50), state, strconv.FormatInt(r.Scanned, 10), strconv.FormatInt(r.Matched, 10), strconv.FormatInt(r.Changed, 10),
				strconv.FormatInt(r.Skipped, 10), r.RequestedBy, moment(r.CreatedAt), moment(r.EndedAt),
			})
		}
		return g
	})
}

func (s *shared) ruleRunsCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "runs [RULE]", Short: "List runs of a rule, or of all, the latest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			key := ""
			if len(args) == 1 {
				r, err := findRule(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				key = r.Key
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[triage.RuleRun], error) {
				return c.RuleRuns(ctx, key, p)
			})
			if err != nil {
				return err
			}
			return s.printRuns(items, items)
		},
	}
	limitFlag(c, &limit)
	return c
}

func (s *shared) ruleCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cancel RUN", Short: "End a run; what it changed stays", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			run, err := c.CancelRuleRun(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.printRuns(run, []triage.RuleRun{run})
		},
	}
}
