package awsapi

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// maxAllowances bounds what one document may add to a plan.
const maxAllowances = 1000

// BeyondOptions say where the calls of a document are made, and by whom.
type BeyondOptions struct {
	// Prefix stands before the step names: "Parent/" for a child of step Parent,
	// "Fan[111122223333/eu-west-1]/" for one on a target.
	Prefix string
	// Account, Region and As are those of the run, for calls that name none.
	Account, Region, As string
	// Identity is that of the session that will apply: where As is its own role, the
	// calls are the session's own.
	Identity Identity
	// Roles are ARNs of roles that scripts may act as besides, by Allowance.Step:
	// Planner.Assumed.
	Roles map[string][]string
	// CoerceStrings is PlanOptions.CoerceStrings of the plan.
	CoerceStrings bool

	unknown *unknowns // of the planner whose stand-ins the calls may hold
}

// Beyond is Gate.Beyond for calls that may hold stand-ins of p: they are written as
// in the calls that were planned, and the roles are those that were taken.
func (p *Planner) Beyond(calls []runbook.StepCall, o BeyondOptions) ([]remediation.Allowance, error) {
	o.unknown, o.Roles, o.CoerceStrings = &p.unknown, p.Assumed(), p.s.lenient
	return p.s.g.Beyond(calls, o)
}

// Beyond turns the calls that a document makes, as runbook.Document.Calls and
// the facts of its scripts list them, into what an open plan allows. Reads are
// left out, and calls that name no known operation: those the static check
// reports. apimodel.Unknown in an input, and a call that is partial or without
// input, leave members free. Where nothing shows that a change can be taken back
// the allowance says that it cannot, so that who approves sees the worst.
func (g *Gate) Beyond(calls []runbook.StepCall, o BeyondOptions) ([]remediation.Allowance, error) {
	var out []remediation.Allowance
	seen := map[string]bool{}
	add := func(a remediation.Allowance) {
		if key := jsonText(a); !seen[key] {
			seen[key] = true
			out = append(out, a)
		}
	}
	for _, c := range calls {
		a, ok := g.allowance(c, o)
		if !ok {
			continue
		}
		add(a)
		if c.Call.Input != nil || c.Call.As != "" {
			continue
		}
		for _, arn := range o.Roles[a.Step] {
			_, account, _, ok := parseRole(arn)
			if ok {
				a.As, a.Account = arn, account
				add(a)
			}
		}
	}
	if len(out) > maxAllowances {
		return nil, fault.Errorf(fault.Exhausted, "list what the open plan allows", "%d different calls, the limit is %d", len(out), maxAllowances).
			WithHint("split the runbook")
	}
	return out, nil
}

func (g *Gate) allowance(c runbook.StepCall, o BeyondOptions) (remediation.Allowance, bool) {
	svc, op, err := g.cfg.Models.Find(c.Call.Service, c.Call.Operation)
	if err != nil {
		return remediation.Allowance{}, false
	}
	call := c.Call.Clone()
	call.Service, call.Operation = svc.Name, op.Name
	class := g.cfg.Models.ClassifyCall(call)
	if call.Input == nil {
		class = g.cfg.Models.ClassifyCall(apimodel.Call{Service: svc.Name, Operation: op.Name, Input: allMembers(op)})
	}
	if !class.NeedsApproval() || (request{Call: call}).mints() {
		return remediation.Allowance{}, false
	}
	a := remediation.Allowance{
		Step: o.Prefix + c.Step, Service: svc.Name, Operation: op.Name, Account: first(call.Account, o.Account), Region: first(call.Region, o.Region, g.cfg.Region),
		As: first(call.As, o.As), Class: class,
	}
	if _, _, name, ok := parseRole(a.As); ok && o.Identity.owns(name) {
		a.As = ""
	}
	if call.Input == nil {
		a.FromOutputs, a.Irreversible = []string{anyMember}, class == apimodel.Change
		return a, true
	}
	if o.CoerceStrings && op.Input != nil { // as the call will be when it is made
		if in, ok := coerce(apimodel.Member{Shape: op.Input}, call.Input, 0).(map[string]any); ok {
			call.Input = in
		}
	}
	a.Input, a.FromOutputs = o.freed(call.Input)
	if c.Partial {
		a.FromOutputs = append(a.FromOutputs, anyMember)
	}
	a.Irreversible = class == apimodel.Change && (c.Partial || !isRestorable(call))
	return a, true
}

// allMembers is an input that has everything, so that the class of a call of
// which nothing is known is the worst that its operation has.
func allMembers(op *apimodel.Operation) map[string]any {
	in := map[string]any{}
	if op.Input != nil {
		for _, m := range op.Input.Members {
			in[m.Name] = true
		}
	}
	return in
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// freed writes what only running tells as an allowance has it, and lists where.
func (o BeyondOptions) freed(input map[string]any) (map[string]any, []string) {
	plain, err := plainValue(input)
	if err != nil {
		return nil, []string{anyMember}
	}
	var paths []string
	open := func(text string) bool {
		return strings.Contains(text, apimodel.Unknown) || o.unknown != nil && strings.Contains(text, o.unknown.nonce)
	}
	eachTextAt("", plain, open, func(path string) { paths = append(paths, path) })
	slices.Sort(paths)
	written := eachText(plain, func(text string) string { return strings.ReplaceAll(text, apimodel.Unknown, remediation.AnyValue) })
	if o.unknown != nil {
		written = o.unknown.clean(written)
	}
	out, _ := written.(map[string]any)
	return out, paths
}

// Binds reports whether the plan of the calls binds what a lets be called: every
// member is fixed, or is what a change of the plan answers. A token that AWS takes for
// repeated requests says nothing of what is called.
func (g *Gate) Binds(calls []remediation.PlannedCall, a remediation.Allowance) bool {
	_, op, err := g.cfg.Models.Find(a.Service, a.Operation)
	if err != nil || a.Input == nil {
		return false
	}
	if slices.Contains(a.FromOutputs, anyMember) {
		return false
	}
	token, _ := op.TokenMember()
	for member, v := range a.Input {
		if member != token && !bound(calls, v) {
			return false
		}
	}
	return true
}

// bound reports whether what stands in v for later values are answers to changes.
func bound(calls []remediation.PlannedCall, v any) bool {
	ok := true
	eachText(v, func(text string) string {
		for _, mark := range placeholder.FindAllString(text, -1) {
			from := outputsIn(mark)
			ok = ok && len(from) == 1 && slices.ContainsFunc(calls, func(c remediation.PlannedCall) bool {
				return c.Step == from[0][0] && c.Class == apimodel.Change
			})
		}
		return text
	})
	return ok
}

// isRestorable reports whether the table has a way back for the call, as far as
// its input is known.
func isRestorable(c apimodel.Call) bool {
	spec, ok := apimodel.ImageOf(c)
	return ok && spec.Restores() != ""
}

// Assumed lists the ARNs of the roles that were taken while planning, by the path of
// the step that took them, each sorted.
func (p *Planner) Assumed() map[string][]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string][]string{}
	for _, c := range p.calls {
		if (request{Call: c.APICall()}).mints() && p.s.roles.took(c.Resource) {
			step := remediation.PathOf(c.Step)
			out[step] = append(out[step], c.Resource)
		}
	}
	for step, arns := range out {
		slices.Sort(arns)
		out[step] = slices.Compact(arns)
	}
	return out
}
