package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// undo plans the way back: the inverses of the recorded changes, last first,
// written as an automation document of its own, so that it is reviewed,
// approved and executed like any other.
func (s *Stage) undo(ctx context.Context, req remediation.Request) error {
	first, err := s.Store.Remediation(ctx, req.UndoOf)
	if fault.Is(err, fault.NotFound) {
		return fault.Terminal(err)
	}
	if err != nil {
		return err
	}
	r := remediation.Remediation{
		CreatedAt: s.now(),
		ID:        req.ID, Kind: remediation.KindUndo, UndoOf: first.ID, Finding: first.Finding, Control: first.Control, Playbook: first.Playbook,
		Runbook: "Parry-Undo-" + string(first.ID), Account: first.Account, Region: first.Region, Resource: first.Resource, RequestedBy: req.RequestedBy,
	}
	title := "Undo of " + string(first.ID)
	if !first.State.Can(remediation.Undoing) {
		return s.refuse(ctx, r, title, fault.Errorf(fault.Conflict, "plan undo", "remediation %s is %s and cannot be undone", first.ID, first.State))
	}
	changes, err := s.Store.Changes(ctx, first.ID)
	if err != nil {
		return err
	}
	calls, err := inverses(changes)
	if err != nil {
		return s.refuse(ctx, r, title, err)
	}
	content, values, to, err := document(r.Runbook, calls)
	if err != nil {
		return s.refuse(ctx, r, title, err)
	}
	doc, err := runbook.Parse(content)
	if err != nil {
		return s.refuse(ctx, r, title, fault.E(fault.Internal, "read the generated undo document", err))
	}
	parameters, err := doc.ResolveParameters(values, nil)
	if err != nil {
		return s.refuse(ctx, r, title, err)
	}
	roles := rolesOf(calls)
	planner := s.Gate.Planner(r, roles...)
	open, err := s.Dry.Dry(ctx, doc, parameters, string(r.ID), r, routed{planner, to})
	if err != nil {
		return s.refuse(ctx, r, title, err)
	}
	planned := planner.Calls()
	if err := drift(changes, planned); err != nil {
		return s.refuse(ctx, r, title, err)
	}
	p := &remediation.Plan{
		Remediation: r.ID, Kind: r.Kind, Finding: r.Finding, Control: r.Control, Playbook: r.Playbook,
		Runbook:    remediation.Runbook{Name: r.Runbook, Revision: runbook.Revision(content), Content: string(content)},
		Parameters: parameters, Account: r.Account, Region: r.Region, Resource: r.Resource, Role: s.MemberRole,
		Roles: roles, GuardsRevision: s.Gate.GuardsRevision(), Calls: planned, Open: open != "", OpenReason: open, Problems: remediation.ProblemsOf(planned),
	}
	return s.seal(ctx, r, p, title)
}

// inverses gives the calls that restore the before-images, in an order that AWS
// accepts. A change without a known inverse stops the undo before it starts:
// half an undo is worse than none.
func inverses(changes []remediation.Change) ([]apimodel.InverseCall, error) {
	var done []apimodel.Done
	var made []remediation.Change
	var stuck []string
	for _, c := range changes {
		if !c.MayHaveHappened() {
			continue
		}
		if c.Before == nil {
			stuck = append(stuck, c.Call.Service+":"+c.Call.Operation)
			continue
		}
		done = append(done, apimodel.Done{Call: c.Call.APICall(), Before: apimodel.Image(*c.Before)})
		made = append(made, c)
	}
	back, without := apimodel.Undo(done)
	for _, i := range without {
		stuck = append(stuck, made[i].Call.Service+":"+made[i].Call.Operation)
	}
	if len(stuck) > 0 {
		return nil, fault.Errorf(fault.Invalid, "plan undo", "no inverse is known for %s", strings.Join(stuck, ", ")).
			WithHint("the before-images are kept: run parry remediation show %s to restore by hand", changes[0].Remediation)
	}
	if len(back) == 0 {
		return nil, fault.Errorf(fault.Conflict, "plan undo", "the remediation changed nothing, so there is nothing to undo")
	}
	calls := make([]apimodel.InverseCall, 0, len(back))
	for _, b := range back {
		calls = append(calls, b.InverseCall)
	}
	return calls, nil
}

// rolesOf lists the roles as which calls are made: the very ones that made the
// changes.
func rolesOf(calls []apimodel.InverseCall) []string {
	var out []string
	for _, c := range calls {
		if c.Call.As != "" && !slices.Contains(out, c.Call.As) {
			out = append(out, c.Call.As)
		}
	}
	return out
}

// leftBehind is what a change may have left of one resource.
type leftBehind struct {
	spec   apimodel.ImageSpec
	images []apimodel.Image
}

// left gives, by resource, what the last change to it may have left behind: its
// effect, or what it found. The latter holds after a change that AWS answered
// and did not make, and after one that was taken back by hand: putting back
// what is there overwrites nobody's work.
func left(changes []remediation.Change) map[string]leftBehind {
	out := map[string]leftBehind{}
	for _, c := range changes {
		spec, ok := apimodel.ImageOf(c.Call.APICall())
		if !ok || c.Before == nil || !c.MayHaveHappened() {
			continue
		}
		delete(out, c.Call.Resource)
		before := apimodel.Image(*c.Before)
		if after, known := spec.Expected(before); known {
			out[c.Call.Resource] = leftBehind{spec, []apimodel.Image{after, before}}
		}
	}
	return out
}

