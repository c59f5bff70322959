package runbook

import (
	"encoding/json"
	"fmt"
	"strings"
)

// RefKind says what a reference names.
type RefKind string

// The kinds of reference.
const (
	RefParameter  RefKind = "parameter"
	RefOutput     RefKind = "output"
	RefVariable   RefKind = "variable"
	RefGlobal     RefKind = "global"
	RefAutomation RefKind = "automation"
	RefSSM        RefKind = "ssm"
)

// Ref is what stands between double braces.
type Ref struct {
	Kind RefKind
	// Step is set for an output; Name is the parameter, output, variable or value.
	Step string
	Name string
}

// String gives the reference as it is written between the braces.
func (r Ref) String() string {
	switch r.Kind {
	case RefOutput:
		return r.Step + "." + r.Name
	case RefParameter:
		return r.Name
	}
	return string(r.Kind) + ":" + r.Name
}

// ParseRef reads the text between double braces; ok is false where it is no
// reference, and the text then stays as it is.
func ParseRef(text string) (Ref, bool) {
	text = strings.TrimSpace(text)
	if len(text) > 512 {
		return Ref{}, false
	}
	if prefix, name, found := strings.Cut(text, ":"); found {
		k := RefKind(prefix)
		switch k {
		case RefVariable, RefGlobal, RefAutomation:
			return Ref{Kind: k, Name: name}, isName(name)
		case RefSSM:
			return Ref{Kind: k, Name: name}, name != "" && !strings.ContainsAny(name, "{} \t\n")
		}
		return Ref{}, false
	}
	if step, name, found := strings.Cut(text, "."); found {
		return Ref{Kind: RefOutput, Step: step, Name: name}, isName(step) && isName(name)
	}
	return Ref{Kind: RefParameter, Name: text}, isName(text)
}

// Template is text with references.
type Template struct {
	parts []part
}

type part struct {
	literal string
	ref     *Ref
}

// ParseTemplate splits text into literals and references. It cannot fail: what
// is not a reference is literal.
func ParseTemplate(text string) Template {
	var t Template
	literal := func(s string) {
		if s == "" {
			return
		}
		if n := len(t.parts); n > 0 && t.parts[n-1].ref == nil {
			t.parts[n-1].literal += s
			return
		}
		t.parts = append(t.parts, part{literal: s})
	}
	for {
		open := strings.Index(text, "{{")
		if open < 0 {
			break
		}
		end := strings.Index(text[open:], "}}")
		if end < 0 {
			break
		}
		// "{{{ x }}" : the reference begins at the last two braces.
		start := open + strings.LastIndex(text[open:open+end], "{{")
		ref, ok := ParseRef(text[start+2 : open+end])
		if !ok {
			literal(text[:start+2])
			text = text[start+2:]
			continue
		}
		literal(text[:start])
		t.parts = append(t.parts, part{ref: &ref})
		text = text[open+end+2:]
	}
	literal(text)
	return t
}

// HasReferences reports whether t names anything.
func (t Template) HasReferences() bool { return len(t.Refs()) > 0 }

// Refs lists the references of t in order.
func (t Template) Refs() []Ref {
	var out []Ref
	for _, p := range t.parts {
		if p.ref != nil {
			out = append(out, *p.ref)
		}
	}
	return out
}

// whole gives the reference when t is nothing but one.
func (t Template) whole() (Ref, bool) {
	if len(t.parts) == 1 && t.parts[0].ref != nil {
		return *t.parts[0].ref, true
	}
	return Ref{}, false
}

// Scope gives the values of references. An error is a person's message without
// the reference's name.
type Scope interface {
	Lookup(r Ref) (any, error)
}

// Resolve replaces the references in v, once: what was put in is never read as
// a template again. A text that is nothing but one reference takes the type of
// its value; a list item that is one reference to a list is spliced. Map keys
// are not templates.
func Resolve(v any, scope Scope) (any, error) {
	switch t := v.(type) {
	case string:
		out, _, err := resolveText(t, scope)
		return out, err
	case []any:
		return resolveList(t, scope)
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, item := range t {
			r, err := Resolve(item, scope)
			if err != nil {
				return nil, err
			}
			out[k] = r
		}
		return out, nil
	}
	return v, nil
}

// ResolveInputs is Resolve for a step's inputs: Script is left as it is, because
// shell, awk and Python have double braces of their own and because data inside
// code would be an injection.
func ResolveInputs(inputs map[string]any, scope Scope) (map[string]any, error) {
	out := make(map[string]any, len(inputs))
	for k, v := range inputs {
		if k == "Script" {
			out[k] = v
			continue
		}
		r, err := Resolve(v, scope)
		if err != nil {
			return nil, err
		}
		out[k] = r
	}
	return out, nil
}

func resolveList(list []any, scope Scope) (any, error) {
	out := make([]any, 0, len(list))
	for _, item := range list {
		text, isText := item.(string)
		if !isText {
			r, err := Resolve(item, scope)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
			continue
		}
		r, wholeRef, err := resolveText(text, scope)
		if err != nil {
			return nil, err
		}
		if spliced, isList := r.([]any); isList && wholeRef {
			out = append(out, spliced...)
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// MaxText is the longest text that embedding references may give.
const MaxText = 1 << 20

func resolveText(text string, scope Scope) (value any, whole bool, err error) {
	t := ParseTemplate(text)
	if ref, ok := t.whole(); ok {
		v, err := lookup(ref, scope)
		return v, true, err
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.ref == nil {
			b.WriteString(p.literal)
			continue
		}
		v, err := lookup(*p.ref, scope)
		if err != nil {
			return nil, false, err
		}
		s, err := Text(v)
		if err != nil {
			return nil, false, fmt.Errorf("write {{ %s }} as text: %w", p.ref, err)
		}
		if b.Len()+len(s) > MaxText {
			return nil, false, fmt.Errorf("the text with {{ %s }} is longer than %d bytes", p.ref, MaxText)
		}
		b.WriteString(s)
	}
	return b.String(), false, nil
}

func lookup(ref Ref, scope Scope) (any, error) {
	v, err := scope.Lookup(ref)
	if err != nil {
		return nil, fmt.Errorf("resolve {{ %s }}: %w", ref, err)
	}
	return v, nil
}

// Text gives v as embedded text: a String as it is, anything else as JSON.
func Text(v any) (string, error) {
	switch t := v.(type) {
	case nil:
		return "", nil
	case string:
		return t, nil
	}
	return jsonText(v)
}

// jsonText is json.Marshal without the escaping meant for HTML.
func jsonText(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// Walk calls visit for every reference in v with the path at which it stands.
// Keys named Script at the top are left out, as in ResolveInputs.
func walkRefs(v any, path string, visit func(path string, r Ref)) {
	switch t := v.(type) {
	case string:
		for _, r := range ParseTemplate(t).Refs() {
			visit(path, r)
		}
	case []any:
		for i, item := range t {
			walkRefs(item, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case map[string]any:
		for _, k := range sortedKeys(t) {
			walkRefs(t[k], join(path, k), visit)
		}
	}
}

// References lists every reference in v, in a fixed order.
func References(v any) []Ref {
	var out []Ref
	walkRefs(v, "", func(_ string, r Ref) { out = append(out, r) })
	return out
}
