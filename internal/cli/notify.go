package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/notify"
)

func (s *shared) notifyCommand() *cobra.Command {
	c := &cobra.Command{Use: "notify", Short: "See the channels of notifications, and test them"}
	c.AddCommand(s.notifyChannelsCommand(), s.notifyTestCommand())
	return c
}

func (s *shared) notifyChannelsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "channels", Short: "List channels with how they group and what they did since the server started", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			found, err := c.Channels(cmd.Context())
			if err != nil {
				return err
			}
			return s.print(s.Out, found.Items, func() grid {
				g := grid{header: []string{"Name", "Kind", "Sent", "Last sent", "Answer", "Failed", "Last failed", "Problem", "Grouped"}}
				for _, v := range found.Items {
					g.rows = append(g.rows, []string{v.Name, v.Kind, count(v.Sent), moment(v.SentAt), short(v.Answer, 60), count(v.Failed), moment(v.FailedAt), short(v.Problem, 80), groupingOf(v)})
				}
				return g
			})
		},
	}
}

// groupingOf says how a channel's messages are grouped.
func groupingOf(c api.Channel) string {
	if len(c.GroupBy) == 0 {
		return "no"
	}
	first := "at once"
	if c.GroupWait != "0s" {
		first = "after " + c.GroupWait
	}
	return fmt.Sprintf("by %s, %s, then every %s, %d a message", strings.Join(c.GroupBy, ", "), first, c.GroupInterval, c.MaxPerMessage)
}

func (s *shared) notifyTestCommand() *cobra.Command {
	var event string
	c := &cobra.Command{
		Use: "test CHANNEL", Short: "Send a message that says it is a test through a channel", Args: cobra.ExactArgs(1),
		Long: "The server sends a message about a made-up remediation, marked as a test, and says what the receiver answered. It is tried once.\n" +
			"Only an administrator may; it is audited.\n\n" +
			"Exit status: 0 the receiver took it, 3 it did not.",
		Example: "  parry notify test mail\n  parry notify test chat --event approval",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			v, err := c.TestChannel(cmd.Context(), args[0], event)
			if err != nil {
				return err
			}
			err = s.print(s.Out, v, func() grid {
				return grid{header: []string{"Member", "Value"}, pairs: true, rows: [][]string{
					{"Channel", v.Channel},
					{"Event", v.Event},
					{"Notification", v.Notification},
					{"Subject", v.Subject},
					{"Delivered", yesNo(v.Delivered)},
					{"Answer", v.Answer},
					{"Problem", v.Problem},
					{"Next", v.Hint},
				}}
			})
			if err == nil && !v.Delivered {
				return exit(ExitFailing, nil)
			}
			return err
		},
	}
	c.Flags().StringVar(&event, "event", "succeeded", "what the message is about: "+strings.Join(notify.TestEvents(), ", "))
	return c
}
