package awsapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// Rule selects calls. Every list that is not empty must select; an entry may
// hold * and ?, and is compared without regard to case, since case never tells
// two AWS names apart and a rule must not be passed by spelling.
type Rule struct {
	ID         string   `json:"id" yaml:"id"` // named in refusals
	Services   []string `json:"services" yaml:"services"`
	Operations []string `json:"operations" yaml:"operations"`
	Accounts   []string `json:"accounts" yaml:"accounts"`
	// Units are paths of organizational units; a unit holds those below it.
	Units   []string `json:"units" yaml:"units"`
	Regions []string `json:"regions" yaml:"regions"`
	Roles   []string `json:"roles" yaml:"roles"` // the role under which the call is made; "" never matches an entry
	// AccountTags and Tags are tags of the account, and of every resource that the
	// call is about: all of them must be there, with a value that fits; "*" = any.
	AccountTags map[string]string `json:"account_tags" yaml:"account_tags"`
	Tags        map[string]string `json:"tags" yaml:"tags"`
	// Resources are ARNs of what the call is about.
	Resources []string `json:"resources" yaml:"resources"`
	// Reads makes a deny rule hold for reads too.
	Reads  bool   `json:"reads" yaml:"reads"`
	Reason string `json:"reason" yaml:"reason"`
}

const (
	maxPatterns = 1000 // of one list of a rule
	maxPattern  = 256  // bytes
)

// ValidateRules checks the rules of one list. The error names the place below
// key, which is "guards.allow" or "guards.deny".
func ValidateRules(key string, rules []Rule) error {
	const op = "check guards"
	if len(rules) > MaxRules {
		return fault.Errorf(fault.Invalid, op, "%s has %d rules, the limit is %d", key, len(rules), MaxRules).
			WithHint("one rule takes lists of services, accounts and so on")
	}
	ids := map[string]bool{}
	for i, rule := range rules {
		at := fmt.Sprintf("%s[%d]", key, i)
		if rule.ID != "" && ids[rule.ID] {
			return fault.Errorf(fault.Invalid, op, "%s.id %q is taken", at, rule.ID).WithHint("give every rule an id of its own: refusals name it")
		}
		ids[rule.ID] = true
		if err := rule.validate(at, key == "guards.deny"); err != nil {
			return err
		}
	}
	return nil
}

func (rule Rule) validate(at string, deny bool) error {
	const op = "check guards"
	for name, list := range map[string][]string{
		"services": rule.Services, "operations": rule.Operations, "accounts": rule.Accounts, "units": rule.Units, "regions": rule.Regions,
		"roles": rule.Roles, "resources": rule.Resources, "account_tags": tagTexts(rule.AccountTags), "tags": tagTexts(rule.Tags),
	} {
		if len(list) > maxPatterns {
			return fault.Errorf(fault.Invalid, op, "%s.%s has %d entries, the limit is %d", at, name, len(list), maxPatterns)
		}
		for _, p := range list {
			if p == "" || len(p) > maxPattern {
				return fault.Errorf(fault.Invalid, op, "%s.%s of rule %q holds an empty or overlong entry; the limit is %d bytes", at, name, rule.ID, maxPattern).
					WithHint("entries are names with * and ?; leave a list out to select all")
			}
		}
	}
	switch {
	case len(rule.ID) > maxPattern || len(rule.Reason) > 4*maxPattern:
		return fault.Errorf(fault.Invalid, op, "%s: id or reason is longer than %d and %d bytes", at, maxPattern, 4*maxPattern)
	case rule.Reads && !deny:
		return fault.Errorf(fault.Invalid, op, "%s.reads: allow rules are about changes, reads need none", at).WithHint("leave reads out, or deny what must not be read")
	case rule.Reads && len(rule.Tags) > 0:
		return fault.Errorf(fault.Invalid, op, "%s.reads: tags are themselves read, so a rule about reads cannot look at them", at).
			WithHint("select what must not be read by resources, accounts or units")
	}
	for _, r := range rule.Resources {
		if !strings.HasPrefix(r, "arn:") && r != "*" {
			return fault.Errorf(fault.Invalid, op, "%s.resources: %q is not an ARN", at, r).WithHint("for example arn:aws:s3:::evidence-*")
		}
	}
	return nil
}

func tagTexts(tags map[string]string) []string {
	var out []string
	for k, v := range tags {
		if v == "" {
			v = "=" // an empty value is a value
		}
		out = append(out, k, v)
	}
	return out
}

func (rule Rule) name(i int) string {
	if rule.ID == "" {
		return fmt.Sprintf("without id (number %d)", i+1)
	}
	return rule.ID
}

// verdict is what a rule, or one of its lists, says of a call.
type verdict int

const (
	differsFrom verdict = iota
	matches
	unclear // it cannot be told
	notYet  // tags are to be read
)

// subject is a call as the guards see it.
type subject struct {
	request
	id    Identity
	guard guardSet
	// arns names what the call is about, with * for what its input does not tell.
	arns func() ([]string, error)
	// tags reads the tags of everything that the call is about; nil while they are
	// not to be read.
	tags func() ([]map[string]string, error)
}

func (rule Rule) selects(s *subject) bool {
	return anyMatch(rule.Services, s.Service) && anyMatch(rule.Operations, s.Operation) &&
		anyMatch(rule.Accounts, s.Account) && anyMatch(rule.Regions, s.Region) && anyMatch(rule.Roles, s.id.Role)
}

// denies may take too much for denied, never too little: what cannot be told is
// unclear, and refused.
func (rule Rule) denies(s *subject) (v verdict, why string) {
	if !rule.selects(s) {
		return differsFrom, ""
	}
	for _, ask := range []func(*subject) (verdict, string){rule.ofAccount, rule.deniesResource, rule.deniesTags} {
		switch one, reason := ask(s); one {
		case differsFrom, notYet:
			return one, ""
		case unclear:
			v, why = unclear, reason
		}
	}
	if v == unclear {
		return v, why
	}
	return matches, ""
}

