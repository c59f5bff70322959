package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// All stands for every account or every product. As the account of an action
// it is the installation itself, which only a principal with all accounts holds.
const All = "*"

// Principal is who makes a request, as its key or its session says.
type Principal struct {
	// Name is the person or program. Two keys of one person have one name, and so has
	// who signed in, so that a quorum counts people and not keys.
	Name  string
	KeyID string // "" for who signed in
	// KeyName is the label of the key: the name of the source for imports.
	KeyName string
	// Session is the id of the session of who signed in, "" for a key.
	Session string
	Roles   []Role
	// Accounts are 12-digit ids, or All. Empty means none.
	Accounts []string
	// Products are what the principal may report findings as.
	Products []string
	// Trusted findings may start automatic remediation.
	Trusted bool
}

// May reports whether one of p's roles holds action, on whatever account.
func (p Principal) May(action Action) bool {
	return slices.ContainsFunc(p.Roles, func(r Role) bool { return r.May(action) })
}

// Covers reports whether account is within p's scope. All is covered only by All.
func (p Principal) Covers(account string) bool {
	return account != "" && (slices.Contains(p.Accounts, All) || slices.Contains(p.Accounts, account))
}

// Permit checks that p may do action at all. Lists use it, and then show only
// what is within Scope.
func Permit(p Principal, action Action) error {
	if p.May(action) {
		return nil
	}
	if p.Session != "" {
		return fault.Errorf(fault.Denied, "check permission", "%s (role: %s) may not do %s", p.label(), p.roleList(), action).
			WithHint("ask an administrator for a role that has %s: %s", action, rolesWith(action, true))
	}
	return fault.Errorf(fault.Denied, "check permission", "%s (roles: %s) may not do %s", p.label(), p.roleList(), action).
		WithHint("ask an administrator for a key with a role that has %s: %s", action, rolesWith(action, false))
}

// Authorize checks that p may do action on account. Give All for an action
// that concerns the whole installation.
//
// An object that was looked up by an id from outside needs NotFound instead of
// this error when its account is foreign, so that it is not told from one that
// does not exist.
func Authorize(p Principal, action Action, account string) error {
	if err := Permit(p, action); err != nil {
		return err
	}
	if p.Covers(account) {
		return nil
	}
	if account == All {
		return fault.Errorf(fault.Denied, "check permission", "%s concerns the whole installation and %s is limited to %s", action, p.label(), strings.Join(Scope(p), ", ")).
			WithHint("%s", p.word("use a key that has all accounts", "sign in as somebody who has all accounts"))
	}
	return fault.Errorf(fault.Denied, "check permission", "%s may not do %s on account %q", p.label(), action, account).
		WithHint("ask an administrator to add the account to %s", p.word("the key "+p.KeyName, p.Name))
}

// Scope gives the accounts whose objects p may see, never nil: an empty scope
// sees nothing.
func Scope(p Principal) []string {
	if p.Accounts == nil {
		return []string{}
	}
	return slices.Clone(p.Accounts)
}

func (p Principal) label() string {
	if p.Name == "" {
		return "an unnamed principal"
	}
	return p.Name
}

// word gives what to say to a program with a key, or to who signed in.
func (p Principal) word(key, session string) string {
	if p.Session != "" {
		return session
	}
	return key
}

func (p Principal) roleList() string {
	if len(p.Roles) == 0 {
		return "none"
	}
	names := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		names[i] = p.word(string(r), r.Title())
	}
	return strings.Join(names, ", ")
}

// rolesWith lists the roles that have action, as titles those that people have.
func rolesWith(action Action, titles bool) string {
	var names []string
	for _, r := range Roles() {
		switch {
		case !r.May(action) || titles && r == RoleSource:
		case titles:
			names = append(names, r.Title())
		default:
			names = append(names, string(r))
		}
	}
	return strings.Join(names, ", ")
}

type principalKey struct{}

// WithPrincipal gives a context that carries p. Only what has verified p's
// signature may call it.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom gives the principal of ctx; without one, a principal that may
// do nothing.
func PrincipalFrom(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
