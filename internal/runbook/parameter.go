package runbook

import (
	"fmt"
	"slices"
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
		if names := storeNames(text); len(names) > 0 {
			if base := param.Type.base(); base != TypeString && base != TypeStringList {
				p.fail(v.pos, path+".default", "a Parameter Store value cannot be the default of type "+string(param.Type), "declare the parameter as String or StringList")
			}
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
