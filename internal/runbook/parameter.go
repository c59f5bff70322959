package runbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// Parameter is a declared parameter or variable.
type Parameter struct {
	Name           string
	Type           Type
	Description    string
	Default        any // nil when there is none
	HasDefault     bool
	AllowedValues  []any
	AllowedPattern string
	MinChars       int64 // 0 = no limit, as for the following
	MaxChars       int64
	MinItems       int64
	MaxItems       int64
	Pos            Pos
}

func (p *parser) parameters(root *node, key string) []Parameter {
	m, ok := root.get(key)
	if !ok || m.kind == scalarKind && m.scalar == nil {
		return nil
	}
	if m.kind != mapKind || len(m.keys) > maxParameters {
		p.fail(m.pos, key, key+" is "+m.what()+fmt.Sprintf("; it needs a map of at most %d", maxParameters), "write NAME: {type: String}")
		return nil
	}
	var out []Parameter
	for i, name := range m.keys {
		path := join(key, name)
		if !isName(name) {
			p.fail(m.keyPos[i], path, fmt.Sprintf("%.60q cannot be a name", name), "use letters, digits and underscores")
			continue
		}
		if m.items[i].kind != mapKind {
			p.fail(m.items[i].pos, path, path+" is "+m.items[i].what()+", not a map", "give at least a type")
			continue
		}
		out = append(out, p.parameter(m.items[i], name, path))
	}
	return out
}

func (p *parser) parameter(n *node, name, path string) Parameter {
	param := Parameter{Name: name, Pos: n.pos, Description: p.text(n, path, "description"), AllowedPattern: p.text(n, path, "allowedPattern")}
	known := []string{
		"type", "description", "default", "allowedValues", "allowedPattern", "minChars", "maxChars", "minItems", "maxItems", "displayType",
	}
	for i, k := range n.keys {
		if !slices.Contains(known, k) {
			p.warn(n.keyPos[i], join(path, k), fmt.Sprintf("%.60q is not a key of a parameter and has no effect", k), "remove it or mend its spelling")
		}
	}
	param.Type = Type(p.text(n, path, "type"))
	if !param.Type.Valid() {
		p.fail(n.pos, path+".type", fmt.Sprintf("the type is %.60q", string(param.Type)), "write String, StringList, Integer, Boolean, StringMap, MapList or a resource type")
		return param
	}
	param.MinChars = p.count(n, path, "minChars")
	param.MaxChars = p.count(n, path, "maxChars")
	param.MinItems = p.count(n, path, "minItems")
	param.MaxItems = p.count(n, path, "maxItems")
	p.allowedValues(&param, n, path)
	p.defaultValue(&param, n, path)
	return param
}

func (p *parser) count(n *node, path, key string) int64 {
	v, ok := n.get(key)
	if !ok {
		return 0
	}
	i, isInt := asInteger(v.scalar)
	if v.kind != scalarKind || !isInt || i < 0 {
		p.fail(v.pos, join(path, key), key+" is "+v.what()+", not a whole number", "write a whole number of 0 or more")
		return 0
	}
	return i
}

func (p *parser) allowedValues(param *Parameter, n *node, path string) {
	v, ok := n.get("allowedValues")
	if !ok {
		return
	}
	if v.kind != listKind || len(v.items) == 0 {
		p.fail(v.pos, path+".allowedValues", "allowedValues is "+v.what()+", not a list with values", "list the values that may be given")
		return
	}
	param.AllowedValues, _ = v.value().([]any)
}

func (p *parser) defaultValue(param *Parameter, n *node, path string) {
	v, ok := n.get("default")
	if !ok {
		return
	}
	param.HasDefault = true
	raw := v.value()
	if text, isText := raw.(string); isText {
		refs := ParseTemplate(text).Refs()
		if len(refs) == 1 && refs[0].Kind == RefSSM {
			param.Default = text
			return
		}
	}
	if raw == "" || raw == nil {
		// An empty default stands for "not given", whatever the type.
		param.Default = param.Type.Zero()
		return
	}
	value, err := Coerce(raw, param.Type)
	if err != nil {
		p.fail(v.pos, path+".default", "the default does not fit: "+err.Error(), "give a default of type "+string(param.Type))
		return
	}
	param.Default = value
}

