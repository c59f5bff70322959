package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/service"
)

func (s *shared) archiveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "archive", Short: "Keep the events of a bus, to replay them and to test rules on them",
		Long: "An archive keeps the events of a bus from when it is made, all or those that match a pattern.",
	}
	var r api.ArchiveRequest
	create := &cobra.Command{
		Use: "create NAME", Short: "Keep the events of a bus from now on", Args: cobra.ExactArgs(1),
		Example: "  parry archive create findings --days 30 --pattern '{\"source\":[\"aws.securityhub\"]}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			var err error
			if r.Pattern, err = patternText(r.Pattern); err != nil {
				return usage("--pattern: %v", err)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			made, err := c.CreateArchive(cmd.Context(), r)
			if err != nil {
				return err
			}
			return s.print(s.Out, made, func() grid { return archiveGrid([]api.Archive{made}) })
		},
	}
	create.Flags().StringVar(&r.Bus, "bus", "default", "the `bus` whose events are kept")
	create.Flags().StringVar(&r.Pattern, "pattern", "", "only events that match: an event pattern, or @FILE")
	create.Flags().IntVar(&r.Days, "days", 0, "how many `days` events are kept (default: for ever)")
	create.Flags().StringVar(&r.Description, "description", "", "what it is for")
	show := &cobra.Command{
		Use: "show NAME", Short: "Show an archive with what it holds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			found, err := c.Archive(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.print(s.Out, found, func() grid { return archiveGrid([]api.Archive{found}) })
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete an archive with its events", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if err := c.DeleteArchive(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "archive %s is deleted\n", args[0])
			return nil
		},
	}
	c.AddCommand(s.archiveListCommand(), show, create, remove)
	return c
}

func (s *shared) archiveListCommand() *cobra.Command {
	return listCommand(s, &cobra.Command{Use: "list", Short: "List archives by name"}, (*client.Client).Archives, archiveGrid)
}

func archiveGrid(items []api.Archive) grid {
	g := grid{header: []string{"Name", "Bus", "Days", "Events", "Bytes", "Made", "Pattern"}}
	number := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return strconv.FormatInt(*n, 10)
	}
	for _, a := range items {
		days, pattern := "for ever", "all events"
		if a.Days > 0 {
			days = strconv.Itoa(a.Days)
		}
		if a.Pattern != "" {
			pattern = short(a.Pattern, 60)
		}
		g.rows = append(g.rows, []string{a.Name, a.Bus, days, number(a.Events), number(a.Bytes), moment(a.CreatedAt), pattern})
	}
	return g
}

func (s *shared) replayCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "replay", Short: "Send archived events to rules again",
		Long: "Replayed events carry the name of the replay. They are never remediated, and no archive takes them again. An event may be sent\n" +
			"twice when a server dies in the middle.",
	}
	show := &cobra.Command{
		Use: "show NAME", Short: "Show a replay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			found, err := c.Replay(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.print(s.Out, found, func() grid { return replayGrid([]api.Replay{found}) })
		},
	}
	cancel := &cobra.Command{
		Use: "cancel NAME", Short: "End a replay; what it sent stays sent", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			found, err := c.CancelReplay(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.print(s.Out, found, func() grid { return replayGrid([]api.Replay{found}) })
		},
	}
	c.AddCommand(s.replayListCommand(), show, s.replayStartCommand(), cancel)
	return c
}

func (s *shared) replayStartCommand() *cobra.Command {
	var r api.ReplayRequest
	var from, to string
	var dryRun bool
	c := &cobra.Command{
		Use: "start NAME --archive ARCHIVE --from TIME", Short: "Begin to send archived events again", Args: cobra.ExactArgs(1),
		Example: "  parry replay start again --archive findings --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --dry-run\n" +
			"  parry replay start again --archive findings --from 2026-11-01T00:00:00Z --rule arn:aws:events:eu-west-1:111122223333:rule/orders",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			now := service.SystemClock{}.Now()
			var err error
			if r.From, err = instant("--from", from, time.Time{}); err != nil {
				return err
			}
			if r.To, err = instant("--to", to, now); err != nil {
				return err
			}
			if r.Archive == "" || r.From.IsZero() {
				return usage("--archive and --from are required")
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			if !dryRun {
				begun, err := c.StartReplay(cmd.Context(), r)
				if err != nil {
					return err
				}
				return s.print(s.Out, begun, func() grid { return replayGrid([]api.Replay{begun}) })
			}
			preview, err := c.PreviewReplay(cmd.Context(), r)
			if err != nil {
				return err
			}
			if err := s.print(s.Out, preview, func() grid {
				g := grid{header: []string{"Rule", "Events"}}
				for _, rule := range slices.Sorted(maps.Keys(preview.Rules)) {
					g.rows = append(g.rows, []string{rule, strconv.Itoa(preview.Rules[rule])})
				}
				return g
			}); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "%d archived events in the time span; nothing was sent\n", preview.Events)
			if !preview.Complete {
				fmt.Fprintln(s.Err, "not all of them were looked at: take a shorter span")
			}
			return nil
		},
	}
	c.Flags().StringVar(&r.Archive, "archive", "", "the `archive` whose events are sent")
	c.Flags().StringVar(&from, "from", "", "events from this `time` on, RFC 3339")
	c.Flags().StringVar(&to, "to", "", "events before this `time` (default: now)")
	c.Flags().StringSliceVar(&r.Rules, "rule", nil, "only to the rule with this `ARN`; may be repeated")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "tell which rules would get how many events, and send nothing")
	return c
}

// instant reads a time of a flag.
func instant(flag, text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usage("%s %q is not a time such as 2026-11-30T00:00:00Z", flag, text)
	}
	return at, nil
}

func (s *shared) replayListCommand() *cobra.Command {
	return listCommand(s, &cobra.Command{Use: "list", Short: "List replays by name"}, (*client.Client).Replays, replayGrid)
}

func replayGrid(items []api.Replay) grid {
	g := grid{header: []string{"Name", "Archive", "State", "From", "To", "Last event", "Reason"}}
	for _, r := range items {
		g.rows = append(g.rows, []string{r.Name, r.Archive, r.State, moment(r.From), moment(r.To), moment(r.LastAt), short(r.Reason, 60)})
	}
	return g
}
