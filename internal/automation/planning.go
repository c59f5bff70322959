package automation

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// planned is what a plan and the children planned with it share.
type planned struct {
	steps     int
	children  int
	changed   bool // a step called what may have changed something, had it been sent
	documents []UsedDocument
	// ends are how the executions were left whose documents have steps that only a
	// failure or a cancellation leads to, by the path of their prefix.
	ends map[string]*plannedEnd
}

// plannedEnd is how planning left an execution.
type plannedEnd struct {
	execution string
	state     *State
	times     int // how often one was planned under the prefix
}

// end notes how an execution was left.
func (p *planned) end(run *Run, state *State) {
	if len(run.Document.Escapes()) == 0 {
		return
	}
	if p.ends == nil {
		p.ends = map[string]*plannedEnd{}
	}
	e := p.ends[remediation.PathOf(run.Prefix)]
	if e == nil {
		e = &plannedEnd{}
		p.ends[remediation.PathOf(run.Prefix)] = e
	}
	e.execution, e.state = run.ExecutionID, state
	e.times++
}

// use notes a document that a step starts.
func (p *planned) use(name, version string, doc *runbook.Document) {
	for _, d := range p.documents {
		if d.Name == name && d.Version == version {
			return
		}
	}
	p.documents = append(p.documents, UsedDocument{Name: name, Version: version, Document: doc})
}

// maxDepth is how deep documents may start documents.
const maxDepth = 10

// planChildren interprets the children of a step in line: with the same Caller
// and with labels that begin with the step's, so that each call of the plan has
// the label that it has when the child runs by itself.
func (x *execution) planChildren(ctx context.Context, c *call, ask childStep, wrong error) (result, error) {
	open := func(format string, args ...any) (result, error) {
		return result{status: Failed, open: fmt.Sprintf("step %s ", x.label(c.step)) + fmt.Sprintf(format, args...)}, nil
	}
	if wrong != nil || x.unknown(ask.document) || ask.fan != nil && x.unknownFan(ask.fan) {
		return open("starts what only applying will tell")
	}
	if x.run.depth >= maxDepth {
		return x.failed(ctx, c.step, c.attempt, c.inputs, inputFailure(fmt.Errorf("documents start each other more than %d deep", maxDepth)))
	}
	fan := &FanState{Total: 1, List: []Target{{Location: -1}}}
	if ask.fan != nil {
		var err error
		var refused *targetError
		fan, err = x.resolveTargets(ctx, ask.fan)
		if err := refusal(err, &refused); err != nil {
			return result{}, err
		}
		if refused != nil {
			return x.failed(ctx, c.step, c.attempt, c.inputs, inputFailure(refused))
		}
	}
	x.run.planned.children += fan.Total
	var last ChildState
	var stuck *result // the first child that cannot be planned to its end
	for _, t := range fan.List {
		st, r, err := x.planChild(ctx, x.child(c, ask, t))
		if err != nil {
			return result{}, err
		}
		if r != nil {
			if r.abort != nil {
				return *r, nil //nolint:nilerr // what stops the run is part of the result
			}
			if stuck == nil {
				stuck = r // what the others will do is told all the same
			}
			continue
		}
		fan.Launched++
		last = st
		if st.Status == Success {
			continue
		}
		if fan.Errors++; fan.FirstError == "" {
			fan.FirstError = cutEnd(fmt.Sprintf("%s would end with %s: %s", childName(st, t), st.Status, st.Failure), 1000)
		}
		if fan.halted() {
			break
		}
	}
	if stuck != nil {
		return *stuck, nil
	}
	rec := x.fanRecord(c, ask, fan, last)
	if err := x.observe(ctx, c, rec); err != nil {
		return result{}, err
	}
	if rec.Failure != nil {
		rec.Failure.Step, rec.Failure.Attempt = c.step.Name, c.attempt
	}
	return result{status: rec.Status, inputs: c.inputs, outputs: rec.Outputs, failure: rec.Failure}, nil
}

func (x *execution) unknownFan(f *FanSpec) bool {
	for _, list := range [][]map[string]any{f.Targets, f.TargetMaps, f.Locations} {
		for _, m := range list {
			if x.unknown(m) {
				return true
			}
		}
	}
	return x.unknown(f.TargetParameterName)
}

