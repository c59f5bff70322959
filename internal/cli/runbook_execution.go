package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/parry-security/parry/internal/automation"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// printExecution prints an AutomationExecution: as a document, or as what people
// want to know of it.
func (s *shared) printExecution(e map[string]any) error {
	if s.format != "table" || s.query != "" {
		return s.print(s.Out, e, func() grid { return stepsGrid(e) })
	}
	t := &sheet{w: s.Out, color: s.color}
	t.line("Execution  %s", memberText(e, "AutomationExecutionId"))
	t.line("document   %s", memberText(e, "DocumentName"))
	status := memberText(e, "AutomationExecutionStatus")
	code := red
	switch automation.Status(status) {
	case automation.Success:
		code = green
	case automation.Pending, automation.InProgress, automation.Waiting, automation.Cancelling:
		code = yellow
	}
	t.paint(code, "status     "+status)
	if why := memberText(e, "FailureMessage"); why != "" {
		t.line("why        %s", oneLine(why))
	}
	t.outputs(e)
	t.line("")
	if t.err != nil {
		return t.err
	}
	// Failures are sentences: below the table they have the whole width.
	g := stepsGrid(e)
	for i := range g.rows {
		g.rows[i] = g.rows[i][:len(g.header)-1]
	}
	g.header = g.header[:len(g.header)-1]
	if err := g.table(s.Out, s.output); err != nil {
		return err
	}
	for _, st := range stepsOf(e) {
		if why := memberText(st, "FailureMessage"); why != "" {
			t.line("")
			t.line("%s: %s", stepLabel(st), short(oneLine(why), 1000))
		}
	}
	return t.err
}

// outputs lists the outputs of an execution.
func (t *sheet) outputs(e map[string]any) {
	outputs, _ := e["Outputs"].(map[string]any)
	for _, name := range sortedKeys(outputs) {
		var texts []string
		list, _ := outputs[name].([]any)
		for _, v := range list {
			texts = append(texts, fmt.Sprint(v))
		}
		t.line("output     %s = %s", name, short(oneLine(strings.Join(texts, ", ")), 400))
	}
}

// stepsGrid lists the steps of an execution.
func stepsGrid(e map[string]any) grid {
	g := grid{header: []string{"Step", "Action", "Status", "Began", "Ended", "Failure"}}
	for _, s := range stepsOf(e) {
		g.rows = append(g.rows, []string{
			stepLabel(s), memberText(s, "Action"), memberText(s, "StepStatus"), clockOf(s["ExecutionStartTime"]), clockOf(s["ExecutionEndTime"]), short(memberText(s, "FailureMessage"), 200),
		})
	}
	return g
}

func stepsOf(e map[string]any) []map[string]any {
	list, _ := e["StepExecutions"].([]any)
	out := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// stepLabel is a step's name, and its pass in a loop.
func stepLabel(s map[string]any) string {
	label := memberText(s, "StepName")
	if parent, ok := s["ParentStepDetails"].(map[string]any); ok {
		label = memberText(parent, "StepName") + "[" + fmt.Sprint(parent["Iteration"]) + "]/" + label
	}
	return label
}

// liveSteps shows steps as they begin and end, one line each: what went by stays
// readable, and a log is none the worse for it.
type liveSteps struct {
	w    io.Writer
	seen map[string]string // status by step execution
}

func (v *liveSteps) show(e map[string]any) {
	for _, s := range stepsOf(e) {
		status := memberText(s, "StepStatus")
		key := memberText(s, "StepExecutionId") + "/" + memberText(s, "StepName")
		if status == string(automation.Pending) || v.seen[key] == status {
			continue
		}
		v.seen[key] = status
		at := s["ExecutionStartTime"]
		if automation.Status(status).Ended() {
			at = s["ExecutionEndTime"]
		}
		line := fmt.Sprintf("%-8s  %-10s  %-40s %s", clockOf(at), status, stepLabel(s), memberText(s, "Action"))
		if why := memberText(s, "FailureMessage"); why != "" {
			line += "  " + short(oneLine(why), 300)
		}
		fmt.Fprintln(v.w, strings.TrimRight(printable(line), " "))
	}
}

// planSheet shows a plan to whoever has to say yes to it.
func (s *shared) planSheet(w io.Writer, p proposal) {
	t := &sheet{w: w, color: s.color && w == s.Out}
	t.line("Run of %s", p.plan.Runbook.Name)
	t.line("  account   %s, %s", p.plan.Account, p.plan.Region)
	t.line("  plan      %s", p.hash)
	t.problems(p.plan.Problems)
	t.line("")
	t.calls(p.plan.Calls)
	t.allowances(*p.plan)
	t.line("")
	t.line("%s", verdict(*p.plan, p.state))
}

func (s *shared) printPlan(p proposal) error {
	if s.format == "table" && s.query == "" {
		s.planSheet(s.Out, p)
		return nil
	}
	return s.print(s.Out, map[string]any{"hash": p.hash, "state": p.state, "plan": p.plan}, func() grid { return callGrid(p.plan.Calls) })
}

// textOf gives a member that is text, or "".
func memberText(m map[string]any, name string) string {
	text, _ := m[name].(string)
	return text
}

// clockOf gives the time of day of a timestamp in any of the forms that it has
// here: text, seconds since 1970, or a time.
func clockOf(v any) string {
	var at time.Time
	switch t := v.(type) {
	case time.Time:
		at = t
	case float64:
		at = time.UnixMilli(int64(t * 1000))
	case int64:
		at = time.Unix(t, 0)
	case string:
		parsed, err := time.Parse(time.RFC3339, t)
		if err != nil {
			return ""
		}
		at = parsed
	}
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("15:04:05")
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
