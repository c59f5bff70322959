package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/remediation"
)

// lookBar says on a terminal, in one line, what is looked at now.
type lookBar struct {
	w     io.Writer
	width int // 0 = no terminal
}

func newLookBar(w io.Writer) *lookBar {
	b := &lookBar{w: w}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		b.width = 80
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			b.width = n
		}
	}
	return b
}

func (b *lookBar) say(text string) {
	if b.width > 0 {
		fmt.Fprint(b.w, "\r\x1b[2K", short(printable(text), max(20, b.width-1)))
	}
}

func (b *lookBar) end() {
	if b.width > 0 {
		fmt.Fprint(b.w, "\r\x1b[2K")
	}
}

// tryText is the report as a person reads it: what is open, what would be done about it,
// what it needs, and what was sent.
func (s *shared) tryText(r app.TrialReport, file string) error {
	t := &sheet{w: s.Out, color: s.color}
	t.line("Looked at %s in %s as %s", accountsOf(r), strings.Join(r.Regions, ", "), r.Principal)
	for _, line := range sourceLines(r) {
		t.line("  %s", line)
	}
	for _, n := range r.Notes {
		t.line("  %s", n)
	}
	t.line("")
	if r.Open == 0 {
		t.line("No open finding%s.", known(r))
	}
	if t.err != nil {
		return t.err
	}
	if r.Open > 0 {
		g := tryGrid(r)
		if err := g.table(s.Out, s.output); err != nil {
			return err
		}
	}
	t.unplanned(r)
	for _, p := range r.Plans {
		t.tryPlan(p)
	}
	t.unread(r)
	if len(r.Limits) > 0 {
		t.line("")
		t.paint(yellow, "Where the look stopped short")
		for _, l := range r.Limits {
			t.paint(yellow, "  "+l)
		}
	}
	t.sentToAWS(r)
	t.line("")
	t.line("%s", kept(file))
	for _, n := range tryNext(r) {
		t.line("next:  %s   # %s", n.Command, n.Step)
	}
	return t.err
}

func accountsOf(r app.TrialReport) string {
	if len(r.Accounts) == 1 {
		return "account " + r.Accounts[0]
	}
	return fmt.Sprintf("%d accounts", len(r.Accounts))
}

// sourceLines say where findings came from; all sweeps are one line.
func sourceLines(r app.TrialReport) []string {
	var out []string
	controls, checked, failing := 0, 0, 0
	for _, x := range r.Sources {
		switch x.Kind {
		case app.TrialHub:
			out = append(out, fmt.Sprintf("Security Hub of account %s, %s: %s", x.Account, x.Region, countOf(x.Findings, "open finding")))
		case app.TrialSweep:
			controls++
			checked += x.Checked
			failing += x.Findings
		}
	}
	if controls > 0 {
		out = append(out, fmt.Sprintf("checked here: %s on %s, %d failed", countOf(controls, "control"), countOf(checked, "resource"), failing))
	}
	return out
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// known adds to "no open finding" that not everything is known.
func known(r app.TrialReport) string {
	if len(r.Problems)+len(r.Limits) > 0 {
		return " is known, but not everything could be read"
	}
	return ""
}

// unplanned lists the findings that Parry would do nothing about, by the reason.
func (t *sheet) unplanned(r app.TrialReport) {
	first := true
	for _, u := range unplannedOf(r) {
		if first {
			t.line("")
			t.line("Without a plan")
			first = false
		}
		t.line("  %s: %s", countOf(len(u.Findings), "finding"), u.Why)
		if u.Hint != "" {
			t.line("    next: %s", u.Hint)
		}
		for _, name := range named(u.Findings) {
			t.line("    %s", name)
		}
	}
}

// maxUnplanned bounds the findings that are named with one reason.
const maxUnplanned = 5

// named names the first of the findings, and says how many more there are.
func named(findings []app.TrialFinding) []string {
	var out []string
	for i, f := range findings {
		if i == maxUnplanned {
			return append(out, fmt.Sprintf("and %d more", len(findings)-i))
		}
		out = append(out, unplannedName(f))
	}
	return out
}

// unplannedName says which finding it is. Titles are of others and may be long.
func unplannedName(f app.TrialFinding) string {
	return strings.TrimSpace(oneLine(fmt.Sprintf("%s %s  %s", f.Control, shortARN(short(f.Resource, 160)), short(f.Title, 90))))
}

// reasonGroup are the findings that have no plan for one reason.
type reasonGroup struct {
	Why, Hint string
	Findings  []app.TrialFinding
}

func unplannedOf(r app.TrialReport) []reasonGroup {
	var out []reasonGroup
	at := map[[2]string]int{}
	for _, f := range r.Findings {
		if f.Plan != 0 {
			continue
		}
		key := [2]string{f.Unplanned, f.Hint}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, reasonGroup{Why: f.Unplanned, Hint: f.Hint})
		}
		out[i].Findings = append(out[i].Findings, f)
	}
	return out
}