// drift compares what planning read now with what the fix left behind. A
// resource that somebody changed since is not overwritten.
func drift(changes []remediation.Change, planned []remediation.PlannedCall) error {
	expected := left(changes)
	for _, call := range planned {
		want, ok := expected[call.Resource]
		if !ok || call.Before == nil {
			continue
		}
		delete(expected, call.Resource) // a later call on the same resource sees the overlay, not AWS
		now := apimodel.Image(*call.Before)
		if slices.ContainsFunc(want.images, func(img apimodel.Image) bool { return want.spec.Equal(img, now) }) {
			continue
		}
		return fault.Errorf(fault.Conflict, "plan undo", "%s was changed since the fix: %s differs", call.Resource, want.spec.Diff(want.images[0], now)[0].Path).
			WithHint("look at the resource; what the fix found is in: parry remediation show %s", changes[0].Remediation)
	}
	return nil
}

// undoDocument is an automation document, schema 0.3, in the making.
type undoDocument struct {
	declared map[string]undoParameter
	values   map[string]any
	steps    []undoStep
	to       spheres // where the steps' calls are made
}

type undoParameter struct {
	Type string `json:"type"`
}

type undoStep struct {
	Name    string         `json:"name"`
	Action  string         `json:"action"`
	Inputs  map[string]any `json:"inputs"`
	Outputs []undoOutput   `json:"outputs,omitempty"`
	IsEnd   bool           `json:"isEnd,omitempty"`
}

type undoOutput struct {
	Name     string
	Selector string
	Type     string
}

// document writes the calls as an automation document. Every value goes through
// a parameter: a before-image may hold "{{ }}", which must not be read as a
// reference.
func document(name string, calls []apimodel.InverseCall) ([]byte, map[string]any, spheres, error) {
	d := undoDocument{declared: map[string]undoParameter{}, values: map[string]any{}, to: spheres{}}
	for i, c := range calls {
		fresh, err := d.fresh(i+1, c)
		if err != nil {
			return nil, nil, nil, err
		}
		step, err := d.step(fmt.Sprintf("Step%d", i+1), fmt.Sprintf("Restore%d_%s", i+1, c.Operation), c.Call)
		if err != nil {
			return nil, nil, nil, err
		}
		maps.Copy(step.Inputs, fresh)
		step.IsEnd = i == len(calls)-1
		d.steps = append(d.steps, step)
	}
	raw, err := json.MarshalIndent(map[string]any{
		"schemaVersion": "0.3", "description": name + ": restores what a remediation changed, from its before-images.",
		"parameters": d.declared, "mainSteps": d.steps,
	}, "", "  ")
	if err != nil {
		return nil, nil, nil, fault.E(fault.Internal, "write undo document", err)
	}
	return raw, d.values, d.to, nil
}

// step writes one call.
func (d *undoDocument) step(prefix, name string, c apimodel.Call) (undoStep, error) {
	s := undoStep{Name: name, Action: "aws:executeAwsApi", Inputs: map[string]any{"Service": c.Service, "Api": c.Operation}}
	d.to[name] = apimodel.Call{Account: c.Account, Region: c.Region, As: c.As}
	for member, v := range c.Input {
		if numeric(v) {
			s.Inputs[member] = v // holds no text, so no reference
			continue
		}
		kind, err := parameterType(v)
		if err != nil {
			return undoStep{}, fault.Errorf(fault.Invalid, "write undo document", "%s.%s: %w", c.Operation, member, err)
		}
		key := prefix + member
		d.declared[key], d.values[key] = undoParameter{Type: kind}, v
		s.Inputs[member] = "{{ " + key + " }}"
	}
	return s, nil
}

// numeric reports whether v is what no parameter type carries and no reference
// can hide in: a fraction, or a list of numbers.
func numeric(v any) bool {
	switch v := v.(type) {
	case float64:
		return v != math.Trunc(v)
	case []any:
		return len(v) > 0 && !slices.ContainsFunc(v, func(x any) bool {
			switch x.(type) {
			case int, int64, float64, json.Number:
				return false
			}
			return true
		})
	}
	return false
}

// fresh writes the read of what a call must name as it is when it is made, such
// as the revision of a configuration, and gives the references to it.
func (d *undoDocument) fresh(n int, c apimodel.InverseCall) (map[string]any, error) {
	if len(c.Fresh) == 0 {
		return nil, nil
	}
	name := fmt.Sprintf("Read%d_%s", n, c.FreshRead.Operation)
	step, err := d.step(fmt.Sprintf("Read%d", n), name, c.FreshRead)
	if err != nil {
		return nil, err
	}
	refs := map[string]any{}
	for member, from := range c.Fresh {
		step.Outputs = append(step.Outputs, undoOutput{Name: member, Selector: "$." + from, Type: "String"})
		refs[member] = "{{ " + name + "." + member + " }}"
	}
	slices.SortFunc(step.Outputs, func(a, b undoOutput) int { return strings.Compare(a.Name, b.Name) })
	d.steps = append(d.steps, step)
	return refs, nil
}

func parameterType(v any) (string, error) {
	switch t := v.(type) {
	case string:
		return "String", nil
	case bool:
		return "Boolean", nil
	case int, int64, float64, json.Number:
		return "Integer", nil
	case map[string]any:
		return "StringMap", nil
	case []string:
		return "StringList", nil
	case []any:
		return listType(t)
	}
	return "", fmt.Errorf("a value of type %T cannot be a runbook parameter", v)
}

// listType gives the type of a list whose items are all text or all maps.
func listType(list []any) (string, error) {
	texts, maps := 0, 0
	for _, item := range list {
		switch item.(type) {
		case string:
			texts++
		case map[string]any:
			maps++
		}
	}
	switch len(list) {
	case texts:
		return "StringList", nil
	case maps:
		return "MapList", nil
	}
	return "", errors.New("a list of neither texts nor maps cannot be a runbook parameter")
}
