package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

func (s *shared) remediationCommand() *cobra.Command {
	c := &cobra.Command{Use: "remediation", Short: "Follow remediations and take them back"}
	c.AddCommand(s.remediationListCommand(), s.remediationShowCommand(), s.remediationCallsCommand(), s.remediationWatchCommand(), s.remediationCancelCommand(), s.remediationUndoCommand())
	return c
}

func (s *shared) remediationListCommand() *cobra.Command {
	var state, account, control, findingText string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List remediations, the latest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			filter := client.RemediationFilter{State: remediation.State(state), Account: account, Control: control}
			if state != "" && !filter.State.Valid() {
				return usage("--state %q is not a state; they are %v", state, remediation.States())
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			if findingText != "" {
				f, err := findFinding(cmd.Context(), c, findingText)
				if err != nil {
					return err
				}
				filter.Finding = finding.ID{ProductArn: f.ProductArn, Id: f.ID}
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[remediation.Remediation], error) {
				return c.Remediations(ctx, filter, p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Remediation", "Kind", "Control", "Account", "Resource", "State", "Updated", "Why"}}
				for _, r := range items {
					g.rows = append(g.rows, []string{string(r.ID), string(r.Kind), r.Title(), r.Account, shortARN(r.Resource), string(r.State), moment(r.UpdatedAt), short(r.Reason, 70)})
				}
				return g
			})
		},
	}
	c.Flags().StringVar(&state, "state", "", "only this state")
	c.Flags().StringVar(&account, "account", "", "only this account")
	c.Flags().StringVar(&control, "control", "", "only this control, such as S3.8")
	c.Flags().StringVar(&findingText, "finding", "", "only those of this finding (its id)")
	limitFlag(c, &limit)
	return c
}

func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func (s *shared) remediationShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a remediation: its state, approval, changes and steps", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			d, err := c.Remediation(cmd.Context(), remediation.ID(args[0]))
			if err != nil {
				return err
			}
			return s.print(s.Out, d, func() grid { return remediationGrid(d) })
		},
	}
}

func remediationGrid(d api.RemediationDetail) grid {
	r := d.Remediation
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	add := func(name, value string) {
		if value != "" {
			g.rows = append(g.rows, []string{name, value})
		}
	}
	add("Remediation", string(r.ID))
	add("Kind", string(r.Kind))
	add("Undo of", string(r.UndoOf))
	add("State", string(r.State))
	add("Why", r.Reason)
	add("Next", r.Hint)
	add("Control", r.Control)
	add("Account", r.Account+" "+r.Region)
	add("Resource", r.Resource)
	add("Runbook", r.Runbook)
	add("Asked for by", r.RequestedBy)
	add("Plan", string(r.PlanHash))
	if d.Approval != nil {
		add("Approval", fmt.Sprintf("%s %s, policy %s", d.Approval.ID, d.Approval.State, d.Approval.Policy))
		for _, v := range d.Approval.Decisions {
			word := "rejected"
			if v.Grant {
				word = "granted"
			}
			add("", fmt.Sprintf("%s by %s at %s %s", word, v.Principal, moment(v.At), v.Reason))
		}
	}
	for i, c := range d.Changes {
		add(fmt.Sprintf("Change %d", i+1), changeLine(c))
	}
	for _, st := range d.Steps {
		add(fmt.Sprintf("Step %d", st.Seq), fmt.Sprintf("%s %s (%s) %s", st.Name, st.Status, st.Action, st.Failure))
	}
	return g
}

// changeLine says first whether AWS has seen the change.
func changeLine(c api.Change) string {
	line := fmt.Sprintf("%s  %s:%s on %s", c.State, c.Service, c.Operation, c.Resource)
	switch {
	case c.State == remediation.NotSent && c.ID == "":
		return line
	case c.State == remediation.MaybeSent:
		return line + " since " + moment(c.IntentAt) + ": the answer did not come; look at the resource"
	case c.Error != "":
		return line + " at " + moment(c.OutcomeAt) + ": " + short(c.Error, 200)
	}
	return line + " at " + moment(c.OutcomeAt)
}

