package apimodel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// RuleSet finds the endpoint of a service: AWS's own rules, in the language of
// Smithy's rules engine, compiled by ParseRuleSet. It is immutable. Each of its
// rules is looked at once at most, so that its size bounds an evaluation.
type RuleSet struct {
	params []EndpointParam
	rules  []endpointRule
	slots  int // parameters, then one for each assignment
}

// EndpointParam is an input of a rule set.
type EndpointParam struct {
	Name     string
	Type     string // "string", "boolean" or "stringarray"
	BuiltIn  string // what a client fills in by itself: "AWS::Region"
	Required bool
	Used     bool // a rule looks at it
	Default  any  // nil where there is none
}

// Endpoint is where a request goes.
type Endpoint struct {
	URL        string
	Headers    map[string]string // to be added to the request
	Properties map[string]any
}

// AuthScheme is one way of signing that an endpoint accepts.
type AuthScheme struct {
	Name                  string // "sigv4", "sigv4a", "sigv4-s3express"
	SigningName           string // "" = the service's
	SigningRegion         string // "" = the region of the call
	DisableDoubleEncoding bool
}

// ErrNoEndpoint is wrapped by what Resolve answers where the rules have no
// endpoint, with AWS's own words where they say why.
var ErrNoEndpoint = errors.New("no endpoint")

// ruleError is a rule that ends in an error. Its text is AWS's.
type ruleError struct{ text string }

func (e *ruleError) Error() string        { return e.text }
func (e *ruleError) Is(target error) bool { return target == ErrNoEndpoint }

// Params lists what the rules ask for, by name.
func (r *RuleSet) Params() []EndpointParam { return r.params }

// Resolve finds the endpoint for the parameters: strings, booleans and lists of
// strings. Parameters that the rules do not know are left aside. Errors are
// ErrNoEndpoint, or a parameter that is missing or of a wrong type.
func (r *RuleSet) Resolve(partitions *Partitions, params map[string]any) (Endpoint, error) {
	s := scope{partitions: partitions, vars: make([]any, r.slots)}
	for i, p := range r.params {
		v, ok := params[p.Name]
		if !ok || v == nil {
			v = p.Default
		}
		if v == nil && p.Required {
			return Endpoint{}, fmt.Errorf("endpoint parameter %s is required", p.Name)
		}
		if v != nil && paramType(v) != p.Type {
			return Endpoint{}, fmt.Errorf("endpoint parameter %s must be a %s", p.Name, p.Type)
		}
		s.vars[i] = v
	}
	found, err := s.first(r.rules)
	if err != nil {
		return Endpoint{}, err
	}
	if found == nil {
		return Endpoint{}, &ruleError{text: "the rules have no endpoint for these parameters"}
	}
	return *found, nil
}

func paramType(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case []string:
		return "stringarray"
	}
	return ""
}

// scope is one evaluation: the value of each variable, nil where it is not set.
// A reference was bound to one assignment when the rules were compiled, so a
// value that was left by a rule that failed later is seen by no other.
type scope struct {
	partitions *Partitions
	vars       []any
}

// endpointRule is a condition with what follows: more rules, an endpoint or an
// error; the other two are empty.
type endpointRule struct {
	conditions []condition
	rules      []endpointRule
	endpoint   *endpointTemplate
	problem    expression
}

type condition struct {
	call   expression
	assign int // slot, -1 = none
}

type endpointTemplate struct {
	url        expression
	headers    map[string]expression
	properties map[string]any // expressions, maps and lists of them, booleans
}

// expression gives a value: nil, string, bool, []string or map[string]any.
type expression interface {
	value(s *scope) (any, error)
}

func (s *scope) first(rules []endpointRule) (*Endpoint, error) {
	for i := range rules {
		holds, err := s.holds(rules[i].conditions)
		if err != nil {
			return nil, err
		}
		if !holds {
			continue
		}
		found, err := s.follow(&rules[i])
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

func (s *scope) holds(conditions []condition) (bool, error) {
	for _, c := range conditions {
		v, err := c.call.value(s)
		if err != nil || v == nil || v == false {
			return false, err
		}
		if c.assign >= 0 {
			s.vars[c.assign] = v
		}
	}
	return true, nil
}

func (s *scope) follow(r *endpointRule) (*Endpoint, error) {
	switch {
	case r.endpoint != nil:
		return s.endpoint(r.endpoint)
	case r.problem != nil:
		text, err := s.text(r.problem)
		if err != nil {
			return nil, err
		}
		return nil, &ruleError{text: text}
	}
	return s.first(r.rules)
}

func (s *scope) endpoint(t *endpointTemplate) (*Endpoint, error) {
	e := &Endpoint{}
	var err error
	if e.URL, err = s.text(t.url); err != nil {
		return nil, err
	}
	for name, x := range t.headers {
		if e.Headers == nil {
			e.Headers = make(map[string]string, len(t.headers))
		}
		if e.Headers[name], err = s.text(x); err != nil {
			return nil, err
		}
	}
	properties, err := s.property(t.properties)
	if err != nil {
		return nil, err
	}
	e.Properties, _ = properties.(map[string]any)
	return e, nil
}

func (s *scope) property(v any) (any, error) {
	switch v := v.(type) {
	case expression:
		return v.value(s)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = s.property(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			var err error
			if out[name], err = s.property(v[name]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func (s *scope) text(x expression) (string, error) {
	v, err := x.value(s)
	if err != nil {
		return "", err
	}
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("endpoint rules: a text is %T", v)
	}
	return text, nil
}

// AuthSchemes lists how a request to the endpoint may be signed, the best
// first. None means as the service's model says.
func (e Endpoint) AuthSchemes() []AuthScheme {
	list, _ := e.Properties["authSchemes"].([]any)
	schemes := make([]AuthScheme, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		var a AuthScheme
		a.Name, _ = m["name"].(string)
		a.SigningName, _ = m["signingName"].(string)
		a.SigningRegion, _ = m["signingRegion"].(string)
		a.DisableDoubleEncoding, _ = m["disableDoubleEncoding"].(bool)
		schemes = append(schemes, a)
	}
	return schemes
}

// Rules gives the endpoint rule set of the service, nil where it has none.
func (s *Service) Rules() (*RuleSet, error) {
	if s.rules == nil {
		return nil, nil
	}
	return s.rules()
}
