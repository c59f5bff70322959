package playbook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

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
	Action       json.RawMessage
	NotAction    json.RawMessage
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

// everyStatement is the kind of all.
func everyStatement(statement) bool { return true }

// split gives the statements that stay and the names of the public ones of a kind. A
// statement that cannot be read counts as public, and of every kind.
func (p *policyDocument) split(kind func(statement) bool) (keep []json.RawMessage, public []string) {
	for i, raw := range p.statements {
		var s statement
		if json.Unmarshal(raw, &s) == nil && (!s.public() || !kind(s)) {
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
	keep, public := p.split(everyStatement)
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
	keep, _ := p.split(everyStatement)
	list, err := json.Marshal(keep)
	if err != nil {
		return "", err
	}
	p.top["Statement"] = list
	out, err := json.Marshal(p.top)
	return string(out), err
}

func policyNotPublic(doc map[string]any) (bool, string) {
	return policyLetsNobody(doc, "", everyStatement)
}

func policyNotPublicRead(doc map[string]any) (bool, string) {
	return policyLetsNobody(doc, "read", statement.reads)
}

func policyNotPublicWrite(doc map[string]any) (bool, string) {
	return policyLetsNobody(doc, "write", statement.writes)
}

// policyLetsNobody looks for a public statement that is of the kind asked for.
func policyLetsNobody(doc map[string]any, verb string, kind func(statement) bool) (bool, string) {
	p, err := parsePolicy(doc)
	if err != nil {
		return false, err.Error()
	}
	if p == nil {
		return true, "there is no resource policy"
	}
	_, public := p.split(kind)
	switch {
	case len(public) == 0 && verb == "":
		return true, "no statement of the policy is public"
	case len(public) == 0:
		return true, "no statement of the policy lets everyone " + verb
	case verb == "":
		return false, "public in the policy: " + strings.Join(public, ", ")
	}
	return false, "the policy lets everyone " + verb + ": " + strings.Join(public, ", ")
}

// reads reports whether the statement allows an action that reads: Get and List of S3.
func (s statement) reads() bool {
	return s.allows(func(name string, open bool) bool {
		return slices.ContainsFunc(readVerbs(), func(verb string) bool {
			return strings.HasPrefix(name, verb) || open && strings.HasPrefix(verb, name)
		})
	})
}

// writes reports whether the statement allows an action that is no reading one.
func (s statement) writes() bool {
	return s.allows(func(name string, _ bool) bool {
		return !slices.ContainsFunc(readVerbs(), func(verb string) bool { return strings.HasPrefix(name, verb) })
	})
}

func readVerbs() []string { return []string{"get", "list", "describe"} }

// allows asks about each action of the statement: what stands before its first
// wildcard, in lower case and without the service, and whether there is a wildcard.
// NotAction allows all but a few, so both kinds.
func (s statement) allows(kind func(name string, open bool) bool) bool {
	if len(s.Action) == 0 {
		return true
	}
	for _, action := range stringList(s.Action) {
		action = strings.ToLower(action)
		if service, name, ok := strings.Cut(action, ":"); ok && !strings.ContainsAny(service, "*?") {
			action = name
		} else {
			action = "*"
		}
		end := strings.IndexAny(action, "*?")
		if end < 0 {
			if kind(action, false) {
				return true
			}
		} else if kind(action[:end], true) {
			return true
		}
	}
	return false
}

// The two groups that make an ACL grant public (Amazon S3 user guide, "Access
// control list overview").
const (
	allUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
)

// publicGrants names the grants to everyone that give one of permissions; none = any.
func publicGrants(doc map[string]any, permissions ...string) []string {
	var out []string
	grants, _ := doc["Grants"].([]any)
	for _, g := range grants {
		grant, _ := g.(map[string]any)
		grantee, _ := grant["Grantee"].(map[string]any)
		permission, _ := grant["Permission"].(string)
		if len(permissions) > 0 && !slices.Contains(permissions, permission) {
			continue
		}
		switch grantee["URI"] {
		case allUsers:
			out = append(out, permission+" to everyone")
		case authenticatedUsers:
			out = append(out, permission+" to every AWS account")
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

func aclNotPublicRead(doc map[string]any) (bool, string) {
	return aclGivesNobody(doc, "read", "READ", "READ_ACP", "FULL_CONTROL")
}

func aclNotPublicWrite(doc map[string]any) (bool, string) {
	return aclGivesNobody(doc, "write", "WRITE", "WRITE_ACP", "FULL_CONTROL")
}

func aclGivesNobody(doc map[string]any, verb string, permissions ...string) (bool, string) {
	public := publicGrants(doc, permissions...)
	if len(public) == 0 {
		return true, "no grant of the access control list lets everyone " + verb
	}
	return false, "the access control list lets everyone " + verb + ": " + strings.Join(public, ", ")
}
