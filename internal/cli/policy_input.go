package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

const (
	// maxPolicyInput bounds a file of calls or a plan, in bytes.
	maxPolicyInput = 8 << 20
	// maxPolicyCalls bounds the calls of one file.
	maxPolicyCalls = 10_000
	maxPolicyDepth = 64
)

// policyCall is a call whose policy is wanted, and where it was read.
type policyCall struct {
	call apimodel.Call
	line int
	step string
}

// policySource is what a file holds.
type policySource struct {
	document *runbook.Document // nil where it is none
	calls    []policyCall
	gaps     []runbook.Gap
}

// operationLine is one operation as people and CloudTrail write it.
var operationLine = regexp.MustCompile(`^([A-Za-z0-9._-]+):([A-Za-z0-9_-]+)$`)

// lineError says where in a file something is wrong.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func atLine(line int, format string, args ...any) error {
	return &lineError{line, fmt.Errorf(format, args...)}
}

// readPolicySource reads a file, - for standard input.
func readPolicySource(name string, stdin io.Reader, at runbook.Where) (policySource, error) {
	in, err := openInput(name, stdin)
	if err != nil {
		return policySource{}, err
	}
	defer func() { _ = in.Close() }()
	raw, err := io.ReadAll(io.LimitReader(in, maxPolicyInput+1))
	switch {
	case err != nil && !errors.Is(err, os.ErrClosed):
		return policySource{}, err
	case len(raw) > maxPolicyInput:
		return policySource{}, fmt.Errorf("it has more than %d bytes", maxPolicyInput)
	}
	return parsePolicySource(raw, at)
}

// parsePolicySource tells by its content what a file is: operations line by
// line, a list of calls, a plan, or a runbook.
func parsePolicySource(raw []byte, at runbook.Where) (policySource, error) {
	if calls, ok := operationLines(string(raw), at); ok {
		return policySource{calls: calls}, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return policySource{}, yamlError(err)
	}
	if len(doc.Content) != 1 {
		return policySource{}, errors.New("it holds nothing")
	}
	root := doc.Content[0]
	switch {
	case root.Kind == yaml.SequenceNode:
		return callList(root, at)
	case root.Kind != yaml.MappingNode:
		return policySource{}, atLine(root.Line, "it is neither a list of operations, a list of calls, a plan nor a runbook")
	case key(root, "schemaVersion") != nil:
		doc, err := runbook.Parse(raw)
		if err != nil {
			return policySource{}, err
		}
		return runbookCalls(doc, at, nil), nil
	case key(root, "plan") != nil:
		return planCalls(raw, true)
	case key(root, "calls") != nil:
		return planCalls(raw, false)
	}
	return policySource{}, atLine(root.Line, "it is neither a plan (no calls) nor a runbook (no schemaVersion)")
}

