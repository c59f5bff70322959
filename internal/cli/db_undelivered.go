package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/store"
)

// undelivered is a message that nobody got.
type undelivered struct {
	File     store.File      `json:"file"`
	ID       string          `json:"id"`
	Topic    string          `json:"topic"`
	WaitedAt time.Time       `json:"waited_since"`
	GivenUp  time.Time       `json:"given_up_at"`
	Attempts int             `json:"attempts"`
	Reason   string          `json:"reason"`
	Payload  json.RawMessage `json:"payload,omitempty"`
}

func (s *shared) dbUndeliveredCommand() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use: "undelivered", Short: "List messages that were given up: set aside by a restore, or failed too often", Args: cobra.NoArgs,
		Long: "Lists messages between Parry's stages that are not delivered any more, the latest first: what a restore set aside, with the backup's\n" +
			"time as the reason, and what failed too often. -o json shows what is in them. They are forgotten after 90 days.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			n := 1000
			if limit > 0 {
				n = min(n, limit)
			}
			out := []undelivered{}
			err := s.withInstallation(cmd.Context(), func(db *store.Store) error {
				for _, f := range []store.File{store.Findings, store.Execution} {
					dead, err := db.DeadMessages(cmd.Context(), f, n)
					if err != nil {
						return err
					}
					for _, m := range dead {
						one := undelivered{File: f, ID: m.ID, Topic: m.Topic, WaitedAt: m.Since, GivenUp: m.DiedAt, Attempts: m.Attempts, Reason: m.Reason}
						if json.Valid(m.Payload) {
							one.Payload = m.Payload
						}
						out = append(out, one)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			slices.SortStableFunc(out, func(a, b undelivered) int { return b.GivenUp.Compare(a.GivenUp) })
			if len(out) > n {
				out = out[:n]
			}
			if err := s.print(s.Out, out, func() grid {
				g := grid{header: []string{"Given up at", "Topic", "Waited since", "Attempts", "Reason", "Id"}}
				for _, m := range out {
					g.rows = append(g.rows, []string{moment(m.GivenUp), m.Topic, moment(m.WaitedAt), strconv.Itoa(m.Attempts), m.Reason, m.ID})
				}
				return g
			}); err != nil {
				return err
			}
			if len(out) == n {
				fmt.Fprintf(s.Err, "these are the latest %d; there may be more\n", n)
			}
			return nil
		},
	}
	limitFlag(c, &limit)
	return c
}
