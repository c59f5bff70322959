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
	for _, s := range d.all {
		c.names[s.Name] = true
	}
	for i := range d.Parameters {
		c.parameter(&d.Parameters[i], "parameters."+d.Parameters[i].Name)
	}
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
	return c.problems
}

type checker struct {
	doc      *Document
	problems []Problem
	names    map[string]bool
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

func (c *checker) inputReferences(s *Step, inputs *node) {
	for i, key := range inputs.keys {
		if key == "Script" {
			continue
		}
		// The steps of a loop's body are checked as steps.
		if key == "Steps" && s.Action == ActionLoop {
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
		if r.Step == s.Name && s.Action != ActionLoop {
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
		c.jump(s, choice.NextStep, fmt.Sprintf("%s.inputs.Choices[%d].NextStep", s.path, i), s.at("inputs", "Choices"))
	}
	if b.Default != "" {
		c.jump(s, b.Default, s.path+".inputs.Default", s.at("inputs", "Default"))
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
	if isText && ParseTemplate(text).HasReferences() {
		c.add(CodeReference, SeverityWarning, p.Pos, path+".default", "a default is not a template: the double braces stay as they are", "take the value apart in the step that uses it")
		return
	}
	if err := p.Check(p.Default); err != nil {
		c.add(CodeParameter, SeverityWarning, p.Pos, path+".default", "the default breaks the parameter's own constraints: "+err.Error(), "mend the default or the constraint")
	}
}
