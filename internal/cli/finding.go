package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

func (s *shared) findingCommand() *cobra.Command {
	c := &cobra.Command{Use: "finding", Short: "See findings and have them remediated"}
	c.AddCommand(s.findingListCommand(), s.findingShowCommand(), s.findingExplainCommand(), s.findingHistoryCommand(), s.findingImportCommand(), s.findingUpdateCommand(), s.findingRemediateCommand(),
		s.findingCountCommand(), s.findingTrendCommand(), s.findingActionCommand())
	return c
}

func (s *shared) findingListCommand() *cobra.Command {
	var f client.FindingFilter
	var filters, text string
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "List findings, the latest update or the most urgent first", Args: cobra.NoArgs,
		Example: "  parry finding list --sort priority --workflow NEW\n  parry finding list --overdue --account 111122223333\n  parry finding list --text 'public bucket'\n  parry finding list --filter @filter.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(
				checkLimit(limit), oneOf("--severity", &f.Severity, "INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"),
				oneOf("--workflow", &f.Workflow, "NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"), oneOf("--state", &f.RecordState, "ACTIVE", "ARCHIVED"),
				checkSort(f.Sort),
			); err != nil {
				return err
			}
			search, err := s.findingSearch(filters, text)
			if err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			var hidden int64
			uncounted := false
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[api.Finding], error) {
				ask := c.Findings
				if search != nil {
					ask = func(ctx context.Context, f client.FindingFilter, p client.Paging) (api.FindingList, error) {
						return c.SearchFindings(ctx, f, *search, p)
					}
				}
				got, err := ask(ctx, f, p)
				hidden, uncounted = hidden+got.Hidden, uncounted || got.HiddenMore
				return api.Page[api.Finding]{Items: got.Items, Next: got.Next}, err
			})
			if err != nil {
				return err
			}
			if uncounted { // too many to be counted
				hidden = -1
			}
			s.tellHidden(hidden)
			return s.print(s.Out, items, func() grid {
				g := grid{note: hiddenText(hidden), header: []string{"Priority", "Severity", "Control", "Title", "Account", "Region", "Resource", "Workflow", "Updated", "Id"}}
				for _, v := range items {
					workflow := v.Workflow
					if v.Exception != "" {
						workflow += " by " + v.Exception
					}
					if v.RecordState == "ARCHIVED" {
						workflow += " (archived)"
					}
					g.rows = append(g.rows, []string{priorityText(v), v.Severity, v.Control, short(v.Title, 60), v.Account, v.Region, shortARN(v.ResourceID), workflow, moment(v.UpdatedAt), v.ID})
				}
				return g
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.Account, "account", "", "only this account")
	flags.StringVar(&f.Region, "region", "", "only this region")
	flags.StringVar(&f.Control, "control", "", "only this control, such as S3.8")
	flags.StringVar(&f.Severity, "severity", "", "only INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL")
	flags.StringVar(&f.Workflow, "workflow", "", "only NEW, NOTIFIED, SUPPRESSED or RESOLVED")
	flags.BoolVar(&f.Unique, "unique", false, "of the findings of one control on one resource only the main one")
	flags.StringVar(&f.RecordState, "state", "", "only ACTIVE or ARCHIVED")
	flags.BoolVar(&f.Overdue, "overdue", false, "only those whose deadline has passed")
	flags.BoolVar(&f.Excepted, "excepted", false, "only those that an exception suppresses")
	flags.StringVar(&f.Exception, "exception", "", "only those that this exception suppresses")
	flags.BoolVar(&f.AllAccounts, "all-accounts", false, "also those of accounts that are suspended, closed or no longer in the organization")
	flags.StringVar(&f.Sort, "sort", "updated", "updated or priority")
	flags.StringVar(&filters, "filter", "", "only what Security Hub's filters select: JSON, @FILE or - for standard input")
	flags.StringVar(&text, "text", "", "only those with all of these words in title or description")
	limitFlag(c, &limit)
	return c
}

// hiddenText says how many findings a list leaves out, "" for none; below zero it is
// not known how many.
func hiddenText(n int64) string {
	if n == 0 {
		return ""
	}
	if n < 0 {
		return "more may be in accounts that are suspended, closed or gone; show them with --all-accounts"
	}
	return number(n) + " more in accounts that are suspended, closed or gone; show them with --all-accounts"
}

// tellHidden says it beside output that is not a table, which has the line itself.
func (s *shared) tellHidden(n int64) {
	if n != 0 && (s.format != "table" || s.query != "") {
		fmt.Fprintln(s.Err, hiddenText(n))
	}
}

