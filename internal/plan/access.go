package plan

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// DocumentRule lets some people start some documents, and documents run as roles
// other than the organization's member role. Names, accounts, units, roles and
// principals are exact, or patterns with * and ?.
type DocumentRule struct {
	// Names are those of the documents. Required.
	Names []string `json:"names" yaml:"names"`
	// Accounts and Units say where; a rule with neither is for every account.
	Accounts []string `json:"accounts,omitempty" yaml:"accounts"`
	Units    []string `json:"units,omitempty" yaml:"units"`
	// Roles are ARNs of roles that the documents may run as, by their assumeRole
	// or by sts:AssumeRole in a script. Default: none.
	Roles []string `json:"roles,omitempty" yaml:"roles"`
	// Principals are names of principals, KeyRoles the roles of their keys. Without
	// either only administrators may start the documents.
	Principals []string `json:"principals,omitempty" yaml:"principals"`
	KeyRoles   []string `json:"key_roles,omitempty" yaml:"key_roles"`
}

// Validate checks what can be checked of r alone.
func (r DocumentRule) Validate() error {
	const op = "check document rule"
	if len(r.Names) == 0 || slices.Contains(r.Names, "") {
		return fault.Errorf(fault.Invalid, op, "names is empty").WithHint(`name the documents, for example names: ["Close-*"]`)
	}
	for i, role := range r.Roles {
		if !strings.HasPrefix(role, "arn:") || strings.Count(role, ":") != 5 || !strings.Contains(role, ":role/") {
			return fault.Errorf(fault.Invalid, op, "roles[%d] %q is not the ARN of a role", i, role).
				WithHint("for example arn:aws:iam::*:role/AutomationRole")
		}
	}
	return nil
}

// Starter is who asks for a run.
type Starter struct {
	Name     string
	KeyRoles []string
	Admin    bool
}

// Access says who may start which documents where, and as which roles they may run.
// Without rules only administrators start documents, as the member role.
type Access struct {
	Rules []DocumentRule
	// Open lets anybody start anything as any role: a process of one person with
	// that person's own credentials.
	Open bool
}

// Check says why s may not start document on account as role ("" = the member role).
func (a Access) Check(s Starter, document, account, unit, role string) error {
	const op = "start document"
	if a.Open {
		return nil
	}
	may := s.Admin
	for _, r := range a.Rules {
		if r.fits(document, account, unit) && (anyOf(r.Principals, s.Name) || slices.ContainsFunc(s.KeyRoles, func(k string) bool { return slices.Contains(r.KeyRoles, k) })) {
			may = true
		}
	}
	if !may {
		return fault.Errorf(fault.Denied, op, "%s may not start document %s on account %s", s.Name, document, account).
			WithHint("an administrator can let them: documents in parry.yaml")
	}
	return a.CheckRole(document, account, unit, role)
}

// CheckRole says why document may not run on account as role.
func (a Access) CheckRole(document, account, unit, role string) error {
	if a.Open || role == "" || anyOf(a.Roles(document, account, unit), role) {
		return nil
	}
	return fault.Errorf(fault.Denied, "start document", "document %s may not run as role %.600q on account %s", document, role, account).
		WithHint("list the role for the document: documents[].roles in parry.yaml")
}

// Roles lists the roles, or patterns of them, that document may run as on account.
func (a Access) Roles(document, account, unit string) []string {
	if a.Open {
		return []string{"arn:*:iam::*:role/*"}
	}
	var out []string
	for _, r := range a.Rules {
		if !r.fits(document, account, unit) {
			continue
		}
		for _, role := range r.Roles {
			if !slices.Contains(out, role) {
				out = append(out, role)
			}
		}
	}
	return out
}

func (r DocumentRule) fits(document, account, unit string) bool {
	where := len(r.Accounts) == 0 && len(r.Units) == 0 || anyOf(r.Accounts, account) || unit != "" && anyOf(r.Units, unit)
	return anyOf(r.Names, document) && where
}

// anyOf reports whether one of patterns matches s as a whole.
func anyOf(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return wild(p, s) })
}

// wild matches * (any text) and ? (one byte) in linear time.
func wild(pattern, s string) bool {
	star, mark, p, i := -1, 0, 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
