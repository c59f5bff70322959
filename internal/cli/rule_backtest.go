package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/route"
)

func (s *shared) ruleBacktestCommand() *cobra.Command {
	var q api.BacktestQuestion
	var draft, file string
	c := &cobra.Command{
		Use: "backtest --archive ARCHIVE", Short: "Tell what a draft rule would have done to archived events; nothing is done", Args: cobra.NoArgs,
		Long: "Holds a draft against the events that an archive kept in the last days: an event pattern (--pattern), with the playbooks that it\n" +
			"would send to, or an automation rule (--file). It tells what would have matched, in which accounts, and which plans would have been\n" +
			"asked for, each finding once. What the plans would hold depends on what AWS had then, so none is made.",
		Example: "  parry rule backtest --archive findings --days 30 --pattern @rule.json --playbook S3.8\n  parry rule backtest --archive findings --file suppress.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Archive == "" || (draft == "") == (file == "") {
				return usage("--archive is required, and either --pattern or --file")
			}
			if file != "" {
				docs, err := s.readDocuments(file)
				if err != nil {
					return err
				}
				if len(docs) != 1 {
					return usage("--file %s holds %d rules, and one is tested at a time", file, len(docs))
				}
				q.Rule = docs[0]
			} else {
				text, err := patternText(draft)
				if err != nil {
					return usage("--pattern: %v", err)
				}
				if err := json.Unmarshal([]byte(text), &q.Pattern); err != nil {
					return usage("--pattern is no JSON object: %v", err)
				}
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			answer, err := c.Backtest(cmd.Context(), q)
			if err != nil {
				return err
			}
			if err := s.print(s.Out, answer, func() grid { return backtestGrid(q, answer) }); err != nil {
				return err
			}
			s.sumBacktest(q, answer)
			return nil
		},
	}
	c.Flags().StringVar(&q.Archive, "archive", "", "the `archive` whose events are looked at: parry archive list")
	c.Flags().IntVar(&q.Days, "days", 7, "how many `days` back")
	c.Flags().StringVar(&draft, "pattern", "", "an event pattern, or @FILE")
	c.Flags().StringSliceVar(&q.Playbooks, "playbook", nil, "to which the rule would send; * is what answers the finding's control; may be repeated")
	c.Flags().StringVar(&file, "file", "", "`FILE` with an automation rule, JSON or YAML, - for standard input")
	c.Flags().IntVar(&q.Version, "api-version", 1, "of the automation rule: 1 (ASFF) or 2 (OCSF)")
	return c
}

// backtestGrid shows the plans that would have been asked for; of a rule that asks for none
// the accounts that it would have touched.
func backtestGrid(q api.BacktestQuestion, b route.Backtest) grid {
	if len(q.Playbooks) > 0 {
		g := grid{header: []string{"First at", "Playbook", "Account", "Region", "Control", "Resource", "Title"}}
		for _, p := range b.Planned {
			g.rows = append(g.rows, []string{moment(p.At), p.Playbook, p.Account, p.Region, p.Control, shortARN(p.Resource), short(p.Title, 60)})
		}
		return g
	}
	g := grid{header: []string{"Account", "Events"}}
	for _, account := range b.Top() {
		g.rows = append(g.rows, []string{account, strconv.Itoa(b.Accounts[account])})
	}
	return g
}

func (s *shared) sumBacktest(q api.BacktestQuestion, b route.Backtest) {
	fmt.Fprintf(s.Err, "%d of %d archived events match; accounts: %d\n", b.Matched, b.Scanned, len(b.Accounts))
	if len(q.Playbooks) > 0 {
		fmt.Fprintf(s.Err, "%d plans would have been asked for; nothing was\n", b.Plans)
	}
	for _, why := range slices.Sorted(maps.Keys(b.NotPlans)) {
		fmt.Fprintf(s.Err, "  no plan for %d: %s\n", b.NotPlans[why], short(why, 100))
	}
	if q.Rule != nil {
		fmt.Fprintf(s.Err, "%d findings would have been changed\n", b.Changed)
		for _, field := range slices.Sorted(maps.Keys(b.Fields)) {
			fmt.Fprintf(s.Err, "  %s: %d\n", field, b.Fields[field])
		}
	}
	if b.Unjudged > 0 {
		fmt.Fprintf(s.Err, "%d events could not be judged\n", b.Unjudged)
	}
	if !b.Complete {
		fmt.Fprintf(s.Err, "not all were looked at, only until %s: take fewer days\n", moment(b.Until))
	}
}