// allows is sure of every list, for everything that the call is about.
func (rule Rule) allows(s *subject) (verdict, string) {
	if !rule.selects(s) {
		return differsFrom, ""
	}
	for _, ask := range []func(*subject) (verdict, string){rule.ofAccount, rule.allowsResource, rule.allowsTags} {
		if v, why := ask(s); v != matches {
			return v, why
		}
	}
	return matches, ""
}

// ofAccount looks at where the account is, and at its tags.
func (rule Rule) ofAccount(s *subject) (verdict, string) {
	if len(rule.Units) == 0 && len(rule.AccountTags) == 0 {
		return matches, ""
	}
	a, ok := s.guard.account(s.Account)
	switch {
	case !ok:
		return unclear, "account " + s.Account + " is not known"
	case len(rule.Units) > 0 && a.Unit == "":
		return unclear, "the unit of account " + s.Account + " is not known"
	case len(rule.Units) > 0 && !slices.ContainsFunc(org.UnitPath(a.Unit), func(u string) bool { return anyMatch(trimmed(rule.Units), u) }):
		return differsFrom, ""
	case len(rule.AccountTags) > 0 && a.TagsUnknown:
		return unclear, "the tags of account " + s.Account + " were not read yet"
	case !tagsFit(rule.AccountTags, a.Tags, strings.EqualFold):
		return differsFrom, ""
	}
	return matches, ""
}

func trimmed(units []string) []string {
	out := make([]string, len(units))
	for i, u := range units {
		out[i] = strings.Trim(u, "/")
	}
	return out
}

func (rule Rule) deniesResource(s *subject) (v verdict, why string) {
	if len(rule.Resources) == 0 {
		return matches, ""
	}
	arns, err := s.arns()
	if err != nil {
		return unclear, err.Error()
	}
	for _, arn := range arns {
		for _, p := range rule.Resources {
			switch {
			case !overlap(strings.ToLower(p), strings.ToLower(arn)):
			case !strings.Contains(arn, "*"):
				return matches, ""
			default:
				v, why = unclear, "what "+s.Service+":"+s.Operation+" touches is known as "+arn+" only"
			}
		}
	}
	return v, why
}

func (rule Rule) allowsResource(s *subject) (verdict, string) {
	if len(rule.Resources) == 0 {
		return matches, ""
	}
	arns, err := s.arns()
	if err != nil {
		return unclear, err.Error()
	}
	for _, arn := range arns {
		// What holds for an ARN with a star in it, taken as text, holds for all that
		// the star stands for.
		if !slices.ContainsFunc(rule.Resources, func(p string) bool { return glob(p, arn) }) {
			if strings.Contains(arn, "*") {
				return unclear, "what " + s.Service + ":" + s.Operation + " touches is known as " + arn + " only"
			}
			return differsFrom, ""
		}
	}
	return matches, ""
}

func (rule Rule) deniesTags(s *subject) (verdict, string) {
	all, v, why := rule.tagsOf(s)
	if all == nil {
		return v, why
	}
	if slices.ContainsFunc(all, func(have map[string]string) bool { return tagsFit(rule.Tags, have, strings.EqualFold) }) {
		return matches, ""
	}
	return differsFrom, ""
}

// allowsTags compares keys and values as they are written: to AWS, Owner and
// owner are two tags.
func (rule Rule) allowsTags(s *subject) (verdict, string) {
	all, v, why := rule.tagsOf(s)
	if all == nil {
		return v, why
	}
	same := func(a, b string) bool { return a == b }
	if slices.ContainsFunc(all, func(have map[string]string) bool { return !tagsFit(rule.Tags, have, same) }) {
		return differsFrom, ""
	}
	return matches, ""
}

// tagsOf gives the tags of each thing, or nil and what that means.
func (rule Rule) tagsOf(s *subject) (tags []map[string]string, v verdict, why string) {
	switch {
	case len(rule.Tags) == 0:
		return nil, matches, ""
	case s.tags == nil:
		return nil, notYet, ""
	}
	all, err := s.tags()
	if err != nil {
		return nil, unclear, err.Error()
	}
	return all, matches, ""
}

// tagsFit reports whether have holds every wanted tag.
func tagsFit(want, have map[string]string, equal func(a, b string) bool) bool {
	fold := equal("A", "a")
	for _, k := range slices.Sorted(maps.Keys(want)) {
		found := false
		for hk, hv := range have {
			if !equal(k, hk) {
				continue
			}
			if fold {
				found = found || glob(strings.ToLower(want[k]), strings.ToLower(hv))
			} else {
				found = found || glob(want[k], hv)
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func anyMatch(patterns []string, value string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
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

// overlap reports whether there is a text that both patterns match.
func overlap(a, b string) bool {
	// row[j] says whether a[:i] and b[:j] overlap.
	row := make([]bool, len(b)+1)
	for i := 0; i <= len(a); i++ {
		var diagonal bool // of the row before, one to the left
		for j := 0; j <= len(b); j++ {
			above := row[j]
			switch {
			case i == 0 && j == 0:
				row[j] = true
			case i == 0:
				row[j] = b[j-1] == '*' && row[j-1]
			case j == 0:
				row[j] = a[i-1] == '*' && above
			case a[i-1] == '*' || b[j-1] == '*': // it stands for nothing, or takes one more
				row[j] = above || row[j-1]
			default:
				row[j] = diagonal && (a[i-1] == b[j-1] || a[i-1] == '?' || b[j-1] == '?')
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
