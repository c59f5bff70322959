package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

func (s *shared) planCommand() *cobra.Command {
	c := &cobra.Command{Use: "plan", Short: "See exactly what a remediation will do"}
	c.AddCommand(&cobra.Command{
		Use: "show REMEDIATION", Short: "Show every call of a plan with before and after", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			doc, err := c.Plan(cmd.Context(), remediation.ID(args[0]))
			if err != nil {
				return err
			}
			if s.format == "table" && s.query == "" {
				return s.planText(s.Out, doc)
			}
			return s.print(s.Out, doc, func() grid { return callGrid(doc.Plan.Calls) })
		},
	})
	return c
}

// planText is a plan as a person reads it: what is wrong now, every call with
// before and after, how it is undone, and what can be done about the plan.
func (s *shared) planText(w io.Writer, doc api.PlanDocument) error {
	p := doc.Plan
	t := &sheet{w: w, color: s.color}
	title := "Fix of "
	switch p.Kind {
	case remediation.KindUndo:
		title = "Undo on "
	case remediation.KindRun:
		title = "Run "
	}
	t.line("%s%s", title, p.Resource)
	t.line("  account   %s, %s, as role %s", p.Account, p.Region, p.Role)
	if len(p.Roles) > 0 {
		t.line("  roles     its documents and scripts may act as %s", strings.Join(p.Roles, ", "))
	}
	if p.Control != "" {
		t.line("  control   %s", p.Control)
	}
	t.line("  runbook   %s (revision %.12s)", p.Runbook.Name, p.Runbook.Revision)
	if p.Run != nil && p.Run.Rule != "" {
		t.line("  asked by  the rule %s, for the event %s", p.Run.Rule, p.Run.Event)
	}
	t.line("  state     %s", doc.State)
	t.line("  plan      %s", doc.Hash)
	t.violations(p.Violation)
	t.problems(p.Problems)
	t.line("")
	t.calls(p.Calls)
	t.allowances(p)
	t.line("")
	t.line("%s", verdict(p, doc.State))
	for _, o := range doc.Alike {
		t.paint(yellow, alikeText(o.Shared, p.Changes(), o.Changes, fmt.Sprintf("%s (%s), which waits too", o.Remediation, o.Control))+".")
		t.paint(yellow, "Approve one of them: once it is carried out the other no longer fits, and is planned again.")
	}
	if doc.State == remediation.AwaitingApproval {
		t.line("")
		t.line("To approve exactly this plan:  parry approval grant %s --plan %s", doc.ApprovalID, doc.Hash)
		t.line("To reject it:                  parry approval reject %s --plan %s", doc.ApprovalID, doc.Hash)
	}
	return t.err
}

// alikeText says what two plans have in common.
func alikeText(shared, here, there int, other string) string {
	switch {
	case shared == here && shared == there:
		return "The same changes as " + other
	case shared == here:
		return "All its changes are among those of " + other
	case shared == there:
		return fmt.Sprintf("%d of its %d changes are all that %s makes", shared, here, other)
	}
	return fmt.Sprintf("%d of its %d changes are also made by %s", shared, here, other)
}

// allowances shows what an open plan may call beyond what planning came to.
func (t *sheet) allowances(p remediation.Plan) {
	if !p.Open && len(p.Beyond) == 0 {
		return
	}
	t.line("")
	title := "What may be called beyond that, with whatever the run then finds"
	if !p.Open {
		title = "What may be called beyond that, when a step fails or is cancelled"
	}
	t.paint(yellow, title)
	for _, a := range p.Beyond {
		t.paint(yellow, "  "+a.String())
	}
	if len(p.Beyond) == 0 {
		t.line("  nothing that changes anything")
	}
}

