package runbook

import (
	"maps"
	"slices"
)

// ResolveGiven is ResolveParameters but for the parameters named in later, whose
// values only come afterwards: from the Parameter Store, or with each target. One of
// them that is given all the same has its value, which is checked.
func (d *Document) ResolveGiven(given map[string]any, later []string) (map[string]any, error) {
	if len(later) == 0 {
		return d.ResolveParameters(given, nil)
	}
	now, known := *d, maps.Clone(given)
	maps.DeleteFunc(known, func(name string, v any) bool { return v == nil && slices.Contains(later, name) })
	now.Parameters = slices.DeleteFunc(slices.Clone(d.Parameters), func(p Parameter) bool {
		return known[p.Name] == nil && slices.Contains(later, p.Name)
	})
	return now.ResolveParameters(known, nil)
}
