package apimodel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// mergeGrants makes the fewest statements that say the same: an action's
// resources are joined, those that another one covers are dropped, and actions
// on the same resources share a statement.
func mergeGrants(grants []Grant) []Statement {
	type key struct{ action, condition string }
	conditions := map[string]Condition{}
	on := map[key][]string{}
	for _, g := range grants {
		k := key{g.Action, conditionKey(g.Condition)}
		conditions[k.condition] = g.Condition
		on[k] = append(on[k], g.Resources...)
	}
	byPlace := map[key][]string{} // resources (as one text) and condition -> actions
	places := map[string][]string{}
	for k, resources := range on {
		resources = broadest(resources)
		place := strings.Join(resources, "\n")
		places[place] = resources
		at := key{place, k.condition}
		byPlace[at] = append(byPlace[at], k.action)
	}
	var out []Statement
	for at, list := range byPlace {
		slices.Sort(list)
		out = append(out, Statement{Effect: "Allow", Action: list, Resource: places[at.action], Condition: conditions[at.condition]})
	}
	slices.SortFunc(out, func(a, b Statement) int {
		if d := slices.Compare(a.Action, b.Action); d != 0 {
			return d
		}
		if d := slices.Compare(a.Resource, b.Resource); d != 0 {
			return d
		}
		return strings.Compare(conditionKey(a.Condition), conditionKey(b.Condition))
	})
	return out
}

func conditionKey(c Condition) string {
	if len(c) == 0 {
		return ""
	}
	raw, _ := json.Marshal(c) // maps of texts always marshal, with sorted keys
	return string(raw)
}

// broadest sorts resources and drops those that another one covers.
func broadest(resources []string) []string {
	list := slices.Sorted(slices.Values(resources))
	list = slices.Compact(list)
	var out []string
	for i, r := range list {
		covered := false
		for j, other := range list {
			if i != j && strings.Contains(other, "*") && Covers(other, r) && (!Covers(r, other) || j < i) {
				covered = true
				break
			}
		}
		if !covered {
			out = append(out, r)
		}
	}
	return out
}

// Covers reports whether everything that the resource pattern b matches is
// matched by a, both with IAM's wildcard *.
func Covers(a, b string) bool {
	// ${*} and its like are literal characters and take no part in matching; a
	// pattern holds them letter by letter, which is what equality of text asks for.
	p, s, star, mark := 0, 0, -1, 0
	for s < len(b) {
		switch {
		case p < len(a) && a[p] == '*' && !literalStar(a, p):
			star, mark = p, s
			p++
		case p < len(a) && a[p] == b[s] && (b[s] != '*' || literalStar(b, s)):
			p++
			s++
		case star >= 0:
			mark++
			p, s = star+1, mark
		default:
			return false
		}
	}
	for p < len(a) && a[p] == '*' {
		p++
	}
	return p == len(a)
}

func literalStar(s string, i int) bool {
	return i >= 2 && s[i-2:i] == "${" && i+1 < len(s) && s[i+1] == '}'
}

// sid names a statement by its services and, so that two differ, a digest of
// where it applies. Adding another statement does not rename it.
func sid(s Statement) string {
	var services []string
	for _, a := range s.Action {
		prefix, _, _ := strings.Cut(a, ":")
		if name := sidWord(prefix); !slices.Contains(services, name) {
			services = append(services, name)
		}
	}
	if len(services) > 2 {
		services = []string{"Several"}
	}
	sum := sha256.Sum256([]byte(strings.Join(s.Resource, "\n") + "\n" + conditionKey(s.Condition)))
	return strings.Join(services, "") + strings.ToUpper(hex.EncodeToString(sum[:4]))
}

// sidWord makes "access-analyzer" into "AccessAnalyzer": a Sid has letters and
// digits only.
func sidWord(prefix string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(prefix, "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// Allows reports whether grants cover need: every action on every resource.
// A condition has to be the same, or absent from the grant.
func Allows(grants, need []Grant) bool {
	for _, n := range need {
		for _, r := range n.Resources {
			if !slices.ContainsFunc(grants, func(g Grant) bool { return g.allows(n, r) }) {
				return false
			}
		}
	}
	return true
}

func (g Grant) allows(n Grant, resource string) bool {
	if !strings.EqualFold(g.Action, n.Action) {
		return false
	}
	if len(g.Condition) > 0 && conditionKey(g.Condition) != conditionKey(n.Condition) {
		return false
	}
	return slices.ContainsFunc(g.Resources, func(r string) bool { return Covers(r, resource) })
}

// Actions lists the actions of grants, sorted, each once.
func Actions(grants []Grant) []string {
	set := map[string]bool{}
	for _, g := range grants {
		set[g.Action] = true
	}
	return slices.Sorted(maps.Keys(set))
}
