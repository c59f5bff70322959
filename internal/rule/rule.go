package rule

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// Rule is one automation rule.
type Rule struct {
	// ARN identifies the rule in traces and history. A rule from a file without
	// one is identified by its name.
	ARN string
	// Version is 1 or 2: whose criteria and actions the rule has.
	Version     int
	Name        string
	Description string
	// Order is 1..1000, whole for version 1. Rules are applied in ascending order,
	// so that of two rules that set the same attribute the higher number wins.
	Order float64
	// Terminal stops later rules for a finding that this rule matched.
	Terminal bool
	Enabled  bool
	// Criteria are those of version 1.
	Criteria filter.Filter
	Update   finding.Patch
	// UpdatedAt breaks ties of Order: the rule edited last is applied last.
	UpdatedAt time.Time
	CreatedAt time.Time
	CreatedBy string
	// ExpiresAt is Parry's own: from then on the rule is as good as disabled.
	// Zero means never.
	ExpiresAt time.Time
	Tags      map[string]string

	second *second // of version 2
}

// Matches reports whether the provider's finding meets the criteria at time now.
func (r *Rule) Matches(original finding.Finding, now time.Time) bool {
	if r.second != nil {
		return r.second.composite.Match(viewOf(original), now)
	}
	return r.Criteria.Match(original, now)
}

// Reasons says of each criterion whether it holds, and why.
func (r *Rule) Reasons(original finding.Finding, now time.Time) []filter.Reason {
	if r.second != nil {
		return reasons(r.second.composite, viewOf(original), now)
	}
	return r.Criteria.Explain(original, now)
}

// CriteriaJSON gives the criteria in AWS's form.
func (r *Rule) CriteriaJSON() ([]byte, error) {
	if r.second != nil {
		return r.second.criteria, nil
	}
	return json.Marshal(r.Criteria)
}

// decisive gives the criteria of which each must hold.
func (r *Rule) decisive() []filter.Criterion {
	if r.second != nil {
		return decisive(r.second.composite)
	}
	return r.Criteria.Criteria
}

// Active reports whether the rule takes part at time now.
func (r Rule) Active(now time.Time) bool {
	return r.Enabled && (r.ExpiresAt.IsZero() || now.Before(r.ExpiresAt))
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
	Order   float64          `json:"order"`
	Matched bool             `json:"matched"`
	Reasons []filter.Reason  `json:"reasons"`
	Updates []finding.Update `json:"updates,omitempty"`
	// Stopped says that the rule is terminal and matched: no later rule ran.
	Stopped bool `json:"stopped,omitempty"`
}

// Compare orders rules as they are applied. Equal order and equal time fall back
// on the identifier, so that the result never depends on where the rules came
// from.
func Compare(a, b Rule) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), a.UpdatedAt.Compare(b.UpdatedAt), cmp.Compare(a.ID(), b.ID()))
}

// Sort gives rules in the order of application; the input is left alone.
func Sort(rules []Rule) []Rule {
	out := slices.Clone(rules)
	slices.SortStableFunc(out, Compare)
	return out
}

// Apply runs the active rules over a finding at time now.
//
// Criteria see original, the provider's finding as finding.Create gives it;
// neither the customer's changes nor those of earlier rules. Actions change
// current, which becomes the result. The trace has a step for every rule that
// was asked; Set.Apply does the same for many findings.
func Apply(rules []Rule, original, current finding.Finding, now time.Time) (finding.Finding, Trace) {
	run := newRun(original, current, now)
	for _, r := range Sort(rules) {
		if !r.Active(now) {
			continue
		}
		if !run.ask(&r) {
			run.trace = append(run.trace, Step{Rule: r.ID(), Name: r.Name, Order: r.Order})
		}
		if run.stopped {
			break
		}
	}
	return run.result(), run.trace
}

// run is one finding on its way through the rules.
type run struct {
	original, before, current finding.Finding
	seen                      finding.Finding // original in OCSF
	now                       time.Time
	trace                     Trace
	stopped                   bool
}

func newRun(original, current finding.Finding, now time.Time) *run {
	return &run{original: original, before: current, current: current, now: now}
}

// ask applies r if its criteria hold, and reports whether they do.
func (x *run) ask(r *Rule) bool {
	if !x.meets(r) {
		return false
	}
	changed := r.Update.Apply(x.current, x.now)
	x.trace = append(x.trace, Step{
		Rule: r.ID(), Name: r.Name, Order: r.Order, Matched: true, Updates: finding.Diff(x.current, changed), Stopped: r.Terminal,
	})
	x.current, x.stopped = changed, r.Terminal
	return true
}

// meets is r.Matches with one view of the finding for all rules of version 2.
func (x *run) meets(r *Rule) bool {
	if r.second == nil {
		return r.Criteria.Match(x.original, x.now)
	}
	return r.second.composite.Match(x.view(), x.now)
}

// view gives the finding in OCSF, made when the first rule asks for it.
func (x *run) view() finding.Finding {
	if x.seen.IsZero() {
		x.seen = viewOf(x.original)
	}
	return x.seen
}

func (x *run) result() finding.Finding { return x.current.SameNote(x.before) }

// Explain is Apply with the reasons of every criterion: for a person who asks
// why. It costs more than Apply, so triage does not use it.
func Explain(rules []Rule, original, current finding.Finding, now time.Time) (finding.Finding, Trace) {
	result, trace := Apply(rules, original, current, now)
	byID := make(map[string]Rule, len(rules))
	for _, r := range rules {
		byID[r.ID()] = r
	}
	for i := range trace {
		r := byID[trace[i].Rule]
		trace[i].Reasons = r.Reasons(original, now)
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