func checkSort(v string) error {
	if v == "updated" || v == "priority" {
		return nil
	}
	return usage("--sort is %q, not updated or priority", v)
}

// priorityText gives a finding's priority, marked when it is overdue.
func priorityText(f api.Finding) string {
	if f.Overdue {
		return fmt.Sprintf("%d overdue", f.Priority)
	}
	return fmt.Sprint(f.Priority)
}

// reasonsText gives the sum of a priority.
func reasonsText(d api.FindingDetail) string {
	parts := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		parts[i] = fmt.Sprintf("%+d %s", r.Points, r.Text)
	}
	return strings.Join(parts, "; ")
}

func dueText(f api.Finding) string {
	if f.DueAt.IsZero() {
		return ""
	}
	return moment(f.DueAt)
}

func (s *shared) resourceCommand() *cobra.Command {
	c := &cobra.Command{Use: "resource", Short: "See which resources need attention first"}
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List resources by their most urgent finding, with what is open on each", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > api.MaxLimit {
				return usage("--limit is %d, not a number from 1 to %d", limit, api.MaxLimit)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			items, err := c.Resources(cmd.Context(), limit)
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid {
				g := grid{header: []string{"Priority", "Resource", "Type", "Account", "Region", "Open", "Critical", "High", "Medium", "Low", "Overdue"}}
				for _, r := range items {
					n := func(label string) string { return fmt.Sprint(r.BySeverity[label]) }
					g.rows = append(g.rows, []string{
						fmt.Sprint(r.Priority), shortARN(r.ID), r.Type, r.Account, r.Region, fmt.Sprint(r.Open), n("CRITICAL"), n("HIGH"), n("MEDIUM"), n("LOW"), fmt.Sprint(r.Overdue),
					})
				}
				return g
			})
		},
	}
	list.Flags().IntVar(&limit, "limit", 50, "at most this many")
	c.AddCommand(list)
	return c
}

func (s *shared) findingShowCommand() *cobra.Command {
	format := "parry"
	c := &cobra.Command{
		Use: "show ID", Short: "Show a finding whole", Args: cobra.ExactArgs(1),
		Example: "  parry finding show ID --format ocsf -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", &format, "PARRY", "ASFF", "OCSF"); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			f, err := findFinding(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			detail, err := c.Finding(cmd.Context(), finding.ID{ProductArn: f.ProductArn, Id: f.ID})
			if err != nil {
				return err
			}
			switch format {
			case "ASFF":
				return s.print(s.Out, detail.Document, func() grid { return findingGrid(detail) })
			case "OCSF":
				return s.print(s.Out, detail.OCSF, func() grid { return findingGrid(detail) })
			}
			return s.print(s.Out, detail, func() grid { return findingGrid(detail) })
		},
	}
	c.Flags().StringVar(&format, "format", format, "document of -o json and yaml: parry (columns and both documents), asff or ocsf")
	return c
}

func findingGrid(d api.FindingDetail) grid {
	var doc struct {
		Description string
		Note        struct{ Text, UpdatedBy string }
	}
	// A document that cannot be read leaves two rows empty; JSON output has it all.
	_ = json.Unmarshal(d.Document, &doc)
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	for _, row := range [][2]string{
		{"Title", d.Title},
		{"Description", doc.Description},
		{"Severity", d.Severity},
		{"Priority", priorityText(d.Finding)},
		{"Because", reasonsText(d)},
		{"Due", dueText(d.Finding)},
		{"Control", d.Control},
		{"Compliance", d.Compliance},
		{"Workflow", d.Workflow},
		{"Exception", exceptedText(d.ExceptedBy)},
		{"Remediation", remedyText(d.Remedy)},
		{"State", d.RecordState},
		{"Note", noteText(doc.Note.Text, doc.Note.UpdatedBy)},
		{"Account", d.Account},
		{"Region", d.Region},
		{"Resource", d.ResourceID},
		{"Resource type", d.ResourceType},
		{"Source", d.Source + trustedText(d.Trusted)},
		{"Created", moment(d.CreatedAt)},
		{"Updated", moment(d.UpdatedAt)},
		{"Product", d.ProductArn},
		{"Id", d.ID},
	} {
		g.rows = append(g.rows, []string{row[0], row[1]})
	}
	for _, l := range d.Links {
		name, _, _ := strings.Cut(l.Title, ":") // the URL says the rest
		g.rows = append(g.rows, []string{name, l.URL})
	}
	for _, l := range d.Linked {
		what := "Linked"
		if l.Main {
			what = "Main"
		}
		g.rows = append(g.rows, []string{what, l.ID})
	}
	return g
}

