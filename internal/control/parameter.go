package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Types of parameters, as AWS's API names them.
const (
	Integer     = "Integer"
	IntegerList = "IntegerList"
	Double      = "Double"
	String      = "String"
	StringList  = "StringList"
	Boolean     = "Boolean"
	Enum        = "Enum"
	EnumList    = "EnumList"
)

var types = []string{Integer, IntegerList, Double, String, StringList, Boolean, Enum, EnumList}

// Parameter is one that the check of a control takes.
//
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_ParameterDefinition.html
type Parameter struct {
	Name string // as AWS's API takes it: daysToExpiration
	Type string // Integer, StringList, ...
	// Min and Max bound numbers; nil where there is no bound, or it is not known.
	Min, Max *float64
	// Items is how many items a list may have; 0 where that is not known.
	Items int
	// Allowed are the values of an Enum or EnumList; nil where they are not known.
	Allowed []string
	// Default is what Security Hub takes when nothing is set: one item, several
	// for a list, none where a parameter that is not set is ignored.
	Default []string
}

// IsList says that the parameter takes a list.
func (p Parameter) IsList() bool { return strings.HasSuffix(p.Type, "List") }

// Check finds what cannot be written to the catalogue, or makes no sense.
func (p Parameter) Check() error {
	if p.Name == "" || !slices.Contains(types, p.Type) {
		return fmt.Errorf("parameter %q has the type %q, which is none of %s", p.Name, p.Type, strings.Join(types, ", "))
	}
	for _, s := range append(append([]string{p.Name}, p.Allowed...), p.Default...) {
		if s == "" || strings.ContainsAny(s, " \t\n|,;") {
			return fmt.Errorf("parameter %s has the value %q, which the catalogue cannot hold", p.Name, s)
		}
	}
	if len(p.Default) > 1 && !p.IsList() {
		return fmt.Errorf("parameter %s is no list and has the defaults %v", p.Name, p.Default)
	}
	for _, s := range p.Default {
		if _, err := p.value(s); err != nil {
			return fmt.Errorf("parameter %s has the default %q: %w", p.Name, s, err)
		}
		if p.Allowed != nil && !slices.Contains(p.Allowed, s) {
			return fmt.Errorf("parameter %s has the default %q, which is not allowed", p.Name, s)
		}
	}
	if p.Min != nil && p.Max != nil && *p.Min > *p.Max {
		return fmt.Errorf("parameter %s lies between %v and %v", p.Name, *p.Min, *p.Max)
	}
	return nil
}

// value reads one value as its type has it.
func (p Parameter) value(s string) (any, error) {
	switch p.Type {
	case Integer, IntegerList:
		return strconv.ParseInt(s, 10, 64)
	case Double:
		return strconv.ParseFloat(s, 64)
	case Boolean:
		return strconv.ParseBool(s)
	}
	return s, nil
}

// Words gives the name in words, for answers that need a description: "Days to
// expiration".
func (p Parameter) Words() string {
	var b strings.Builder
	previous := 'A'
	for i, r := range p.Name {
		switch {
		case i == 0:
			b.WriteRune(unicode.ToUpper(r))
		case unicode.IsUpper(r) && !unicode.IsUpper(previous):
			b.WriteRune(' ')
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
		previous = r
	}
	return b.String()
}

// DefaultValue gives the default as its type has it: an int64, a float64, a bool,
// a string or a []any of them; nil where there is none.
func (p Parameter) DefaultValue() any {
	var list []any
	for _, s := range p.Default {
		v, err := p.value(s)
		if err != nil {
			return nil // Check refuses it
		}
		list = append(list, v)
	}
	switch {
	case list == nil:
		return nil
	case p.IsList():
		return list
	}
	return list[0]
}

// Encode writes the parameter as the catalogue has it, and parseParameter reads
// it: daysToExpiration|Integer|min=14|max=365|default=30.
func (p Parameter) Encode() string {
	out := []string{p.Name, p.Type}
	for _, bound := range []struct {
		name string
		at   *float64
	}{{"min", p.Min}, {"max", p.Max}} {
		if bound.at != nil {
			out = append(out, bound.name+"="+strconv.FormatFloat(*bound.at, 'f', -1, 64))
		}
	}
	if p.Items > 0 {
		out = append(out, "items="+strconv.Itoa(p.Items))
	}
	if p.Allowed != nil {
		out = append(out, "allowed="+strings.Join(p.Allowed, ","))
	}
	if p.Default != nil {
		out = append(out, "default="+strings.Join(p.Default, ","))
	}
	return strings.Join(out, "|")
}

func parseParameter(s string) (Parameter, error) {
	f := strings.Split(s, "|")
	if len(f) < 2 {
		return Parameter{}, fmt.Errorf("parameter %q has no type", s)
	}
	p := Parameter{Name: f[0], Type: f[1]}
	for _, member := range f[2:] {
		name, value, _ := strings.Cut(member, "=")
		var err error
		switch name {
		case "min", "max":
			var at float64
			at, err = strconv.ParseFloat(value, 64)
			if name == "min" {
				p.Min = &at
			} else {
				p.Max = &at
			}
		case "items":
			p.Items, err = strconv.Atoi(value)
		case "allowed":
			p.Allowed = strings.Split(value, ",")
		case "default":
			p.Default = strings.Split(value, ",")
		default:
			err = fmt.Errorf("it has the member %q", name)
		}
		if err != nil {
			return Parameter{}, fmt.Errorf("parameter %s: %w", p.Name, err)
		}
	}
	return p, p.Check()
}
