package awsapi

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// A plan fixes the resource of every change (design.md decision 6). Where a
// change is about a resource that the plan itself makes, its name is known only
// after apply: then it is fixed to be what that step's change answers. What a
// read answers can name anything, so it names no resource.

var outputName = regexp.MustCompile(regexp.QuoteMeta(unknownPrefix) + `([^.<>]+)\.([^<> ]*)`)

// outputsIn lists the outputs that a planned value stands for: step and path.
func outputsIn(v any) [][2]string {
	var out [][2]string
	eachText(v, func(text string) string {
		for _, m := range outputName.FindAllStringSubmatch(text, -1) {
			out = append(out, [2]string{stepMarked.Replace(m[1]), m[2]})
		}
		return text
	})
	return out
}

// scopeMembers lists the input members that say what a change is about.
func scopeMembers(c apimodel.Call, op *apimodel.Operation) []string {
	if spec, ok := apimodel.ImageOf(c); ok {
		return spec.Identity()
	}
	if op == nil || op.Input == nil {
		return nil
	}
	return op.Input.Required
}

// openScope says where the resource of a change is one that only a read would
// tell; "" where the plan fixes it. made are the steps whose answers are about
// what this plan makes.
func openScope(pc *remediation.PlannedCall, r request, made map[string]bool) string {
	for _, m := range scopeMembers(r.Call, r.op) {
		for _, from := range outputsIn(pc.Input[m]) {
			if !made[from[0]] {
				return "its resource is known only after apply: " + m + " comes from step " + from[0] + ", which makes nothing"
			}
		}
	}
	return ""
}

// keepOutputs takes from an answer what later calls of the plan are made of.
func (p *applying) keepOutputs(pc remediation.PlannedCall, reply apimodel.Reply) map[string][]string {
	var kept map[string][]string
	keep := func(input map[string]any) {
		for _, from := range outputsIn(input) {
			if from[0] != pc.Step || kept[from[1]] != nil {
				continue
			}
			if kept == nil {
				kept = map[string][]string{}
			}
			kept[from[1]] = textsAt(reply.Output, strings.Split(strings.ReplaceAll(from[1], "[0]", ".*"), "."))
		}
	}
	for _, later := range p.auth.Plan.Calls {
		if later.Seq > pc.Seq && len(later.FromOutputs) > 0 {
			keep(later.Input)
		}
	}
	// An allowance may name answers of its own execution and of those above it.
	execution := executionOf(remediation.PathOf(pc.Step))
	for _, a := range p.auth.Plan.Beyond {
		if a.Escape && len(a.FromOutputs) > 0 && strings.HasPrefix(a.Step, execution) {
			keep(a.Input)
		}
	}
	return kept
}

// executionOf gives the prefix of the execution of which path names a step.
func executionOf(path string) string {
	depth := 0
	for i := len(path) - 1; i >= 0; i-- {
		switch path[i] {
		case ']':
			depth++
		case '[':
			depth--
		case '/':
			if depth == 0 {
				return path[:i+1]
			}
		}
	}
	return ""
}

// textsAt follows a path; "*" takes every element of a list.
func textsAt(v any, path []string) []string {
	if len(path) == 0 {
		if v == nil {
			return nil
		}
		return []string{fmt.Sprint(v)}
	}
	if path[0] == "*" {
		var out []string
		list, _ := v.([]any)
		for _, x := range list {
			out = append(out, textsAt(x, path[1:])...)
		}
		return out
	}
	m, _ := v.(map[string]any)
	return textsAt(m[path[0]], path[1:])
}

// inScope holds the resource of a change against what the plan's own changes
// answered, also before a restart. "" means that it is theirs.
func (p *applying) inScope(ctx context.Context, pc remediation.PlannedCall, r request) (string, error) {
	for _, m := range scopeMembers(pc.APICall(), r.op) {
		ok, err := p.isAnswer(ctx, pc.Seq, pc.Input[m], r.Input[m])
		if err != nil {
			return "", err
		}
		if !ok {
			return m, nil
		}
	}
	return "", nil
}

// isAnswer reports whether actual is planned with, in the place of each placeholder,
// what a change before seq of the step that it names has answered.
func (p *applying) isAnswer(ctx context.Context, seq int, planned, actual any) (bool, error) {
	answers := map[[2]string][]string{}
	for _, from := range outputsIn(planned) {
		out, changes, err := p.answers(ctx, seq, from)
		if err != nil {
			return false, err
		}
		if changes {
			answers[from] = out
		}
	}
	return len(answers) == 0 || isMadeOf(planned, actual, answers), nil
}

// answers gives what the applied changes of a step answered at a path, and
// whether the plan holds changes of that step.
func (p *applying) answers(ctx context.Context, seq int, from [2]string) (out []string, changes bool, err error) {
	for _, c := range p.auth.Plan.Calls {
		if c.Step != from[0] || c.Seq >= seq || c.Class != apimodel.Change {
			continue
		}
		changes = true
		for attempt := 1; attempt <= maxAttempts; attempt++ {
			rec, err := p.auth.Recorder.Change(ctx, changeID(p.auth.Execution, c, attempt))
			if fault.Is(err, fault.NotFound) {
				break
			}
			if err != nil {
				return nil, changes, fault.Errorf(fault.Unavailable, "read change of step "+c.Step, "nothing was sent: %w", err)
			}
			out = append(out, rec.Outputs[from[1]]...)
		}
	}
	return out, changes, nil
}

// isMadeOf reports whether actual is planned with one of the answers in the place of
// each placeholder. One for which there is no list of answers is compared elsewhere.
func isMadeOf(planned, actual any, answers map[[2]string][]string) bool {
	switch want := planned.(type) {
	case []any:
		got, ok := actual.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for i := range want {
			if !isMadeOf(want[i], got[i], answers) {
				return false
			}
		}
	case map[string]any:
		got, ok := actual.(map[string]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for k := range want {
			if v, given := got[k]; !given || !isMadeOf(want[k], v, answers) {
				return false
			}
		}
	case string:
		got, isText := actual.(string)
		return !placeholder.MatchString(want) || isText && isTextOf(want, got, answers)
	}
	return true // what is fixed is compared as such
}

// isTextOf reports whether got is text with answers in the place of placeholders.
func isTextOf(text, got string, answers map[[2]string][]string) bool {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for at := placeholder.FindStringIndex(text); at != nil; at = placeholder.FindStringIndex(text) {
		b.WriteString(regexp.QuoteMeta(text[:at[0]]))
		out, held := []string(nil), false
		if from := outputsIn(text[at[0]:at[1]]); len(from) == 1 {
			out, held = answers[from[0]]
		}
		switch {
		case !held:
			b.WriteString(`.+`)
		case len(out) == 0:
			return false // nothing was answered yet
		default:
			quoted := make([]string, len(out))
			for i, a := range out {
				quoted[i] = regexp.QuoteMeta(a)
			}
			b.WriteString("(?:" + strings.Join(quoted, "|") + ")")
		}
		text = text[at[1]:]
	}
	b.WriteString(regexp.QuoteMeta(text) + `\z`)
	fits, err := regexp.Compile(b.String())
	return err == nil && fits.MatchString(got)
}
