package rule

import (
	"slices"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
)

// viewOf gives a finding as composite filters see it: in OCSF, with the methods of a
// finding, since a field's name is its path.
func viewOf(f finding.Finding) finding.Finding {
	return finding.Wrap(ocsf.View(f))
}

// reasons gives those of every test in c, of whatever depth.
func reasons(c filter.Composite, view finding.Finding, now time.Time) []filter.Reason {
	var out []filter.Reason
	var gather func(filter.Verdict)
	gather = func(v filter.Verdict) {
		out = append(out, v.Reasons...)
		for _, g := range v.Groups {
			gather(g)
		}
	}
	gather(c.Explain(view, now))
	return out
}

// decisive gives the tests of c of which each must hold.
func decisive(c filter.Composite) []filter.Criterion {
	return decisiveOf(filter.Group{Operator: c.Operator, Nested: c.Groups})
}

func decisiveOf(g filter.Group) []filter.Criterion {
	if g.Operator == filter.Or && len(g.Tests)+len(g.Nested) > 1 {
		return nil
	}
	out := slices.Clone(g.Tests)
	for _, n := range g.Nested {
		out = append(out, decisiveOf(n)...)
	}
	return out
}
