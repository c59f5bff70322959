package store

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// narrow compiles f to conditions that every finding which f matches at time
// now satisfies, and gives the criteria that these do not decide alone: they
// must be asked of the documents.
//
// Invariant: a condition may let through too much, never too little. The
// differential test of storetest holds it against filter.Match.
func narrow(f filter.Filter, now time.Time) (where []Condition, rest filter.Filter) {
	for _, c := range f.Criteria {
		conditions, decided := narrowCriterion(c, now)
		where = append(where, conditions...)
		if !decided {
			rest.Criteria = append(rest.Criteria, c)
		}
	}
	return where, rest
}

func narrowCriterion(c filter.Criterion, now time.Time) (conditions []Condition, decided bool) {
	switch c.Field.Name {
	case "Title", "Description":
		return narrowText(c)
	case "ResourceId":
		return narrowResources(c)
	case "Type":
		return narrowTypes(c)
	case "SeverityNormalized":
		return []Condition{numberRanges(c.Numbers)}, true
	case "CreatedAt", "UpdatedAt":
		return narrowDates(c, now)
	}
	col, ok := columnOf(c.Field.Name)
	if !ok {
		return nil, false
	}
	return col.narrow(c)
}

// narrowSingle is narrow for findings that have at most one resource: what a column
// says of the first, it says of all.
func narrowSingle(f filter.Filter, now time.Time) (where []Condition, rest filter.Filter) {
	where, rest = narrow(f, now)
	var left filter.Filter
	for _, c := range rest.Criteria {
		col, ok := columnOf(c.Field.Name)
		if !ok || !col.first {
			left.Criteria = append(left.Criteria, c)
			continue
		}
		col.first = false
		conditions, decided := col.narrow(c)
		if where = append(where, conditions...); !decided {
			left.Criteria = append(left.Criteria, c)
		}
	}
	return append(where, Condition{Column: "resources", Op: OpAtMost, Values: []string{"1"}}), left
}

// filterColumn is the column that copies a field of the filters.
type filterColumn struct {
	name  string
	width int // bytes that the column keeps
	// cut says that the field may be longer than the column.
	cut bool
	// hint says that the column may say more than the document does, or only a
	// part of it: it excludes, the document decides.
	hint bool
	// first says that the column holds the first of several values only.
	first bool
}

func columnOf(field string) (filterColumn, bool) {
	switch field {
	case "AwsAccountId":
		return filterColumn{name: "account", width: maxID}, true
	case "ProductArn":
		return filterColumn{name: "product_arn", width: 1 << 12}, true
	case "Id":
		return filterColumn{name: "id", width: 1 << 12}, true
	case "Region":
		return filterColumn{name: "region", width: narrowColumn}, true
	case "GeneratorId":
		return filterColumn{name: "generator", width: wideColumn, cut: true}, true
	case "ProductName":
		return filterColumn{name: "product", width: narrowColumn, cut: true}, true
	case "SeverityLabel":
		return filterColumn{name: "severity", width: narrowColumn}, true
	case "WorkflowStatus":
		return filterColumn{name: "workflow", width: narrowColumn}, true
	case "RecordState":
		return filterColumn{name: "record_state", width: narrowColumn}, true
	case "ComplianceStatus":
		return filterColumn{name: "compliance", width: narrowColumn}, true
	case "ComplianceSecurityControlId":
		// The column also knows controls that the finding does not name.
		return filterColumn{name: "control", width: narrowColumn, cut: true, hint: true}, true
	case "Title":
		return filterColumn{name: "title", width: wideColumn}, true
	case "ResourceType":
		return filterColumn{name: "resource_type", width: narrowColumn, cut: true, first: true}, true
	case "ResourceId":
		return filterColumn{name: "resource_id", width: wideColumn, cut: true, first: true}, true
	}
	return filterColumn{}, false
}

// whole reports whether the column decides about v as the document does: text
// is cut there, and what a database cannot keep is replaced.
func (col filterColumn) whole(v string) bool {
	return len(v)+utf8.UTFMax <= col.width && !strings.ContainsAny(v, "\x00\uFFFD") && utf8.ValidString(v)
}

