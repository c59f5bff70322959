package runbook

import (
	"fmt"
	"slices"
	"strings"
)

// Limits that Systems Manager sets on a document.
const (
	maxParameters = 200
	maxSteps      = 500
	maxOutputs    = 200
)

// Parse reads a document from YAML or JSON. An error is a fault of code invalid
// that wraps *ParseError; its hint is the first fix.
func Parse(raw []byte) (*Document, error) {
	root, problem := readTree(raw)
	if problem != nil {
		return nil, parseError([]Problem{*problem})
	}
	p := &parser{doc: &Document{Revision: Revision(raw), root: root, index: map[string]*Step{}}, seen: map[string]Pos{}}
	p.document(root)
	p.doc.register(p.doc.Steps)
	if len(p.problems) > 0 {
		return nil, parseError(p.problems)
	}
	return p.doc, nil
}

type parser struct {
	doc      *Document
	problems []Problem
	// seen holds where each step stands, loop bodies included.
	seen map[string]Pos
}

// register enters steps into the document's index once their lists no longer
// move.
func (d *Document) register(steps []Step) {
	for i := range steps {
		s := &steps[i]
		s.place = i
		d.index[s.Name] = s
		d.all = append(d.all, s)
		if s.Loop != nil {
			d.register(s.Loop.Steps)
		}
	}
}

func (p *parser) fail(pos Pos, path, message, fix string) {
	p.problems = append(p.problems, Problem{
		Code: CodeSchema, Severity: SeverityError, Line: pos.Line, Column: pos.Column, Path: path, Message: message, Fix: fix,
	})
}

func (p *parser) warn(pos Pos, path, message, fix string) {
	p.doc.warnings = append(p.doc.warnings, Problem{
		Code: CodeUnknownKey, Severity: SeverityWarning, Line: pos.Line, Column: pos.Column, Path: path, Message: message, Fix: fix,
	})
}

func (p *parser) document(root *node) {
	if root.kind != mapKind {
		p.fail(root.pos, "", "the document is "+root.what()+", not a map", `begin with schemaVersion: "0.3"`)
		return
	}
	known := []string{
		"schemaVersion", "description", "assumeRole", "parameters", "variables", "mainSteps", "outputs", "files",
		"templateInformation", "executableRunBooks", "emergencyChange", "autoApprovable", // of change templates; nothing reads them
	}
	for i, k := range root.keys {
		if !slices.Contains(known, k) {
			p.warn(root.keyPos[i], k, fmt.Sprintf("%.60q is not a key of an Automation document", k), "remove it or mend its spelling")
		}
	}
	version, ok := root.get("schemaVersion")
	switch {
	case !ok:
		p.fail(root.pos, "schemaVersion", "schemaVersion is missing", `add schemaVersion: "0.3"`)
	case version.kind != scalarKind || version.text != "0.3":
		p.fail(version.pos, "schemaVersion", "schemaVersion is "+version.what()+`; Parry runs Automation documents, which have "0.3"`, `use an Automation document with schemaVersion: "0.3"`)
	default:
		p.doc.SchemaVersion = version.text
	}
	p.doc.Description = p.text(root, "", "description")
	p.doc.AssumeRole = p.text(root, "", "assumeRole")
	p.doc.Parameters = p.parameters(root, "parameters")
	p.doc.Variables = p.parameters(root, "variables")
	p.files(root)
	p.steps(root)
	p.outputs(root)
}

// text reads an optional text member.
func (p *parser) text(n *node, path, key string) string {
	v, ok := n.get(key)
	if !ok || v.kind == scalarKind && v.scalar == nil {
		return ""
	}
	if v.kind != scalarKind {
		p.fail(v.pos, join(path, key), key+" is "+v.what()+", not text", "write "+key+" as text")
		return ""
	}
	return v.text
}

