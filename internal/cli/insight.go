package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
)

func (s *shared) insightCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "insight", Short: "Ask saved questions about findings: insights",
		Long: "An insight counts the findings that its filters select by an attribute. There are those that AWS manages, Parry's own and custom\n" +
			"ones. INSIGHT is the key of one, its ARN, or its name where no other has it.",
	}
	c.AddCommand(s.insightListCommand(), s.insightShowCommand(), s.insightResultsCommand(), s.insightCreateCommand(), s.insightDeleteCommand(), s.insightActionCommand())
	return c
}

func (s *shared) insightListCommand() *cobra.Command {
	kind := "all"
	c := &cobra.Command{
		Use: "list", Short: "List insights", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kind != "all" && kind != "custom" && kind != "managed" {
				return usage("--kind is %q, not all, custom or managed", kind)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := allInsights(cmd.Context(), c, kind)
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Key", "Name", "Grouped by", "Of"}}
				for _, i := range items {
					g.rows = append(g.rows, []string{i.Key, i.Name, i.GroupBy, insightOwner(i)})
				}
				return g
			})
		},
	}
	c.Flags().StringVar(&kind, "kind", kind, "all, custom or managed")
	return c
}

func insightOwner(i api.Insight) string {
	switch {
	case !i.Managed:
		return i.CreatedBy
	case strings.Contains(i.ARN, ":insight/parry/"):
		return "Parry"
	}
	return "AWS"
}

func allInsights(ctx context.Context, c *client.Client, kind string) ([]api.Insight, error) {
	items := []api.Insight{}
	var p client.Paging
	for {
		page, err := c.Insights(ctx, kind, p)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if p.Cursor = page.Next; page.Next == "" {
			return items, nil
		}
	}
}

// findInsight gives the insight that text names: by key, ARN or name.
func findInsight(ctx context.Context, c *client.Client, text string) (api.Insight, error) {
	const op = "find insight"
	all, err := allInsights(ctx, c, "all")
	if err != nil {
		return api.Insight{}, err
	}
	var named []api.Insight
	for _, i := range all {
		if i.Key == text || i.ARN == text {
			return i, nil
		}
		if i.Name == text {
			named = append(named, i)
		}
	}
	switch len(named) {
	case 0:
		return api.Insight{}, fault.Errorf(fault.NotFound, op, "there is no insight %q", text).WithHint("run: parry insight list")
	case 1:
		return named[0], nil
	}
	return api.Insight{}, fault.Errorf(fault.Invalid, op, "%d insights have the name %q", len(named), text).WithHint("name one by its key: parry insight list")
}

// withInsight finds the insight that text names.
func (s *shared) withInsight(ctx context.Context, text string, fn func(c *client.Client, i api.Insight) error) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	i, err := findInsight(ctx, c, text)
	if err != nil {
		return err
	}
	return fn(c, i)
}

func (s *shared) insightShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show INSIGHT", Short: "Show what an insight asks", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInsight(cmd.Context(), args[0], func(_ *client.Client, i api.Insight) error { return s.printInsight(i) })
		},
	}
}

func (s *shared) printInsight(i api.Insight) error {
	return s.print(s.Out, i, func() grid {
		g := grid{header: []string{"Member", "Value"}, pairs: true}
		for _, row := range [][2]string{
			{"Name", i.Name},
			{"Grouped by", i.GroupBy},
			{"Filters", string(i.Filters)},
			{"Overdue only", yesNo(i.Overdue)},
			{"Of", insightOwner(i)},
			{"Derived", i.Derived},
			{"Created", moment(i.CreatedAt)},
			{"Updated", moment(i.UpdatedAt)},
			{"Key", i.Key},
			{"ARN", i.ARN},
		} {
			if row[1] != "" {
				g.rows = append(g.rows, []string{row[0], row[1]})
			}
		}
		return g
	})
}

func (s *shared) insightResultsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "results INSIGHT", Short: "Count the findings of an insight, those within the key's accounts", Args: cobra.ExactArgs(1),
		Example: "  parry insight results overdue\n  parry insight results 'Resources with the most failed security checks'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInsight(cmd.Context(), args[0], func(c *client.Client, i api.Insight) error {
				answer, err := c.InsightResults(cmd.Context(), i.Key)
				if err != nil {
					return err
				}
				return s.print(s.Out, answer, func() grid {
					g := grid{header: []string{"Findings", "Value"}}
					for _, r := range answer.Results {
						g.rows = append(g.rows, []string{number(r.Count), r.Value})
					}
					return g
				})
			})
		},
	}
}

func (s *shared) insightCreateCommand() *cobra.Command {
	var filters, group, from string
	c := &cobra.Command{
		Use: "create NAME --group ATTRIBUTE --filter JSON|@FILE|-", Short: "Make a custom insight", Args: cobra.ExactArgs(1),
		Long: "Makes a custom insight. Filters and attribute are those of Security Hub's API; with --from they are those of another insight,\n" +
			"unless they are given.",
		Example: `  parry insight create 'Critical roles' --group ResourceId --filter '{"ResourceType":[{"Value":"AwsIamRole","Comparison":"EQUALS"}]}'` + "\n" +
			"  parry insight create 'Accounts with failed checks' --from 36 --group AwsAccountId",
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := s.readFilters(filters)
			if err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			if from != "" {
				other, err := findInsight(cmd.Context(), c, from)
				if err != nil {
					return err
				}
				if raw == nil {
					raw = other.Filters
				}
				if group == "" {
					group = other.GroupBy
				}
			}
			if raw == nil || group == "" {
				return usage("--group and --filter are needed, or --from")
			}
			made, err := c.CreateInsight(cmd.Context(), api.InsightRequest{Name: &args[0], GroupBy: &group, Filters: raw})
			if err != nil {
				return err
			}
			return s.printInsight(made)
		},
	}
	c.Flags().StringVar(&filters, "filter", "", "Security Hub's filters: JSON, @FILE or - for standard input; {} selects all findings")
	c.Flags().StringVar(&group, "group", "", "attribute by which findings are counted, such as ResourceId, AwsAccountId or ProductName")
	c.Flags().StringVar(&from, "from", "", "`INSIGHT` whose filters and attribute are taken")
	return c
}

