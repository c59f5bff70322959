package awswall

import (
	"encoding/json"
	"net"
	"path"
	"slices"
	"strings"
)

// document is an IAM policy. The wall evaluates the part of the language that
// identity, trust and bucket policies commonly use; a condition operator that it
// does not know matches nothing in an Allow and everything in a Deny.
type document struct {
	Statement list[statement]
}

type statement struct {
	Sid          string
	Effect       string
	Principal    *principals
	NotPrincipal *principals
	Action       list[string]
	NotAction    list[string]
	Resource     list[string]
	NotResource  list[string]
	Condition    map[string]map[string]list[string]
}

// list is a JSON array that may be written as its only element.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(raw []byte) error {
	var many []T
	if err := json.Unmarshal(raw, &many); err == nil {
		*l = many
		return nil
	}
	var one T
	if err := json.Unmarshal(raw, &one); err != nil {
		// Conditions are written with true and 5 as well as with "true" and "5".
		if s, ok := any(l).(*list[string]); ok {
			*s = list[string]{strings.Trim(string(raw), `"`)}
			return nil
		}
		return err
	}
	*l = list[T]{one}
	return nil
}

// principals is a Principal element: "*" or kinds with names.
type principals struct {
	everyone bool
	aws      list[string]
}

func (p *principals) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		p.everyone = text == "*"
		return nil
	}
	var kinds map[string]list[string]
	if err := json.Unmarshal(raw, &kinds); err != nil {
		return err
	}
	p.aws = kinds["AWS"]
	p.everyone = slices.Contains(p.aws, "*")
	return nil
}

// admits gives how the element names who: not at all (silent), as everyone, by
// its account, or by its own ARN.
func (p *principals) admits(who *principal) verdict {
	if p == nil {
		return silent
	}
	v := silent
	if p.everyone {
		v = allowed
	}
	if who == nil {
		return v
	}
	for _, name := range p.aws {
		switch {
		case name == who.arn || (who.roleARN != "" && name == who.roleARN):
			return allowedByName
		case name == who.account || name == "arn:aws:iam::"+who.account+":root":
			v = allowedByAccount
		}
	}
	return v
}

// request is what a policy is asked about.
type request struct {
	who      *principal // nil = anonymous
	action   string
	resource string // "" = the wall cannot tell; every Resource then matches
	context  map[string]string
}

type verdict int

const (
	silent           verdict = iota
	allowed                  // by an identity policy, or by a resource policy that admits everyone
	allowedByAccount         // a resource policy that names the principal's account
	allowedByName            // a resource policy that names the principal itself
	denied
)

// evaluate gives the verdict of documents on q. resourcePolicy says that the
// statements carry principals.
func evaluate(docs []document, q request, resourcePolicy bool) verdict {
	out := silent
	for _, d := range docs {
		for _, s := range d.Statement {
			deny := s.Effect == "Deny"
			v := allowed
			if resourcePolicy {
				v = s.Principal.admits(q.who)
				if s.NotPrincipal != nil && s.NotPrincipal.admits(q.who) == silent {
					v = allowed
				}
				if v == silent {
					continue
				}
			}
			if !s.covers(q) || !s.holds(q, deny) {
				continue
			}
			if deny {
				return denied
			}
			out = max(out, v)
		}
	}
	return out
}

func (s statement) covers(q request) bool {
	fold := func(p, v string) bool { return like(strings.ToLower(p), strings.ToLower(v)) }
	if len(s.NotAction) > 0 {
		if matchAny(s.NotAction, q.action, fold) {
			return false
		}
	} else if !matchAny(s.Action, q.action, fold) {
		return false
	}
	if q.resource == "" {
		return true
	}
	if len(s.NotResource) > 0 {
		return !matchAny(s.NotResource, q.resource, like)
	}
	// A trust policy has no Resource.
	return len(s.Resource) == 0 || matchAny(s.Resource, q.resource, like)
}

func matchAny(patterns []string, v string, match func(pattern, v string) bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, v) })
}

// like matches * and ? and nothing else.
func like(pattern, v string) bool {
	p, s, star, mark := 0, 0, -1, 0
	for s < len(v) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, s
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == v[s]):
			p++
			s++
		case star >= 0:
			mark++
			p, s = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// holds evaluates the conditions; all must hold.
func (s statement) holds(q request, deny bool) bool {
	for operator, keys := range s.Condition {
		for key, values := range keys {
			v, known := q.context[strings.ToLower(key)]
			ok, understood := condition(operator, values, v, known)
			if !understood {
				ok = deny
			}
			if !ok {
				return false
			}
		}
	}
	return true
}

// manyValues is between the values of a key that has several, such as aws:TagKeys.
const manyValues = "\n"

func condition(operator string, want []string, v string, known bool) (ok, understood bool) {
	op := strings.ToLower(operator)
	op = strings.TrimPrefix(op, "foranyvalue:")
	if rest, all := strings.CutPrefix(op, "forallvalues:"); all {
		if !known {
			return true, true // vacuously
		}
		for one := range strings.SplitSeq(v, manyValues) {
			if ok, understood := condition(rest, want, one, true); !ok || !understood {
				return false, understood
			}
		}
		return true, true
	}
	if rest, optional := strings.CutSuffix(op, "ifexists"); optional {
		if !known {
			return true, true
		}
		op = rest
	}
	if op == "null" {
		return len(want) == 1 && (want[0] == "true") == !known, true
	}
	positive := strings.Replace(op, "not", "", 1)
	negated := positive != op
	compare := map[string]func(p, v string) bool{
		"stringequals":           func(p, v string) bool { return p == v },
		"stringequalsignorecase": strings.EqualFold,
		"stringlike":             like,
		"arnequals":              like,
		"arnlike":                like,
		"bool":                   strings.EqualFold,
		"ipaddress":              inRange,
	}[positive]
	if compare == nil {
		return false, false
	}
	if !known {
		return negated, true // AWS: a negated operator holds for a missing key
	}
	return matchAny(want, v, compare) != negated, true
}

func inRange(cidr, ip string) bool {
	if !strings.Contains(cidr, "/") {
		return cidr == ip
	}
	_, network, err := net.ParseCIDR(cidr)
	return err == nil && network.Contains(net.ParseIP(ip))
}

// parsePolicy reads one policy; a broken one grants nothing.
func parsePolicy(text string) (document, bool) {
	var d document
	if json.Unmarshal([]byte(text), &d) != nil {
		return document{}, false
	}
	return d, true
}

// jsonText gives the first of the members that a JSON object has as text.
func jsonText(raw []byte, names ...string) string {
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil {
		return ""
	}
	for _, n := range names {
		if v, ok := m[n].(string); ok {
			return v
		}
	}
	return ""
}

// lastPart gives what follows the last slash.
func lastPart(s string) string { return path.Base(s) }