func (t *sheet) tryPlan(p app.TrialPlan) {
	t.line("")
	t.paint("1", fmt.Sprintf("Plan %d  %s  %s", p.Number, p.Plan.Control, p.Title))
	t.line("  resource  %s", p.Plan.Resource)
	t.line("  account   %s, %s, %s", p.Plan.Account, p.Plan.Region, planRole(p))
	t.line("  runbook   %s (revision %.12s)", p.Plan.Runbook.Name, p.Plan.Runbook.Revision)
	for i, l := range strings.Split(text.WrapSoft(fmt.Sprintf("%s: %s", p.Risk, strings.TrimSpace(p.Impact)), 100), "\n") {
		head := "          "
		if i == 0 {
			head = "risk      "
		}
		t.line("  %s%s", head, strings.TrimSpace(l))
	}
	t.violations(p.Plan.Violation)
	t.problems(p.Plan.Problems)
	t.line("")
	t.calls(p.Plan.Calls)
	t.allowances(p.Plan)
	t.line("")
	t.line("%s", verdict(p.Plan, remediation.Planned))
	for _, line := range alikeLines(p) {
		t.paint(yellow, line)
	}
	t.line("A role needs, to carry it out, to verify and to undo it:")
	for _, policy := range p.Policies {
		for _, st := range policy.Statement {
			t.line("  %s", strings.Join(st.Action, ", "))
			t.line("      on %s%s", strings.Join(st.Resource, ", "), conditionOf(st))
		}
	}
	for _, g := range p.Gaps {
		t.paint(yellow, "  not derived: "+g)
	}
}

// alikeLines says which other plans make some of the same changes.
func alikeLines(p app.TrialPlan) []string {
	var out []string
	for _, o := range p.Alike {
		text := alikeText(o.Shared, p.Plan.Changes(), o.Changes, fmt.Sprintf("plan %d (%s)", o.Number, o.Control))
		if o.Shared == p.Plan.Changes() || o.Shared == o.Changes {
			text += ": carry out one of the two, then see what is left of the other"
		}
		out = append(out, text+".")
	}
	return out
}

func conditionOf(st apimodel.Statement) string {
	if len(st.Condition) == 0 {
		return ""
	}
	return " if " + lineJSON(st.Condition)
}

func planRole(p app.TrialPlan) string {
	if p.Plan.Role == "" {
		return "planned with your own credentials"
	}
	return "planned as role " + p.Plan.Role
}

// unread lists the reads that failed.
func (t *sheet) unread(r app.TrialReport) {
	if len(r.Problems) == 0 {
		return
	}
	t.line("")
	t.paint(yellow, "What could not be read")
	for i, p := range r.Problems {
		t.paint(yellow, fmt.Sprintf("  %s%s: %s", p.What, place(p.Account, p.Region), oneLine(p.Problem)))
		if last := i == len(r.Problems)-1; p.Hint != "" && (last || r.Problems[i+1].Hint != p.Hint) {
			t.line("      next: %s", oneLine(p.Hint))
		}
	}
}

func place(account, region string) string {
	out := strings.Join(strings.Fields(account+" "+region), ", ")
	if out == "" {
		return ""
	}
	return " (" + out + ")"
}

func (t *sheet) sentToAWS(r app.TrialReport) {
	t.line("")
	t.line("Sent to AWS")
	for _, x := range r.Sent {
		t.line("  %6d  %s:%s", x.Requests, x.Service, x.Operation)
	}
	t.line("%s", sentSum(r))
}

// sentSum says what was sent in a sentence, and that nothing was changed.
func sentSum(r app.TrialReport) string {
	sum := countOf(r.Requests, "request") + ", all of them reads"
	for _, x := range r.Sent {
		if x.Class != apimodel.Read {
			sum += fmt.Sprintf(" or %s:%s, which gives credentials", x.Service, x.Operation)
		}
	}
	sum += ". Nothing was changed."
	if r.Refused > 0 {
		sum += fmt.Sprintf(" The gate refused %s that were no reads.", countOf(r.Refused, "call"))
	}
	return sum
}

func kept(file string) string {
	if file == "" {
		return "Nothing was kept."
	}
	return "The same as a page, with the policies as documents: " + file + ". Nothing else was kept."
}
