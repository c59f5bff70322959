package buspolicy

import (
	"slices"
	"strings"
)

// Request is what a policy is asked about.
type Request struct {
	Caller   Caller
	Action   string // events:PutEvents
	Resource string // ARN of the bus or the rule
	// Context has the values of condition keys, by the names of this package's constants.
	Context map[string][]string
	// Unknown are condition keys of which nobody can tell whether the request has them: a
	// condition on one lets nobody in, and holds in a Deny.
	Unknown []string
}

// values gives what the request has for a key of Keys. What says who the caller is never
// comes from Context.
func (r *Request) values(key string) []string {
	switch key {
	case PrincipalAccount:
		return some(r.Caller.Account)
	case PrincipalArn:
		return some(r.Caller.arn())
	default:
		return r.Context[key]
	}
}

func some(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// Verdict is what a policy says to a request.
type Verdict string

// The verdicts.
const (
	Silent  Verdict = "silent"
	Allowed Verdict = "allowed"
	Denied  Verdict = "denied"
)

// Decision is a verdict with the statement that it is from: its Sid, or its number.
type Decision struct {
	Verdict   Verdict
	Statement string
}

// Decide judges a request. A Deny wins over every Allow.
func (p Policy) Decide(r Request) Decision {
	out := Decision{Verdict: Silent}
	for i := range p.statements {
		s := &p.statements[i]
		switch {
		case (out.Verdict == Allowed && !s.deny) || !s.applies(&r):
		case s.deny:
			return Decision{Verdict: Denied, Statement: s.name}
		default:
			out = Decision{Verdict: Allowed, Statement: s.name}
		}
	}
	return out
}

func (s *statement) applies(r *Request) bool {
	if !s.admits(*r) || !s.covers(r) {
		return false
	}
	return !slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(r, s.deny) })
}

// covers reports whether the statement is about the action and the resource.
func (s *statement) covers(r *Request) bool {
	action := func(pattern string) bool {
		g, _ := expand(strings.ToLower(pattern), &Request{}, true)
		return g.match([]rune(strings.ToLower(r.Action)))
	}
	resource := func(unknown bool) func(string) bool {
		return func(pattern string) bool {
			g, ok := expand(pattern, r, true)
			if !ok {
				return unknown
			}
			return g.match([]rune(r.Resource))
		}
	}
	if len(s.raw.Action) > 0 {
		if !slices.ContainsFunc(s.raw.Action, action) {
			return false
		}
	} else if slices.ContainsFunc(s.raw.NotAction, action) {
		return false
	}
	if len(s.raw.Resource) > 0 {
		return slices.ContainsFunc(s.raw.Resource, resource(s.deny))
	}
	return !slices.ContainsFunc(s.raw.NotResource, resource(!s.deny))
}
