package rule

import (
	"slices"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// Set holds rules compiled for many findings. A rule that asks for certain
// values, such as an account or a control, is asked only about findings that
// have one of them, so that a thousand rules cost little more than the few that
// could apply. A Set is never written and may be shared.
type Set struct {
	rules     []Rule // enabled, in the order of application
	always    []int32
	selectors []selector
}

// selector finds rules by the values of one field.
type selector struct {
	field filter.Field
	ocsf  bool // the field is one of OCSF
	rules map[string][]int32
}

// Compile makes a Set. Disabled rules are left out; the time of expiry is looked
// at when a finding comes.
func Compile(rules []Rule) *Set {
	s := &Set{}
	for _, r := range Sort(rules) {
		if r.Enabled {
			s.rules = append(s.rules, r)
		}
	}
	values := cardinalities(s.rules)
	at := map[string]int{}
	for i := range s.rules {
		best, ok := mostSelective(&s.rules[i], values)
		if !ok {
			s.always = append(s.always, int32(i)) //nolint:gosec // there are at most some 10,000 rules
			continue
		}
		n, known := at[best.Field.Name]
		if !known {
			n = len(s.selectors)
			at[best.Field.Name] = n
			s.selectors = append(s.selectors, selector{best.Field, s.rules[i].second != nil, map[string][]int32{}})
		}
		for _, v := range wanted(best) {
			s.selectors[n].rules[v] = append(s.selectors[n].rules[v], int32(i)) //nolint:gosec // see above
		}
	}
	return s
}

// Len gives the number of enabled rules.
func (s *Set) Len() int { return len(s.rules) }

// Apply is the function Apply with a trace of the rules that matched alone.
func (s *Set) Apply(original, current finding.Finding, now time.Time) (finding.Finding, Trace) {
	if s == nil || len(s.rules) == 0 {
		return current, nil
	}
	var room [64]int32
	run := newRun(original, current, now)
	for _, i := range s.candidates(run, room[:0]) {
		if r := &s.rules[i]; r.Active(now) && run.ask(r) && run.stopped {
			break
		}
	}
	return run.result(), run.trace
}

// Matching gives the identifiers of the rules whose criteria f meets, in the order of
// application; nothing is applied.
func (s *Set) Matching(f finding.Finding, now time.Time) []string {
	if s == nil || len(s.rules) == 0 {
		return nil
	}
	var room [64]int32
	var out []string
	run := newRun(f, f, now)
	for _, i := range s.candidates(run, room[:0]) {
		if r := &s.rules[i]; r.Active(now) && run.meets(r) {
			out = append(out, r.ID())
		}
	}
	return out
}

// candidates gives the rules that may match, in the order of application.
func (s *Set) candidates(x *run, out []int32) []int32 {
	out = append(out, s.always...)
	for _, sel := range s.selectors {
		doc := x.original
		if sel.ocsf {
			doc = x.view()
		}
		if sel.field.Kind == filter.Map {
			sel.field.Pairs(doc, func(k, v string) bool {
				out = append(out, sel.rules[pair(k, v)]...)
				return true
			})
			continue
		}
		doc.Values(sel.field.Paths[0], func(v any) bool {
			if text, ok := v.(string); ok {
				out = append(out, sel.rules[text]...)
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mostSelective gives the criterion of r that the fewest findings are likely to
// meet, of those that a value decides.
func mostSelective(r *Rule, values map[string]int) (filter.Criterion, bool) {
	var best filter.Criterion
	least, found := 0.0, false
	for _, c := range r.decisive() {
		n := len(wanted(c))
		if n == 0 {
			continue
		}
		if share := float64(n) / float64(values[c.Field.Name]); !found || share < least {
			best, least, found = c, share, true
		}
	}
	return best, found
}

// wanted gives the values of which a finding must have one to meet c; none when
// values do not decide.
func wanted(c filter.Criterion) []string {
	var out []string
	for _, t := range c.Strings {
		if t.Comparison != filter.Equals {
			return nil
		}
		out = append(out, t.Value)
	}
	for _, t := range c.Maps {
		if t.Comparison != filter.Equals {
			return nil
		}
		out = append(out, pair(t.Key, t.Value))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func pair(key, value string) string { return key + "\x00" + value }

// cardinalities estimates how many values each field has among findings: what
// is known of the field, or as many as the rules name.
func cardinalities(rules []Rule) map[string]int {
	seen := map[string]map[string]bool{}
	for i := range rules {
		for _, c := range rules[i].decisive() {
			name := c.Field.Name
			if seen[name] == nil {
				seen[name] = map[string]bool{}
			}
			for _, v := range wanted(c) {
				seen[name][v] = true
			}
		}
	}
	out := make(map[string]int, len(seen))
	for name, values := range seen {
		out[name] = max(usualValues(name), len(values))
	}
	return out
}

// usualValues is roughly how many values a field has in an organization of some
// size. Fields with few values are worst to select by: nearly every finding is
// ACTIVE.
func usualValues(field string) int {
	switch field {
	case "Id", "finding_info.uid":
		return 1_000_000
	case "ResourceId", "RelatedFindingsId", "resources.uid":
		return 100_000
	case "AwsAccountId", "AwsAccountName", "ResourceOwnerAccountId", "ComplianceSecurityControlId", "GeneratorId", "Title", "Description", "SourceUrl",
		"cloud.account.uid", "cloud.account.name", "compliance.control", "finding_info.title":
		return 200
	case "ResourceTags", "UserDefinedFields", "ResourceDetailsOther":
		return 100
	case "ResourceType", "Type", "NoteText", "ResourceApplicationName", "ResourceApplicationArn":
		return 50
	case "ProductArn", "ProductName", "ResourceRegion", "NoteUpdatedBy":
		return 10
	case "SeverityLabel":
		return 5
	}
	return 2
}