func (s *shared) insightDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete INSIGHT", Short: "Delete a custom insight", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInsight(cmd.Context(), args[0], func(c *client.Client, i api.Insight) error {
				if err := c.DeleteInsight(cmd.Context(), i.Key); err != nil {
					return err
				}
				fmt.Fprintf(s.Err, "%s (%s) is deleted\n", printable(i.Name), i.Key)
				return nil
			})
		},
	}
}

func (s *shared) insightActionCommand() *cobra.Command {
	var region string
	c := &cobra.Command{
		Use: "action INSIGHT ACTION [VALUE...]", Short: "Send results of an insight to a custom action, all or some", Args: cobra.MinimumNArgs(2),
		Long: "Sends results of an insight to a custom action, as one event \"Security Hub Insight Results\" on the bus. Rules of the bus decide\n" +
			"what follows.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInsight(cmd.Context(), args[0], func(c *client.Client, i api.Insight) error {
				return s.invoke(cmd.Context(), c, args[1], region, api.Invocation{Insight: i.Key, Values: args[2:]})
			})
		},
	}
	regionFlag(c, &region)
	return c
}

func regionFlag(c *cobra.Command, region *string) {
	c.Flags().StringVar(region, "region", "", "the action's Region, where several have its id")
}

// invoke sends what to an action that is named by id or ARN.
func (s *shared) invoke(ctx context.Context, c *client.Client, action, region string, what api.Invocation) error {
	if rest, ok := strings.CutPrefix(action, "arn:"); ok {
		if parts := strings.Split(rest, ":"); len(parts) > 3 {
			region = parts[2]
		}
		action = action[strings.LastIndexByte(action, '/')+1:]
	}
	done, err := c.Invoke(ctx, action, region, what)
	if err != nil {
		return err
	}
	return s.print(s.Out, done, func() grid {
		g := grid{header: []string{"Event", "Action"}}
		for _, id := range done.Events {
			g.rows = append(g.rows, []string{id, done.Action})
		}
		return g
	})
}

func (s *shared) findingActionCommand() *cobra.Command {
	var region string
	c := &cobra.Command{
		Use: "action ACTION FINDING...", Short: "Send at most 20 findings to a custom action", Args: cobra.RangeArgs(2, 21),
		Long: "Sends findings to a custom action, each as an event \"Security Hub Findings - Custom Action\" on the bus. Rules of the bus decide\n" +
			"what follows; a plan to which one leads is your request, so somebody else has to approve it.",
		Example: "  parry finding action Remediate FINDING",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			var what api.Invocation
			for _, text := range args[1:] {
				f, err := findFinding(cmd.Context(), c, text)
				if err != nil {
					return err
				}
				what.Findings = append(what.Findings, f.Key)
			}
			return s.invoke(cmd.Context(), c, args[0], region, what)
		},
	}
	regionFlag(c, &region)
	return c
}

func (s *shared) actionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "action", Short: "Keep custom actions, to which people send findings",
		Long: "A custom action is a name that rules of the bus match: parry finding action sends findings to it, parry insight action results.",
	}
	c.AddCommand(s.actionListCommand(), s.actionCreateCommand(), s.actionDeleteCommand())
	return c
}

func (s *shared) actionListCommand() *cobra.Command {
	return listCommand(s, &cobra.Command{Use: "list", Short: "List custom actions"}, (*client.Client).Actions, actionGrid)
}

func actionGrid(items []api.Action) grid {
	g := grid{header: []string{"Id", "Name", "Description", "ARN"}}
	for _, a := range items {
		g.rows = append(g.rows, []string{a.ID, a.Name, a.Description, a.ARN})
	}
	return g
}

func (s *shared) actionCreateCommand() *cobra.Command {
	var n api.NewAction
	c := &cobra.Command{
		Use: "create ID --name NAME --description TEXT", Short: "Make a custom action", Args: cobra.ExactArgs(1),
		Example: "  parry action create Remediate --name 'Send to remediation' --description 'Fix what was selected'",
		RunE: func(cmd *cobra.Command, args []string) error {
			n.ID = args[0]
			c, err := s.client()
			if err != nil {
				return err
			}
			made, err := c.CreateAction(cmd.Context(), n)
			if err != nil {
				return err
			}
			return s.print(s.Out, made, func() grid { return actionGrid([]api.Action{made}) })
		},
	}
	c.Flags().StringVar(&n.Name, "name", "", "at most 20 characters")
	c.Flags().StringVar(&n.Description, "description", "", "what it is for")
	c.Flags().StringVar(&n.Region, "region", "", "Region of its ARN (default: the home Region)")
	if err := errors.Join(c.MarkFlagRequired("name"), c.MarkFlagRequired("description")); err != nil {
		panic(err) // the flags are made above
	}
	return c
}

func (s *shared) actionDeleteCommand() *cobra.Command {
	var region string
	c := &cobra.Command{
		Use: "delete ID", Short: "Delete a custom action", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if err := c.DeleteAction(cmd.Context(), args[0], region); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "%s is deleted\n", printable(args[0]))
			return nil
		},
	}
	regionFlag(c, &region)
	return c
}
