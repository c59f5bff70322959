package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/triage"
)

func (s *shared) exceptionCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "exception", Short: "Accept risks for a time: findings that are suppressed, with an owner and an end",
		Long: "An exception suppresses the findings that its scope selects, those that are stored and those that come, until it ends:\n" +
			"then they are NEW again. A second person approves it. docs/exceptions.md says what it does in detail.",
	}
	c.AddCommand(
		s.exceptionAddCommand(), s.exceptionListCommand(), s.exceptionShowCommand(), s.exceptionApproveCommand(),
		s.exceptionWordCommand("reject ID", "Refuse an exception that is pending", (*client.Client).RejectException),
		s.exceptionWordCommand("expire ID", "End an exception now, or take back one that is pending; its findings are reopened", (*client.Client).ExpireException),
	)
	return c
}

// exceptionFlags are what an exception is made of.
type exceptionFlags struct {
	title, owner, reason, link, scope, until string
	days                                     int
	account, control, resource               []string
	dryRun                                   bool
}

func (s *shared) exceptionAddCommand() *cobra.Command {
	var f exceptionFlags
	c := &cobra.Command{
		Use: "add", Short: "Ask for an exception; a second person approves it", Args: cobra.NoArgs,
		Long: "The scope is Security Hub's filters (--scope), or --control, --account and --resource, which are all to hold: of one that\n" +
			"is given several times one value is enough. --dry-run shows what it would suppress now, and asks for nothing.",
		Example: "  parry exception add --title 'Old mail relay' --owner team-mail --reason 'replaced in spring' --days 90 --control EC2.19 --account 111122223333 --dry-run\n" +
			"  parry exception add --title 'Sandbox' --owner platform --reason 'no data in it' --until 2026-12-31T00:00:00Z --scope @scope.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope, err := s.exceptionScope(f)
			if err != nil {
				return err
			}
			if f.dryRun {
				c, err := s.client()
				if err != nil {
					return err
				}
				return s.previewException(cmd.Context(), c, api.ExceptionQuestion{Scope: scope})
			}
			until, err := f.end()
			if err != nil {
				return err
			}
			for name, value := range map[string]string{"--title": f.title, "--owner": f.owner, "--reason": f.reason} {
				if strings.TrimSpace(value) == "" {
					return usage("%s is required", name)
				}
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			e, err := c.RequestException(cmd.Context(), api.ExceptionRequest{
				Title: f.title, Owner: f.owner, Reason: f.reason, Link: f.link, Scope: scope, ExpiresAt: until,
			})
			if err != nil {
				return err
			}
			if err := s.printException(e); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "it suppresses nothing until a second person approves it: parry exception approve %s\n", e.ID)
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.title, "title", "", "what is accepted, in a few words")
	flags.StringVar(&f.owner, "owner", "", "the person or team that answers for the risk")
	flags.StringVar(&f.reason, "reason", "", "why it is accepted")
	flags.StringVar(&f.link, "link", "", "a ticket, or where more is written")
	flags.StringVar(&f.until, "until", "", "when it ends, a `time` of RFC 3339")
	flags.IntVar(&f.days, "days", 0, "how many days it lasts, instead of --until")
	flags.StringVar(&f.scope, "scope", "", "which findings: Security Hub's filters as JSON, @FILE or - for standard input")
	flags.StringSliceVar(&f.control, "control", nil, "findings of this control, such as S3.8; may be repeated")
	flags.StringSliceVar(&f.account, "account", nil, "findings of this account; may be repeated")
	flags.StringArrayVar(&f.resource, "resource", nil, "findings about the resource with this id; may be repeated")
	flags.BoolVar(&f.dryRun, "dry-run", false, "show what it would suppress now, and ask for nothing")
	return c
}

// end gives when the exception is to end.
func (f exceptionFlags) end() (time.Time, error) {
	switch {
	case (f.until == "") == (f.days == 0):
		return time.Time{}, usage("say when it ends: --until TIME or --days N")
	case f.until == "" && f.days < 1:
		return time.Time{}, usage("--days %d is less than 1", f.days)
	case f.until == "":
		return service.SystemClock{}.Now().UTC().AddDate(0, 0, f.days).Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, f.until)
	if err != nil {
		return at, usage("--until %q is not a time such as 2026-12-31T00:00:00Z", f.until)
	}
	return at, nil
}

// exceptionScope gives the scope that flags say.
func (s *shared) exceptionScope(f exceptionFlags) (map[string]any, error) {
	short := len(f.control)+len(f.account)+len(f.resource) > 0
	if (f.scope != "") == short {
		return nil, usage("say which findings: --scope, or --control, --account and --resource")
	}
	if f.scope == "" {
		scope := map[string]any{}
		for field, values := range map[string][]string{"ComplianceSecurityControlId": f.control, "AwsAccountId": f.account, "ResourceId": f.resource} {
			var tests []any
			for _, v := range values {
				tests = append(tests, filter.StringTest{Value: v, Comparison: filter.Equals})
			}
			if tests != nil {
				scope[field] = tests
			}
		}
		return scope, nil
	}
	raw, err := s.readInput(f.scope, filter.MaxBytes)
	if err != nil {
		return nil, err
	}
	parsed, err := filter.Parse(raw)
	if err == nil {
		err = exception.CheckScope(parsed)
	}
	if err != nil {
		return nil, exit(ExitUsage, fault.E(fault.Invalid, "read --scope", err).WithHint("%s", fault.HintOf(err)))
	}
	scope := map[string]any{}
	return scope, json.Unmarshal(raw, &scope)
}

func (s *shared) previewException(ctx context.Context, c *client.Client, q api.ExceptionQuestion) error {
	out, err := c.PreviewException(ctx, q)
	if err != nil {
		return err
	}
	if s.format == "table" && s.query == "" {
		fmt.Fprintln(s.Err, coverText(out))
	}
	return s.print(s.Out, out, func() grid { return coverGrid(out) })
}

