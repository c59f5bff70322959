package buspolicy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/fault"
)

// MaxPolicy is AWS's limit for the policy of a bus.
const MaxPolicy = 10240

const op = "read policy"

// Policy is the resource policy of an event bus. The zero Policy says nothing.
type Policy struct {
	version    string
	statements []statement
}

// document is a policy as it is written. Its statements are kept as they came, so that an
// edit leaves the others alone.
type document struct {
	Version   string         `json:"Version,omitempty"`
	ID        string         `json:"Id,omitempty"`
	Statement list[verbatim] `json:"Statement"`
}

type verbatim = jsontext.Value

// list is a JSON array, which may be written as its only element.
type list[T any] []T

// UnmarshalJSON takes one for a list of one.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	if jsontext.Value(raw).Kind() == '[' {
		return json.Unmarshal(raw, (*[]T)(l), json.RejectUnknownMembers(true))
	}
	var one T
	if err := json.Unmarshal(raw, &one, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	*l = list[T]{one}
	return nil
}

// statement is one of a policy's, as written and as read.
type statement struct {
	raw statementText
	// name is the Sid, or the number where it has none.
	name       string
	deny       bool
	principal  *principals
	conditions []condition
}

type statementText struct {
	Sid          string
	Effect       string
	Principal    jsontext.Value
	NotPrincipal jsontext.Value
	Action       list[string]
	NotAction    list[string]
	Resource     list[string]
	NotResource  list[string]
	Condition    jsontext.Value
}

// scalar is a value of a condition: true and 5 are as good as "true" and "5".
type scalar string

// UnmarshalJSON takes texts, numbers and booleans.
func (s *scalar) UnmarshalJSON(raw []byte) error {
	switch jsontext.Value(raw).Kind() {
	case '"':
		return json.Unmarshal(raw, (*string)(s))
	case 't', 'f', '0':
		*s = scalar(raw)
		return nil
	default:
		return fmt.Errorf("%s is not a text, a number or a boolean", raw)
	}
}

// Parse reads a policy. An empty text is one that says nothing.
func Parse(text string) (Policy, error) {
	doc, err := read(text)
	if err != nil {
		return Policy{}, err
	}
	p := Policy{version: doc.Version}
	names := map[string]bool{}
	for i, raw := range doc.Statement {
		s := statement{name: "statement " + strconv.Itoa(i+1)}
		if err := json.Unmarshal(raw, &s.raw, json.RejectUnknownMembers(true)); err != nil {
			return Policy{}, refuse("%s: %w", s.name, err)
		}
		if s.raw.Sid != "" {
			s.name = s.raw.Sid
		}
		if names[s.name] {
			return Policy{}, refuse("there are two statements with the Sid %s", s.name)
		}
		names[s.name] = true
		if err := s.check(p.version); err != nil {
			return Policy{}, err
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func read(text string) (document, error) {
	var doc document
	if len(text) > MaxPolicy {
		return doc, fault.Errorf(fault.Exhausted, op, "the policy of the event bus is too long: %d characters, %d are allowed", len(text), MaxPolicy).
			WithHint("join statements, or let a condition on aws:PrincipalOrgID take the place of accounts")
	}
	if strings.TrimSpace(text) == "" {
		return doc, nil
	}
	if err := json.Unmarshal([]byte(text), &doc, json.RejectUnknownMembers(true)); err != nil {
		return doc, refuse("%w", err)
	}
	if doc.Version != "" && doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
		return doc, refuse("there is no Version %q of the language", doc.Version).WithHint(`write "Version": "2012-10-17"`)
	}
	if len(doc.Statement) == 0 {
		return doc, refuse("it has no Statement")
	}
	return doc, nil
}

// refuse is an error in the words in which AWS refuses a policy.
func refuse(format string, args ...any) *fault.Error {
	return fault.Errorf(fault.Invalid, op, "Policy is not valid. Reason: "+format, args...)
}

// check reads what is in s and refuses what could not be judged.
func (s *statement) check(version string) error {
	t := s.raw
	bad := func(format string, args ...any) *fault.Error {
		return refuse("%s: "+format, append([]any{s.name}, args...)...)
	}
	s.deny = t.Effect == "Deny"
	switch {
	case !s.deny && t.Effect != "Allow":
		return bad("the Effect is Allow or Deny, not %q", t.Effect)
	case t.NotPrincipal != nil:
		return bad("NotPrincipal is not supported").WithHint(`write "Principal": "*" and a condition ArnNotEquals on aws:PrincipalArn`)
	case t.Principal == nil && s.deny:
		return bad("a Deny needs a Principal").WithHint(`write "Principal": "*"`)
	case (len(t.Action) == 0) == (len(t.NotAction) == 0):
		return bad("it needs either Action or NotAction")
	case (len(t.Resource) == 0) == (len(t.NotResource) == 0):
		return bad("it needs either Resource or NotResource").WithHint("name the bus: arn:aws:events:REGION:ACCOUNT:event-bus/NAME")
	}
	for _, a := range slices.Concat(t.Action, t.NotAction) {
		if a != "*" && !strings.HasPrefix(strings.ToLower(a), "events:") {
			return bad("the action %q is not one of EventBridge", a).WithHint("actions begin with events:, such as events:PutEvents")
		}
	}
	for _, r := range slices.Concat(t.Resource, t.NotResource) {
		if r != "*" && !strings.HasPrefix(r, "arn:") {
			return bad("the resource %q is not an ARN", r)
		}
		if err := checkVariables(r, version); err != nil {
			return bad("%w", err)
		}
	}
	if t.Principal != nil {
		var err error
		if s.principal, err = readPrincipals(t.Principal); err != nil {
			return bad("%w", err)
		}
	}
	if err := s.checkConditions(version); err != nil {
		return bad("%w", err).WithHint("%s", fault.HintOf(err))
	}
	return nil
}

// checkConditions reads Condition. What is null in it would be no condition at all.
func (s *statement) checkConditions(version string) error {
	if s.raw.Condition == nil {
		return nil
	}
	var all map[string]map[string]list[scalar]
	if err := json.Unmarshal(s.raw.Condition, &all); err != nil {
		return err
	}
	if all == nil {
		return errors.New("the Condition is null")
	}
	for _, operator := range slices.Sorted(maps.Keys(all)) {
		if len(all[operator]) == 0 {
			return fmt.Errorf("the condition %s has no key", operator)
		}
		for _, key := range slices.Sorted(maps.Keys(all[operator])) {
			c, err := newCondition(operator, key, all[operator][key], version)
			if err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}
