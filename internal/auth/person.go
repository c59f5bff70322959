package auth

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// The name of a person is in lower case: two that differ by case only would be two
// persons to a quorum and one to people.
const personPattern = `^[a-z0-9][a-z0-9._@+=-]*$`

const maxPersonName = 64

// NewPerson makes a person from a name, a role (viewer, responder, approver,
// administrator), accounts (12-digit ids or All) and a hash from NewPassword.
func NewPerson(name, role string, accounts []string, hash store.Secret, now time.Time) (store.Person, error) {
	if err := CheckPerson(name, role, accounts); err != nil {
		return store.Person{}, err
	}
	return store.Person{Name: name, Hash: hash, Role: role, Accounts: slices.Clone(accounts), CreatedAt: now.UTC()}, nil
}

// CheckPerson checks what NewPerson takes.
func CheckPerson(name, role string, accounts []string) error {
	const op = "make user"
	switch {
	case !isPersonName(name):
		return fault.Errorf(fault.Invalid, op, "name %q should be 1 to %d lower-case letters, digits or . _ @ + = -", clip(name), maxPersonName)
	case !slices.Contains(PersonRoles(), role):
		return fault.Errorf(fault.Invalid, op, "there is no role %q", clip(role)).WithHint("name one of %s", strings.Join(PersonRoles(), ", "))
	case len(accounts) == 0:
		return fault.Errorf(fault.Invalid, op, "the user has no account").WithHint("name 12-digit account ids, or * for all")
	case len(accounts) > maxAccounts:
		return fault.Errorf(fault.Invalid, op, "a user has at most %d accounts", maxAccounts)
	}
	for i, a := range accounts {
		if a != All && !isAccount(a) {
			return fault.Errorf(fault.Invalid, op, "accounts[%d] %q is not a 12-digit account id and not *", i, clip(a))
		}
	}
	return nil
}

func isPersonName(name string) bool {
	return len(name) <= maxPersonName && regexp.MustCompile(personPattern).MatchString(name)
}

// principalOfPerson gives the principal that a person's session stands for.
func principalOfPerson(p store.Person, session string) Principal {
	out := Principal{Name: p.Name, KeyName: p.Name, Session: session, Accounts: p.Accounts}
	if role, ok := people()[p.Role]; ok {
		out.Roles = []Role{role}
	}
	return out
}

// Administers reports whether a person may decide who signs in, were they not disabled.
func Administers(p store.Person) bool {
	return Authorize(principalOfPerson(p, ""), PersonWrite, All) == nil
}

// Allowed lists what p may do somewhere: an action that concerns the installation
// only when p has all accounts.
func (p Principal) Allowed() []Action {
	out := []Action{}
	for _, a := range Actions() {
		if p.May(a) && len(p.Accounts) > 0 && (!a.Installation() || p.Covers(All)) {
			out = append(out, a)
		}
	}
	return out
}
