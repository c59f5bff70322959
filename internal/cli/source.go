package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
)

func (s *shared) sourceCommand() *cobra.Command {
	c := &cobra.Command{Use: "source", Short: "See where findings come from, and what could not be accepted"}
	c.AddCommand(s.sourceListCommand(), s.sourceRejectedCommand(), s.sourceShowCommand(), s.sourceRetryCommand(), s.sourceDropCommand())
	return c
}

func (s *shared) sourceListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List queues and hubs with what they brought since the server started", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			found, err := c.Sources(cmd.Context())
			if err != nil {
				return err
			}
			return s.print(s.Out, found.Items, func() grid {
				g := grid{header: []string{"Name", "Kind", "Trusted", "Accepted", "Rejected", "Events", "Archived", "Last read", "Problem"}}
				for _, v := range found.Items {
					g.rows = append(g.rows, []string{
						v.Name, v.Kind, yesNo(v.Trusted), count(v.Accepted), count(v.Rejected), count(v.Events), count(v.Archived), moment(v.LastRead), short(v.Problem, 80),
					})
				}
				return g
			})
		},
	}
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func (s *shared) sourceRejectedCommand() *cobra.Command {
	var source string
	c := listCommand(s, &cobra.Command{
		Use: "rejected", Short: "List what could not be accepted, the latest first",
	}, func(c *client.Client, ctx context.Context, p client.Paging) (api.Page[api.Rejected], error) {
		return c.RejectedList(ctx, source, p)
	}, func(items []api.Rejected) grid {
		g := grid{header: []string{"Id", "When", "Source", "Place", "Times", "Code", "Reason"}}
		for _, v := range items {
			g.rows = append(g.rows, []string{v.ID, moment(v.At), v.Source, short(v.Place, 40), count(v.Times), v.Code, short(v.Reason, 100)})
		}
		return g
	})
	c.Flags().StringVar(&source, "source", "", "only of this source")
	return c
}

func (s *shared) sourceShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show what could not be accepted, whole", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			v, err := c.Rejected(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.print(s.Out, v, func() grid {
				return grid{header: []string{"Member", "Value"}, pairs: true, rows: [][]string{
					{"Id", v.ID},
					{"Source", v.Source},
					{"Place", v.Place},
					{"Finding", v.FindingID},
					{"Code", v.Code},
					{"Reason", v.Reason},
					{"When", moment(v.At)},
					{"Times", count(v.Times)},
					{"Kept whole", yesNo(!v.Cut)},
					{"Message", v.Body},
				}}
			})
		},
	}
}

func (s *shared) sourceRetryCommand() *cobra.Command {
	return &cobra.Command{
		Use: "retry ID...", Short: "Send in again what could not be accepted, once the cause is mended", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.onRejected(cmd.Context(), args, "accepted", (*client.Client).RetryRejected)
		},
	}
}

func (s *shared) sourceDropCommand() *cobra.Command {
	return &cobra.Command{
		Use: "drop ID...", Short: "Forget what could not be accepted", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.onRejected(cmd.Context(), args, "dropped", (*client.Client).DropRejected)
		},
	}
}

// onRejected does one thing with each of ids; what fails does not hold up the rest.
func (s *shared) onRejected(ctx context.Context, ids []string, done string, do func(*client.Client, context.Context, string) error) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	failed := 0
	var last error
	for _, id := range ids {
		if last = do(c, ctx, id); last != nil {
			if len(ids) == 1 {
				return last
			}
			failed++
			fmt.Fprintf(s.Err, "%s: %v\n", id, last)
			continue
		}
		fmt.Fprintf(s.Err, "%s %s\n", id, done)
	}
	if failed > 0 {
		return exit(ExitPartly, nil)
	}
	return nil
}
