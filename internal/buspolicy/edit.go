package buspolicy

import (
	"regexp"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/fault"
)

// Permission is what PutPermission adds to a policy.
type Permission struct {
	StatementID string
	Action      string // events:PutEvents
	Principal   string // an account, or *
	Condition   *Condition
	// Bus is the ARN of the event bus.
	Bus string
}

// Condition is that of PutPermission, which takes one only: StringEquals on
// aws:PrincipalOrgID with the id of an organization.
type Condition struct{ Type, Key, Value string }

var (
	statementPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	actionPattern    = regexp.MustCompile(`^events:[a-zA-Z]{1,57}$`)
	orgPattern       = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

func (p Permission) validate() error {
	switch {
	case !statementPattern.MatchString(p.StatementID):
		return fault.Errorf(fault.Invalid, "put permission", "StatementId %q is not 1 to 64 letters, digits, - and _", p.StatementID)
	case !actionPattern.MatchString(p.Action):
		return fault.Errorf(fault.Invalid, "put permission", "Action %q is not one of EventBridge", p.Action).WithHint("write events:PutEvents")
	case p.Principal != "*" && !accountPattern.MatchString(p.Principal):
		return fault.Errorf(fault.Invalid, "put permission", "Principal %q is not an account of 12 digits or *", p.Principal).
			WithHint("for roles and users give a whole Policy")
	case p.Condition != nil && (p.Condition.Type != "StringEquals" || p.Condition.Key != PrincipalOrgID || !orgPattern.MatchString(p.Condition.Value)):
		return fault.Errorf(fault.Invalid, "put permission", "Condition %s on %s with %q is not StringEquals on %s with the id of an organization",
			p.Condition.Type, p.Condition.Key, p.Condition.Value, PrincipalOrgID).
			WithHint("for other conditions give a whole Policy")
	}
	return nil
}

// statement gives the statement that AWS makes of a permission.
func (p Permission) statement() (jsontext.Value, error) {
	s := struct {
		Sid       string
		Effect    string
		Principal any
		Action    string
		Resource  string
		Condition map[string]map[string]string `json:",omitempty"`
	}{Sid: p.StatementID, Effect: "Allow", Principal: "*", Action: p.Action, Resource: p.Bus}
	if p.Principal != "*" {
		s.Principal = map[string]string{"AWS": "arn:aws:iam::" + p.Principal + ":root"}
	}
	if c := p.Condition; c != nil {
		s.Condition = map[string]map[string]string{c.Type: {c.Key: c.Value}}
	}
	return json.Marshal(s)
}

// Put gives a policy with a permission, in the place of the statement with its id or at
// the end. An empty text is no policy yet.
func Put(policy string, p Permission) (string, error) {
	if err := p.validate(); err != nil {
		return "", err
	}
	doc, err := read(policy)
	if err != nil {
		return "", err
	}
	made, err := p.statement()
	if err != nil {
		return "", fault.E(fault.Internal, "put permission", err)
	}
	if doc.Version == "" {
		doc.Version = "2012-10-17"
	}
	if i := find(doc, p.StatementID); i >= 0 {
		doc.Statement[i] = made
	} else {
		doc.Statement = append(doc.Statement, made)
	}
	return write(doc)
}

// Remove gives a policy without the statement with an id, and an empty text when nothing
// is left.
func Remove(policy, statementID string) (string, error) {
	doc, err := read(policy)
	if err != nil {
		return "", err
	}
	if len(doc.Statement) == 0 {
		return "", fault.Errorf(fault.NotFound, "remove permission", "EventBus does not have a policy.")
	}
	i := find(doc, statementID)
	if i < 0 {
		return "", fault.Errorf(fault.NotFound, "remove permission", "Statement with the provided id does not exist.").
			WithHint("the ids are the Sids of the policy that DescribeEventBus shows")
	}
	if doc.Statement = slices.Delete(doc.Statement, i, i+1); len(doc.Statement) == 0 {
		return "", nil
	}
	return write(doc)
}

// find gives the place of the statement with a Sid, -1 for none.
func find(doc document, sid string) int {
	return slices.IndexFunc(doc.Statement, func(raw verbatim) bool {
		var s struct{ Sid string }
		return sid != "" && json.Unmarshal(raw, &s) == nil && s.Sid == sid
	})
}

// write gives the text of a policy, which has to be one that Parse takes.
func write(doc document) (string, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return "", fault.E(fault.Internal, op, err)
	}
	if _, err := Parse(string(raw)); err != nil {
		return "", err
	}
	return string(raw), nil
}
