package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
)

func (s *shared) caseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "case", Short: "Work on incidents: what happened, where, and what was done about it",
		Long: "A case gathers what belongs to one incident on a timeline. Rules open cases for events, people open them by hand.\n" +
			"docs/cases.md says what belongs together and who sees which case.",
	}
	c.AddCommand(s.caseListCommand(), s.caseShowCommand(), s.caseOpenCommand(), s.caseNoteCommand(), s.caseStatusCommand(), s.caseCloseCommand())
	return c
}

// statusWords are short names of the statuses, for the command line.
func statusWords() map[string]casefile.Status {
	return map[string]casefile.Status{
		"submitted": casefile.Submitted, "acknowledged": casefile.Acknowledged, "detection": casefile.Detection, "containment": casefile.Containment,
		"post-incident": casefile.PostIncident, "ready": casefile.ReadyToClose, "closed": casefile.Closed,
	}
}

// statusOf reads a short name of a status or the whole.
func statusOf(flag, text string, more ...string) (string, error) {
	if s, ok := statusWords()[strings.ToLower(text)]; ok {
		return string(s), nil
	}
	for _, s := range casefile.Statuses() {
		if strings.EqualFold(string(s), text) {
			return string(s), nil
		}
	}
	for _, m := range more {
		if strings.EqualFold(m, text) {
			return m, nil
		}
	}
	words := append([]string{"submitted", "acknowledged", "detection", "containment", "post-incident", "ready", "closed"}, more...)
	return "", usage("%s %q is not one of %s", flag, text, strings.Join(words, ", "))
}

func (s *shared) caseListCommand() *cobra.Command {
	status, account := "open", ""
	c := listCommand(s, &cobra.Command{
		Use: "list", Short: "List cases, those that are not closed by default",
		Example: "  parry case list --status containment\n  parry case list --status all --account 111122223333",
	}, func(c *client.Client, ctx context.Context, p client.Paging) (api.Page[api.Case], error) {
		asked, err := statusOf("--status", status, "open", "all")
		if err != nil {
			return api.Page[api.Case]{}, err
		}
		if asked == "all" {
			asked = ""
		}
		return c.Cases(ctx, asked, account, p)
	}, func(items []api.Case) grid {
		g := grid{header: []string{"Case", "Severity", "Status", "Title", "Accounts", "Events", "Opened by", "Updated"}}
		for _, i := range items {
			g.rows = append(g.rows, []string{
				i.ID, string(i.Severity), statusText(i), short(i.Title, 50), accountsText(i.Accounts), fmt.Sprint(i.Events), short(i.CreatedBy, 30), moment(i.UpdatedAt),
			})
		}
		return g
	})
	c.Flags().StringVar(&status, "status", status, "open, submitted, acknowledged, detection, containment, post-incident, ready, closed or all")
	c.Flags().StringVar(&account, "account", "", "cases that have this account")
	return c
}

// statusText gives the status by its short name, and why a case was closed.
func statusText(c api.Case) string {
	out := string(c.Status)
	for word, s := range statusWords() {
		if s == c.Status {
			out = word
		}
	}
	if c.ClosureCode != "" {
		out += " (" + string(c.ClosureCode) + ")"
	}
	return out
}

// shownCase is what show prints: the case and its timeline.
type shownCase struct {
	api.Case
	Timeline []api.CaseEntry `json:"timeline"`
}

func (s *shared) caseShowCommand() *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use: "show ID", Short: "Show a case with its timeline", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			found, err := c.Case(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			entries, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.CaseEntry], error) {
				return c.CaseTimeline(ctx, args[0], p)
			})
			if err != nil {
				return err
			}
			if s.format == "table" && s.query == "" {
				if err := s.printCase(found); err != nil {
					return err
				}
				fmt.Fprintln(s.Out)
				return s.print(s.Out, entries, func() grid { return timelineGrid(entries) })
			}
			return s.print(s.Out, shownCase{found, entries}, func() grid { return timelineGrid(entries) })
		},
	}
	limitFlag(c, &limit)
	return c
}

