package runbook

import (
	"fmt"
	"slices"
	"strings"
)

// Branch is the inputs of aws:branch.
type Branch struct {
	Choices []Choice
	Default string
}

// Choice is a condition and the step to go to when it holds.
type Choice struct {
	NextStep  string
	Condition Condition
}

// Condition is And, Or, Not, or one operator on a variable.
type Condition struct {
	And      []Condition
	Or       []Condition
	Not      *Condition
	Variable any
	Operator string
	Operand  any
}

// operators lists the comparisons of a condition.
func operators() []string {
	return []string{
		"StringEquals", "EqualsIgnoreCase", "StartsWith", "EndsWith", "Contains", "NumericEquals", "NumericGreater",
		"NumericGreaterOrEquals", "NumericLesser", "NumericLesserOrEquals", "BooleanEquals",
	}
}

const maxConditions = 200

// ParseBranch reads the inputs of a branch step.
func ParseBranch(inputs map[string]any) (Branch, error) {
	var b Branch
	choices, ok := inputs["Choices"].([]any)
	if !ok || len(choices) == 0 || len(choices) > maxConditions {
		return b, fmt.Errorf("Choices needs a list of 1 to %d choices", maxConditions)
	}
	for i, raw := range choices {
		m, isMap := raw.(map[string]any)
		if !isMap {
			return b, fmt.Errorf("Choices[%d] is not a map", i)
		}
		next, isText := m["NextStep"].(string)
		if !isText || next == "" {
			return b, fmt.Errorf("Choices[%d] has no NextStep", i)
		}
		c, err := parseCondition(m, 0)
		if err != nil {
			return b, fmt.Errorf("Choices[%d]: %w", i, err)
		}
		b.Choices = append(b.Choices, Choice{NextStep: next, Condition: c})
	}
	switch d := inputs["Default"].(type) {
	case nil:
	case string:
		b.Default = d
	default:
		return b, fmt.Errorf("Default is not the name of a step")
	}
	return b, nil
}

func parseCondition(m map[string]any, depth int) (Condition, error) {
	var c Condition
	if depth > maxNesting {
		return c, fmt.Errorf("the condition is nested more than %d deep", maxNesting)
	}
	found := 0
	for _, key := range sortedKeys(m) {
		var err error
		switch {
		case key == "NextStep" && depth == 0:
			continue
		case key == "Variable":
			c.Variable = m[key]
			continue
		case key == "And":
			c.And, err = parseConditions(m[key], depth)
		case key == "Or":
			c.Or, err = parseConditions(m[key], depth)
		case key == "Not":
			c.Not, err = parseNot(m[key], depth)
		case slices.Contains(operators(), key):
			c.Operator, c.Operand = key, m[key]
		default:
			return c, fmt.Errorf("%.60q is not an operator", key)
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", key, err)
		}
		found++
	}
	_, hasVariable := m["Variable"]
	switch {
	case found != 1:
		return c, fmt.Errorf("it has %d operators, exactly one is needed", found)
	case (c.Operator != "") != hasVariable:
		return c, fmt.Errorf("an operator needs a Variable, And, Or and Not have none")
	}
	return c, nil
}