func (col filterColumn) narrow(c filter.Criterion) (conditions []Condition, decided bool) {
	var positive []Condition
	decided = !col.hint && !col.first
	possible := true // every positive test has a condition
	for _, t := range c.Strings {
		whole := col.whole(t.Value)
		decided = decided && whole
		condition := Condition{Column: col.name, Op: opOf(t.Comparison), Values: []string{t.Value}}
		switch t.Comparison {
		case filter.NotEquals, filter.PrefixNotEquals, filter.NotContains:
			if whole && !col.hint {
				conditions = append(conditions, condition)
			}
			// What is not excluded by a cut column may be by the document.
			decided = decided && (t.Comparison != filter.NotContains || !col.cut)
			continue
		case filter.Contains:
			possible = possible && whole && !col.cut // else the part may lie behind the cut
		case filter.Prefix:
			condition.Values[0] = text(t.Value, col.width-utf8.UTFMax)
		}
		positive = append(positive, condition)
	}
	conditions = merged(conditions)
	if !possible {
		return conditions, false
	}
	if len(positive) == 0 {
		return conditions, decided
	}
	if col.first {
		positive = append(positive, Condition{Column: "resources", Op: OpGreater, Values: []string{"1"}})
	}
	return append(conditions, Condition{Or: merged(positive)}), decided
}

// merged joins the conditions of one operator on one column: an index serves a
// list of values best, and the number of conditions is bounded.
func merged(all []Condition) []Condition {
	var out []Condition
	for _, c := range all {
		i := slices.IndexFunc(out, func(o Condition) bool { return o.Column == c.Column && o.Op == c.Op })
		if i < 0 {
			out = append(out, c)
			continue
		}
		out[i].Values = append(out[i].Values, c.Values...)
	}
	return out
}

func opOf(c filter.Comparison) Op {
	switch c {
	case filter.NotEquals:
		return OpNotEqual
	case filter.PrefixNotEquals:
		return OpNotPrefix
	case filter.NotContains:
		return OpNotContains
	case filter.Prefix:
		return OpPrefix
	case filter.Contains:
		return OpContains
	}
	return OpEqual
}

// narrowText serves CONTAINS by the text of searches, which knows no case, and
// the rest by the title's column.
func narrowText(c filter.Criterion) (conditions []Condition, decided bool) {
	var parts []string
	for _, t := range c.Strings {
		if t.Comparison == filter.Contains {
			parts = append(parts, t.Value)
		}
	}
	if len(parts) > 0 && len(parts) == len(c.Strings) {
		return []Condition{{Column: columnWords, Op: OpContains, Values: parts}}, false
	}
	if col, ok := columnOf(c.Field.Name); ok {
		return col.narrow(c)
	}
	return nil, false
}

// narrowResources serves EQUALS by an index over all resources, and the rest by
// the first resource's column.
func narrowResources(c filter.Criterion) (conditions []Condition, decided bool) {
	var equal []string
	for _, t := range c.Strings {
		if t.Comparison != filter.Equals {
			col, _ := columnOf(c.Field.Name)
			return col.narrow(c)
		}
		equal = append(equal, t.Value)
	}
	col, _ := columnOf(c.Field.Name)
	decided = true
	for _, v := range equal {
		decided = decided && col.whole(v)
	}
	return []Condition{{Column: columnAnyResource, Op: OpEqual, Values: equal}}, decided
}

// typeEnd stands around each of a finding's types in their column, typeSpace for a line
// feed in one.
const typeEnd, typeSpace = "\n", "\v"

func typesOf(doc finding.Finding) []string {
	var types []string
	doc.Values([]string{"Types"}, func(v any) bool {
		if s, ok := v.(string); ok {
			types = append(types, s)
		}
		return true
	})
	return types
}

// typesColumn gives the column of types.
func typesColumn(types []string) string {
	if len(types) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(typeEnd)
	for _, t := range types {
		b.WriteString(strings.ReplaceAll(t, typeEnd, typeSpace))
		b.WriteString(typeEnd)
	}
	return text(b.String(), maxFinding)
}

