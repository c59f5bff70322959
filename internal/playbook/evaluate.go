package playbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// value resolves "resource.<field>" or gives the literal. There is no further
// templating.
func (r Resource) value(text string) (string, error) {
	field, ok := strings.CutPrefix(text, "resource.")
	if !ok {
		return text, nil
	}
	switch field {
	case "name":
		return r.Name, nil
	case "arn":
		return r.ARN, nil
	case "account":
		return r.Account, nil
	case "region":
		return r.Region, nil
	}
	return "", fmt.Errorf("resource.%s is not known; known are name, arn, account, region", trim(field, 40))
}

// Readings are the answers of a playbook's reads by name. A read that AWS
// answered with one of its Absent codes is an empty document.
type Readings map[string]map[string]any

// filled resolves every text of an input.
func (r Resource) filled(v any) (any, error) {
	switch t := v.(type) {
	case string:
		return r.value(t)
	case []any:
		out := make([]any, len(t))
		for i, item := range t {
			var err error
			if out[i], err = r.filled(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(t))
		for _, k := range slices.Sorted(maps.Keys(t)) {
			var err error
			if out[k], err = r.filled(t[k]); err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
		}
		return out, nil
	}
	return v, nil
}

// input fills an input for r.
func (r Resource) input(in map[string]any) (map[string]any, error) {
	if in == nil {
		return map[string]any{}, nil
	}
	v, err := r.filled(in)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

// Call gives the read for r as an API call.
func (r Read) Call(of Resource) (apimodel.Call, error) {
	input, err := of.input(r.Input)
	if err != nil {
		return apimodel.Call{}, fault.E(fault.Invalid, "build read "+r.Name, err)
	}
	return apimodel.Call{Service: r.Service, Operation: r.Operation, Account: of.Account, Region: of.Region, Input: input}, nil
}

// AbsentCode reports whether an API error code means that there is none.
func (r Read) AbsentCode(code string) bool { return slices.Contains(r.Absent, code) }

// Evaluate runs the checks of the control on the readings; all must pass for the
// resource to comply. Where the control is not about the resource, one result that
// passes says why.
func (p Playbook) Evaluate(readings Readings) []remediation.CheckResult {
	return p.evaluate(readings, false)
}

// Verify does what Evaluate does, with the checks that only belong to the fix.
func (p Playbook) Verify(readings Readings) []remediation.CheckResult {
	return p.evaluate(readings, true)
}

func (p Playbook) evaluate(readings Readings, fixed bool) []remediation.CheckResult {
	for _, c := range p.Applies {
		if holds, detail := c.test(readings); !holds {
			return []remediation.CheckResult{{Check: c.Name, Passed: true, Detail: "the control is not about this resource: " + detail}}
		}
	}
	results := make([]remediation.CheckResult, 0, len(p.Checks))
	for _, c := range p.Checks {
		if c.Fixed && !fixed {
			continue
		}
		passed, detail := c.test(readings)
		results = append(results, remediation.CheckResult{Check: c.Name, Passed: passed, Detail: detail})
	}
	return results
}

// Passed reports whether every result passed.
func Passed(results []remediation.CheckResult) bool {
	for _, r := range results {
		if !r.Passed {
			return false
		}
	}
	return len(results) > 0
}

// test runs the check, and where it fails looks for what excuses it.
func (c Check) test(readings Readings) (bool, string) {
	passed, detail := c.evaluate(readings[c.Read])
	if passed {
		return true, detail
	}
	for _, t := range c.Unless {
		if holds, because := compareSelected(readings[t.Read], t.Selector, t.Equals); holds {
			return true, detail + ", but " + because
		}
	}
	return false, detail
}

func (c Check) evaluate(doc map[string]any) (bool, string) {
	switch {
	case c.Predicate != "":
		return predicates()[c.Predicate].test(doc, c.With)
	case c.Equals != "":
		return compareSelected(doc, c.Selector, c.Equals)
	case c.Empty:
		list, _ := selected(doc, c.Selector)
		n := len(asList(list))
		return n == 0, fmt.Sprintf("%s has %d entries", c.Selector, n)
	}
	v, ok := selected(doc, c.Selector)
	n, isNumber := whole(v)
	switch {
	case !ok || !isNumber:
		return false, c.Selector + " is absent"
	case c.AtMost > 0:
		return n > 0 && n <= c.AtMost, fmt.Sprintf("%s is %d, at most %d is wanted", c.Selector, n, c.AtMost)
	}
	return n >= c.AtLeast, fmt.Sprintf("%s is %d, at least %d is wanted", c.Selector, n, c.AtLeast)
}

// selected gives what a selector that Validate has parsed finds.
func selected(doc map[string]any, selector string) (any, bool) {
	sel, err := runbook.ParseSelector(selector)
	if err != nil {
		return nil, false
	}
	v, ok := sel.Select(doc)
	return v, ok && v != nil
}

func compareSelected(doc map[string]any, selector, want string) (bool, string) {
	v, ok := selected(doc, selector)
	if !ok {
		return false, selector + " is absent"
	}
	text := fmt.Sprint(v)
	return strings.EqualFold(text, want), fmt.Sprintf("%s is %s", selector, trim(text, 200))
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// whole reads a whole number as answers and JSON have it.
func whole(v any) (int64, bool) {
	switch t := v.(type) {
	case int64:
		return t, true
	case int:
		return int64(t), true
	case float64:
		return int64(t), t == float64(int64(t))
	}
	return 0, false
}

// RunbookParameters gives the parameters of the runbook for r.
func (p Playbook) RunbookParameters(r Resource, readings Readings) (map[string]any, error) {
	out := make(map[string]any, len(p.Parameters))
	for name, s := range p.Parameters {
		switch {
		case s.Derive != "":
			v, err := derivations()[s.Derive].value(readings[s.From], s)
			if err != nil {
				return nil, fault.E(fault.Invalid, "derive parameter "+name, err)
			}
			out[name] = v
		case s.Resource != "":
			v, err := r.value("resource." + s.Resource)
			if err != nil {
				return nil, fault.E(fault.Invalid, "fill parameter "+name, err)
			}
			out[name] = v
		default:
			out[name] = s.Value
		}
	}
	return out, nil
}

// trim cuts s after at most n bytes, between two characters: half a character
// would be another one after storage, and the plan's hash another hash.
func trim(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
