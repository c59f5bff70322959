package playbook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// derivation computes a runbook parameter from a live read.
type derivation func(doc map[string]any) (string, error)

// predicate tests a live read and says what it saw.
type predicate func(doc map[string]any) (bool, string)

// derivations is the closed list that Source.Derive may name.
func derivations() map[string]derivation {
	return map[string]derivation{
		"policy_action":                    policyAction,
		"policy_without_public_statements": policyWithoutPublicStatements,
		"has_public_grants":                hasPublicGrants,
	}
}

// predicates is the closed list that Check.Predicate may name.
func predicates() map[string]predicate {
	return map[string]predicate{
		"policy_not_public": policyNotPublic,
		"acl_not_public":    aclNotPublic,
	}
}

// policyDocument is a resource policy with its statements kept as they were
// written, so that what is not removed is not rephrased.
type policyDocument struct {
	top        map[string]json.RawMessage
	statements []json.RawMessage
}

func parsePolicy(doc map[string]any) (*policyDocument, error) {
	text, _ := doc["Policy"].(string)
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &top); err != nil {
		return nil, fmt.Errorf("the resource policy is not JSON: %w", err)
	}
	raw := top["Statement"]
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		list = []json.RawMessage{raw} // AWS also accepts a single statement object.
	}
	return &policyDocument{top: top, statements: list}, nil
}

// statement holds the members that decide whether a statement is public.
type statement struct {
	Sid          string
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Condition    map[string]map[string]json.RawMessage
}

// public follows AWS's meaning of "public" for bucket policies: an Allow to
// everyone that no condition narrows to fixed values. See "The meaning of
// public" in the Amazon S3 user guide (access-control-block-public-access).
// It errs on the side of public: NotPrincipal with Allow, and conditions that
// are not in the list, narrow nothing.
func (s statement) public() bool {
	if s.Effect != "Allow" {
		return false
	}
	if len(s.NotPrincipal) == 0 && !everyone(s.Principal) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, raw := range keys {
			if narrows(operator, key, raw) {
				return false
			}
		}
	}
	return true
}

// everyone reports whether a Principal element admits anyone: "*",
// {"AWS":"*"} or a list that holds "*".
func everyone(raw json.RawMessage) bool {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text == "*"
	}
	var byKind map[string]json.RawMessage
	if json.Unmarshal(raw, &byKind) != nil {
		return false
	}
	return slices.Contains(stringList(byKind["AWS"]), "*") || slices.Contains(stringList(byKind["*"]), "*")
}

// narrowing lists the condition keys that make a statement non-public when they
// are compared with fixed values, in lower case.
func narrowing() []string {
	return []string{
		"aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:userid",
		"aws:sourcearn", "aws:sourceaccount", "aws:sourceowner", "aws:sourceorgid", "aws:sourcevpc", "aws:sourcevpce",
		"aws:sourceip", "s3:x-amz-server-side-encryption-aws-kms-key-id",
		"s3:dataaccesspointarn", "s3:dataaccesspointaccount",
	}
}

// comparing lists the operators that compare with values, in lower case. Null
// and Bool only say whether a key is there, and a negated operator admits all
// but a few.
func comparing() []string {
	return []string{"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress"}
}

func narrows(operator, key string, raw json.RawMessage) bool {
	op := strings.TrimPrefix(strings.ToLower(operator), "foranyvalue:")
	if !slices.Contains(comparing(), op) {
		return false // ForAllValues and IfExists also hold for a caller without the key
	}
	if !slices.Contains(narrowing(), strings.ToLower(key)) {
		return false
	}
	values := stringList(raw)
	if len(values) == 0 {
		return false
	}
	for _, v := range values {
		if strings.ContainsAny(v, "*?$") || v == "0.0.0.0/0" || v == "::/0" {
			return false // a wildcard or variable fixes nothing
		}
		if op == "ipaddress" && wideCIDR(v) {
			return false
		}
	}
	return true
}

// wideCIDR reports whether a range is so wide that AWS counts it as public:
// IPv4 wider than /8, IPv6 wider than /32.
func wideCIDR(v string) bool {
	_, bits, ok := strings.Cut(v, "/")
	if !ok {
		return false
	}
	n := 0
	if _, err := fmt.Sscanf(bits, "%d", &n); err != nil {
		return true
	}
	if strings.Contains(v, ":") {
		return n < 32
	}
	return n < 8
}

func stringList(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		return many
	}
	return nil
}

// split gives the statements that stay and the names of those that go.
func (p *policyDocument) split() (keep []json.RawMessage, public []string) {
	for i, raw := range p.statements {
		var s statement
		if json.Unmarshal(raw, &s) == nil && !s.public() {
			keep = append(keep, raw)
			continue
		}
		name := s.Sid
		if name == "" {
			name = fmt.Sprintf("statement %d", i+1)
		}
		public = append(public, trim(name, 60))
	}
	return keep, public
}

// policyAction says what has to be done with the policy: none, replace or delete.
func policyAction(doc map[string]any) (string, error) {
	p, err := parsePolicy(doc)
	if err != nil || p == nil {
		return "none", err
	}
	keep, public := p.split()
	switch {
	case len(public) == 0:
		return "none", nil
	case len(keep) == 0:
		return "delete", nil
	default:
		return "replace", nil
	}
}

// policyWithoutPublicStatements gives the policy less its public statements, or
// "" when nothing has to be replaced.
func policyWithoutPublicStatements(doc map[string]any) (string, error) {
	action, err := policyAction(doc)
	if err != nil || action != "replace" {
		return "", err
	}
	p, _ := parsePolicy(doc)
	keep, _ := p.split()
	list, err := json.Marshal(keep)
	if err != nil {
		return "", err
	}
	p.top["Statement"] = list
	out, err := json.Marshal(p.top)
	return string(out), err
}

func policyNotPublic(doc map[string]any) (bool, string) {
	p, err := parsePolicy(doc)
	if err != nil {
		return false, err.Error()
	}
	if p == nil {
		return true, "there is no resource policy"
	}
	_, public := p.split()
	if len(public) == 0 {
		return true, "no statement of the policy is public"
	}
	return false, "public in the policy: " + strings.Join(public, ", ")
}

// The two groups that make an ACL grant public (Amazon S3 user guide, "Access
// control list overview").
const (
	allUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
)

func publicGrants(doc map[string]any) []string {
	var out []string
	grants, _ := doc["Grants"].([]any)
	for _, g := range grants {
		grant, _ := g.(map[string]any)
		grantee, _ := grant["Grantee"].(map[string]any)
		switch grantee["URI"] {
		case allUsers:
			out = append(out, fmt.Sprintf("%v to everyone", grant["Permission"]))
		case authenticatedUsers:
			out = append(out, fmt.Sprintf("%v to every AWS account", grant["Permission"]))
		}
	}
	return out
}

func hasPublicGrants(doc map[string]any) (string, error) {
	if len(publicGrants(doc)) > 0 {
		return "true", nil
	}
	return "false", nil
}

func aclNotPublic(doc map[string]any) (bool, string) {
	public := publicGrants(doc)
	if len(public) == 0 {
		return true, "no grant of the access control list is public"
	}
	return false, "public in the access control list: " + strings.Join(public, ", ")
}