// boolean reads an optional Boolean, which the corpus also writes as text.
func (p *parser) boolean(n *node, path, key string) *bool {
	v, ok := n.get(key)
	if !ok {
		return nil
	}
	var b bool
	switch strings.ToLower(v.text) {
	case "true":
		b = true
	case "false":
	default:
		p.fail(v.pos, join(path, key), key+" is "+v.what()+", not true or false", "write true or false")
		return nil
	}
	return &b
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (p *parser) steps(root *node) {
	list, ok := root.get("mainSteps")
	if !ok {
		p.fail(root.pos, "mainSteps", "mainSteps is missing", "add mainSteps with at least one step")
		return
	}
	p.doc.Steps = p.stepList(list, "mainSteps", "", 0)
}

// stepList reads mainSteps or the body of the loop called within.
func (p *parser) stepList(list *node, path, within string, depth int) []Step {
	if list.kind != listKind || len(list.items) == 0 {
		p.fail(list.pos, path, lastKey(path)+" is "+list.what()+" without steps", "give a list with at least one step")
		return nil
	}
	var out []Step
	for i, n := range list.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if len(p.seen) >= maxSteps {
			p.fail(n.pos, at, fmt.Sprintf("there are more than %d steps", maxSteps), "split the document")
			return out
		}
		s := p.step(n, at)
		s.Within = within
		if s.Name == "" {
			continue
		}
		if first, dup := p.seen[s.Name]; dup {
			p.fail(n.pos, at+".name", fmt.Sprintf("the name %q is taken by the step in line %d", s.Name, first.Line), "give each step a name of its own")
			continue
		}
		p.seen[s.Name] = n.pos
		if s.Action == ActionLoop {
			s.Loop = p.loop(&s, depth+1)
		}
		out = append(out, s)
	}
	return out
}

func lastKey(path string) string { return path[strings.LastIndex(path, ".")+1:] }

func (p *parser) step(n *node, path string) Step {
	s := Step{Pos: n.pos, node: n, path: path, OnFailure: OnFailureAbort}
	if n.kind != mapKind {
		p.fail(n.pos, path, "a step is "+n.what()+", not a map", "give the step name, action and inputs")
		return s
	}
	p.stepKeys(n, path)
	s.Name = p.text(n, path, "name")
	if !isName(s.Name) {
		p.fail(n.pos, path+".name", fmt.Sprintf("the step's name is %.60q; it needs letters, digits and underscores", s.Name), "name the step, for example: name: ReadPolicy")
		s.Name = ""
	}
	s.Action = p.text(n, path, "action")
	if s.Action == "" {
		p.fail(n.pos, path+".action", "the step has no action", "add action: aws:executeAwsApi or another action")
	}
	s.Description = p.text(n, path, "description")
	s.NextStep = p.text(n, path, "nextStep")
	if end := p.boolean(n, path, "isEnd"); end != nil {
		s.IsEnd = *end
	}
	s.IsCritical = p.boolean(n, path, "isCritical")
	p.onFailure(&s, n, path)
	s.OnCancel = strings.TrimPrefix(p.text(n, path, "onCancel"), "step:")
	s.Timeout = p.integerOrTemplate(n, path, "timeoutSeconds")
	s.MaxAttempts = p.integerOrTemplate(n, path, "maxAttempts")
	s.Inputs = p.inputs(n, path)
	s.Outputs = p.stepOutputs(n, path)
	return s
}

func (p *parser) stepKeys(n *node, path string) {
	known := []string{
		"name", "action", "description", "inputs", "outputs", "onFailure", "onCancel", "nextStep", "isEnd", "isCritical",
		"timeoutSeconds", "maxAttempts",
	}
	for i, k := range n.keys {
		if !slices.Contains(known, k) {
			p.warn(n.keyPos[i], join(path, k), fmt.Sprintf("%.60q is not a key of a step and has no effect", k), "remove it or mend its spelling")
		}
	}
}

func (p *parser) onFailure(s *Step, n *node, path string) {
	text := p.text(n, path, "onFailure")
	switch {
	case text == "" || strings.EqualFold(text, OnFailureAbort):
	case strings.EqualFold(text, OnFailureContinue):
		s.OnFailure = OnFailureContinue
	case strings.HasPrefix(text, "step:") && isName(strings.TrimSpace(text[len("step:"):])):
		s.OnFailure, s.OnFailureStep = strings.TrimSpace(text[len("step:"):]), true
	default:
		v, _ := n.get("onFailure")
		p.fail(v.pos, path+".onFailure", fmt.Sprintf("onFailure is %.60q", text), "write Abort, Continue or step:NAME")
	}
}

