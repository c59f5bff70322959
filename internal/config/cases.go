package config

import (
	"time"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// CaseTemplate says which cases rules open by its name.
type CaseTemplate struct {
	Name           string        `yaml:"name"`
	Title          string        `yaml:"title"`           // stands before the event's; default: none
	Severity       string        `yaml:"severity"`        // default: the highest of its events
	EngagementType string        `yaml:"engagement_type"` // default: Security Incident
	GroupBy        []string      `yaml:"group_by"`        // default: account, resource
	Window         time.Duration `yaml:"window"`          // default: as long as the case is open
	Replays        bool          `yaml:"replays"`         // replayed events open cases too
}

// maxTemplates bounds the templates.
const maxTemplates = 100

func (t CaseTemplate) template() casefile.Template {
	out := casefile.Template{
		Name: t.Name, Title: t.Title, Severity: finding.Label(t.Severity), Engagement: casefile.Engagement(t.EngagementType), Window: t.Window, Replays: t.Replays,
	}
	for _, a := range t.GroupBy {
		out.GroupBy = append(out.GroupBy, casefile.Attribute(a))
	}
	return out.Filled()
}

// CaseTemplates gives the templates by name, with the one that is always there.
func (c *Config) CaseTemplates() map[string]casefile.Template {
	out := map[string]casefile.Template{casefile.DefaultTemplate: casefile.Default()}
	for _, t := range c.Cases {
		out[t.Name] = t.template()
	}
	return out
}

func (c *Config) validateCases() error {
	if len(c.Cases) > maxTemplates {
		return fault.Errorf(fault.Invalid, validate, "cases has %d entries, the limit is %d", len(c.Cases), maxTemplates)
	}
	names := map[string]bool{}
	for i, t := range c.Cases {
		if err := t.template().Validate(); err != nil {
			return fault.Errorf(fault.Invalid, validate, "cases[%d]: %w", i, err)
		}
		if names[t.Name] {
			return fault.Errorf(fault.Invalid, validate, "cases[%d].name %q is taken", i, t.Name).WithHint("give every template a name of its own")
		}
		names[t.Name] = true
	}
	known := c.CaseTemplates()
	for i, r := range c.BusRules {
		for _, name := range r.Cases {
			if _, ok := known[name]; !ok {
				return fault.Errorf(fault.Invalid, validate, "bus_rules[%d] opens a case %q, which is no template", i, name).WithHint("add it to cases, or write new")
			}
		}
	}
	return nil
}
