package playbook

import (
	"slices"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// Standing gives the checks that only belong to the fix and hold already.
func (p Playbook) Standing(readings Readings) []remediation.CheckResult {
	var out []remediation.CheckResult
	for _, c := range p.Checks {
		if !c.Fixed {
			continue
		}
		if passed, detail := c.test(readings); passed {
			out = append(out, remediation.CheckResult{Check: c.Name, Passed: true, Detail: detail})
		}
	}
	return out
}

// Again is Look with Fixed, after a change: it reads what the change touches, what
// failed in earlier, and what earlier does not know; the other checks are taken from
// there. again counts those that were read.
func (p Playbook) Again(r Resource, earlier []remediation.CheckResult, touched func(apimodel.Call) bool, call Caller) (results []remediation.CheckResult, again int, err error) {
	known := make(map[string]remediation.CheckResult, len(earlier))
	for _, e := range earlier {
		if e.Passed {
			known[e.Check] = e
		}
	}
	wanted, err := p.wanted(r, known, touched)
	if err != nil {
		return nil, 0, err
	}
	part := p
	keep := func(checks []Check) (kept []Check) {
		for _, c := range checks {
			if wanted[c.Read] {
				kept = append(kept, c)
			}
		}
		return kept
	}
	part.Applies, part.Checks = keep(p.Applies), keep(p.Checks)
	part.Reads = slices.DeleteFunc(slices.Clone(p.Reads), func(read Read) bool { return !wanted[read.Name] && !read.Deferred })
	_, fresh, err := part.Look(r, Looking{Fixed: true}, call)
	if err != nil {
		return nil, 0, err
	}
	if part.outside(fresh) {
		return fresh, len(fresh), nil
	}
	next := 0
	for _, c := range p.Checks {
		if wanted[c.Read] {
			results = append(results, fresh[next])
			next++
			continue
		}
		results = append(results, known[c.Name])
	}
	return results, next, nil
}

// outside reports whether results are those of a control that is not about the resource.
func (p Playbook) outside(results []remediation.CheckResult) bool {
	return len(results) != len(p.Checks)
}

// wanted names the reads that Again has to make: those that may show something else
// than before, those of a check that did not pass, and those that a check on another
// read made again may be excused by.
func (p Playbook) wanted(r Resource, known map[string]remediation.CheckResult, touched func(apimodel.Call) bool) (map[string]bool, error) {
	out := map[string]bool{}
	for _, read := range p.Reads {
		c, err := read.Call(r)
		if err != nil {
			return nil, err
		}
		if touched(c) {
			out[read.Name] = true
		}
	}
	for {
		before := len(out)
		for _, c := range p.Checks {
			_, passed := known[c.Name]
			excused := slices.ContainsFunc(c.Unless, func(t Term) bool { return out[t.Read] })
			if !passed || excused {
				out[c.Read] = true
			}
			if !out[c.Read] {
				continue
			}
			for _, t := range c.Unless {
				out[t.Read] = true
			}
		}
		if len(out) == before {
			return out, nil
		}
	}
}
