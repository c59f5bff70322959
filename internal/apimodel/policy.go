package apimodel

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Unknown stands, in an input from which a policy is derived, for text that only
// running will tell. It may be part of a text; what it stands for becomes a
// wildcard in that part of an ARN and nowhere else.
const Unknown = "\x00"

// The sizes that AWS takes, in characters without white space.
const (
	// MaxManagedPolicy is the limit of a customer managed policy.
	MaxManagedPolicy = 6144
	// MaxSessionPolicy is the limit of the Policy of sts:AssumeRole.
	MaxSessionPolicy = 2048
)

// Condition is the Condition of a statement: operator, key, values.
type Condition map[string]map[string]textList

// Grant is one action that a call needs, on what, and under which condition.
type Grant struct {
	Action    string    // "s3:PutBucketPolicy"
	Resources []string  // ARNs with wildcards, sorted; or "*" alone
	Condition Condition // nil = none
}

// Policy is an IAM policy document.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement allows actions on resources.
type Statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Action    textList
	Resource  textList
	Condition Condition `json:",omitempty"`
}

// textList is a list that JSON shows as text where it has one element, as IAM
// takes it: session policies are short.
type textList []string

// MarshalJSON prints one element as text.
func (l textList) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

// UnmarshalJSON reads text as a list of one.
func (l *textList) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*l = textList{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(l))
}

// String prints the document in its shortest form, as sts:AssumeRole takes it.
func (p Policy) String() string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return "" // texts and lists of texts always marshal
	}
	return strings.TrimSpace(b.String())
}

// Size is the length that AWS counts.
func (p Policy) Size() int { return len(p.String()) }

// Grants gives what the caller of a call needs and nothing more: the actions of
// its operation, on the resources that its input names. Whatever the input does
// not tell stays a wildcard, so that a policy made of it is never too narrow for
// the call. An operation that AWS asks no permission for gives none.
func (c *Catalog) Grants(call Call) ([]Grant, error) {
	s, op, err := c.Find(call.Service, call.Operation)
	if err != nil {
		return nil, err
	}
	if err := CheckPolicies(); err != nil {
		return nil, fmt.Errorf("derive policy: %w", err)
	}
	b := newBinder(s, op, call, c.Classify(s.Name, op.Name))
	var out []Grant
	for _, r := range actionRules(s, op) {
		if !r.applies(call.Input) {
			continue
		}
		g := Grant{Action: r.Action, Resources: b.resources(r.Action, r.On), Condition: b.condition(r)}
		out = append(out, b.regional(g))
		out = append(out, b.besides(g)...)
	}
	return out, nil
}

// applies reports whether the input asks for what the rule is about.
func (r actionRule) applies(input map[string]any) bool {
	switch {
	case r.When != "":
		return holds(input, r.When, r.Like)
	case r.Unless != "":
		return !holds(input, r.Unless, "")
	}
	return true
}

// holds reports whether the member at path has a value that contains text. What
// is not known may do so.
func holds(input map[string]any, path, text string) bool {
	return slices.ContainsFunc(valuesAt(input, path), func(v any) bool {
		s, ok := v.(string)
		return !isFalse(v) && (text == "" || ok && (strings.Contains(s, text) || strings.Contains(s, Unknown)))
	})
}

// Document makes one policy of grants. The same grants give the same text:
// statements are merged and sorted, and each is named after what it allows.
func Document(grants []Grant) Policy {
	p := Policy{Version: "2012-10-17", Statement: mergeGrants(grants)}
	for i := range p.Statement {
		p.Statement[i].Sid = sid(p.Statement[i])
	}
	return p
}

// SessionDocument is Document without names, which cost characters.
func SessionDocument(grants []Grant) Policy {
	return Policy{Version: "2012-10-17", Statement: mergeGrants(grants)}
}

// Split makes as few policies of at most limit characters as going through the
// statements in order gives, by document (Document or SessionDocument). Together
// they allow what one would: nothing is widened to make it fit. A single action
// on resources that do not fit is divided by resource; a resource that does not
// fit alone is an error.
func Split(grants []Grant, limit int, document func([]Grant) Policy) ([]Policy, error) {
	var out []Policy
	var fill []Grant
	for _, g := range atoms(grants) {
		next := append(slices.Clone(fill), g)
		if document(next).Size() <= limit {
			fill = next
			continue
		}
		if document([]Grant{g}).Size() > limit {
			return nil, fmt.Errorf("the policy for %s on %.80s alone is longer than %d characters", g.Action, g.Resources[0], limit)
		}
		out = append(out, document(fill))
		fill = []Grant{g}
	}
	if len(fill) > 0 {
		out = append(out, document(fill))
	}
	return out, nil
}

// atoms divides grants into one action on one resource each, in the order of the
// merged statements, so that neighbours merge again.
func atoms(grants []Grant) []Grant {
	var out []Grant
	for _, s := range mergeGrants(grants) {
		for _, r := range s.Resource {
			for _, a := range s.Action {
				out = append(out, Grant{Action: a, Resources: []string{r}, Condition: s.Condition})
			}
		}
	}
	return out
}
