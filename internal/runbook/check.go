package runbook

import (
	"fmt"
	"slices"
	"strings"
)

// Check finds what is wrong with a document without running it: actions, the
// graph of steps, references, inputs, conditions and parameters. Problems come
// in the order of the text.
func Check(d *Document) []Problem {
	c := &checker{doc: d, problems: slices.Clone(d.warnings), names: map[string]bool{}}
	for i := range d.Steps {
		c.names[d.Steps[i].Name] = true
		c.loopNames(d.Steps[i].Inputs, 0)
	}
	for i := range d.Parameters {
		c.parameter(&d.Parameters[i], "parameters."+d.Parameters[i].Name)
	}
	for i := range d.Steps {
		c.step(&d.Steps[i])
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
	return c.problems
}

type checker struct {
	doc      *Document
	problems []Problem
	// names holds the steps of loop bodies too: they share one namespace.
	names map[string]bool
}

func (c *checker) add(code string, sev Severity, pos Pos, path, message, fix string) {
	c.problems = append(c.problems, Problem{Code: code, Severity: sev, Line: pos.Line, Column: pos.Column, Path: path, Message: message, Fix: fix})
}

func (c *checker) loopNames(inputs map[string]any, depth int) {
	steps, ok := inputs["Steps"].([]any)
	if !ok || depth > maxNesting {
		return
	}
	for _, raw := range steps {
		m, _ := raw.(map[string]any)
		if name, isText := m["name"].(string); isText {
			c.names[name] = true
		}
		if inner, isMap := m["inputs"].(map[string]any); isMap {
			c.loopNames(inner, depth+1)
		}
	}
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
	if _, known := defaultOutputs(s.Action); !known || !strings.HasPrefix(s.Action, "aws:") {
		c.add(CodeUnknownAction, SeverityError, s.at("action"), s.path+".action", fmt.Sprintf("%.60q is not an action of Automation documents", s.Action), "mend the spelling, for example aws:executeAwsApi")
	} else if !Runnable(s.Action) {
		c.add(CodeUnsupportedAction, SeverityError, s.at("action"), s.path+".action", s.Action+" is not supported by this version of Parry", "use executeAwsApi, assertAwsResourceProperty, waitForAwsResourceProperty, branch and sleep")
	}
	if s.OnCancel != "" && s.OnCancel != OnFailureAbort {
		c.target(s, "onCancel", s.OnCancel)
		c.add(CodeUnsupportedAction, SeverityWarning, s.at("onCancel"), s.path+".onCancel", "onCancel is not followed by this version of Parry", "undo the remediation after cancelling instead")
	}
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
}

func (c *checker) target(s *Step, key, name string) {
	if !c.names[name] {
		c.add(CodeUnknownStep, SeverityError, s.at(key), s.path+"."+key, fmt.Sprintf("there is no step %.60q", name), "name a step of this document"+c.nearest(name))
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

func (c *checker) inputReferences(s *Step, inputs *node) {
	for i, key := range inputs.keys {
		if key == "Script" {
			continue
		}
		// Steps of a loop body are templates of their own.
		if key == "Steps" && s.Action == "aws:loop" {
			continue
		}
		c.references(s, inputs.items[i], s.path+".inputs."+key)
	}
}

// references checks every reference at and below n, at its own place.
func (c *checker) references(s *Step, n *node, path string) {
	switch n.kind {
	case mapKind:
		for i, k := range n.keys {
			c.references(s, n.items[i], join(path, k))
		}
	case listKind:
		for i, item := range n.items {
			c.references(s, item, fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		text, ok := n.scalar.(string)
		if !ok {
			return
		}
		t := ParseTemplate(text)
		for _, ref := range t.Refs() {
			c.reference(s, ref, n.pos, path)
		}
		if t.stray() {
			c.add(CodeReference, SeverityWarning, n.pos, path, "double braces here are not a reference and stay as they are", "write {{ Parameter }}, {{ step.Output }} or {{ global:REGION }}")
		}
	}
}

// stray reports whether a literal part holds what looks like a reference.
func (t Template) stray() bool {
	for _, p := range t.parts {
		if p.ref == nil && strings.Contains(p.literal, "{{") && strings.Contains(p.literal, "}}") {
			return true
		}
	}
	return false
}

// Globals lists the values of {{ global:NAME }}.
func Globals() []string {
	return []string{"DATE", "DATE_TIME", "REGION", "ACCOUNT_ID", "AWS_PARTITION"}
}

func (c *checker) reference(s *Step, r Ref, pos Pos, path string) {
	unknown := func(message, fix string) {
		c.add(CodeUnknownReference, SeverityError, pos, path, message, fix)
	}
	switch r.Kind {
	case RefParameter:
		if _, ok := c.doc.Parameter(r.Name); !ok {
			unknown(fmt.Sprintf("{{ %s }} names no parameter", r), "declare the parameter or mend the name")
		}
	case RefVariable:
		if _, ok := c.doc.Variable(r.Name); !ok {
			unknown(fmt.Sprintf("{{ %s }} names no variable", r), "declare it under variables or mend the name")
		}
	case RefGlobal:
		if !slices.Contains(Globals(), r.Name) {
			unknown(fmt.Sprintf("{{ %s }} is not known", r), "use one of "+strings.Join(Globals(), ", "))
		}
	case RefAutomation:
		if r.Name != "EXECUTION_ID" {
			unknown(fmt.Sprintf("{{ %s }} is not known", r), "use automation:EXECUTION_ID")
		}
	case RefSSM:
		c.add(CodeReference, SeverityError, pos, path, "a Parameter Store value cannot stand in a step's input", "make it the default of a parameter of type String")
	case RefOutput:
		if r.Step == s.Name && s.Action != "aws:loop" {
			unknown(fmt.Sprintf("{{ %s }} is an output of the step itself", r), "name an earlier step")
			return
		}
		c.output(r, pos, path)
	}
}

func (c *checker) output(r Ref, pos Pos, path string) {
	producer, ok := c.doc.Step(r.Step)
	if !ok {
		if !c.names[r.Step] {
			c.add(CodeUnknownReference, SeverityError, pos, path, fmt.Sprintf("{{ %s }} names no step", r), "name a step of this document"+c.nearest(r.Step))
		}
		return
	}
	names, _ := defaultOutputs(producer.Action)
	declared := slices.ContainsFunc(producer.Outputs, func(o StepOutput) bool { return o.Name == r.Name })
	if !declared && !slices.Contains(names, r.Name) {
		c.add(CodeUnknownReference, SeverityError, pos, path, fmt.Sprintf("step %s has no output %s", r.Step, r.Name), "declare it under the step's outputs or mend the name")
	}
}

// inputs checks what each action needs.
func (c *checker) inputs(s *Step) {
	need := func(keys ...string) {
		for _, k := range keys {
			if v, ok := s.Inputs[k]; !ok || v == nil || v == "" {
				c.add(CodeInput, SeverityError, s.at("inputs"), s.path+".inputs."+k, s.Action+" needs the input "+k, "add "+k)
			}
		}
	}
	switch s.Action {
	case ActionAPI:
		need("Service", "Api")
	case ActionAssert, ActionWait:
		need("Service", "Api", "PropertySelector", "DesiredValues")
		c.property(s)
	case ActionSleep:
		_, duration := s.Inputs["Duration"]
		_, timestamp := s.Inputs["Timestamp"]
		if duration == timestamp {
			c.add(CodeInput, SeverityError, s.at("inputs"), s.path+".inputs", "aws:sleep needs exactly one of Duration and Timestamp", "write Duration: PT10S, for example")
		}
		if text, ok := s.Inputs["Duration"].(string); ok && !ParseTemplate(text).HasReferences() {
			if _, err := ParseDuration(text); err != nil {
				c.add(CodeInput, SeverityError, s.at("inputs", "Duration"), s.path+".inputs.Duration", err.Error(), "write an ISO 8601 duration such as PT10M")
			}
		}
	case ActionBranch:
		c.branch(s)
	}
}

func (c *checker) property(s *Step) {
	if text, ok := s.Inputs["PropertySelector"].(string); ok && !ParseTemplate(text).HasReferences() {
		if _, err := ParseSelector(text); err != nil {
			c.add(CodeSelector, SeverityError, s.at("inputs", "PropertySelector"), s.path+".inputs.PropertySelector", "the selector does not parse: "+err.Error(), "write a path such as $.Status")
		}
	}
	if v, ok := s.Inputs["DesiredValues"]; ok {
		list, isList := v.([]any)
		text, isText := v.(string)
		if !(isList && len(list) > 0) && !(isText && ParseTemplate(text).HasReferences()) {
			c.add(CodeInput, SeverityError, s.at("inputs", "DesiredValues"), s.path+".inputs.DesiredValues", "DesiredValues is not a list with values", "list the texts that count as met")
		}
	}
}

func (c *checker) branch(s *Step) {
	b, err := ParseBranch(s.Inputs)
	if err != nil {
		c.add(CodeInput, SeverityError, s.at("inputs", "Choices"), s.path+".inputs.Choices", err.Error(), "give each choice a NextStep and one condition")
		return
	}
	for i, choice := range b.Choices {
		if !c.names[choice.NextStep] {
			c.add(CodeUnknownStep, SeverityError, s.at("inputs", "Choices"), fmt.Sprintf("%s.inputs.Choices[%d].NextStep", s.path, i), fmt.Sprintf("there is no step %.60q", choice.NextStep), "name a step of this document"+c.nearest(choice.NextStep))
		}
	}
	if b.Default != "" && !c.names[b.Default] {
		c.add(CodeUnknownStep, SeverityError, s.at("inputs", "Default"), s.path+".inputs.Default", fmt.Sprintf("there is no step %.60q", b.Default), "name a step of this document"+c.nearest(b.Default))
	}
}

func (c *checker) parameter(p *Parameter, path string) {
	if p.AllowedPattern != "" {
		if _, err := compilePattern(p.AllowedPattern); err != nil {
			c.add(CodeParameter, SeverityError, p.Pos, path+".allowedPattern", err.Error(), "write the pattern without back-references and possessive repetitions")
			return
		}
	}
	text, isText := p.Default.(string)
	if !p.HasDefault || isText && (text == "" || ParseTemplate(text).HasReferences()) {
		return
	}
	if err := p.check(p.Default); err != nil {
		c.add(CodeParameter, SeverityWarning, p.Pos, path+".default", "the default breaks the parameter's own constraints: "+err.Error(), "mend the default or the constraint")
	}
}
