package runbook

import (
	"fmt"
	"slices"
	"strings"
)

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
		c.order(s, r, pos, path)
	}
}

// order warns where a step reads an output that need not be there yet: the step
// that sets it does not stand on every way to this one. Documents also do so on
// purpose.
func (c *checker) order(s *Step, r Ref, pos Pos, path string) {
	producer, ok := c.steps.place[r.Step]
	if !ok || c.doc.Inside(c.doc.all[producer], s.Name) {
		return // a loop's condition is looked at after its body
	}
	passed := c.before[c.steps.place[s.Name]]
	if passed == nil || passed.has(producer) {
		return
	}
	if c.leads(producer, c.steps.place[s.Name]) {
		c.add(CodeNotAlwaysSet, SeverityWarning, pos, path, fmt.Sprintf("{{ %s }} has no value where step %s was not on the way", r, r.Step), "let every way pass that step first, or test the value in a branch")
		return
	}
	c.add(CodeNotAlwaysSet, SeverityWarning, pos, path, fmt.Sprintf("{{ %s }} never has a value: no way leads from step %s to this one", r, r.Step), "name a step that runs before")
}

// leads reports whether a way leads from one step to another.
func (c *checker) leads(from, to int) bool {
	seen, known := c.reached[from]
	if !known {
		seen = make([]bool, len(c.doc.all))
		mark(seen, slices.Clone(c.steps.next[from]), func(i int) []int { return c.steps.next[i] })
		c.reached[from] = seen
	}
	return seen[to]
}

// typeOf gives the type of what a reference stands for, where the document tells.
func (c *checker) typeOf(r Ref) (Type, bool) {
	switch r.Kind {
	case RefParameter:
		if p, ok := c.doc.Parameter(r.Name); ok {
			return p.Type, true
		}
	case RefVariable:
		if v, ok := c.doc.Variable(r.Name); ok {
			return v.Type, true
		}
	case RefGlobal, RefAutomation:
		return TypeString, true
	case RefOutput:
		if s, ok := c.doc.Step(r.Step); ok {
			return s.outputType(r.Name)
		}
	}
	return "", false
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