func parseConditions(raw any, depth int) ([]Condition, error) {
	list, ok := raw.([]any)
	if !ok || len(list) == 0 || len(list) > maxConditions {
		return nil, fmt.Errorf("it needs a list of 1 to %d conditions", maxConditions)
	}
	out := make([]Condition, 0, len(list))
	for i, item := range list {
		m, isMap := item.(map[string]any)
		if !isMap {
			return nil, fmt.Errorf("condition %d is not a map", i)
		}
		c, err := parseCondition(m, depth+1)
		if err != nil {
			return nil, fmt.Errorf("condition %d: %w", i, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseNot(raw any, depth int) (*Condition, error) {
	m, isMap := raw.(map[string]any)
	if !isMap {
		return nil, fmt.Errorf("it needs one condition")
	}
	c, err := parseCondition(m, depth+1)
	return &c, err
}

// Choose gives the step of the first choice that holds, the default where none
// does, and "" where there is no default.
func (b Branch) Choose(scope Scope) (string, error) {
	for i, c := range b.Choices {
		holds, err := c.Condition.evaluate(scope)
		if err != nil {
			return "", fmt.Errorf("evaluate choice %d: %w", i+1, err)
		}
		if holds {
			return c.NextStep, nil
		}
	}
	return b.Default, nil
}

func (c Condition) evaluate(scope Scope) (bool, error) {
	switch {
	case c.Not != nil:
		holds, err := c.Not.evaluate(scope)
		return !holds, err
	case len(c.And) > 0:
		for _, inner := range c.And {
			if holds, err := inner.evaluate(scope); err != nil || !holds {
				return false, err
			}
		}
		return true, nil
	case len(c.Or) > 0:
		for _, inner := range c.Or {
			if holds, err := inner.evaluate(scope); err != nil || holds {
				return holds, err
			}
		}
		return false, nil
	}
	left, err := Resolve(c.Variable, scope)
	if err != nil {
		return false, err
	}
	right, err := Resolve(c.Operand, scope)
	if err != nil {
		return false, err
	}
	return Compare(c.Operator, Normalize(left), Normalize(right))
}

// Compare applies a condition's operator. Texts are compared by the String form
// of the value, and a Boolean's form in any case, since documents compare
// Boolean outputs with "true", "True" and true alike.
func Compare(operator string, left, right any) (bool, error) {
	if list, isList := left.([]any); isList && operator == "Contains" {
		return contains(list, right) || contains(list, mustText(right)), nil
	}
	if strings.HasPrefix(operator, "Numeric") {
		return compareNumbers(operator, left, right)
	}
	if operator == "BooleanEquals" {
		a, okA := asBoolean(left)
		b, okB := asBoolean(right)
		if !okA || !okB {
			return false, fmt.Errorf("BooleanEquals needs two Booleans, it has %s and %s", describe(left), describe(right))
		}
		return a == b, nil
	}
	a, b := mustText(left), mustText(right)
	_, leftBool := left.(bool)
	_, rightBool := right.(bool)
	switch operator {
	case "StringEquals":
		if leftBool || rightBool {
			return strings.EqualFold(a, b), nil
		}
		return a == b, nil
	case "EqualsIgnoreCase":
		return strings.EqualFold(a, b), nil
	case "StartsWith":
		return strings.HasPrefix(a, b), nil
	case "EndsWith":
		return strings.HasSuffix(a, b), nil
	case "Contains":
		return strings.Contains(a, b), nil
	}
	return false, fmt.Errorf("%.60q is not an operator", operator)
}

func compareNumbers(operator string, left, right any) (bool, error) {
	a, okA := asNumber(left)
	b, okB := asNumber(right)
	if !okA || !okB {
		return false, fmt.Errorf("%s needs two numbers, it has %s and %s", operator, describe(left), describe(right))
	}
	switch operator {
	case "NumericEquals":
		return a == b, nil
	case "NumericGreater":
		return a > b, nil
	case "NumericGreaterOrEquals":
		return a >= b, nil
	case "NumericLesser":
		return a < b, nil
	case "NumericLesserOrEquals":
		return a <= b, nil
	}
	return false, fmt.Errorf("%.60q is not an operator", operator)
}

// mustText is Text for values in plain JSON types, which always have one.
func mustText(v any) string {
	s, err := Text(v)
	if err != nil {
		return ""
	}
	return s
}

// Matches reports whether value is one of the desired values of a wait or an
// assertion. Booleans compare in any case, because documents write them as
// Python does. A list from a selector that is not definite matches when it is
// not empty and every item does.
func Matches(value any, definite bool, desired []string) bool {
	value = Normalize(value)
	list, isList := value.([]any)
	if isList && !definite {
		for _, item := range list {
			if !Matches(item, true, desired) {
				return false
			}
		}
		return len(list) > 0
	}
	text := mustText(value)
	_, isBool := value.(bool)
	for _, d := range desired {
		if d == text || isBool && strings.EqualFold(d, text) {
			return true
		}
	}
	return false
}

// Holds evaluates the condition of a loop.
func (c Condition) Holds(scope Scope) (bool, error) { return c.evaluate(scope) }