// coverText says in a line what an exception would suppress.
func coverText(p triage.ExceptionPreview) string {
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(p.BySeverity)) {
		parts = append(parts, fmt.Sprintf("%d %s", p.BySeverity[label], label))
	}
	text := fmt.Sprintf("%d findings are in the scope, %d of them open and would be suppressed", p.Covered, p.Open)
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if !p.Complete {
		text += "; there are more findings than were looked at"
	}
	return text
}

func coverGrid(p triage.ExceptionPreview) grid {
	g := grid{header: []string{"Severity", "Account", "Title", "Resource", "Id"}}
	for _, e := range p.Examples {
		g.rows = append(g.rows, []string{e.Severity, e.Account, short(e.Title, 60), shortARN(e.Resource), e.Finding.Id})
	}
	return g
}

func (s *shared) exceptionListCommand() *cobra.Command {
	state, limit := "open", 0
	c := &cobra.Command{
		Use: "list", Short: "List exceptions, those that have not ended by default", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkLimit(limit), oneOf("--state", &state, "open", "pending", "active", "ended", "rejected", "withdrawn", "expired", "all")); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			asked := state
			if asked == "all" {
				asked = ""
			}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.Exception], error) {
				return c.Exceptions(ctx, asked, p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Exception", "State", "Title", "Owner", "Accounts", "Covers", "Until", "Requested by", "Decided by"}}
				for _, e := range items {
					g.rows = append(g.rows, []string{
						e.ID, stateText(e), short(e.Title, 50), short(e.Owner, 30), accountsText(e.Accounts), strconv.FormatInt(e.Covered, 10), moment(e.ExpiresAt), e.RequestedBy, e.DecidedBy,
					})
				}
				return g
			})
		},
	}
	c.Flags().StringVar(&state, "state", state, "open, pending, active, ended, rejected, withdrawn, expired or all")
	limitFlag(c, &limit)
	return c
}

// stateText gives the state, and why and whether work on it goes on.
func stateText(e api.Exception) string {
	out := string(e.State)
	if e.End != "" {
		out += " (" + string(e.End) + ")"
	}
	if e.Working {
		out += ", working"
	}
	return out
}

func accountsText(accounts []string) string {
	if len(accounts) > 2 {
		return fmt.Sprintf("%s and %d more", accounts[0], len(accounts)-1)
	}
	return strings.ReplaceAll(strings.Join(accounts, ", "), "*", "all")
}

func (s *shared) exceptionShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an exception whole", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			e, err := c.Exception(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return s.printException(e)
		},
	}
}

func (s *shared) printException(e api.Exception) error {
	return s.print(s.Out, e, func() grid { return exceptionGrid(e) })
}

func exceptionGrid(e api.Exception) grid {
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	for _, row := range [][2]string{
		{"Exception", e.ID},
		{"State", stateText(e)},
		{"Title", e.Title},
		{"Owner", e.Owner},
		{"Reason", e.Reason},
		{"Link", e.Link},
		{"Until", moment(e.ExpiresAt)},
		{"Covers", fmt.Sprintf("%d findings now", e.Covered)},
		{"Accounts", strings.ReplaceAll(strings.Join(e.Accounts, ", "), "*", "all")},
		{"Requested", saidText(e.CreatedAt, e.RequestedBy, "")},
		{"Decided", saidText(e.DecidedAt, e.DecidedBy, e.Decision)},
		{"Ended", saidText(e.EndedAt, e.EndedBy, e.EndNote)},
		{"Scope", lineJSON(e.Scope)},
	} {
		g.rows = append(g.rows, []string{row[0], row[1]})
	}
	return g
}

// saidText says who did something when, and with which words.
func saidText(at time.Time, by, words string) string {
	if at.IsZero() {
		return ""
	}
	out := moment(at)
	if by != "" {
		out += " by " + by
	}
	if words != "" {
		out += ": " + words
	}
	return out
}

func (s *shared) exceptionApproveCommand() *cobra.Command {
	var reason string
	var yes bool
	c := &cobra.Command{
		Use: "approve ID", Short: "Put an exception in force, after a look at what it covers now", Args: cobra.ExactArgs(1),
		Long: "Shows what the exception would suppress now and asks; --yes approves without asking. Whoever asked for it cannot approve it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if !yes {
				if yes, err = s.lookAtException(cmd.Context(), c, args[0]); err != nil || !yes {
					return err
				}
			}
			e, err := c.ApproveException(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return s.printException(e)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	c.Flags().BoolVar(&yes, "yes", false, "approve without asking")
	return c
}

// lookAtException shows what an exception would suppress, and asks.
func (s *shared) lookAtException(ctx context.Context, c *client.Client, id string) (bool, error) {
	e, err := c.Exception(ctx, id)
	if err != nil {
		return false, err
	}
	covers, err := c.PreviewException(ctx, api.ExceptionQuestion{ID: id})
	if err != nil {
		return false, err
	}
	if err := errors.Join(exceptionGrid(e).table(s.Err, s.output), coverGrid(covers).table(s.Err, s.output)); err != nil {
		return false, err
	}
	fmt.Fprintln(s.Err, coverText(covers))
	yes, asked, err := s.ask(ctx, "Approve? [y/N] ")
	if err == nil && !asked {
		err = usage("nobody can be asked here: look at the above, then run: parry exception approve %s --yes", e.ID)
	}
	return yes, err
}

func (s *shared) exceptionWordCommand(use, what string, say func(c *client.Client, ctx context.Context, id, reason string) (api.Exception, error)) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: use, Short: what, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			e, err := say(c, cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return s.printException(e)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}
