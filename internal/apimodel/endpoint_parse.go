package apimodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Limits of a rule set. The largest, S3's, has about 700 rules, 20 deep.
const (
	maxRuleSet   = 1 << 20 // bytes of JSON
	maxRules     = 20_000  // rules and expressions
	maxRuleDepth = 100     // rules, expressions and properties within each other
)

var errBadRules = errors.New("endpoint rules are wrong")

// The JSON form, as in botocore's endpoint-rule-set-1.json.
type (
	ruleSetJSON struct {
		Parameters map[string]paramJSON `json:"parameters"`
		Rules      []ruleJSON           `json:"rules"`
	}
	paramJSON struct {
		Type     string `json:"type"`
		BuiltIn  string `json:"builtIn,omitempty"`
		Required bool   `json:"required,omitempty"`
		Default  any    `json:"default,omitempty"`
	}
	ruleJSON struct {
		Type       string        `json:"type"`
		Conditions []callJSON    `json:"conditions"`
		Rules      []ruleJSON    `json:"rules,omitempty"`
		Error      any           `json:"error,omitempty"`
		Endpoint   *endpointJSON `json:"endpoint,omitempty"`
	}
	callJSON struct {
		Fn     string `json:"fn"`
		Argv   []any  `json:"argv"`
		Assign string `json:"assign,omitempty"`
	}
	endpointJSON struct {
		URL        any              `json:"url"`
		Properties map[string]any   `json:"properties,omitempty"`
		Headers    map[string][]any `json:"headers,omitempty"`
	}
)

// StripRuleSet gives a rule set in JSON without what an evaluation does not
// read, such as documentation. The same rules give the same bytes.
func StripRuleSet(data []byte) ([]byte, error) {
	var j ruleSetJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRules, err)
	}
	return json.Marshal(j)
}

// ParseRuleSet compiles a rule set. Names are bound and arguments counted here,
// so that only the types of values are left to find out when it is used.
func ParseRuleSet(data []byte) (*RuleSet, error) {
	if len(data) > maxRuleSet {
		return nil, fmt.Errorf("%w: more than %d bytes", errBadRules, maxRuleSet)
	}
	var j ruleSetJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadRules, err)
	}
	p := &ruleParser{names: map[string]int{}, used: map[int]bool{}}
	r := &RuleSet{}
	for name, param := range j.Parameters {
		r.params = append(r.params, EndpointParam{
			Name: name, Type: strings.ToLower(param.Type), BuiltIn: param.BuiltIn, Required: param.Required, Default: plainList(param.Default),
		})
	}
	sort.Slice(r.params, func(a, b int) bool { return r.params[a].Name < r.params[b].Name })
	for _, param := range r.params {
		if !slices.Contains([]string{"string", "boolean", "stringarray"}, param.Type) || (param.Default != nil && paramType(param.Default) != param.Type) {
			return nil, fmt.Errorf("%w: parameter %s has type %q", errBadRules, param.Name, param.Type)
		}
		p.names[param.Name] = p.slots
		p.slots++
	}
	r.rules = p.rules(j.Rules)
	r.slots = p.slots
	for i := range r.params {
		r.params[i].Used = p.used[i]
	}
	return r, p.err
}

// plainList turns a list of strings from JSON into one.
func plainList(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]string, len(list))
	for i := range list {
		out[i], _ = list[i].(string)
	}
	return out
}

type ruleParser struct {
	names map[string]int // what can be referred to here, and its slot
	used  map[int]bool   // slots that are referred to somewhere
	slots int
	count int
	depth int
	err   error
}

func (p *ruleParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s", errBadRules, fmt.Sprintf(format, args...))
	}
}

// enter counts one more thing, one level deeper; the caller leaves it again.
func (p *ruleParser) enter() bool {
	p.count++
	p.depth++
	if p.depth > maxRuleDepth {
		p.fail("more than %d levels", maxRuleDepth)
	}
	if p.count > maxRules {
		p.fail("more than %d rules and expressions", maxRules)
	}
	return p.err == nil
}

func (p *ruleParser) leave() { p.depth-- }

func (p *ruleParser) rules(list []ruleJSON) []endpointRule {
	rules := make([]endpointRule, 0, len(list))
	for i := range list {
		rules = append(rules, p.rule(&list[i]))
	}
	return rules
}

