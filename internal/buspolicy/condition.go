package buspolicy

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// The condition keys that policies of buses may use. Whoever asks fills in those that
// AWS has for the operation; PrincipalAccount and PrincipalArn are taken from the caller.
const (
	PrincipalOrgID    = "aws:PrincipalOrgID"
	PrincipalOrgPaths = "aws:PrincipalOrgPaths" // o-.../r-.../ou-.../, ending with a slash
	PrincipalAccount  = "aws:PrincipalAccount"
	PrincipalArn      = "aws:PrincipalArn"
	SourceArn         = "aws:SourceArn"     // of the rule that sends the event on
	SourceAccount     = "aws:SourceAccount" // of that rule
	Source            = "events:source"     // of the event, or those of the rule's pattern
	DetailType        = "events:detail-type"
	CreatorAccount    = "events:creatorAccount"     // of the rule, absent before there is one
	BusInvocation     = "events:eventBusInvocation" // "true" where a rule of another account sends
	TargetArn         = "events:TargetArn"          // of PutTargets
)

// Keys gives the condition keys that are known.
func Keys() []string {
	return []string{
		PrincipalOrgID, PrincipalOrgPaths, PrincipalAccount, PrincipalArn, SourceArn, SourceAccount, Source, DetailType,
		CreatorAccount, BusInvocation, TargetArn,
	}
}

// canonical gives a key as Keys has it. Keys are the same in any case.
func canonical(key string) (string, bool) {
	i := slices.IndexFunc(Keys(), func(k string) bool { return strings.EqualFold(k, key) })
	if i < 0 {
		return "", false
	}
	return Keys()[i], true
}

// quantifier says how many values of the request have to meet an operator.
type quantifier int

const (
	single quantifier = iota // there is one, or should be
	forAny
	forAll
)

// condition is one operator on one key.
type condition struct {
	key      string
	compare  string // operator without what the rest of condition says, lower case
	negated  bool
	ifExists bool
	over     quantifier
	values   []string
	version  string
}

// operators are the comparisons; each has a negation but bool and null.
func operators() []string {
	return []string{"stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "bool", "null"}
}

func newCondition(operator, key string, values []scalar, version string) (condition, error) {
	c := condition{version: version}
	op, ok := strings.CutPrefix(strings.ToLower(operator), "foranyvalue:")
	if ok {
		c.over = forAny
	} else if op, ok = strings.CutPrefix(op, "forallvalues:"); ok {
		c.over = forAll
	}
	op, c.ifExists = strings.CutSuffix(op, "ifexists")
	c.compare = strings.Replace(op, "not", "", 1)
	c.negated = c.compare != op
	odd := (c.compare == "bool" && c.negated) || (c.compare == "null" && (c.negated || c.ifExists || c.over != single))
	if !slices.Contains(operators(), c.compare) || odd {
		return c, fault.Errorf(fault.Invalid, "", "the operator %s is not supported", operator).
			WithHint("use StringEquals, StringEqualsIgnoreCase, StringLike, ArnEquals, ArnLike, their Not forms, Bool or Null; Null takes no ForAnyValue, ForAllValues and IfExists")
	}
	if c.key, ok = canonical(key); !ok {
		return c, fault.Errorf(fault.Invalid, "", "the condition key %s is not supported", key).WithHint("use one of %s", strings.Join(Keys(), ", "))
	}
	if len(values) == 0 {
		return c, fault.Errorf(fault.Invalid, "", "the condition on %s has no value", key)
	}
	for _, v := range values {
		if err := c.add(string(v)); err != nil {
			return c, err
		}
	}
	return c, nil
}

// add checks one value for its operator.
func (c *condition) add(value string) error {
	bad := func(what string) error {
		return fault.Errorf(fault.Invalid, "", "the condition on %s: %q is not %s", c.key, value, what)
	}
	switch c.compare {
	case "bool", "null":
		if value = strings.ToLower(value); value != "true" && value != "false" {
			return bad("true or false")
		}
	case "arnequals", "arnlike":
		if value != "*" && !strings.Contains(value, "${") && strings.Count(value, ":") < 5 {
			return bad("an ARN of six parts; a * does not reach over colons")
		}
	}
	c.values = append(c.values, value)
	return checkVariables(value, c.version)
}

// holds reports whether a request meets the condition, for a statement that denies or
// one that allows.
func (c *condition) holds(r *Request, deny bool) bool {
	if slices.Contains(r.Unknown, c.key) {
		return deny
	}
	have := r.values(c.key)
	if c.compare == "null" {
		return slices.Contains(c.values, map[bool]string{true: "true", false: "false"}[len(have) == 0])
	}
	if len(have) == 0 {
		switch {
		case c.ifExists:
			return true
		case c.over == forAny:
			return false
		case c.over == forAll:
			return deny || !strings.HasPrefix(c.key, "events:")
		default:
			return c.negated
		}
	}
	var wanted []glyphs
	for _, v := range c.values {
		g, ok := expand(v, r, c.compare == "stringlike" || strings.HasPrefix(c.compare, "arn"))
		if !ok {
			return deny
		}
		wanted = append(wanted, g)
	}
	meets := func(value string) bool {
		return slices.ContainsFunc(wanted, func(g glyphs) bool { return c.match(g, value) }) != c.negated
	}
	if c.over == forAny || (c.over == single && deny) {
		return slices.ContainsFunc(have, meets)
	}
	return !slices.ContainsFunc(have, func(v string) bool { return !meets(v) })
}

func (c *condition) match(want glyphs, value string) bool {
	switch c.compare {
	case "stringequalsignorecase", "bool":
		return strings.EqualFold(want.text(), value)
	case "arnequals", "arnlike":
		return want.matchARN(value)
	default: // without wildcards for stringequals
		return want.match([]rune(value))
	}
}