// yamlLine is how the library says where something is wrong.
var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)`)

func yamlError(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1]) // digits
		return atLine(line, "it is neither a list of operations nor YAML or JSON: %s", m[2])
	}
	return fmt.Errorf("it is neither a list of operations nor YAML or JSON: %w", err)
}

// operationLines reads "service:Operation" a line; # begins a comment.
func operationLines(text string, at runbook.Where) ([]policyCall, bool) {
	var out []policyCall
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		m := operationLine.FindStringSubmatch(line)
		if m == nil || len(out) >= maxPolicyCalls {
			return nil, false
		}
		out = append(out, policyCall{call: apimodel.Call{Service: m[1], Operation: m[2], Account: at.Account, Region: at.Region}, line: n})
	}
	return out, len(out) > 0
}

func key(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// callList reads a list whose items are "service:Operation" or a call with its
// input.
func callList(root *yaml.Node, at runbook.Where) (policySource, error) {
	var out policySource
	if len(root.Content) > maxPolicyCalls {
		return out, atLine(root.Line, "it has more than %d calls", maxPolicyCalls)
	}
	for _, n := range root.Content {
		c := apimodel.Call{Account: at.Account, Region: at.Region}
		if n.Kind == yaml.ScalarNode {
			m := operationLine.FindStringSubmatch(strings.TrimSpace(n.Value))
			if m == nil {
				return out, atLine(n.Line, "%.80q is no operation, such as s3:PutBucketPolicy", n.Value)
			}
			c.Service, c.Operation = m[1], m[2]
		} else if err := readCall(n, &c); err != nil {
			return out, err
		}
		out.calls = append(out.calls, policyCall{call: c, line: n.Line})
	}
	if len(out.calls) == 0 {
		return out, atLine(root.Line, "the list is empty")
	}
	return out, nil
}

func readCall(n *yaml.Node, c *apimodel.Call) error {
	if n.Kind != yaml.MappingNode {
		return atLine(n.Line, "a call is an object with service, operation and input")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		var err error
		switch strings.ToLower(name.Value) {
		case "service":
			err = value.Decode(&c.Service)
		case "operation":
			err = value.Decode(&c.Operation)
		case "account":
			c.Account = value.Value // digits are not to be read as a number
		case "region":
			err = value.Decode(&c.Region)
		case "input":
			c.Input, err = inputOf(value)
		default:
			err = fmt.Errorf("a call has no %.40q: it has service, operation, account, region and input", name.Value)
		}
		if err != nil {
			return &lineError{name.Line, err}
		}
	}
	if c.Service == "" || c.Operation == "" {
		return atLine(n.Line, "a call needs service and operation")
	}
	return nil
}

func inputOf(n *yaml.Node) (map[string]any, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("input is not an object")
	}
	open, err := opened(m, 0)
	if err != nil {
		return nil, err
	}
	return open.(map[string]any), nil
}

// placeholder is text that stands for what is not known: a reference in a
// runbook's words, or a plan's "known after apply".
var placeholder = regexp.MustCompile(`\{\{[^{}]*\}\}|<known after apply[^>]*>`)

// opened puts apimodel.Unknown where a placeholder is.
func opened(v any, depth int) (any, error) {
	if depth > maxPolicyDepth {
		return nil, fmt.Errorf("the input is nested deeper than %d", maxPolicyDepth)
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			var err error
			if out[k], err = opened(x, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			var err error
			if out[i], err = opened(x, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		return placeholder.ReplaceAllLiteralString(strings.ReplaceAll(v, apimodel.Unknown, ""), apimodel.Unknown), nil
	default:
		return v, nil
	}
}

// planCalls reads what `parry plan show -o json` prints, or the plan in it.
func planCalls(raw []byte, wrapped bool) (policySource, error) {
	var doc struct {
		Plan remediation.Plan `json:"plan"`
	}
	generic, err := yamlToJSON(raw)
	if err != nil {
		return policySource{}, err
	}
	if wrapped {
		err = json.Unmarshal(generic, &doc)
	} else {
		err = json.Unmarshal(generic, &doc.Plan)
	}
	if err != nil {
		return policySource{}, fmt.Errorf("it is not a plan: %w", err)
	}
	out, err := callsOfPlan(doc.Plan)
	if err == nil && len(out.calls) == 0 {
		err = errors.New("the plan holds no calls")
	}
	return out, err
}

// callsOfPlan gives the calls of a plan, with what only applying tells left open.
func callsOfPlan(p remediation.Plan) (policySource, error) {
	var out policySource
	for _, c := range p.Calls {
		call := c.APICall()
		in, err := opened(call.Input, 0)
		if err != nil {
			return out, fmt.Errorf("call %d: %w", c.Seq, err)
		}
		call.Input, _ = in.(map[string]any)
		out.calls = append(out.calls, policyCall{call: call, step: c.Step})
	}
	if p.Open {
		out.gaps = append(out.gaps, runbook.Gap{Reason: "the plan is open: " + p.OpenReason})
	}
	return out, nil
}

func yamlToJSON(raw []byte) ([]byte, error) {
	if json.Valid(raw) {
		return raw, nil
	}
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("it is not a plan: %w", err)
	}
	return out, nil
}

// runbookCalls lists what a document's steps call, its scripts included.
func runbookCalls(doc *runbook.Document, at runbook.Where, scripts map[string]runbook.ScriptFacts) policySource {
	out := policySource{document: doc}
	calls, gaps := doc.Calls(at, scripts)
	for _, c := range calls {
		out.calls = append(out.calls, policyCall{call: c.Call, line: c.Pos.Line, step: c.Step})
	}
	out.gaps = gaps
	return out
}
