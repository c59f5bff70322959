package runbook

import "slices"

// ResolveGiven is ResolveParameters but for the parameters named in later, whose
// values only come afterwards: from the Parameter Store, or with each target.
func (d *Document) ResolveGiven(given map[string]any, later []string) (map[string]any, error) {
	if len(later) == 0 {
		return d.ResolveParameters(given, nil)
	}
	now := *d
	now.Parameters = slices.DeleteFunc(slices.Clone(d.Parameters), func(p Parameter) bool { return slices.Contains(later, p.Name) })
	return now.ResolveParameters(given, nil)
}