// integerOrTemplate reads a whole number, or text with a reference that becomes
// one when the step runs.
func (p *parser) integerOrTemplate(n *node, path, key string) any {
	v, ok := n.get(key)
	if !ok || v.kind == scalarKind && v.scalar == nil {
		return nil
	}
	if v.kind == scalarKind {
		if i, isInt := asInteger(v.scalar); isInt && i > 0 {
			return i
		}
		if text, isText := v.scalar.(string); isText && ParseTemplate(text).HasReferences() {
			return text
		}
	}
	p.fail(v.pos, join(path, key), key+" is "+v.what()+", not a whole number above 0", "write a whole number, for example: "+key+": 60")
	return nil
}

func (p *parser) inputs(n *node, path string) map[string]any {
	v, ok := n.get("inputs")
	if !ok {
		p.fail(n.pos, path+".inputs", "the step has no inputs", "add inputs; an action without any has inputs: {}")
		return nil
	}
	if v.kind == scalarKind && v.scalar == nil {
		return map[string]any{}
	}
	if v.kind != mapKind {
		p.fail(v.pos, path+".inputs", "inputs is "+v.what()+", not a map", "write inputs as a map")
		return nil
	}
	m, _ := v.value().(map[string]any)
	return m
}

func (p *parser) stepOutputs(n *node, path string) []StepOutput {
	list, ok := n.get("outputs")
	if !ok || list.kind == scalarKind && list.scalar == nil {
		return nil
	}
	if list.kind != listKind || len(list.items) > maxOutputs {
		p.fail(list.pos, path+".outputs", "outputs is "+list.what()+fmt.Sprintf("; it needs a list of at most %d", maxOutputs), "give a list of Name, Selector and Type")
		return nil
	}
	var out []StepOutput
	for i, item := range list.items {
		if o, good := p.stepOutput(item, fmt.Sprintf("%s.outputs[%d]", path, i)); good {
			out = append(out, o)
		}
	}
	return out
}

func (p *parser) stepOutput(n *node, path string) (StepOutput, bool) {
	if n.kind != mapKind {
		p.fail(n.pos, path, "an output is "+n.what()+", not a map", "give Name, Selector and Type")
		return StepOutput{}, false
	}
	o := StepOutput{Name: p.text(n, path, "Name"), Type: TypeString, Pos: n.pos}
	if !isName(o.Name) {
		p.fail(n.pos, path+".Name", fmt.Sprintf("the output's name is %.60q; it needs letters, digits and underscores", o.Name), "name the output")
		return o, false
	}
	if text := p.text(n, path, "Type"); text != "" {
		o.Type = Type(text)
		if !o.Type.basic() {
			v, _ := n.get("Type")
			p.fail(v.pos, path+".Type", fmt.Sprintf("the output's type is %.60q", text), "write String, StringList, Integer, Boolean, StringMap or MapList")
			return o, false
		}
	}
	text := p.text(n, path, "Selector")
	sel, err := ParseSelector(text)
	if err != nil {
		pos := n.pos
		if v, ok := n.get("Selector"); ok {
			pos = v.pos
		}
		p.fail(pos, path+".Selector", fmt.Sprintf("the selector %.100q does not parse: %v", text, err), "write a path such as $.Policy or $.Items[0].Name")
		return o, false
	}
	o.Selector = sel
	return o, true
}

func (p *parser) outputs(root *node) {
	list, ok := root.get("outputs")
	if !ok || list.kind == scalarKind && list.scalar == nil {
		return
	}
	if list.kind != listKind || len(list.items) > maxOutputs {
		p.fail(list.pos, "outputs", "outputs is "+list.what()+fmt.Sprintf("; it needs a list of at most %d", maxOutputs), "list outputs as STEP.OUTPUT")
		return
	}
	for i, n := range list.items {
		step, name, found := strings.Cut(strings.TrimSpace(n.text), ".")
		if n.kind != scalarKind || !found || !isName(step) || name == "" {
			p.fail(n.pos, fmt.Sprintf("outputs[%d]", i), "an output is "+n.what()+", not STEP.OUTPUT", "write it plain, without braces: ReadPolicy.Policy")
			continue
		}
		p.doc.Outputs = append(p.doc.Outputs, Output{Step: step, Name: name, Pos: n.pos})
	}
}

// isName reports whether s may name a step, an output or a parameter.
func isName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