// FromWire turns the parameters of StartAutomationExecution, lists of text for
// every type, into what ResolveParameters takes.
func FromWire(wire map[string][]string) map[string]any {
	out := make(map[string]any, len(wire))
	for name, list := range wire {
		items := make([]any, len(list))
		for i, s := range list {
			items[i] = s
		}
		out[name] = items
	}
	return out
}

// ResolveParameters gives the typed values with which an execution starts:
// given values converted to the declared types, defaults for the others, every
// constraint checked. The error names every violation.
func (d *Document) ResolveParameters(given map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(d.Parameters))
	var wrong []string
	for _, name := range sortedKeys(given) {
		if _, ok := d.Parameter(name); !ok {
			wrong = append(wrong, fmt.Sprintf("parameter %s is not declared by the runbook", name))
		}
	}
	for i := range d.Parameters {
		p := &d.Parameters[i]
		v, err := p.resolve(given)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("parameter %s: %v", p.Name, err))
			continue
		}
		out[p.Name] = v
	}
	if len(wrong) > 0 {
		return nil, fault.Errorf(fault.Invalid, "resolve parameters", "%s", strings.Join(wrong, "; ")).
			WithHint("give values that the runbook's parameters allow; parry runbook show lists them")
	}
	return out, nil
}

func (p *Parameter) resolve(given map[string]any) (any, error) {
	raw, ok := given[p.Name]
	if !ok || raw == nil {
		if !p.HasDefault {
			return nil, fmt.Errorf("a value is required")
		}
		if text, isText := p.Default.(string); isText && strings.Contains(text, "{{ssm:") || isText && strings.Contains(text, "{{ ssm:") {
			return nil, fmt.Errorf("its default is the Parameter Store value %s; give the value itself", text)
		}
		return p.Default, nil
	}
	v, err := Coerce(p.unwrap(Normalize(raw)), p.Type)
	if err != nil {
		return nil, err
	}
	if p.HasDefault && equalValues(v, p.Default) {
		return v, nil
	}
	return v, p.check(v)
}

// unwrap takes the one text out of the wire form of a scalar.
func (p *Parameter) unwrap(v any) any {
	list, isList := v.([]any)
	switch p.Type.base() {
	case TypeString, TypeInteger, TypeBoolean:
		if isList && len(list) == 1 {
			return list[0]
		}
	}
	return v
}

func (p *Parameter) check(v any) error {
	if list, isList := v.([]any); isList {
		if p.MinItems > 0 && int64(len(list)) < p.MinItems {
			return fmt.Errorf("it has %d items, at least %d are needed", len(list), p.MinItems)
		}
		if p.MaxItems > 0 && int64(len(list)) > p.MaxItems {
			return fmt.Errorf("it has %d items, at most %d are allowed", len(list), p.MaxItems)
		}
		for i, item := range list {
			if err := p.checkItem(item); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
		return nil
	}
	return p.checkItem(v)
}

func (p *Parameter) checkItem(v any) error {
	text, err := Text(v)
	if err != nil {
		return err
	}
	if len(p.AllowedValues) > 0 && !slices.ContainsFunc(p.AllowedValues, func(a any) bool { return sameText(a, text) }) {
		return fmt.Errorf("the value is not one of the allowed values")
	}
	if n := int64(len([]rune(text))); p.MinChars > 0 && n < p.MinChars || p.MaxChars > 0 && n > p.MaxChars {
		return fmt.Errorf("it has %d characters, outside the allowed %d to %d", n, p.MinChars, p.MaxChars)
	}
	for _, pattern := range []string{p.Type.pattern(), p.AllowedPattern} {
		if pattern == "" {
			continue
		}
		re, err := compilePattern(pattern)
		if err != nil {
			return err
		}
		matched, err := re.match(text)
		if err != nil {
			return err
		}
		if !matched {
			return fmt.Errorf("the value does not match %s", pattern)
		}
	}
	return nil
}

// sameText compares an allowed value with a value's text; Booleans in any case.
func sameText(allowed any, text string) bool {
	a, err := Text(allowed)
	if err != nil {
		return false
	}
	if _, isBool := allowed.(bool); isBool {
		return strings.EqualFold(a, text)
	}
	return a == text
}

func equalValues(a, b any) bool {
	x, errX := jsonText(a)
	y, errY := jsonText(b)
	return errX == nil && errY == nil && x == y
}
