package rule

import (
	"cmp"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// Rule is one automation rule.
type Rule struct {
	// ARN identifies the rule in traces and history. A rule from a file without
	// one is identified by its name.
	ARN         string
	Name        string
	Description string
	// Order is 1..1000. Rules are applied in ascending order, so that of two
	// rules that set the same attribute the higher number wins.
	Order int
	// Terminal stops later rules for a finding that this rule matched.
	Terminal bool
	Enabled  bool
	Criteria filter.Filter
	Update   finding.Patch
	// UpdatedAt breaks ties of Order: the rule edited last is applied last.
	UpdatedAt time.Time
	CreatedAt time.Time
	CreatedBy string
}

// ID gives the rule's ARN, or its name where it has none.
func (r Rule) ID() string {
	if r.ARN != "" {
		return r.ARN
	}
	return r.Name
}

// Trace is what Apply did, rule by rule in the order of application.
type Trace []Step

// Step is what one enabled rule did to one finding.
type Step struct {
	Rule    string           `json:"rule"` // ARN or name
	Name    string           `json:"name"`
	Order   int              `json:"order"`
	Matched bool             `json:"matched"`
	Reasons []filter.Reason  `json:"reasons"`
	Updates []finding.Update `json:"updates,omitempty"`
	// Stopped says that the rule is terminal and matched: no later rule ran.
	Stopped bool `json:"stopped,omitempty"`
}

// Sort gives rules in the order of application; the input is left alone.
// Equal order and equal time fall back on the identifier, so that the result
// never depends on where the rules came from.
func Sort(rules []Rule) []Rule {
	out := slices.Clone(rules)
	slices.SortStableFunc(out, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), a.UpdatedAt.Compare(b.UpdatedAt), cmp.Compare(a.ID(), b.ID()))
	})
	return out
}

// Apply runs the enabled rules over a finding at time now.
//
// Criteria see original, the provider's finding as finding.Create gives it;
// neither the customer's changes nor those of earlier rules. Actions change
// current, which becomes the result.
func Apply(rules []Rule, original, current finding.Finding, now time.Time) (finding.Finding, Trace) {
	var trace Trace
	before := current
	for _, r := range Sort(rules) {
		if !r.Enabled {
			continue
		}
		step := Step{Rule: r.ID(), Name: r.Name, Order: r.Order}
		step.Matched = r.Criteria.Match(original, now)
		if step.Matched {
			changed := r.Update.Apply(current, now)
			step.Updates = finding.Diff(current, changed)
			current = changed
			step.Stopped = r.Terminal
		}
		trace = append(trace, step)
		if step.Stopped {
			break
		}
	}
	return current.SameNote(before), trace
}

// Explain is Apply with the reasons of every criterion: for a person who asks
// why. It costs more than Apply, so triage does not use it.
func Explain(rules []Rule, original, current finding.Finding, now time.Time) (finding.Finding, Trace) {
	result, trace := Apply(rules, original, current, now)
	byID := make(map[string]Rule, len(rules))
	for _, r := range rules {
		byID[r.ID()] = r
	}
	for i := range trace {
		trace[i].Reasons = byID[trace[i].Rule].Criteria.Explain(original, now)
	}
	return result, trace
}

// Matched gives the identifiers of the rules that matched.
func (t Trace) Matched() []string {
	var out []string
	for _, s := range t {
		if s.Matched {
			out = append(out, s.Rule)
		}
	}
	return out
}