func (s *shared) printCase(c api.Case) error {
	return s.print(s.Out, c, func() grid { return incidentGrid(c) })
}

func incidentGrid(c api.Case) grid {
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	for _, row := range [][2]string{
		{"Case", c.ID},
		{"ARN", c.ARN},
		{"Title", c.Title},
		{"Description", short(strings.Join(strings.Fields(c.Description), " "), 400)},
		{"Type", string(c.EngagementType)},
		{"Status", string(c.Status)},
		{"Severity", string(c.Severity)},
		{"Accounts", someOf(c.Accounts, 5)},
		{"Regions", someOf(c.Regions, 5)},
		{"Resources", someOf(c.Resources, 3)},
		{"Findings", fmt.Sprint(len(c.Findings))},
		{"Remediations", someOf(c.Remediations, 3)},
		{"Follows", c.Follows},
		{"Opened", saidText(c.CreatedAt, c.CreatedBy, "")},
		{"Updated", moment(c.UpdatedAt)},
		{"Closed", saidText(c.ClosedAt, c.ClosedBy, string(c.ClosureCode))},
	} {
		if row[1] != "" {
			g.rows = append(g.rows, []string{row[0], row[1]})
		}
	}
	return g
}

// someOf names the first of a list and says how many more there are.
func someOf[T ~string](list []T, n int) string {
	words := make([]string, 0, n+1)
	for _, v := range list[:min(len(list), n)] {
		words = append(words, string(v))
	}
	if len(list) > n {
		words = append(words, fmt.Sprintf("and %d more", len(list)-n))
	}
	return strings.Join(words, ", ")
}

func timelineGrid(entries []api.CaseEntry) grid {
	g := grid{header: []string{"No", "At", "By", "What", "Text", "Account", "Resource"}}
	for _, e := range entries {
		g.rows = append(g.rows, []string{
			fmt.Sprint(e.Seq), moment(e.At), short(e.By, 30), string(e.Kind), short(strings.Join(strings.Fields(e.Text), " "), 80), e.Account, short(shortARN(e.Resource), 50),
		})
	}
	return g
}

func (s *shared) caseOpenCommand() *cobra.Command {
	var r api.CaseRequest
	var severity, engagement, reported string
	var findings []string
	c := &cobra.Command{
		Use: "open", Short: "Open a case by hand", Args: cobra.NoArgs,
		Long: "Accounts, Regions and resources of the findings and remediations are added by themselves. Everybody who has all accounts of the case sees it.",
		Example: "  parry case open --title 'Key on a public page' --description 'found by the press team' --account 111122223333 --severity high\n" +
			"  parry case open --title 'Odd reads' --description @notes.txt --finding FINDING --type investigation",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := caseWords(&r, severity, engagement, reported); err != nil {
				return err
			}
			text, err := s.noteText("--description", r.Description, casefile.MaxDescription)
			if err != nil {
				return err
			}
			r.Description = text
			c, err := s.client()
			if err != nil {
				return err
			}
			for _, name := range findings {
				f, err := findFinding(cmd.Context(), c, name)
				if err != nil {
					return err
				}
				r.Findings = append(r.Findings, f.Key)
			}
			opened, err := c.OpenCase(cmd.Context(), r)
			if err != nil {
				return err
			}
			return s.printCase(opened)
		},
	}
	flags := c.Flags()
	flags.StringVar(&r.Title, "title", "", "what it is about, in a few words")
	flags.StringVar(&r.Description, "description", "", "what is known: a text, @FILE or - for standard input")
	flags.StringVar(&severity, "severity", "medium", "informational, low, medium, high or critical")
	flags.StringVar(&engagement, "type", "incident", "incident or investigation")
	flags.StringVar(&reported, "reported", "", "when it was first told of, a `time` of RFC 3339 (default now)")
	flags.StringSliceVar(&r.Accounts, "account", nil, "an account that is affected; may be repeated")
	flags.StringSliceVar(&r.Regions, "region", nil, "a Region; may be repeated")
	flags.StringArrayVar(&r.Resources, "resource", nil, "the id of a resource; may be repeated")
	flags.StringArrayVar(&findings, "finding", nil, "a finding that it is about; may be repeated")
	flags.StringSliceVar(&r.Remediations, "remediation", nil, "a remediation that belongs to it; may be repeated")
	return c
}