// planChild plans one child. A result other than nil ends the parent's planning.
func (x *execution) planChild(ctx context.Context, child Child) (ChildState, *result, error) {
	st := ChildState{ID: child.ID, Status: Failed}
	fail := func(err error) (ChildState, *result, error) {
		st.Failure = err.Error()
		return st, nil, nil
	}
	doc, err := x.run.Children.Document(ctx, child.Document, child.Version)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return fail(err)
	}
	if err != nil {
		return st, nil, fmt.Errorf("read document %s: %w", child.Document, err)
	}
	x.run.planned.use(child.Document, child.Version, doc)
	var parameters map[string]any
	if child.Fan != nil {
		doc, parameters, err = Fan(doc, child.Document, child.Version, child.Parameters, *child.Fan)
	} else {
		parameters, err = x.childParameters(ctx, doc, child)
	}
	if err != nil && x.unknown(child.Parameters) {
		return st, &result{status: Failed, open: fmt.Sprintf("%s is started with what only applying will tell: %v", child.Label, err), openAt: child.Label}, nil
	}
	if fault.Is(err, fault.Invalid) {
		return fail(err)
	}
	if err != nil {
		return st, nil, err
	}
	role, err := ChildRole(child, doc, parameters)
	if err != nil {
		return fail(err)
	}
	run := *x.run
	run.Document, run.Parameters, run.State, run.Steps, run.Observer = doc, parameters, nil, Direct{}, nil
	run.ExecutionID, run.Account, run.Region, run.Role = child.ID, child.Account, child.Region, role
	run.Prefix, run.depth, run.Interactive = child.Label+"/", x.run.depth+1, false
	out, err := x.Interpreter.Run(ctx, run)
	switch {
	case fault.Is(err, fault.Invalid):
		return fail(err)
	case err != nil:
		return st, nil, err
	case out.Abort != nil:
		return st, &result{status: Failed, abort: out.Abort}, nil //nolint:nilerr // the stop is in the result
	case out.Open != "":
		return st, &result{status: Failed, open: out.Open, openAt: out.OpenAt}, nil
	}
	st.Status, st.Outputs = out.Status, out.Outputs
	for _, o := range doc.Outputs {
		st.OutputOrder = append(st.OutputOrder, o.Text())
	}
	if out.Failure != nil {
		st.Failure = fmt.Sprintf("step %s failed: %s", out.Failure.Step, out.Failure.Message)
		x.errs[x.state.Cursor] = out.Cause
	}
	return st, nil, nil
}

// ChildRole gives the role as which a child runs: the one that its target names,
// else its document's own assumeRole, else that of its parent. "" = the Caller's
// own identity.
func ChildRole(c Child, doc *runbook.Document, parameters map[string]any) (string, error) {
	if c.Role != "" {
		return c.Role, nil
	}
	role, err := AssumeRole(doc, parameters)
	if err != nil || role != "" {
		return role, err
	}
	return c.ParentRole, nil
}

// AssumeRole gives a document's assumeRole with its parameters put in; "" where
// it has none, or an empty one.
func AssumeRole(doc *runbook.Document, parameters map[string]any) (string, error) {
	run := &Run{Document: doc, Parameters: parameters}
	v, err := runbook.Resolve(doc.AssumeRole, scope{run: run, state: &State{}, unknown: new(string)})
	if err != nil {
		return "", fault.Errorf(fault.Invalid, "resolve assumeRole", "%w", err)
	}
	text, err := runbook.Text(v)
	return strings.TrimSpace(text), err
}

// childParameters gives the values with which a child is planned. What its
// defaults name in Parameter Store is read as the child would.
func (x *execution) childParameters(ctx context.Context, doc *runbook.Document, child Child) (map[string]any, error) {
	names := doc.StoreParameters()
	if len(names) == 0 {
		return doc.ResolveParameters(child.Parameters, nil)
	}
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	call := apimodel.Call{Service: "ssm", Operation: "GetParameters", Account: child.Account, Region: child.Region, As: child.Role, Input: map[string]any{"Names": list}}
	if call.As == "" {
		call.As = child.ParentRole
	}
	reply, err := x.run.Caller.Call(ctx, child.Label+"/", call)
	if err != nil {
		return nil, fmt.Errorf("read the parameters of %s: %w", child.Document, err)
	}
	stored := map[string]any{}
	found, _ := runbook.Normalize(reply.Output["Parameters"]).([]any)
	for _, item := range found {
		if m, ok := item.(map[string]any); ok {
			if name, isText := m["Name"].(string); isText {
				stored[name] = m["Value"]
			}
		}
	}
	return doc.ResolveParameters(child.Parameters, stored)
}