func (s *shared) remediationCallsCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "calls ID", Short: "List every AWS call made for a remediation, in order", Args: cobra.ExactArgs(1),
		Long: "Lists every call that was made for a remediation, from its plan to its verification, and every call that the gate\n" +
			"refused. \"maybe_sent\" means that no answer came. Values of inputs and answers are not kept; -o json has a digest of\n" +
			"each input, equal where inputs are.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[remediation.CallRecord], error) {
				return c.Calls(ctx, remediation.ID(args[0]), p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid { return callsGrid(items) })
		},
	}
	limitFlag(c, &limit)
	return c
}

func callsGrid(items []remediation.CallRecord) grid {
	g := grid{header: []string{"Time", "For", "Step", "Account", "Region", "Call", "Class", "Outcome", "Request", "ms"}}
	for _, c := range items {
		outcome := string(c.Outcome)
		if c.Code != "" {
			outcome += " " + c.Code
		}
		if c.Attempts > 1 {
			outcome += fmt.Sprintf(" (%d attempts)", c.Attempts)
		}
		if c.Detail != "" {
			outcome += ": " + short(c.Detail, 120)
		}
		g.rows = append(g.rows, []string{
			c.At.UTC().Format("15:04:05.000"), c.Mode, c.Step, c.Account, c.Region, c.Service + ":" + c.Operation, string(c.Class), outcome,
			c.RequestID, fmt.Sprintf("%.1f", float64(c.Duration.Microseconds())/1000),
		})
	}
	return g
}

func (s *shared) remediationWatchCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use: "watch ID", Short: "Follow a remediation until it ends or waits for people", Args: cobra.ExactArgs(1),
		Long:    "Prints each change of state. Exits 0 when verified or undone, 5 when it waits for approval, 3 otherwise.",
		Example: "  parry remediation watch REMEDIATION --timeout 30m",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			return s.watch(cmd.Context(), c, remediation.ID(args[0]), timeout)
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "give up after this time")
	return c
}

const watchEvery = 300 * time.Millisecond

func (s *shared) watch(ctx context.Context, c *client.Client, id remediation.ID, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s did not end within %s", id, timeout))
	defer cancel()
	var last remediation.State
	for {
		d, err := c.Remediation(ctx, id)
		switch {
		case err != nil && last == "" && isPending(err):
			// The request was taken; its plan is not made yet.
		case err != nil:
			return err
		case d.Remediation.State != last:
			last = d.Remediation.State
			fmt.Fprintf(s.Err, "%s  %-18s %s\n", moment(d.Remediation.UpdatedAt), last, printable(d.Remediation.Reason))
			if last == remediation.AwaitingApproval || last.Final() {
				return s.watched(d)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(watchEvery):
		}
	}
}

func (s *shared) watched(d api.RemediationDetail) error {
	if err := s.print(s.Out, d, func() grid { return remediationGrid(d) }); err != nil {
		return err
	}
	switch d.Remediation.State {
	case remediation.Verified, remediation.Undone:
		return nil
	case remediation.AwaitingApproval:
		return exit(ExitWaiting, nil)
	}
	return exit(ExitFailing, nil)
}

func (s *shared) remediationCancelCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "cancel ID --reason TEXT", Short: "End a remediation that waits, or ask one that runs to end before its next step", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage("say why with --reason; it is kept with the remediation")
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			id := remediation.ID(args[0])
			if err := c.CancelRemediation(cmd.Context(), id, reason); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "%s is being ended; next: parry remediation show %s\n", id, id)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; at most 500 characters")
	return c
}

func (s *shared) remediationUndoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "undo ID", Short: "Ask for a plan that takes a remediation back; people approve it", Args: cobra.ExactArgs(1),
		Long: "The plan is made of what was read right before each change. What somebody changed since is not overwritten: the undo then fails before\n" +
			"anything is sent, and says what differs.",
		Example: "  parry remediation undo REMEDIATION\n  parry approval list",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			id, err := c.Undo(cmd.Context(), remediation.ID(args[0]))
			if err != nil {
				return err
			}
			return s.printRequested(id, "the undo")
		},
	}
}