// narrowTypes looks for types, their beginnings and their parts in the column of all.
func narrowTypes(c filter.Criterion) (conditions []Condition, decided bool) {
	col := filterColumn{name: columnTypes, width: maxFinding}
	decided = true
	var positive []Condition
	possible := true
	for _, t := range c.Strings {
		negative := t.Comparison == filter.NotEquals || t.Comparison == filter.PrefixNotEquals || t.Comparison == filter.NotContains
		if !col.whole(t.Value) || strings.ContainsAny(t.Value, typeEnd+typeSpace) {
			decided, possible = false, possible && negative
			continue
		}
		part := t.Value
		switch t.Comparison {
		case filter.Equals, filter.NotEquals:
			part = typeEnd + part + typeEnd
		case filter.Prefix, filter.PrefixNotEquals:
			part = typeEnd + part
		}
		if negative {
			conditions = append(conditions, Condition{Column: col.name, Op: OpNotContains, Values: []string{part}})
		} else {
			positive = append(positive, Condition{Column: col.name, Op: OpContains, Values: []string{part}})
		}
	}
	if conditions = merged(conditions); possible && len(positive) > 0 {
		conditions = append(conditions, merged(positive)...)
	}
	return conditions, decided
}

// numberRanges turns tests of an integer column into ranges of integers.
func numberRanges(tests []filter.NumberTest) Condition {
	var out Condition
	for _, t := range tests {
		lo, hi := integers(t)
		out.Or = append(out.Or, Condition{
			Column: "severity_normalized", Op: OpBetween,
			Values: []string{strconv.FormatInt(lo, 10), strconv.FormatInt(hi, 10)},
		})
	}
	return out
}

// integers gives the least and the greatest integer for which t holds; the
// least is greater where there is none.
func integers(t filter.NumberTest) (lo, hi int64) {
	const far = 1 << 40 // beyond every severity, and exact as a float
	least, most := -float64(far), float64(far)
	if t.Gte != nil {
		least = max(least, math.Ceil(*t.Gte))
	}
	if t.Gt != nil {
		least = max(least, math.Floor(*t.Gt)+1)
	}
	if t.Lte != nil {
		most = min(most, math.Floor(*t.Lte))
	}
	if t.Lt != nil {
		most = min(most, math.Ceil(*t.Lt)-1)
	}
	if t.Eq != nil {
		least, most = max(least, math.Ceil(*t.Eq)), min(most, math.Floor(*t.Eq))
	}
	return int64(min(least, far+1)), int64(max(most, -far-1))
}

// narrowDates turns spans into ranges of microseconds. A document may tell more
// than its column, which is cut to the microsecond: an inclusive end therefore
// asks the document, a start or an edge of whole microseconds does not.
func narrowDates(c filter.Criterion, now time.Time) (conditions []Condition, decided bool) {
	column := map[string]string{"CreatedAt": "created_at", "UpdatedAt": "updated_at"}[c.Field.Name]
	either := Condition{}
	decided = true
	for _, t := range c.Dates {
		from, to := t.Bounds()
		exact := to.IsZero() && whole(from)
		if t.Range != nil {
			edge := t.Range.Edge(now)
			exact = whole(edge)
			from, to = edge, time.Time{}
			if t.Range.Comparison == filter.OlderThan {
				from, to = time.Time{}, edge.Add(-time.Nanosecond)
			}
		}
		decided = decided && exact
		either.Or = append(either.Or, between(column, from, to))
	}
	return []Condition{either}, decided
}

// whole reports whether t has no part of a microsecond.
func whole(t time.Time) bool { return t.Nanosecond()%int(time.Microsecond) == 0 }

// between gives the range from..to in microseconds, each open where it is zero.
func between(column string, from, to time.Time) Condition {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	if !from.IsZero() {
		lo = micros(from)
	}
	if !to.IsZero() {
		hi = micros(to)
	}
	return Condition{Column: column, Op: OpBetween, Values: []string{atMicros(lo), atMicros(hi)}}
}
