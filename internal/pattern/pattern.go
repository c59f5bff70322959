package pattern

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
)

// Pattern is a compiled event pattern. It is immutable and safe for concurrent
// use.
type Pattern struct {
	text string
	// clauses are all leaves of the pattern in the order of its text.
	clauses []*clause
	// conjunctions are the ways to match, one without $or. Each holds at most one
	// clause for a path, in the order of paths.
	conjunctions [][]*clause
	trailing     bool
}

// clause is one field of a pattern with its alternatives: it is met by a leaf
// that any alternative accepts.
type clause struct {
	test
	index  int
	path   string // steps joined by dots: "detail.findings.Severity.Label"
	steps  []string
	place  string // where it stands in the pattern: "$.detail.$or[0].x"
	wanted string // its JSON text
}

// test is the alternatives of a clause.
type test struct {
	exact        texts // strings that are met as they are; taken out of alternatives
	alternatives []alternative
	absent       bool // one alternative is {"exists": false}
}

// Parse compiles a pattern. An error names the JSON path of what is wrong and
// how to write it.
func Parse(raw []byte) (*Pattern, error) {
	const op = "parse event pattern"
	if len(raw) > MaxPatternBytes {
		return nil, fault.Errorf(fault.Invalid, op, "%d bytes are more than the limit of %d", len(raw), MaxPatternBytes).
			WithHint("split the pattern into several rules")
	}
	if !utf8.Valid(raw) {
		return nil, fault.Errorf(fault.Invalid, op, "the text is not UTF-8").WithHint("save the text as UTF-8")
	}
	p := scanner{s: string(raw)}
	if p.peek() != '{' {
		return nil, fault.E(fault.Invalid, op, p.syntax("an event pattern must be a JSON object")).
			WithHint(`write for example {"source": ["aws.securityhub"]}`)
	}
	root, err := p.tree(1)
	if err != nil {
		return nil, fault.E(fault.Invalid, op, err).WithHint("the pattern must be JSON text")
	}
	c := compiler{}
	conjunctions, err := c.object(root, nil, "", "$", false)
	if err != nil {
		return nil, err
	}
	out := &Pattern{text: root.raw, clauses: c.clauses, trailing: p.peek() != 0 || p.i < len(p.s)}
	for _, m := range conjunctions {
		slices.SortFunc(m, func(a, b *clause) int { return strings.Compare(a.path, b.path) })
		out.conjunctions = append(out.conjunctions, m)
	}
	return out, nil
}

// String gives the pattern's JSON text.
func (p *Pattern) String() string { return p.text }

// Warnings names what was accepted but was hardly meant.
func (p *Pattern) Warnings() []string {
	if !p.trailing {
		return nil
	}
	return []string{"the text after the pattern's closing brace is ignored"}
}

// refuse gives an error about the place in the pattern, with the way to write it.
func refuse(place, hint, format string, args ...any) error {
	return fault.Errorf(fault.Invalid, "parse event pattern", "%s: %w", short(place, 300), fmt.Errorf(format, args...)).WithHint("%s", hint)
}

// short bounds text of a pattern or an event for messages.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[:n]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// compiler turns the tree of a pattern into conjunctions of clauses.
type compiler struct {
	clauses []*clause
}

// object adds the members of n to every conjunction in sum; a nil sum is the one
// empty conjunction. A path that a conjunction holds already is replaced.
func (c *compiler) object(n node, sum [][]*clause, path, place string, inOr bool) ([][]*clause, error) {
	if len(n.members) == 0 {
		return nil, refuse(place, "leave it out, or name a field in it", "an empty object matches nothing")
	}
	for _, m := range n.members {
		here := place + "." + m.key
		var err error
		switch {
		case m.key == "$or":
			sum, err = c.or(m.value, sum, path, here)
		case inOr && reservedInOr(m.key):
			err = refuse(here, "rename the field, or write the operator inside a list: [{\"prefix\": \"a\"}]", "%q cannot be a field name inside $or", m.key)
		case m.value.kind == nodeObject:
			sum, err = c.object(m.value, sum, join(path, m.key), here, inOr)
		case m.value.kind == nodeArray:
			sum, err = c.field(m.value, sum, join(path, m.key), here)
		default:
			err = refuse(here, `write a list: ["a"]`, "%s stands where an object or a list was due", m.value.what())
		}
		if err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func join(path, step string) string {
	if path == "" {
		return step
	}
	return path + "." + step
}

// field compiles one leaf and puts it into every conjunction.
func (c *compiler) field(n node, sum [][]*clause, path, place string) ([][]*clause, error) {
	alternatives, err := compileLeaf(n, place)
	if err != nil {
		return nil, err
	}
	cl := newClause(path, n.raw, alternatives)
	cl.index, cl.place = len(c.clauses), place
	c.clauses = append(c.clauses, cl)
	if sum == nil {
		sum = [][]*clause{nil}
	}
	for i, m := range sum {
		if sum[i] = put(m, cl); len(sum[i]) > MaxFields {
			return nil, refuse(place, "split the pattern into several rules", "the fields are more than the limit of %d", MaxFields)
		}
	}
	return sum, nil
}

func newClause(path, wanted string, alternatives []alternative) *clause {
	cl := &clause{path: path, steps: strings.Split(path, "."), wanted: wanted}
	for _, a := range alternatives {
		switch a.op {
		case opString:
			cl.exact.add(a.text)
		case opAbsent:
			cl.absent = true
		default:
			cl.alternatives = append(cl.alternatives, a)
		}
	}
	return cl
}

// put gives m with cl, which replaces a clause for the same path.
func put(m []*clause, cl *clause) []*clause {
	for i, old := range m {
		if old.path == cl.path {
			m[i] = cl
			return m
		}
	}
	return append(m, cl)
}

// or gives every conjunction of sum once with each branch.
func (c *compiler) or(n node, sum [][]*clause, path, place string) ([][]*clause, error) {
	const write = `write "$or": [{"a": ["x"]}, {"b": ["y"]}]`
	if n.kind != nodeArray || len(n.items) < 2 {
		return nil, refuse(place, write, "$or needs a list of at least two objects")
	}
	var out [][]*clause
	for i, branch := range n.items {
		here := fmt.Sprintf("%s[%d]", place, i)
		if branch.kind != nodeObject {
			return nil, refuse(here, write, "%s stands where an object was due", branch.what())
		}
		copied := make([][]*clause, 0, max(1, len(sum)))
		for _, m := range sum {
			copied = append(copied, slices.Clone(m))
		}
		if len(sum) == 0 {
			copied = nil
		}
		branches, err := c.object(branch, copied, path, here, true)
		if err != nil {
			return nil, err
		}
		out = append(out, branches...)
		if len(out) > MaxCombinations {
			return nil, refuse(place, "split the pattern into several rules", "$or gives more than %d combinations", MaxCombinations)
		}
	}
	return out, nil
}

// reservedInOr lists the names that EventBridge keeps for operators, so that an
// $or which was meant as a field name is not misread.
func reservedInOr(name string) bool {
	switch name {
	case "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
		"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case",
		"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
		"ip-address-in-range", "ip-address-not-in-range":
		return true
	}
	return false
}