func (p *ruleParser) rule(j *ruleJSON) (r endpointRule) {
	defer p.leave()
	if !p.enter() {
		return r
	}
	// What a rule assigns is known to itself and to what is below it.
	var assigned []string
	for i := range j.Conditions {
		c := condition{call: p.call(&j.Conditions[i]), assign: -1}
		if name := j.Conditions[i].Assign; name != "" {
			if _, have := p.names[name]; have {
				p.fail("%s is assigned twice", name)
			}
			c.assign = p.slots
			p.names[name] = p.slots
			p.slots++
			assigned = append(assigned, name)
		}
		r.conditions = append(r.conditions, c)
	}
	switch {
	case j.Type == "tree" && len(j.Rules) > 0:
		r.rules = p.rules(j.Rules)
	case j.Type == "endpoint" && j.Endpoint != nil:
		r.endpoint = p.endpoint(j.Endpoint)
	case j.Type == "error" && j.Error != nil:
		r.problem = p.expression(j.Error)
	default:
		p.fail("a rule is no tree, endpoint or error but %q", j.Type)
	}
	for _, name := range assigned {
		delete(p.names, name)
	}
	return r
}

func (p *ruleParser) endpoint(j *endpointJSON) *endpointTemplate {
	t := &endpointTemplate{url: p.expression(j.URL), headers: map[string]expression{}}
	for name, values := range j.Headers {
		if len(values) > 0 { // like botocore, which sends the first
			t.headers[name] = p.expression(values[0])
		}
	}
	t.properties, _ = p.property(j.Properties).(map[string]any)
	return t
}

func (p *ruleParser) property(v any) any {
	defer p.leave()
	if !p.enter() {
		return nil
	}
	switch v := v.(type) {
	case string:
		return p.template(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = p.property(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = p.property(v[name])
		}
		return out
	case bool, float64:
		return v
	}
	p.fail("a property is %T", v)
	return nil
}

// expression compiles an argument: a literal, a template, a reference or a call.
func (p *ruleParser) expression(v any) expression {
	switch v := v.(type) {
	case string:
		return p.template(v)
	case bool:
		return literal{v}
	case float64:
		return literal{int(v)}
	case map[string]any:
		if name, ok := v["ref"].(string); ok {
			return p.reference(name)
		}
		if fn, ok := v["fn"].(string); ok {
			argv, _ := v["argv"].([]any)
			return p.call(&callJSON{Fn: fn, Argv: argv})
		}
	}
	p.fail("%v is not an expression", v)
	return literal{}
}

func (p *ruleParser) reference(name string) expression {
	slot, ok := p.names[name]
	if !ok {
		p.fail("%q is not known here", name)
	}
	p.used[slot] = true
	return reference(slot)
}

func (p *ruleParser) call(j *callJSON) expression {
	defer p.leave()
	if !p.enter() {
		return literal{}
	}
	f, ok := ruleFunctions[j.Fn]
	if !ok {
		p.fail("unknown function %q", j.Fn)
		return literal{}
	}
	if len(j.Argv) != f.arity && (f.arity >= 0 || len(j.Argv) == 0) {
		p.fail("%s has %d arguments", j.Fn, len(j.Argv))
	}
	c := &functionCall{name: j.Fn, fn: f.fn, args: make([]expression, len(j.Argv))}
	for i := range j.Argv {
		c.args[i] = p.expression(j.Argv[i])
	}
	return c
}

// template compiles "https://{Bucket}.s3.{url#authority}".
func (p *ruleParser) template(text string) expression {
	var t textTemplate
	var plain strings.Builder
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			plain.WriteString(rest)
			break
		}
		plain.WriteString(rest[:i])
		if strings.HasPrefix(rest[i:], "{{") || strings.HasPrefix(rest[i:], "}}") {
			plain.WriteByte(rest[i])
			rest = rest[i+2:]
			continue
		}
		end := strings.IndexByte(rest[i:], '}')
		if end <= 0 {
			p.fail("template %q is not closed", text)
			break
		}
		path := strings.Split(rest[i+1:i+end], "#")
		t = append(t, templatePart{before: plain.String(), value: p.reference(path[0]), path: path[1:]})
		plain.Reset()
		rest = rest[i+end+1:]
	}
	if len(t) == 0 {
		return literal{plain.String()}
	}
	return append(t, templatePart{before: plain.String()})
}
