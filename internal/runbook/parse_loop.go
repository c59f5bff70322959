package runbook

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of aws:loop, as AWS documents them.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-loop.html
const (
	MaxIterations = 100
	// maxLoops is how deep loops may stand in loops.
	maxLoops = 4
)

// loop reads the inputs of s, an aws:loop step.
func (p *parser) loop(s *Step, depth int) *Loop {
	path := s.path + ".inputs"
	inputs, ok := s.node.get("inputs")
	if !ok || inputs.kind != mapKind {
		p.fail(s.Pos, path, "the loop has no inputs", "give Steps and either Iterators or LoopCondition")
		return nil
	}
	l := &Loop{DataType: "String"}
	if depth > maxLoops {
		p.fail(s.Pos, path, fmt.Sprintf("loops are nested more than %d deep", maxLoops), "move the inner loop to a document of its own")
		return nil
	}
	for i, k := range inputs.keys {
		if !slices.Contains([]string{"Iterators", "IteratorDataType", "LoopCondition", "MaxIterations", "Steps"}, k) {
			p.warn(inputs.keyPos[i], join(path, k), fmt.Sprintf("%.60q is not an input of aws:loop and has no effect", k), "remove it or mend its spelling")
		}
	}
	p.loopKind(l, s, inputs, path)
	l.MaxIterations = p.maxIterations(inputs, path)
	steps, ok := inputs.get("Steps")
	if !ok {
		p.fail(inputs.pos, path+".Steps", "the loop has no Steps", "list the steps of its body under Steps")
		return nil
	}
	l.Steps = p.stepList(steps, path+".Steps", s.Name, depth)
	if len(l.Steps) == 0 {
		return nil
	}
	return l
}

// loopKind reads what makes the loop go round: a list or a condition.
func (p *parser) loopKind(l *Loop, s *Step, inputs *node, path string) {
	iterators, each := inputs.get("Iterators")
	condition, while := inputs.get("LoopCondition")
	switch {
	case each == while:
		p.fail(inputs.pos, path, "aws:loop needs exactly one of Iterators and LoopCondition", "write Iterators for a loop over a list, LoopCondition for one that repeats")
	case each:
		text, isText := iterators.scalar.(string)
		switch {
		case iterators.kind == listKind && len(iterators.items) > MaxIterations:
			p.fail(iterators.pos, path+".Iterators", fmt.Sprintf("there are %d iterators, the limit is %d", len(iterators.items), MaxIterations), "give fewer")
		case iterators.kind != listKind && (!isText || !ParseTemplate(text).HasReferences()):
			p.fail(iterators.pos, path+".Iterators", "Iterators is "+iterators.what()+", not a list or a reference to one", "write a list, or {{ step.Output }}")
		}
		l.Iterators = iterators.value()
		if text := p.text(inputs, path, "IteratorDataType"); text != "" {
			l.DataType = text
		}
		if !slices.Contains([]string{"Boolean", "Integer", "String", "StringMap"}, l.DataType) {
			p.fail(inputs.at("IteratorDataType"), path+".IteratorDataType", fmt.Sprintf("IteratorDataType is %.60q", l.DataType), "write Boolean, Integer, String or StringMap")
		}
	default:
		m, isMap := condition.value().(map[string]any)
		if !isMap {
			p.fail(condition.pos, path+".LoopCondition", "LoopCondition is "+condition.what()+", not a map", "give a Variable and an operator")
			return
		}
		c, err := parseCondition(m, 1)
		if err != nil {
			p.fail(condition.pos, path+".LoopCondition", "the condition does not parse: "+err.Error(), "give a Variable and one operator, or And, Or, Not")
			return
		}
		l.Condition = &c
	}
}

func (p *parser) maxIterations(inputs *node, path string) any {
	limit := p.integerOrTemplate(inputs, path, "MaxIterations")
	if n, isNumber := limit.(int64); isNumber && n > MaxIterations {
		p.fail(inputs.at("MaxIterations"), path+".MaxIterations", fmt.Sprintf("MaxIterations is %d, the limit is %d", n, MaxIterations), "write a whole number from 1 to 100")
	}
	return limit
}

// at gives the place of a member, or of n itself.
func (n *node) at(key string) Pos {
	if v, ok := n.get(key); ok {
		return v.pos
	}
	return n.pos
}

// maxFiles bounds the attachments of a document. AWS takes 20 of 100 MB each.
const maxFiles = 20

// files reads the attachments: name, and checksums.sha256 and size where given.
func (p *parser) files(root *node) {
	m, ok := root.get("files")
	if !ok || m.kind == scalarKind && m.scalar == nil {
		return
	}
	if m.kind != mapKind || len(m.keys) > maxFiles {
		p.fail(m.pos, "files", "files is "+m.what()+fmt.Sprintf("; it needs a map of at most %d", maxFiles), "write NAME: {checksums: {sha256: ...}}")
		return
	}
	for i, name := range m.keys {
		path, n := join("files", name), m.items[i]
		if !isFileName(name) {
			p.fail(m.keyPos[i], path, fmt.Sprintf("%.60q cannot be the name of an attachment", name), "use a plain file name without directories")
			continue
		}
		f := File{Name: name, Pos: m.keyPos[i]}
		if sums, given := n.get("checksums"); given {
			f.SHA256 = strings.ToLower(p.text(sums, path+".checksums", "sha256"))
			if f.SHA256 != "" && !isSHA256(f.SHA256) {
				p.fail(sums.pos, path+".checksums.sha256", "the checksum is not a SHA-256 in 64 hexadecimal digits", "print it with: sha256sum FILE")
				continue
			}
		}
		f.Size = p.count(n, path, "size")
		p.doc.Files = append(p.doc.Files, f)
	}
}

func isSHA256(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}

// isFileName reports whether name is one plain component of a path, on any
// system.
func isFileName(name string) bool {
	return name != "" && len(name) <= 255 && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00:")
}
