package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// isPending reports whether a request was taken and has no remediation yet.
func isPending(err error) bool { return fault.Is(err, fault.NotFound) }

func (s *shared) approvalCommand() *cobra.Command {
	c := &cobra.Command{Use: "approval", Short: "Decide on plans that wait for people"}
	c.AddCommand(s.approvalListCommand(), s.decideCommand("grant", "Approve the plan with this hash", true), s.decideCommand("reject", "Reject the plan with this hash", false))
	return c
}

func (s *shared) approvalListCommand() *cobra.Command {
	var state string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List approvals, the pending ones by default", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkLimit(limit), oneOf("--state", &state, "pending", "approved", "rejected", "expired", "superseded", "all")); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			if state == "all" {
				state = ""
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[remediation.Approval], error) {
				return c.Approvals(ctx, remediation.ApprovalState(state), p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Approval", "Remediation", "Account", "State", "Policy", "Granted", "Expires", "Plan"}}
				for _, a := range items {
					granted := 0
					for _, d := range a.Decisions {
						if d.Grant {
							granted++
						}
					}
					word := fmt.Sprintf("%d of %d", granted, a.Quorum)
					switch {
					case a.Automatic:
						word = "by policy"
					case len(a.Canary) > 0 && a.State == remediation.ApprovalPending:
						word += ", or by its canary"
					}
					g.rows = append(g.rows, []string{a.ID, string(a.Remediation), a.Account, string(a.State), askedBy(a), word, moment(a.ExpiresAt), short(string(a.Plan), 13)})
				}
				return g
			})
		},
	}
	c.Flags().StringVar(&state, "state", "pending", "pending, approved, rejected, expired, superseded or all")
	limitFlag(c, &limit)
	return c
}

// hashDigits is how long the hash of a plan is.
const hashDigits = 64

func (s *shared) decideCommand(verb, what string, grant bool) *cobra.Command {
	var hash, reason string
	c := &cobra.Command{
		Use: verb + " APPROVAL --plan HASH", Short: what, Args: cobra.ExactArgs(1),
		Long:    what + ". The hash is that of the plan you read (parry plan show): if the plan is another by now, nothing is decided.",
		Example: "  parry plan show REMEDIATION\n  parry approval " + verb + " APPROVAL --plan HASH --reason 'seen with its owners'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if hash == "" {
				return usage("--plan is required: the hash that parry plan show prints")
			}
			if len(hash) != hashDigits {
				return usage("--plan takes the whole hash of %d digits: parry plan show prints it, parry approval list only its beginning", hashDigits)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			decide := c.Reject
			if grant {
				decide = c.Grant
			}
			a, err := decide(cmd.Context(), args[0], remediation.Hash(hash), reason)
			if err != nil {
				return err
			}
			return s.print(s.Out, a, func() grid {
				return grid{header: []string{"Approval", "Remediation", "State", "Plan"}, rows: [][]string{{a.ID, string(a.Remediation), string(a.State), short(string(a.Plan), 13)}}}
			})
		},
	}
	c.Flags().StringVar(&hash, "plan", "", "hash of the plan that you decide on")
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}

// askedBy says what asks for an approval: a policy, or a step of a running document.
func askedBy(a remediation.Approval) string {
	if a.OfStep() {
		return "step " + a.Step + " of " + a.Execution
	}
	return a.Policy
}
