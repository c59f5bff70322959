package route

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
)

// The limits on rules.
const (
	MaxRules   = 100_000 // of a table
	MaxTargets = 100     // of a rule
	// DefaultMaxHops is how many rules a chain of events may pass when the rule
	// says nothing.
	DefaultMaxHops = 4
)

// Kind says what a target is.
type Kind string

// The kinds of target.
const (
	Playbook Kind = "playbook"
	Channel  Kind = "channel"
	Case     Kind = "case" // by the template of the name
)

// Answering as the name of a playbook target stands for the playbook that answers the
// control of each finding; a finding whose control has none leads to nothing.
const Answering = "*"

// Target is where a matching event goes.
type Target struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

// Rule sends events that match Pattern to its targets.
type Rule struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Pattern json.RawMessage `json:"pattern"`
	Enabled bool            `json:"enabled"`
	Targets []Target        `json:"targets"`
	// MaxHops is how many rules a chain of events may have passed before this
	// one. Default DefaultMaxHops.
	MaxHops int `json:"max_hops,omitempty"`
}

// Refusal is a rule that is disabled because it is wrong. A person must act.
type Refusal struct {
	Rule string `json:"rule"` // its id, or its place in the list
	Name string `json:"name,omitempty"`
	Err  error  `json:"-"`
}

// Error prints the rule and the reason.
func (r Refusal) Error() string { return fmt.Sprintf("rule %q is disabled: %v", r.Rule, r.Err) }

// Unwrap gives the reason.
func (r Refusal) Unwrap() error { return r.Err }

// LogValue gives the refusal's facts, with the hint.
func (r Refusal) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", r.Rule), slog.String("name", r.Name), slog.Any("error", r.Err), slog.String("hint", fault.HintOf(r.Err)))
}

// Known says which targets exist. A nil function knows every name.
type Known struct {
	Playbook func(name string) bool
	Channel  func(name string) bool
	Case     func(name string) bool
}

func (k Known) has(t Target) bool {
	switch t.Kind {
	case Playbook:
		return t.Name == Answering || k.Playbook == nil || k.Playbook(t.Name)
	case Channel:
		return k.Channel == nil || k.Channel(t.Name)
	case Case:
		return k.Case == nil || k.Case(t.Name)
	}
	return false
}

// Table is compiled rules. It is immutable.
type Table struct {
	rules    map[string]Rule
	patterns pattern.Set // under the rules' ids
	refusals []Refusal
	warnings []string
}

// Compile makes a table of the enabled rules that are right. What is wrong with
// the others is in Refusals: they match nothing.
func Compile(rules []Rule, known Known) *Table {
	t := &Table{rules: map[string]Rule{}}
	var patterns []pattern.Named
	for i, r := range rules {
		if !r.Enabled {
			continue
		}
		p, err := check(r, known)
		_, taken := t.rules[r.ID]
		switch {
		case err != nil:
		case taken:
			err = fault.Errorf(fault.Conflict, "compile rule", "the id %q is taken by an earlier rule", r.ID).WithHint("give every rule an id of its own")
		case len(t.rules) == MaxRules:
			err = fault.Errorf(fault.Exhausted, "compile rule", "there are %d rules already, which is the limit", MaxRules)
		}
		if err != nil {
			id := r.ID
			if id == "" {
				id = fmt.Sprintf("rules[%d]", i)
			}
			t.refusals = append(t.refusals, Refusal{Rule: id, Name: r.Name, Err: err})
			continue
		}
		for _, w := range p.Warnings() {
			t.warnings = append(t.warnings, fmt.Sprintf("rule %q: %s", r.ID, w))
		}
		if r.MaxHops <= 0 {
			r.MaxHops = DefaultMaxHops
		}
		t.rules[r.ID] = r
		patterns = append(patterns, pattern.Named{Name: r.ID, Pattern: p})
	}
	if err := t.patterns.Replace(patterns); err != nil { // unreachable: each was compiled
		t.rules = nil
		t.refusals = append(t.refusals, Refusal{Rule: "all", Err: err})
	}
	return t
}

func check(r Rule, known Known) (*pattern.Pattern, error) {
	const op = "compile rule"
	switch {
	case r.ID == "":
		return nil, fault.Errorf(fault.Invalid, op, "it has no id").WithHint("give every rule a name")
	case len(r.Targets) == 0:
		return nil, fault.Errorf(fault.Invalid, op, "it has no targets").WithHint("name a playbook, a channel or a case")
	case len(r.Targets) > MaxTargets:
		return nil, fault.Errorf(fault.Invalid, op, "%d targets are more than the limit of %d", len(r.Targets), MaxTargets).WithHint("split the rule")
	}
	for i, target := range r.Targets {
		if target.Kind != Playbook && target.Kind != Channel && target.Kind != Case {
			return nil, fault.Errorf(fault.Invalid, op, "targets[%d].kind %q is not playbook, channel or case", i, target.Kind)
		}
		if target.Name == "" || !known.has(target) {
			return nil, fault.Errorf(fault.NotFound, op, "targets[%d]: there is no %s %q", i, target.Kind, target.Name).
				WithHint("run: parry playbook list, or look at channels and cases in parry.yaml")
		}
	}
	return pattern.Parse(r.Pattern)
}

// match gives the ids of the rules that an event meets, in the order of the table.
// With an error they are those that could judge it.
func (t *Table) match(event []byte) ([]string, error) {
	text, err := pattern.Validate(event)
	if err != nil {
		return nil, err
	}
	return t.patterns.Match(text, nil)
}

// Len gives the number of rules in force.
func (t *Table) Len() int { return len(t.rules) }

// Refusals gives the rules that are disabled because they are wrong.
func (t *Table) Refusals() []Refusal { return t.refusals }

// Warnings gives what is in force but was hardly meant.
func (t *Table) Warnings() []string { return t.warnings }
