package awsapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
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

// Rule selects calls. An empty list selects all; an entry may hold * and ?.
type Rule struct {
	ID         string   `json:"id"` // named in refusals
	Services   []string `json:"services"`
	Operations []string `json:"operations"`
	Accounts   []string `json:"accounts"`
	Regions    []string `json:"regions"`
	Roles      []string `json:"roles"` // the role under which the call is made; "" never matches an entry
	// Reads makes a deny rule hold for reads too.
	Reads  bool   `json:"reads"`
	Reason string `json:"reason"`
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
}

func (g Guards) compile() (guardSet, error) {
	for _, rule := range slices.Concat(g.Allow, g.Deny) {
		for _, p := range slices.Concat(rule.Services, rule.Operations, rule.Accounts, rule.Regions, rule.Roles) {
			if p == "" || len(p) > 256 {
				return guardSet{}, fault.Errorf(fault.Invalid, "read guards", "rule %q holds an empty or overlong pattern", rule.ID).
					WithHint("guards.allow and guards.deny take names with * and ?; leave a list out to select all")
			}
		}
	}
	set := guardSet{Guards: g, revision: g.Revision()}
	for _, r := range g.OwnRoles {
		set.own = append(set.own, ownThing{guard: "own roles", setting: "organization.member_role", name: r[strings.LastIndex(r, "/")+1:], service: "iam"})
	}
	for _, a := range g.OwnResources {
		set.own = append(set.own, ownThing{guard: "own resources", setting: "guards.resources", arn: a, name: lastPart(a), service: arnPart(a, 2)})
	}
	for _, p := range g.BreakGlass {
		t := ownThing{guard: "break-glass principals", setting: "guards.break_glass", name: p[strings.LastIndex(p, "/")+1:], service: "iam"}
		if strings.HasPrefix(p, "arn:") {
			t.arn = p
		}
		set.own = append(set.own, t)
	}
	return set, nil
}

// ownThing is something that no change may touch.
type ownThing struct {
	guard, setting string
	arn            string // matched anywhere in an input
	name           string // matched as a whole value in inputs of service
	service        string
}

// check refuses what the guards do not let pass. Reads pass unless a deny rule
// says otherwise.
func (g guardSet) check(r request, id Identity) error {
	if err := g.checkDenied(r, id); err != nil || r.class == apimodel.Read {
		return err
	}
	if g.ManagementAccount != "" && r.Account == g.ManagementAccount && !g.AllowManagement {
		return refuse(r, "management account", "account "+r.Account+" is the organization's management account", "organization.management_account")
	}
	if !slices.Contains(g.Accounts, "*") && !slices.Contains(g.Accounts, r.Account) {
		return refuse(r, "accounts", "account "+r.Account+" is not one in which changes are allowed", "organization.accounts")
	}
	for _, t := range g.own {
		if t.touched(r) {
			return refuse(r, t.guard, "it would touch "+t.shown(), t.setting)
		}
	}
	if len(g.Allow) == 0 || slices.ContainsFunc(g.Allow, func(rule Rule) bool { return rule.matches(r, id) }) {
		return nil
	}
	return refuse(r, "allow rules", "no rule allows it", "guards.allow")
}

// checkDenied holds a call against the deny rules alone: own traffic may touch
// what is Parry's own.
func (g guardSet) checkDenied(r request, id Identity) error {
	for _, rule := range g.Deny {
		if (r.class != apimodel.Read || rule.Reads) && rule.matches(r, id) {
			return refuse(r, "deny rule "+name(rule.ID), rule.Reason, "guards.deny")
		}
	}
	return nil
}

func refuse(r request, guard, why, setting string) error {
	if why != "" {
		why = ": " + why
	}
	return fault.Errorf(fault.Denied, "call "+r.Service+":"+r.Operation, "refused by guard %q%s", guard, why).
		WithHint("the setting %s decides this", setting)
}

func name(id string) string {
	if id == "" {
		return "without id"
	}
	return id
}

func (rule Rule) matches(r request, id Identity) bool {
	return anyMatch(rule.Services, r.Service) && anyMatch(rule.Operations, r.Operation) &&
		anyMatch(rule.Accounts, r.Account) && anyMatch(rule.Regions, r.Region) && anyMatch(rule.Roles, id.Role)
}

func anyMatch(patterns []string, value string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		// Case never tells two AWS names apart, so a rule must not be passed by
		// spelling.
		return glob(strings.ToLower(p), strings.ToLower(value))
	})
}

// glob matches * (any text, unlike path.Match also across /) and ? (one byte).
func glob(pattern, s string) bool {
	star, mark, i := -1, 0, 0
	for p := 0; i < len(s); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
		if i == len(s) {
			return strings.Trim(pattern[p:], "*") == ""
		}
	}
	return strings.Trim(pattern, "*") == ""
}

func (t ownThing) shown() string {
	if t.arn != "" {
		return t.arn
	}
	return t.name
}

// touched looks for the thing in every text of the input: an ARN anywhere, a
// name as a whole value or last part of a path, URL or ARN in its own service.
// It may refuse too much, never too little.
func (t ownThing) touched(r request) bool {
	if t.arn != "" {
		if spec, ok := apimodel.ImageOf(r.Call); ok && spec.ARN() == t.arn {
			return true
		}
	}
	return anyText(r.Input, func(s string) bool {
		if t.arn != "" && containsARN(s, t.arn) {
			return true
		}
		return r.Service == t.service && t.name != "" && (strings.EqualFold(s, t.name) || strings.EqualFold(lastPart(s), t.name))
	})
}

// containsARN finds arn in s as a whole name: "arn:aws:s3:::parry" is not in
// "arn:aws:s3:::parry-logs", but is in "arn:aws:s3:::parry/key".
func containsARN(s, arn string) bool {
	for {
		i := strings.Index(s, arn)
		if i < 0 {
			return false
		}
		s = s[i+len(arn):]
		if s == "" || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", rune(s[0])) {
			return true
		}
	}
}

// anyText reports whether f holds for any text in v.
func anyText(v any, f func(string) bool) bool {
	switch v := v.(type) {
	case string:
		return f(v)
	case map[string]any:
		for k, x := range v {
			if f(k) || anyText(x, f) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return anyText(x, f) })
	case []string:
		return slices.ContainsFunc(v, f)
	}
	return false
}

// lastPart gives what follows the last / or : of an ARN, URL or path.
func lastPart(s string) string { return s[strings.LastIndexAny(s, "/:")+1:] }

// arnPart gives a part of an ARN by its place: 1 partition, 2 service, 3 region,
// 4 account, 5 resource.
func arnPart(arn string, n int) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ""
	}
	return parts[n]
}