// verdict sums a plan up in a sentence or two.
func verdict(p remediation.Plan, state remediation.State) string {
	var b strings.Builder
	n := p.Changes()
	b.WriteString(countOf(n, "change"))
	switch {
	case n == 0:
	case p.Irreversible() && n == 1:
		b.WriteString(", which cannot be undone")
	case p.Irreversible():
		b.WriteString(", not all of them can be undone")
	case n == 1:
		b.WriteString(", which can be undone")
	default:
		b.WriteString(", all of them can be undone")
	}
	if state == remediation.Planned || state == remediation.AwaitingApproval {
		b.WriteString(". Nothing has been changed yet")
	}
	b.WriteString(".")
	if p.Open {
		b.WriteString(" The plan is open: " + p.OpenReason + ".")
	}
	if len(p.Problems) > 0 {
		b.WriteString(" Applying it is bound to fail.")
	}
	return b.String()
}

// sheet writes lines for people; untrusted values lose their control characters.
type sheet struct {
	w     io.Writer
	color bool
	err   error
}

func (t *sheet) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, strings.TrimRight(printable(fmt.Sprintf(format, args...)), " "))
	}
}

// paint writes a line in an ANSI colour when the output is a terminal.
func (t *sheet) paint(code, line string) {
	if !t.color {
		t.line("%s", line)
		return
	}
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, "\x1b[%sm%s\x1b[0m\n", code, printable(line))
	}
}

func (t *sheet) violations(list []remediation.CheckResult) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.line("What a live read found")
	for _, v := range list {
		if v.Passed {
			t.line("  ok    %s", v.Check)
			continue
		}
		t.paint("33", fmt.Sprintf("  FAIL  %s: %s", v.Check, v.Detail))
	}
}

// problems says loudly what will not work.
func (t *sheet) problems(list []string) {
	if len(list) == 0 {
		return
	}
	t.line("")
	t.paint(red, "Applying this plan is bound to fail")
	for _, p := range list {
		t.paint(red, "  "+p)
	}
}

// request shows what a change sends, where no diff tells what it does.
func (t *sheet) request(c remediation.PlannedCall) {
	if !c.EffectUnknown {
		return
	}
	t.paint(yellow, "              its effect is not known; it sends "+lineJSON(c.Input))
}

// permission shows what AWS said of the change when it was planned.
func (t *sheet) permission(c remediation.PlannedCall) {
	switch c.Permission {
	case remediation.PermissionProven:
		t.line("              permission proven by a dry run")
	case remediation.PermissionDenied:
		t.paint(red, "              PERMISSION DENIED: "+c.PermissionDetail)
	case remediation.PermissionNotChecked:
		t.line("              permission not checked: %s", c.PermissionDetail)
	}
}

func (t *sheet) calls(calls []remediation.PlannedCall) {
	t.line("What will be called")
	wide := 28
	for _, c := range calls {
		wide = max(wide, len(c.Service+":"+c.Operation))
	}
	for _, c := range calls {
		word := "read  "
		if c.Class != apimodel.Read {
			word = "CHANGE"
		}
		t.line("  %2d  %s  %-*s step %s", c.Seq, word, wide, c.Service+":"+c.Operation, c.Step)
		if c.Class == apimodel.Read {
			continue
		}
		t.line("              on %s", resourceOf(c))
		for _, d := range c.Diff {
			t.change(d)
		}
		t.request(c)
		t.permission(c)
		if len(c.FromOutputs) > 0 {
			t.line("              known only when it runs: %s", strings.Join(c.FromOutputs, ", "))
		}
		t.line("              %s", undoOf(c))
	}
}

// The colours of a changed member: added, removed, changed.
const (
	green  = "32"
	red    = "31"
	yellow = "33"
)

func (t *sheet) change(d remediation.MemberChange) {
	mark, code := "~", yellow
	switch {
	case d.Before == "":
		mark, code = "+", green
	case d.After == "":
		mark, code = "-", red
	}
	lines := changeLines(d)
	if lines == nil {
		t.paint(code, fmt.Sprintf("              %s %s: %s -> %s", mark, d.Path, wholeValue(d.Before), wholeValue(d.After)))
		return
	}
	t.paint(code, fmt.Sprintf("              %s %s:", mark, d.Path))
	for _, l := range lines {
		text := fmt.Sprintf("                %s %s", l.Sign, l.Text)
		switch l.Sign {
		case "-":
			t.paint(red, text)
		case "+":
			t.paint(green, text)
		default:
			t.line("%s", text)
		}
	}
}
