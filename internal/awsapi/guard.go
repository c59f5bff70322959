package awsapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// Guards are limits that hold for every change, planned or applied, whatever a
// plan says (design.md decision 6). They are data: Revision is part of a plan,
// and a plan made under other guards is superseded.
type Guards struct {
	// ManagementAccount is the organization's management account; changes there
	// are refused unless AllowManagement is set.
	ManagementAccount string `json:"management_account"`
	AllowManagement   bool   `json:"allow_management"`
	// Accounts are those in which changes are allowed; "*" = all. Empty allows none.
	Accounts []string `json:"accounts"`
	// Organization allows changes in every active account of the organization as it is
	// known when the change is about to leave, besides those of Accounts.
	Organization bool `json:"organization,omitempty"`
	// OwnRoles are the names of Parry's roles, in every account.
	OwnRoles []string `json:"own_roles"`
	// OwnResources are the ARNs of what Parry itself lives on: queue, keys, topics.
	OwnResources []string `json:"own_resources"`
	// BreakGlass are names or ARNs of principals that no change may touch.
	BreakGlass []string `json:"break_glass"`
	// Allow, when there are any, lists all changes that are allowed.
	Allow []Rule `json:"allow"`
	// Deny lists changes that are refused; it wins over Allow.
	Deny []Rule `json:"deny"`
}

// Revision is the SHA-256 of the guards, hexadecimal.
func (g Guards) Revision() string {
	raw, err := json.Marshal(g)
	if err != nil {
		return "" // plain strings and booleans always marshal
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// guardSet is Guards made ready.
type guardSet struct {
	Guards
	revision string
	own      []ownThing
	account  func(id string) (org.Account, bool)
}

// MaxRules bounds the rules of each list: every call is held against all of them.
const MaxRules = 500

func (g Guards) compile(account func(string) (org.Account, bool)) (guardSet, error) {
	if account == nil {
		account = func(string) (org.Account, bool) { return org.Account{}, false }
	}
	set := guardSet{Guards: g, revision: g.Revision(), account: account}
	for _, list := range []struct {
		key   string
		rules []Rule
	}{{"guards.allow", g.Allow}, {"guards.deny", g.Deny}} {
		if err := ValidateRules(list.key, list.rules); err != nil {
			return guardSet{}, err
		}
	}
	set.own = g.ownThings()
	return set, nil
}

// check refuses what the guards do not let pass. Reads pass unless a deny rule
// says otherwise. Where s reads no tags, rules about them refuse nothing yet:
// whoever sends must check again with a subject that does.
func (g guardSet) check(s *subject) error {
	if err := g.checkState(s); err != nil {
		return err
	}
	if err := g.checkDenied(s); err != nil || s.class == apimodel.Read {
		return err
	}
	if err := g.checkManagement(s); err != nil {
		return err
	}
	if !slices.Contains(g.Accounts, "*") && !slices.Contains(g.Accounts, s.Account) && !g.isMember(s.Account) {
		return refuse(s, "accounts", "account "+s.Account+" is not one in which changes are allowed", "organization.accounts")
	}
	if err := g.checkUntouched(s); err != nil {
		return err
	}
	return g.checkAllowed(s)
}

// checkState keeps every call out of a member account that is suspended, closed or no
// longer in the organization: also a change of an execution that began before.
func (g guardSet) checkState(s *subject) error {
	a, ok := g.account(s.Account)
	if !ok || s.id.Role == "" || a.State.Idle() == "" {
		return nil
	}
	return fault.Errorf(fault.Denied, "call "+s.Service+":"+s.Operation, "refused by guard \"account state\": account %s cannot be worked in: %s", s.Account, a.State.Idle()).
		WithHint("see what happened to it: parry org show %s", s.Account)
}

// isMember reports whether the organization, where it is followed, has the account.
func (g guardSet) isMember(id string) bool {
	a, ok := g.account(id)
	return g.Organization && ok && a.State == org.Active
}

// checkUntouched refuses what would touch Parry's own, or what is for emergencies.
func (g guardSet) checkUntouched(s *subject) error {
	for _, t := range g.own {
		if t.touched(s.request) {
			return refuse(s, t.guard, "it would touch "+t.shown(), t.setting)
		}
	}
	return nil
}

// checkRole holds taking a role against the guards. What is done as that role
// is held against them call by call.
func (g guardSet) checkRole(s *subject) error {
	if err := g.checkState(s); err != nil {
		return err
	}
	if err := g.checkDenied(s); err != nil {
		return err
	}
	return g.checkUntouched(s)
}

// checkDenied holds a call against the deny rules alone: own traffic may touch
// what is Parry's own.
func (g guardSet) checkDenied(s *subject) error {
	for i, rule := range g.Deny {
		if s.class == apimodel.Read && !rule.Reads {
			continue
		}
		switch v, why := rule.denies(s); v {
		case matches:
			return refuse(s, "deny rule "+rule.name(i), rule.Reason, "guards.deny")
		case unclear:
			return refuse(s, "deny rule "+rule.name(i), "it may apply: "+why, "guards.deny")
		}
	}
	return nil
}

func (g guardSet) checkAllowed(s *subject) error {
	if len(g.Allow) == 0 {
		return nil
	}
	reason := "no rule allows it"
	for i, rule := range g.Allow {
		switch v, why := rule.allows(s); v {
		case matches, notYet:
			return nil
		case unclear:
			reason = "no rule allows it, and of rule " + rule.name(i) + " it cannot be told: " + why
		}
	}
	return refuse(s, "allow rules", reason, "guards.allow")
}

func refuse(s *subject, guard, why, setting string) error {
	if why != "" {
		why = ": " + why
	}
	return fault.Errorf(fault.Denied, "call "+s.Service+":"+s.Operation, "refused by guard %q%s", guard, why).
		WithHint("the setting %s decides this", setting)
}
