package playbook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// Resource is what a playbook may know of the resource: identity only.
type Resource struct {
	Type    string
	ARN     string
	Name    string // last part of the ARN: bucket name, function name
	Account string
	Region  string
}

// NewResource takes a resource from its ARN, refusing what is not one. The
// account is the finding's, because bucket ARNs carry none; a live read in that
// account is what proves ownership.
func NewResource(kind, arn, account, region string) (Resource, error) {
	bad := func(format string, args ...any) (Resource, error) {
		return Resource{}, fault.Errorf(fault.Invalid, "read resource", format, args...)
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" || len(arn) > maxARN {
		return bad("%q is not an ARN", trim(arn, 120))
	}
	if parts[4] != "" && parts[4] != account {
		return bad("the ARN names account %s, the finding account %s", trim(parts[4], 12), account)
	}
	name := parts[5]
	if i := strings.LastIndexAny(name, "/:"); i >= 0 {
		if parts[2] == "s3" && parts[4] == "" {
			return bad("%q is an object, not a bucket", trim(arn, 120)) // its last part is not the bucket's name
		}
		name = name[i+1:]
	}
	if name == "" {
		return bad("%q names nothing", trim(arn, 120))
	}
	return Resource{Type: kind, ARN: arn, Name: name, Account: account, Region: region}, nil
}

// maxARN is the longest ARN, in bytes, as AWS limits it.
const maxARN = 2048

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

// Calls gives the reads of p for r as API calls, in order.
func (p Playbook) Calls(r Resource) ([]apimodel.Call, error) {
	calls := make([]apimodel.Call, 0, len(p.Reads))
	for _, read := range p.Reads {
		input := make(map[string]any, len(read.Input))
		for member, text := range read.Input {
			v, err := r.value(text)
			if err != nil {
				return nil, fault.E(fault.Invalid, "build read "+read.Name, err)
			}
			input[member] = v
		}
		calls = append(calls, apimodel.Call{Service: read.Service, Operation: read.Operation, Account: r.Account, Region: r.Region, Input: input})
	}
	return calls, nil
}

// Gather makes the reads of p for r through call; one that AWS answers with an
// absent code is an empty document.
func (p Playbook) Gather(r Resource, call func(step string, c apimodel.Call) (apimodel.Reply, error)) (Readings, error) {
	calls, err := p.Calls(r)
	if err != nil {
		return nil, err
	}
	readings := make(Readings, len(calls))
	for i, c := range calls {
		read := p.Reads[i]
		reply, err := call("read:"+read.Name, c)
		var api *apimodel.APIError
		switch {
		case err == nil:
			readings[read.Name] = reply.Output
		case errors.As(err, &api) && read.AbsentCode(api.Code):
			readings[read.Name] = map[string]any{}
		default:
			return nil, err
		}
	}
	return readings, nil
}

// AbsentCode reports whether an API error code means that there is none.
func (r Read) AbsentCode(code string) bool { return slices.Contains(r.Absent, code) }

// Evaluate runs every check of p on the readings. All must pass for the
// resource to comply.
func (p Playbook) Evaluate(readings Readings) []remediation.CheckResult {
	results := make([]remediation.CheckResult, 0, len(p.Checks))
	for _, c := range p.Checks {
		passed, detail := c.evaluate(readings[c.Read])
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

func (c Check) evaluate(doc map[string]any) (bool, string) {
	if c.Predicate != "" {
		return predicates()[c.Predicate](doc)
	}
	sel, err := runbook.ParseSelector(c.Selector)
	if err != nil {
		return false, "selector " + c.Selector + " does not parse: " + err.Error()
	}
	v, ok := sel.Select(doc)
	if !ok {
		return false, c.Selector + " is absent"
	}
	text := fmt.Sprint(v)
	return strings.EqualFold(text, c.Equals), fmt.Sprintf("%s is %s", c.Selector, trim(text, 200))
}

// RunbookParameters gives the parameters of the runbook for r.
func (p Playbook) RunbookParameters(r Resource, readings Readings) (map[string]any, error) {
	out := make(map[string]any, len(p.Parameters))
	for name, s := range p.Parameters {
		switch {
		case s.Derive != "":
			v, err := derivations()[s.Derive](readings[s.From])
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
