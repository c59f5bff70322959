package runbook

import (
	"fmt"

	"github.com/parry-security/parry/internal/apimodel"
)

// selectors holds the selectors of a step against what the step's call answers.
// All of it is warnings: models lag behind services, and documents reach into
// answers that no model describes.
func (c *checker) selectors(s *Step) {
	if s.Action == ActionScript {
		c.payloadSelectors(s)
		return
	}
	_, op, err := c.apiOf(s)
	if err != nil || op == nil {
		return
	}
	for i, o := range s.Outputs {
		path := fmt.Sprintf("%s.outputs[%d].Selector", s.path, i)
		shapes, known := c.selected(op, o.Selector, o.Pos, path)
		if known && len(shapes) > 0 && !yields(shapes, o.Selector, o.Type) {
			c.add(CodeOutputType, SeverityWarning, o.Pos, fmt.Sprintf("%s.outputs[%d].Type", s.path, i), fmt.Sprintf("%s is %s in AWS's answer, which is not %s", o.Selector, shapeName(shapes[0]), o.Type), "declare the type that the selector gives")
		}
	}
	if text, ok := s.Inputs["PropertySelector"].(string); ok && s.Action != ActionAPI && !ParseTemplate(text).HasReferences() {
		if sel, err := ParseSelector(text); err == nil {
			c.selected(op, sel, s.at("inputs", "PropertySelector"), s.path+".inputs.PropertySelector")
		}
	}
}

// payloadSelectors expects a script's outputs in its Payload.
func (c *checker) payloadSelectors(s *Step) {
	for i, o := range s.Outputs {
		segs := o.Selector.segs
		if len(segs) == 0 || segs[0].kind != segChild || segs[0].name == "Payload" || segs[0].name == "OutputPayload" {
			continue
		}
		c.add(CodeSelectorShape, SeverityWarning, o.Pos, fmt.Sprintf("%s.outputs[%d].Selector", s.path, i), fmt.Sprintf("%s finds nothing: what the handler returns is in Payload", o.Selector), "write $.Payload and the path in the returned value")
	}
}

// selected walks sel along the answer of op. known is false where the model does
// not tell what it finds; what it surely does not find is a warning.
func (c *checker) selected(op *apimodel.Operation, sel Selector, pos Pos, path string) (shapes []*apimodel.Shape, known bool) {
	if len(sel.segs) == 0 || sel.segs[0].kind == segChild && sel.segs[0].name == "ResponseMetadata" {
		return nil, false
	}
	if op.Output == nil {
		c.add(CodeSelectorShape, SeverityWarning, pos, path, fmt.Sprintf("%s finds nothing: %s answers with nothing but ResponseMetadata", sel, op.Name), "remove the output")
		return nil, false
	}
	shapes = []*apimodel.Shape{op.Output}
	for _, g := range sel.segs {
		next, opaque := step(shapes, g)
		if opaque {
			return nil, false
		}
		if len(next) == 0 {
			fix := "mend the selector"
			if g.kind == segChild || g.kind == segDeep {
				fix += similar(g.name, memberNames(shapes))
			}
			c.add(CodeSelectorShape, SeverityWarning, pos, path, fmt.Sprintf("%s finds nothing in what %s answers: there is no %s", sel, op.Name, g.what()), fix)
			return nil, false
		}
		shapes = next
	}
	return shapes, true
}

// what names a segment for a message.
func (g segment) what() string {
	switch g.kind {
	case segChild, segDeep:
		return fmt.Sprintf("member %.60q", g.name)
	case segIndex:
		return "list to take an item from"
	}
	return "list or map to go through"
}

func memberNames(shapes []*apimodel.Shape) []string {
	var out []string
	for _, s := range shapes {
		for _, m := range s.Members {
			out = append(out, m.Name)
		}
	}
	return out
}

// step follows one segment; opaque says that the model does not tell.
func step(shapes []*apimodel.Shape, g segment) (next []*apimodel.Shape, opaque bool) {
	for _, s := range shapes {
		if s.Document || s.Type == apimodel.String && (g.kind != segIndex) && decoded(s) {
			return nil, true
		}
		switch g.kind {
		case segChild:
			if m, ok := s.Member(g.name); ok && s.Type == apimodel.Structure {
				next = append(next, m.Shape)
			} else if s.Type == apimodel.Map {
				next = append(next, s.Value.Shape)
			}
		case segIndex:
			if s.Type == apimodel.List {
				next = append(next, s.Elem.Shape)
			}
		case segDeep:
			if g.name == "" || g.name == "*" {
				return nil, true
			}
			next = deepShapes(next, s, g.name, map[*apimodel.Shape]bool{})
		case segAll, segFilter:
			switch s.Type {
			case apimodel.List:
				next = append(next, s.Elem.Shape)
			case apimodel.Map:
				next = append(next, s.Value.Shape)
			case apimodel.Structure:
				if g.kind == segFilter {
					next = append(next, s)
					continue
				}
				for _, m := range s.Members {
					next = append(next, m.Shape)
				}
			}
		}
	}
	return next, false
}

// decoded reports whether boto3 turns text of shape into values.
func decoded(s *apimodel.Shape) bool {
	return s.Name == "policyDocumentType" || s.Name == "TemplateBody"
}

func deepShapes(out []*apimodel.Shape, s *apimodel.Shape, name string, seen map[*apimodel.Shape]bool) []*apimodel.Shape {
	if seen[s] {
		return out
	}
	seen[s] = true
	switch s.Type {
	case apimodel.Structure:
		for _, m := range s.Members {
			if m.Name == name {
				out = append(out, m.Shape)
			}
			out = deepShapes(out, m.Shape, name, seen)
		}
	case apimodel.List:
		out = deepShapes(out, s.Elem.Shape, name, seen)
	case apimodel.Map:
		out = deepShapes(append(out, s.Value.Shape), s.Value.Shape, name, seen)
	}
	return out
}

// yields reports whether what a selector finds can be an output of type t; the
// conversions are those of Coerce.
func yields(shapes []*apimodel.Shape, sel Selector, t Type) bool {
	if !sel.Definite() {
		return t == TypeStringList || t == TypeMapList || t == TypeString
	}
	for _, s := range shapes {
		switch t {
		case TypeInteger:
			if s.Type == apimodel.Integer || s.Type == apimodel.Long || s.Type == apimodel.Float || s.Type == apimodel.Double || s.Type == apimodel.String {
				return true
			}
		case TypeBoolean:
			if s.Type == apimodel.Boolean || s.Type == apimodel.String {
				return true
			}
		case TypeStringMap:
			if s.Type == apimodel.Structure || s.Type == apimodel.Map || s.Type == apimodel.String || s.Document {
				return true
			}
		case TypeMapList:
			if s.Type == apimodel.String || s.Document || s.Type == apimodel.List && (s.Elem.Shape.Type == apimodel.Structure || s.Elem.Shape.Type == apimodel.Map || s.Elem.Shape.Document) {
				return true
			}
		case TypeStringList:
			if s.Type != apimodel.Structure && s.Type != apimodel.Map {
				return true
			}
		default:
			return true
		}
	}
	return false
}
