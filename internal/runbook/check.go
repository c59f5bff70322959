package runbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// CheckOptions is what a check knows beyond the document.
type CheckOptions struct {
	// Models are AWS's; without them API steps are not held against them.
	Models *apimodel.Catalog
	// Scripts are the facts about the scripts of aws:executeScript, by step; a script
	// without facts is not looked into.
	Scripts map[string]ScriptFacts
	// At is where the document will run, for the derived policy.
	At Where
}

// Check finds what is wrong with a document without running it: the graph of
// steps, references and their types, inputs, API calls against AWS's models,
// selectors, conditions, parameters and scripts. With models it also tells what
// the document does. Problems come in the order of the text; docs/runbook-check.md
// lists their codes.
func Check(d *Document, with CheckOptions) Report {
	c := &checker{doc: d, with: with, problems: slices.Clone(d.warnings), names: map[string]bool{}, steps: newStepGraph(d), reached: map[int][]bool{}}
	for _, s := range d.all {
		c.names[s.Name] = true
	}
	c.assumeRole()
	for i := range d.Parameters {
		c.parameter(&d.Parameters[i], "parameters."+d.Parameters[i].Name)
	}
	for i := range d.Variables {
		c.parameter(&d.Variables[i], "variables."+d.Variables[i].Name)
	}
	c.before = c.steps.before()
	for _, s := range d.all {
		c.step(s)
	}
	c.graph()
	for i, o := range d.Outputs {
		c.output(Ref{Kind: RefOutput, Step: o.Step, Name: o.Name}, o.Pos, fmt.Sprintf("outputs[%d]", i))
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return d.report(c.problems, with)
}

type checker struct {
	doc      *Document
	with     CheckOptions
	problems []Problem
	names    map[string]bool
	steps    *stepGraph
	before   []stepSet
	reached  map[int][]bool // from each step, as far as it was asked for
}

func (c *checker) add(code string, sev Severity, pos Pos, path, message, fix string) {
	c.problems = append(c.problems, Problem{Code: code, Severity: sev, Line: pos.Line, Column: pos.Column, Path: path, Message: message, Fix: fix})
}

// at gives the place of a path below the step, or of its nearest ancestor.
func (s *Step) at(keys ...string) Pos {
	n := s.node
	for _, k := range keys {
		next, ok := n.get(k)
		if !ok {
			break
		}
		n = next
	}
	return n.pos
}

func (c *checker) step(s *Step) {
	c.problems = append(c.problems, refusal(s)...)
	c.onCancel(s)
	if s.NextStep != "" {
		c.target(s, "nextStep", s.NextStep)
		if s.IsEnd {
			c.add(CodeSchema, SeverityWarning, s.at("nextStep"), s.path+".nextStep", "the step has isEnd and nextStep; isEnd wins", "remove one of the two")
		}
	}
	if s.OnFailureStep {
		c.target(s, "onFailure", s.OnFailure)
	}
	for _, key := range []string{"timeoutSeconds", "maxAttempts"} {
		if v, ok := s.node.get(key); ok {
			c.references(s, v, join(s.path, key))
		}
	}
	if inputs, ok := s.node.get("inputs"); ok {
		c.inputReferences(s, inputs)
	}
	c.inputs(s)
	c.api(s)
	c.selectors(s)
	c.script(s)
}

// onCancel holds a step's onCancel against what AWS supports.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html
func (c *checker) onCancel(s *Step) {
	if s.OnCancel == "" || s.OnCancel == OnFailureAbort {
		return
	}
	if s.Action == ActionLoop || s.Action == ActionUpdateVariable {
		c.add(CodeOnCancel, SeverityError, s.at("onCancel"), s.path+".onCancel", s.Action+" takes no onCancel", "remove it, or give it to the steps in the loop")
		return
	}
	c.target(s, "onCancel", s.OnCancel)
	target, ok := c.doc.Step(s.OnCancel)
	if !ok {
		return
	}
	switch target.Action {
	case ActionApprove, ActionCopyImage, ActionCreateImage, ActionCreateStack, ActionCreateTags, ActionPause, ActionRunInstances, ActionSleep:
		c.add(CodeOnCancel, SeverityError, s.at("onCancel"), s.path+".onCancel", target.Action+" cannot run after cancelling", "name a step with another action")
	}
}

func (c *checker) target(s *Step, key, name string) {
	c.jump(s, name, s.path+"."+key, s.at(key))
}

// jump holds a way out of s against the names of steps and against loops: a body
// is entered through its loop only, and left before its end by onFailure and
// onCancel only.
func (c *checker) jump(s *Step, name, path string, pos Pos) {
	target, ok := c.doc.Step(name)
	if !ok {
		c.add(CodeUnknownStep, SeverityError, pos, path, fmt.Sprintf("there is no step %.60q", name), "name a step of this document"+c.nearest(name))
		return
	}
	key := lastKey(path)
	switch {
	case target.Within == s.Within:
	case target.Within != "" && !c.doc.Inside(s, target.Within):
		c.add(CodeStepScope, SeverityError, pos, path, fmt.Sprintf("step %s stands in the body of loop %s, which only the loop enters", name, target.Within), "name the loop itself")
	case key != "onFailure" && key != "onCancel":
		c.add(CodeStepScope, SeverityWarning, pos, path, fmt.Sprintf("step %s is outside the loop %s; AWS documents onFailure as the only way out of a body", name, s.Within), "end the body and let the loop's nextStep lead there")
	}
}

// nearest suggests a step whose name differs only in case.
func (c *checker) nearest(name string) string {
	for _, have := range sortedKeys(c.names) {
		if strings.EqualFold(have, name) {
			return ": " + have
		}
	}
	return ""
}

// assumeRole checks the document's role: an ARN, a parameter, or nothing.
func (c *checker) assumeRole() {
	n, ok := c.doc.root.get("assumeRole")
	if !ok || c.doc.AssumeRole == "" {
		return
	}
	t := ParseTemplate(c.doc.AssumeRole)
	for _, r := range t.Refs() {
		switch r.Kind {
		case RefParameter:
			if _, declared := c.doc.Parameter(r.Name); !declared {
				c.add(CodeUnknownReference, SeverityError, n.pos, "assumeRole", fmt.Sprintf("{{ %s }} names no parameter", r), "declare the parameter or mend the name")
			}
		case RefGlobal, RefAutomation:
		default:
			c.add(CodeReference, SeverityError, n.pos, "assumeRole", fmt.Sprintf("{{ %s }} cannot stand in assumeRole", r), "use a parameter of type AWS::IAM::Role::Arn")
		}
	}
	if !t.HasReferences() && !strings.HasPrefix(c.doc.AssumeRole, "arn:") {
		c.add(CodeInput, SeverityWarning, n.pos, "assumeRole", "assumeRole is no ARN", "write arn:aws:iam::ACCOUNT:role/NAME, a parameter, or nothing")
	}
}

func (c *checker) parameter(p *Parameter, path string) {
	if p.AllowedPattern != "" {
		if _, err := compilePattern(p.AllowedPattern); err != nil {
			c.add(CodePattern, SeverityWarning, p.Pos, path+".allowedPattern", err.Error()+"; no value can be given until it is mended", "write the pattern in the syntax of java.util.regex")
			return
		}
	}
	if p.MinChars > 0 && p.MaxChars > 0 && p.MinChars > p.MaxChars || p.MinItems > 0 && p.MaxItems > 0 && p.MinItems > p.MaxItems {
		c.add(CodeParameter, SeverityWarning, p.Pos, path, "no value can satisfy the limits: the least is more than the most", "mend minChars, maxChars, minItems or maxItems")
	}
	text, isText := p.Default.(string)
	if !p.HasDefault || isText && text == "" || len(storeNames(p.Default)) > 0 {
		return
	}
	if refs := ParseTemplate(text).Refs(); isText && len(refs) > 0 {
		if !slices.ContainsFunc(refs, func(r Ref) bool { return !isSystem(r) }) {
			return // filled in when the execution runs
		}
		c.add(CodeReference, SeverityWarning, p.Pos, path+".default", "a default cannot refer to parameters, variables or steps: the double braces stay as they are", "use global: and automation: values here, the rest in the step")
		return
	}
	if err := p.Check(p.Default); err != nil {
		c.add(CodeParameter, SeverityWarning, p.Pos, path+".default", "the default breaks the parameter's own constraints: "+err.Error(), "mend the default or the constraint")
	}
}
