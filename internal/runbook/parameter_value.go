package runbook

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
)

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

// ToWire is FromWire's counterpart for typed values: the form in which
// GetAutomationExecution shows an execution's parameters.
func ToWire(values map[string]any) map[string][]string {
	out := make(map[string][]string, len(values))
	for name, v := range values {
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		items := make([]string, len(list))
		for i, item := range list {
			items[i] = mustText(item)
		}
		out[name] = items
	}
	return out
}

// StoreParameters lists the Parameter Store names that the defaults of d's
// parameters refer to ({{ssm:/path}}), each once. Whoever starts an execution reads
// them as the execution's role, at start, once.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-documents-create-parameters.html
func (d *Document) StoreParameters() []string {
	var out []string
	for i := range d.Parameters {
		for _, name := range storeNames(d.Parameters[i].Default) {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// storeNames lists the Parameter Store names that a default refers to.
func storeNames(v any) []string {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	var out []string
	for _, r := range ParseTemplate(text).Refs() {
		if r.Kind == RefSSM {
			out = append(out, r.Name)
		}
	}
	return out
}

// ResolveParameters gives the typed values with which an execution starts: given
// values converted to the declared types, defaults for the others, every
// constraint checked. stored holds the values of StoreParameters by name, as
// GetParameter answers them: text, with commas in a StringList. The error names
// every parameter and constraint that is violated, never a value.
func (d *Document) ResolveParameters(given, stored map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(d.Parameters))
	var wrong []string
	for _, name := range sortedKeys(given) {
		if _, ok := d.Parameter(name); !ok {
			wrong = append(wrong, fmt.Sprintf("parameter %.128s is not declared by the runbook", name))
		}
	}
	for i := range d.Parameters {
		p := &d.Parameters[i]
		v, err := p.resolve(given, stored)
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

func (p *Parameter) resolve(given, stored map[string]any) (any, error) {
	raw, ok := given[p.Name]
	if ok && raw != nil {
		v, err := Coerce(p.unwrap(Normalize(raw)), p.Type)
		if err != nil {
			return nil, err
		}
		if p.HasDefault && equalValues(v, p.Default) {
			return v, nil
		}
		return v, p.Check(v)
	}
	if !p.HasDefault {
		return nil, fmt.Errorf("a value is required")
	}
	if len(storeNames(p.Default)) == 0 {
		return p.Default, nil
	}
	v, err := p.fromStore(stored)
	if err != nil {
		return nil, err
	}
	return v, p.Check(v)
}

// storeScope gives Parameter Store values to a default and nothing else.
type storeScope map[string]any

// Lookup gives the value of an {{ssm:name}}.
func (s storeScope) Lookup(r Ref) (any, error) {
	if r.Kind != RefSSM {
		return nil, fmt.Errorf("a default can refer to Parameter Store only")
	}
	v, ok := s[r.Name]
	if !ok {
		return nil, fmt.Errorf("the Parameter Store value was not read")
	}
	return v, nil
}

func (p *Parameter) fromStore(stored map[string]any) (any, error) {
	v, err := Resolve(p.Default, storeScope(stored))
	if err != nil {
		return nil, fmt.Errorf("its default: %w", err)
	}
	v = Normalize(v)
	text, isText := v.(string)
	list, isList := v.([]any)
	switch {
	case isText && p.Type.base() == TypeStringList:
		// Parameter Store joins the items of a StringList with commas.
		parts := strings.Split(text, ",")
		items := make([]any, len(parts))
		for i, part := range parts {
			items[i] = strings.TrimSpace(part)
		}
		return items, nil
	case isList && p.Type.base() == TypeString:
		parts := make([]string, len(list))
		for i, item := range list {
			parts[i] = mustText(item)
		}
		return strings.Join(parts, ","), nil
	}
	return Coerce(v, p.Type)
}

// Expand gives the value that a reference to p stands for while an execution
// runs: v, and where v is p's own default, with the {{ global: }} and
// {{ automation: }} values in it, which AWS's own documents use there
// ("golden-{{ global:DATE_TIME }}"). A value that somebody gave is never read as a
// template.
func (p *Parameter) Expand(v any, scope Scope) (any, error) {
	text, isText := v.(string)
	if !isText || !p.HasDefault || !equalValues(v, p.Default) {
		return v, nil
	}
	t := ParseTemplate(text)
	if !slices.ContainsFunc(t.Refs(), isSystem) {
		return v, nil
	}
	return Resolve(v, systemScope{scope})
}

func isSystem(r Ref) bool { return r.Kind == RefGlobal || r.Kind == RefAutomation }

// systemScope resolves what the system knows and leaves the rest as it is written.
type systemScope struct{ of Scope }

// Lookup gives a system value, or the reference itself.
func (s systemScope) Lookup(r Ref) (any, error) {
	if isSystem(r) {
		return s.of.Lookup(r)
	}
	return "{{ " + r.String() + " }}", nil
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

// Check holds a value of the parameter's type against its constraints, item by
// item in a list. The error names the constraint and not the value.
func (p *Parameter) Check(v any) error {
	list, isList := v.([]any)
	if !isList {
		return p.checkItem(v)
	}
	if n := int64(len(list)); p.MinItems > 0 && n < p.MinItems {
		return fmt.Errorf("minItems is %d, the value has %d items", p.MinItems, n)
	}
	if n := int64(len(list)); p.MaxItems > 0 && n > p.MaxItems {
		return fmt.Errorf("maxItems is %d, the value has %d items", p.MaxItems, n)
	}
	for i, item := range list {
		if err := p.checkItem(item); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *Parameter) checkItem(v any) error {
	text, err := Text(v)
	if err != nil {
		return err
	}
	if len(p.AllowedValues) > 0 && !slices.ContainsFunc(p.AllowedValues, func(a any) bool { return sameText(a, text) }) {
		return fmt.Errorf("allowedValues: the value is none of %s", p.allowed())
	}
	if n := int64(utf8.RuneCountInString(text)); p.MinChars > 0 && n < p.MinChars {
		return fmt.Errorf("minChars is %d, the value has %d characters", p.MinChars, n)
	} else if p.MaxChars > 0 && n > p.MaxChars {
		return fmt.Errorf("maxChars is %d, the value has %d characters", p.MaxChars, n)
	}
	if err := matchPattern(p.Type.pattern(), text); err != nil {
		return fmt.Errorf("type %s: %w", p.Type, err)
	}
	if err := matchPattern(p.AllowedPattern, text); err != nil {
		return fmt.Errorf("allowedPattern: %w", err)
	}
	return nil
}

// maxListed bounds how much of allowedValues a message repeats, in bytes.
const maxListed = 200

func (p *Parameter) allowed() string {
	var b strings.Builder
	for i, a := range p.AllowedValues {
		text := mustText(a)
		if b.Len()+len(text) > maxListed {
			fmt.Fprintf(&b, " and %d more", len(p.AllowedValues)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", text)
	}
	return b.String()
}

func matchPattern(pattern, text string) error {
	if pattern == "" {
		return nil
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
		return fmt.Errorf("the value does not match %.200s", pattern)
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