// remedyText says why a finding is not remediated, or that it is, and by what.
func remedyText(m api.Remedy) string {
	text := strings.TrimSpace(m.Why + " " + m.Next)
	if m.Remediation != "" {
		text += " See: parry remediation show " + m.Remediation
	}
	return text
}

func noteText(text, by string) string {
	if text == "" {
		return ""
	}
	return text + " (" + by + ")"
}

// exceptedText names the exception that suppresses a finding.
func exceptedText(e *api.FindingException) string {
	switch {
	case e == nil:
		return ""
	case e.Title == "":
		return e.ID
	}
	return fmt.Sprintf("%s (%s, owner %s, until %s)", e.ID, e.Title, e.Owner, moment(e.ExpiresAt))
}

func trustedText(trusted bool) string {
	if trusted {
		return " (trusted)"
	}
	return ""
}

func (s *shared) findingHistoryCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "history ID", Short: "Show what changed on a finding, and who changed it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			f, err := findFinding(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			id := finding.ID{ProductArn: f.ProductArn, Id: f.ID}
			items, err := all(cmd.Context(), limit, func(ctx context.Context, p client.Paging) (api.Page[store.HistoryEntry], error) {
				return c.FindingHistory(ctx, id, p)
			})
			if err != nil {
				return err
			}
			return s.print(s.Out, items, func() grid { return historyGrid(items) })
		},
	}
	limitFlag(c, &limit)
	return c
}

func historyGrid(items []store.HistoryEntry) grid {
	g := grid{header: []string{"When", "Source", "By", "Field", "From", "To"}}
	for _, e := range items {
		if e.Created {
			g.rows = append(g.rows, []string{moment(e.At), e.Source, e.Identity, "(created)", "", ""})
		}
		by := e.Identity
		if e.Reason != "" {
			by += " (" + e.Reason + ")"
		}
		for _, u := range e.Updates {
			g.rows = append(g.rows, []string{moment(e.At), e.Source, by, u.UpdatedField, orAbsent(textOf(u.OldValue)), orAbsent(textOf(u.NewValue))})
		}
	}
	return g
}

// textOf prints a value of a history entry.
func textOf(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return ""
	}
	return string(raw)
}

// requested is the answer of commands that ask for a remediation.
type requested struct {
	ID remediation.ID `json:"id"`
}

func (s *shared) printRequested(id remediation.ID, what string) error {
	if err := s.print(s.Out, requested{id}, func() grid { return grid{header: []string{"Remediation"}, rows: [][]string{{string(id)}}} }); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%s was triggered and is being planned; next: parry remediation watch %s\n", what, id)
	return nil
}

func (s *shared) findingUpdateCommand() *cobra.Command {
	var workflow, note string
	c := &cobra.Command{
		Use: "update ID", Short: "Set the workflow status of a finding, with a note that says why", Args: cobra.ExactArgs(1),
		Example: `  parry finding update ID --workflow suppressed --note "accepted until the move"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--workflow", &workflow, "NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"); err != nil {
				return err
			}
			if workflow == "" && note == "" {
				return usage("there is nothing to set: give --workflow, --note or both")
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			f, err := findFinding(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			id := finding.ID{ProductArn: f.ProductArn, Id: f.ID}
			if err := c.UpdateFinding(cmd.Context(), id, workflow, note); err != nil {
				return err
			}
			detail, err := c.Finding(cmd.Context(), id)
			if err != nil {
				return err
			}
			return s.print(s.Out, detail, func() grid { return findingGrid(detail) })
		},
	}
	c.Flags().StringVar(&workflow, "workflow", "", "new, notified, suppressed or resolved")
	c.Flags().StringVar(&note, "note", "", "why; at most 512 characters")
	return c
}

func (s *shared) findingRemediateCommand() *cobra.Command {
	var playbook string
	c := &cobra.Command{
		Use: "remediate ID", Short: "Ask for a plan that fixes a finding; policy decides who approves it", Args: cobra.ExactArgs(1),
		Long: "Asks for a plan, as a person: nothing is changed before it is approved, and not by whoever asked. Only a remediation of the finding that is\n" +
			"under way keeps another from being asked for. ID is that of the finding, or of an earlier remediation of it.",
		Example: "  parry finding remediate FINDING\n  parry finding remediate rem-ebdf6d7181800be20151\n  parry remediation watch REMEDIATION",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			f, err := findFinding(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			id, err := c.Remediate(cmd.Context(), finding.ID{ProductArn: f.ProductArn, Id: f.ID}, strings.TrimSpace(playbook))
			if err != nil {
				return err
			}
			return s.printRequested(id, "the fix")
		},
	}
	c.Flags().StringVar(&playbook, "playbook", "", "playbook to use (default: the one for the finding's control)")
	return c
}
