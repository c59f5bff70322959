package awsapi

import (
	"context"
	"fmt"
	"regexp"
	"slices"
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
	for _, later := range p.auth.Plan.Calls {
		if later.Seq <= pc.Seq || len(later.FromOutputs) == 0 {
			continue
		}
		for _, from := range outputsIn(later.Input) {
			if from[0] != pc.Step || kept[from[1]] != nil {
				continue
			}
			if kept == nil {
				kept = map[string][]string{}
			}
			kept[from[1]] = textsAt(reply.Output, strings.Split(strings.ReplaceAll(from[1], "[0]", ".*"), "."))
		}
	}
	return kept
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
		planned := pc.Input[m]
		for _, from := range outputsIn(planned) {
			answers, changes, err := p.answers(ctx, pc, from)
			if err != nil {
				return "", err
			}
			if changes && !isMadeOf(planned, r.Input[m], answers) {
				return m, nil
			}
		}
	}
	return "", nil
}

// answers gives what the applied changes of a step answered at a path, and
// whether the plan holds changes of that step.
func (p *applying) answers(ctx context.Context, pc remediation.PlannedCall, from [2]string) (out []string, changes bool, err error) {
	for _, c := range p.auth.Plan.Calls {
		if c.Step != from[0] || c.Seq >= pc.Seq || c.Class != apimodel.Change {
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

// isMadeOf reports whether actual is planned with one of answers in the place of
// each placeholder. Lists are held element by element.
func isMadeOf(planned, actual any, answers []string) bool {
	if list, ok := planned.([]any); ok {
		got, ok := actual.([]any)
		if !ok || len(got) != len(list) {
			return false
		}
		for i := range list {
			if !isMadeOf(list[i], got[i], answers) {
				return false
			}
		}
		return true
	}
	text, ok := planned.(string)
	got, isText := actual.(string)
	if !ok || !isText || !placeholder.MatchString(text) {
		return true // fixed, and compared as such
	}
	return slices.ContainsFunc(answers, func(a string) bool { return placeholder.ReplaceAllLiteralString(text, a) == got })
}
