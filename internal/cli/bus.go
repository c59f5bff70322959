package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
)

func (s *shared) busCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "bus", Short: "Look at the event bus",
		Long: "Everything that happens passes the event bus. Buses, rules and targets are made as in AWS: aws events put-rule --endpoint-url …\n" +
			"(docs/events.md).",
	}
	c.AddCommand(s.busRulesCommand(), s.busTailCommand())
	return c
}

func (s *shared) busRulesCommand() *cobra.Command {
	var on string
	c := listCommand(s, &cobra.Command{
		Use: "rules", Short: "List the rules of a bus, with what they dropped",
		Long: "Dropped are events that a rule matched and did not take, since it last changed or the server started: they had passed too many\n" +
			"rules, or were of a loop. With several servers: those of the one that answers.",
		Example: "  parry bus rules\n  parry bus rules --bus orders -o json",
	}, func(c *client.Client, ctx context.Context, p client.Paging) (api.Page[api.BusRule], error) {
		return c.BusRules(ctx, on, "", p)
	}, func(items []api.BusRule) grid {
		g := grid{header: []string{"Rule", "Enabled", "Targets", "Dropped", "Last", "Why"}}
		for _, r := range items {
			g.rows = append(g.rows, []string{
				r.Bus + "/" + r.Name, yesNo(r.Enabled), strconv.Itoa(len(r.Targets)), strconv.FormatInt(r.Dropped, 10), moment(r.DroppedAt), short(r.DroppedWhy, 80),
			})
		}
		return g
	})
	c.Flags().StringVar(&on, "bus", "", "the `bus` (default: default)")
	return c
}

func (s *shared) busTailCommand() *cobra.Command {
	var on, filter string
	c := &cobra.Command{
		Use: "tail", Short: "Follow events as they pass, one per line", Args: cobra.NoArgs,
		Long: "Prints each event that is put on a bus of the server from now on, as JSON, until it is interrupted. With several servers: those\n" +
			"of the one that answers. Events that came faster than they were read are counted on standard error.",
		Example: "  parry bus tail --pattern '{\"source\":[\"aws.securityhub\"]}'\n  parry bus tail --bus orders --pattern @rule.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := patternText(filter)
			if err != nil {
				return usage("--pattern: %v", err)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			return c.Tail(cmd.Context(), on, text, func(line api.TailLine) error {
				if line.Missed > 0 {
					fmt.Fprintf(s.Err, "%d events were left out here\n", line.Missed)
				}
				if line.Event == nil {
					return nil
				}
				_, err := fmt.Fprintln(s.Out, string(line.Event))
				return err
			})
		},
	}
	c.Flags().StringVar(&on, "bus", "", "only events on this `bus` (default: all)")
	c.Flags().StringVar(&filter, "pattern", "", "only events that match: an event pattern, or @FILE")
	return c
}

// patternText gives text, or what the file holds that it names by @.
func patternText(text string) (string, error) {
	name, isFile := strings.CutPrefix(text, "@")
	if !isFile {
		return text, nil
	}
	raw, err := os.ReadFile(name)
	return string(raw), err
}

func (s *shared) dlqCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dlq", Short: "Look after deliveries of the event bus that were given up",
		Long: "A delivery to a target that failed for good, or for as long as its retry policy says, is kept for 90 days with its reason.",
	}
	c.AddCommand(s.dlqListCommand(), s.dlqRedriveCommand())
	return c
}

// letterFlags are what selects dead letters.
func letterFlags(c *cobra.Command, f *client.DeadLetterFilter) {
	c.Flags().StringVar(&f.Bus, "bus", "", "only of events on this `bus`")
	c.Flags().StringVar(&f.Rule, "rule", "", "only of this rule: `BUS/NAME`, such as default/orders")
	c.Flags().StringVar(&f.Target, "target", "", "only to the target with this `id`")
	c.Flags().StringVar(&f.Code, "code", "", "only with this error `code`, such as NO_PERMISSIONS")
}

func (s *shared) dlqListCommand() *cobra.Command {
	var f client.DeadLetterFilter
	c := listCommand(s, &cobra.Command{
		Use: "list", Short: "List deliveries that were given up, the latest first",
		Long:    "-o json shows the events themselves.",
		Example: "  parry dlq list --rule default/orders\n  parry dlq list --code TIMEOUT -o json",
	}, func(c *client.Client, ctx context.Context, p client.Paging) (api.Page[api.DeadLetter], error) {
		return c.DeadLetters(ctx, f, p)
	}, func(items []api.DeadLetter) grid {
		g := grid{header: []string{"Given up at", "Rule", "Target", "Code", "Attempts", "Reason", "Event", "Id"}}
		for _, d := range items {
			g.rows = append(g.rows, []string{moment(d.GivenUp), d.Rule, d.Target, d.Code, strconv.Itoa(d.Attempts), short(d.Reason, 80), typeOf(d.Event), d.ID})
		}
		return g
	})
	letterFlags(c, &f)
	return c
}

// typeOf tells what an event is, in a few words.
func typeOf(event json.RawMessage) string {
	var e struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return "-"
	}
	return short(e.Source+": "+e.DetailType, 60)
}

func (s *shared) dlqRedriveCommand() *cobra.Command {
	var f client.DeadLetterFilter
	var everything bool
	c := &cobra.Command{
		Use: "redrive [ID...]", Short: "Deliver again what was given up",
		Long:    "The attempts begin anew. What is meant has to be said: ids, a bus, a rule, a target, a code, or --all.",
		Example: "  parry dlq redrive 17\n  parry dlq redrive --rule default/orders --code NO_PERMISSIONS\n  parry dlq redrive --all",
		RunE: func(cmd *cobra.Command, ids []string) error {
			narrowed := f != client.DeadLetterFilter{}
			if len(ids) > 0 == (narrowed || everything) {
				return usage("name ids, or say which with --bus, --rule, --target, --code or --all")
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			r := api.RedriveRequest{IDs: ids, All: everything, Bus: f.Bus, Rule: f.Rule, Target: f.Target, Code: f.Code}
			sum := api.Redriven{}
			for more := true; more; {
				done, err := c.Redrive(cmd.Context(), r)
				if err != nil {
					return err
				}
				sum.Redriven += done.Redriven
				more = done.More && len(ids) == 0
			}
			return s.print(s.Out, sum, func() grid {
				return grid{header: []string{"Delivered again"}, rows: [][]string{{strconv.FormatInt(sum.Redriven, 10)}}}
			})
		},
	}
	letterFlags(c, &f)
	c.Flags().BoolVar(&everything, "all", false, "everything that was given up")
	return c
}