// caseWords reads the flags of a new case that are words.
func caseWords(r *api.CaseRequest, severity, engagement, reported string) error {
	if strings.TrimSpace(r.Title) == "" || strings.TrimSpace(r.Description) == "" {
		return usage("--title and --description are required")
	}
	if err := errors.Join(oneOf("--severity", &severity, "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"), oneOf("--type", &engagement, "incident", "investigation")); err != nil {
		return err
	}
	r.Severity, r.EngagementType = finding.Label(severity), casefile.Incident
	if engagement == "investigation" {
		r.EngagementType = casefile.Investigation
	}
	if reported == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, reported)
	if err != nil {
		return usage("--reported %q is not a time such as 2026-12-31T00:00:00Z", reported)
	}
	r.ReportedAt = at
	return nil
}

// noteText gives a text that stands in a flag, a file or standard input.
func (s *shared) noteText(name, value string, most int64) (string, error) {
	if value != "-" && !strings.HasPrefix(value, "@") {
		return value, nil
	}
	raw, err := s.readInput(value, 4*most) // a character has up to four bytes
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func (s *shared) caseNoteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "note ID TEXT", Short: "Write a note to the timeline of a case", Args: cobra.ExactArgs(2),
		Long:    "TEXT may be @FILE, or - for standard input. Notes are never changed.",
		Example: "  parry case note 1234567890 'the key is revoked, its owner was called'",
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := s.noteText("TEXT", args[1], casefile.MaxNote)
			if err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			noted, err := c.NoteCase(cmd.Context(), args[0], text)
			if err != nil {
				return err
			}
			return s.printCase(noted)
		},
	}
}

func (s *shared) caseStatusCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "status ID STATUS", Short: "Bring a case into another status", Args: cobra.ExactArgs(2),
		Long:    "STATUS is acknowledged, detection, containment, post-incident or ready, or AWS's whole name of it.",
		Example: "  parry case status 1234567890 containment --reason 'the instance is isolated'",
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := statusOf("STATUS", args[1])
			if err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			moved, err := c.MoveCase(cmd.Context(), args[0], casefile.Status(to), reason)
			if err != nil {
				return err
			}
			return s.printCase(moved)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the timeline")
	return c
}

func (s *shared) caseCloseCommand() *cobra.Command {
	var code, reason string
	c := &cobra.Command{
		Use: "close ID --code CODE", Short: "Close a case for good", Args: cobra.ExactArgs(1),
		Long:    "A closed case is not opened again: what belongs to it afterwards opens another.",
		Example: "  parry case close 1234567890 --code false-positive --reason 'a test of the red team'",
		RunE: func(cmd *cobra.Command, args []string) error {
			codes := map[string]casefile.ClosureCode{
				"completed": casefile.Completed, "not-resolved": casefile.NotResolved, "false-positive": casefile.FalsePositive, "duplicate": casefile.Duplicate,
			}
			if code == "" {
				return usage("--code is required: completed, not-resolved, false-positive or duplicate")
			}
			if err := oneOf("--code", &code, "completed", "not-resolved", "false-positive", "duplicate"); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			closed, err := c.CloseCase(cmd.Context(), args[0], codes[code], reason)
			if err != nil {
				return err
			}
			return s.printCase(closed)
		},
	}
	c.Flags().StringVar(&code, "code", "", "completed, not-resolved, false-positive or duplicate; required")
	c.Flags().StringVar(&reason, "reason", "", "why, for the timeline")
	return c
}
