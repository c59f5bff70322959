package approve

import (
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
)

// Mode is how a policy lets a plan run.
type Mode string

// The modes of a policy.
const (
	Automatic Mode = "automatic"
	People    Mode = "people"
	Never     Mode = "never"
)

// DefaultExpiry is how long people have to decide.
const DefaultExpiry = 72 * time.Hour

// Policy says how plans that match it are approved. Empty lists match all.
type Policy struct {
	ID       string   `json:"id" yaml:"id"`
	Accounts []string `json:"accounts" yaml:"accounts"`
	// Units are paths of organizational units as in organization.accounts. A unit holds
	// those below it, "=" before it means it alone; "/" is the root alone.
	Units []string `json:"units" yaml:"units"`
	// AccountTags are tags of the account, all of which it must have.
	AccountTags map[string]string `json:"account_tags,omitempty" yaml:"account_tags"`
	Playbooks   []string          `json:"playbooks" yaml:"playbooks"`
	// Documents are names of documents, or patterns with *, that somebody started. An
	// automatic policy approves no document that it does not name here; one that
	// names documents and no playbooks is about documents only.
	Documents []string      `json:"documents,omitempty" yaml:"documents"`
	Mode      Mode          `json:"mode" yaml:"mode"`
	Quorum    int           `json:"quorum" yaml:"quorum"`   // default 1
	Expires   time.Duration `json:"expires" yaml:"expires"` // default DefaultExpiry
	// Canary names accounts in which a fix has to be verified before an automatic policy
	// lets the same fix run elsewhere. Default: none, it runs everywhere at once.
	Canary Canary `json:"canary,omitzero" yaml:"canary"`
}

// Validate checks p and fills its defaults.
func (p *Policy) Validate() error {
	op := "check approval policy " + p.ID
	if p.ID == "" {
		return fault.Errorf(fault.Invalid, op, "id is empty")
	}
	if p.Mode != Automatic && p.Mode != People && p.Mode != Never {
		return fault.Errorf(fault.Invalid, op, "mode %q is not automatic, people or never", p.Mode)
	}
	if p.Quorum < 0 || p.Quorum > 10 {
		return fault.Errorf(fault.Invalid, op, "quorum %d is not between 1 and 10", p.Quorum)
	}
	if p.Expires < 0 || p.Expires > 30*24*time.Hour {
		return fault.Errorf(fault.Invalid, op, "expires %s is not between 1 minute and 30 days", p.Expires)
	}
	for i, u := range p.Units {
		if strings.TrimPrefix(u, alone) == "" {
			return fault.Errorf(fault.Invalid, op, "units[%d] %q names no unit", i, u).
				WithHint("write the path of a unit, such as prod/payments, =prod/payments for it without those below it, or / for the root alone")
		}
	}
	if err := p.Canary.validate(op, p); err != nil {
		return err
	}
	if p.Quorum == 0 {
		p.Quorum = 1
	}
	if p.Expires == 0 {
		p.Expires = DefaultExpiry
	}
	return nil
}

// defaultPolicy is what holds where no policy matches: people decide.
func defaultPolicy() Policy {
	return Policy{ID: "default", Mode: People, Quorum: 1, Expires: DefaultExpiry}
}

func (p Policy) matches(r remediation.Remediation, a org.Account) bool {
	in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	return in(p.Accounts, r.Account) && p.inUnits(a.Unit) && p.about(r)
}

// alone stands before a unit that is meant without those below it.
const alone = "="

// inUnits reports whether an account of this unit stands in one of the policy's, by
// whole names: dev does not hold development. One whose unit is not known is in none.
func (p Policy) inUnits(unit string) bool {
	path := org.UnitPath(unit) // the unit itself comes first
	holds := func(u string) bool {
		u, only := strings.CutPrefix(u, alone)
		u = strings.Trim(u, "/")
		switch {
		case u == "": // the root; what is below it is everything, and that is said by no units
			return unit == org.Root
		case only:
			return len(path) > 0 && path[0] == u
		}
		return slices.Contains(path, u)
	}
	return len(p.Units) == 0 || slices.ContainsFunc(p.Units, holds)
}

// tagged reports whether a has the tags that p asks for, as far as they are known.
func (p Policy) tagged(a org.Account) bool {
	for k, v := range p.AccountTags {
		if have, ok := a.Tags[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// selects reports whether p says which accounts it is for. One that does not was not
// written for accounts that come to the organization later: what is automatic there
// has to be said.
func (p Policy) selects() bool {
	return len(p.Accounts) > 0 || len(p.Units) > 0 || len(p.AccountTags) > 0
}

// about reports whether p is about what r does. What was written for findings does
// not let documents run that anybody may write.
func (p Policy) about(r remediation.Remediation) bool {
	if r.Kind != remediation.KindRun {
		return len(p.Playbooks) == 0 && len(p.Documents) == 0 || slices.Contains(p.Playbooks, r.Playbook)
	}
	if len(p.Documents) == 0 {
		return len(p.Playbooks) == 0 && p.Mode != Automatic
	}
	return slices.ContainsFunc(p.Documents, func(pattern string) bool { return named(pattern, r.Runbook) })
}

// named matches a document's name with a pattern in which * is any text.
func named(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// choose gives the first policy that matches, or the default. Where the tags that a
// policy asks for were not read yet, people decide: it may be one that says never.
func choose(policies []Policy, r remediation.Remediation, a org.Account) Policy {
	for _, p := range policies {
		switch {
		case !p.matches(r, a):
		case len(p.AccountTags) > 0 && a.TagsUnknown:
			return defaultPolicy()
		case p.tagged(a):
			return p
		}
	}
	return defaultPolicy()
}

// obstacle says why a plan may not run without people, "" when it may. The
// reasons of design.md decisions 3, 6 and 7 and section 7.
func obstacle(r remediation.Remediation, p remediation.Plan, trusted bool) string {
	switch {
	case r.Kind == remediation.KindUndo:
		return "an undo can reopen what was closed"
	case p.Open:
		return "the plan is open: " + p.OpenReason
	case len(p.Problems) > 0:
		return "the plan is bound to fail: " + p.Problems[0]
	case p.Irreversible():
		return "the plan holds a change without a known inverse"
	case r.Kind == remediation.KindRun:
		return "" // whoever may start the document was checked when it was started
	case !trusted:
		return "the finding's source is not marked trusted"
	}
	return ""
}

// idle reports whether a run's plan changes nothing: then there is nothing to agree to.
func idle(r remediation.Remediation, p remediation.Plan) bool {
	return r.Kind == remediation.KindRun && !p.Open && p.Changes() == 0 && len(p.Beyond) == 0
}
