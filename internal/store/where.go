package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Op compares a column with values.
type Op string

// The operators. The positive ones hold when any value does, the negative ones
// when no value does; text is compared byte by byte, so case counts. OpBetween
// takes two values, both included; the ordering operators take one.
const (
	OpEqual       Op = "eq"
	OpNotEqual    Op = "ne"
	OpPrefix      Op = "prefix"
	OpNotPrefix   Op = "not_prefix"
	OpContains    Op = "contains"
	OpNotContains Op = "not_contains"
	OpLess        Op = "lt"
	OpAtMost      Op = "lte"
	OpGreater     Op = "gt"
	OpAtLeast     Op = "gte"
	OpBetween     Op = "between"
)

// Condition is one clause over a column, or, when Or is set, the alternative of
// several; the other fields are then unused. Values of a number column are
// decimal, those of a time column RFC 3339 or "@" and microseconds since 1970.
type Condition struct {
	Column string
	Op     Op
	Values []string
	Or     []Condition
	// And is several that must hold together, for use below Or.
	And []Condition
	// rows are the row numbers of the findings for which it holds, where the store has
	// looked them up: what else it says does not count then.
	rows []int64
}

// The limits of a query: enough for any filter, too little to hurt.
const (
	maxConditions = 200
	maxValues     = 1000
)

// columnType says how a column's values are written.
type columnType int

const (
	textColumn columnType = iota + 1
	numberColumn
	timeColumn
	// A wordsColumn is the title and description of a finding, in any case, and a
	// resourcesColumn the id of any of its resources: they are other tables.
	wordsColumn
	resourcesColumn
	// A listColumn has several texts, each between two line feeds.
	listColumn
)

// The names of what is no column of finding itself.
const (
	columnWords       = "text"
	columnAnyResource = "any_resource_id"
	columnTypes       = "types"
)

// sortable reports whether a list can be ordered by a column of kind k.
func (k columnType) sortable() bool { return k == textColumn || k == numberColumn || k == timeColumn }

// findingColumn is the allow-list: the only names that reach a statement.
func findingColumn(name string) (columnType, int) {
	switch name {
	case "account", "product_arn", "id":
		return textColumn, 1 << 12
	case "region", "control", "product", "severity", "workflow", "record_state", "compliance", "resource_type":
		return textColumn, narrowColumn
	case "generator", "resource_id", "title", "source":
		return textColumn, wideColumn
	case columnWords:
		return wordsColumn, wideColumn
	case columnAnyResource:
		return resourcesColumn, wideColumn
	case columnTypes:
		return listColumn, maxFinding
	case "severity_normalized", "trusted", "resources", "priority", "overdue", "threat":
		return numberColumn, 0
	case "created_at", "updated_at", "stored_at", "due_at":
		return timeColumn, 0
	}
	return 0, 0
}

func countColumn(name string) (columnType, int) {
	switch name {
	case "account", "region", "control", "severity", "workflow", "record_state":
		return textColumn, narrowColumn
	}
	return 0, 0
}

// builder gathers the text and the arguments of one statement. It is the only
// place that composes SQL: from the allow-list and placeholders, never from input.
type builder struct {
	columns func(string) (columnType, int)
	dialect Dialect
	where   []string
	args    []any
}

func (b *builder) arg(v any) string {
	b.args = append(b.args, v)
	return "$" + strconv.Itoa(len(b.args))
}

func (b *builder) and(format string, parts ...any) {
	b.where = append(b.where, fmt.Sprintf(format, parts...))
}

// sql is the WHERE clause, or "".
func (b *builder) sql() string {
	if len(b.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(b.where, " AND ")
}

// scope limits the rows to accounts. Nil is a mistake of the caller; an empty
// scope sees nothing; "*" in it sees everything.
func (b *builder) scope(op string, accounts []string) error {
	if accounts == nil {
		return invalid(op, "the list has no account scope; give store.AllAccounts() to see everything")
	}
	if slices.Contains(accounts, everyAccount) {
		return nil
	}
	if len(accounts) == 0 {
		b.and("1 = 0")
		return nil
	}
	marks := make([]string, len(accounts))
	for i, a := range accounts {
		marks[i] = b.arg(a)
	}
	b.and("f.account IN (%s)", strings.Join(marks, ", "))
	return nil
}

// MaxWithout is how many accounts a query can leave out.
const MaxWithout = 1000

// Counter counts findings: *Store.
type Counter interface {
	CountFindings(ctx context.Context, q CountQuery) ([]FindingCount, error)
}

// MostFindings gives the accounts themselves, or where they are more than a query can
// leave out those of them that have the most findings.
func MostFindings(ctx context.Context, counter Counter, accounts []string) ([]string, error) {
	if len(accounts) <= MaxWithout {
		return accounts, nil
	}
	counts, err := counter.CountFindings(ctx, CountQuery{Accounts: accounts, GroupBy: []string{"account"}})
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, MaxWithout)
	for _, c := range counts[:min(len(counts), MaxWithout)] {
		out = append(out, c.Group[0])
	}
	slices.Sort(out)
	return out, nil
}

// without leaves accounts out.
func (b *builder) without(op string, accounts []string) error {
	if len(accounts) > MaxWithout {
		return invalid(op, "%d accounts to leave out are more than %d", len(accounts), MaxWithout)
	}
	if len(accounts) == 0 {
		return nil
	}
	marks := make([]string, len(accounts))
	for i, a := range accounts {
		marks[i] = b.arg(a)
	}
	b.and("f.account NOT IN (%s)", strings.Join(marks, ", "))
	return nil
}

// excepted leaves what the exception suppresses, or any for AnyException; "" is no
// restriction.
func (b *builder) excepted(exception string) {
	if exception != "" {
		b.and("f.exception <> ''") // what the index is limited to
	}
	if exception != "" && exception != AnyException {
		b.and("f.exception = %s", b.arg(text(exception, maxID)))
	}
}

const everyAccount = "*"

// AllAccounts is the scope that sees everything.
func AllAccounts() []string { return []string{everyAccount} }

func (b *builder) conditions(all []Condition) error {
	left := maxConditions
	for _, c := range all {
		clause, err := b.clause(c, &left)
		if err != nil {
			return err
		}
		b.where = append(b.where, clause)
	}
	return nil
}

func (b *builder) clause(c Condition, left *int) (string, error) {
	const op = "read filter"
	if *left--; *left < 0 {
		return "", invalid(op, "more than %d conditions", maxConditions)
	}
	if len(c.rows) > 0 {
		marks := make([]string, len(c.rows))
		for i, rid := range c.rows {
			marks[i] = b.arg(rid)
		}
		return "f.rid IN (" + strings.Join(marks, ", ") + ")", nil
	}
	if len(c.Or) > 0 {
		return b.joined(c.Or, " OR ", left)
	}
	if len(c.And) > 0 {
		return b.joined(c.And, " AND ", left)
	}
	kind, width := b.columns(c.Column)
	if kind == 0 {
		return "", invalid(op, "there is no column %q", c.Column)
	}
	if len(c.Values) == 0 || len(c.Values) > maxValues {
		return "", invalid(op, "column %s has %d values, outside 1 to %d", c.Column, len(c.Values), maxValues)
	}
	args := make([]any, len(c.Values))
	for i, v := range c.Values {
		a, err := kind.value(v, width)
		if err != nil {
			return "", invalid(op, "column %s: %v", c.Column, err)
		}
		args[i] = a
	}
	return b.compare("f."+c.Column, kind, c.Op, args)
}

func (b *builder) joined(all []Condition, word string, left *int) (string, error) {
	clauses := make([]string, len(all))
	for i, c := range all {
		var err error
		if clauses[i], err = b.clause(c, left); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(clauses, word) + ")", nil
}

// value turns a written value into an argument.
func (k columnType) value(v string, width int) (any, error) {
	switch k {
	case numberColumn:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", v)
		}
		return n, nil
	case timeColumn:
		if micros, ok := strings.CutPrefix(v, "@"); ok {
			n, err := strconv.ParseInt(micros, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%q is not a number of microseconds", v)
			}
			return n, nil
		}
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return nil, fmt.Errorf("%q is not a time of RFC 3339", v)
		}
		return micros(t), nil
	case wordsColumn:
		v = strings.ToLower(v)
	}
	return text(v, width), nil
}

// compare gives the clause of one column. column comes from the allow-list.
func (b *builder) compare(column string, kind columnType, op Op, args []any) (string, error) {
	marks := make([]string, len(args))
	for i, a := range args {
		marks[i] = b.arg(a)
	}
	each := func(format, join string) string {
		parts := make([]string, len(marks))
		for i, m := range marks {
			parts[i] = fmt.Sprintf(format, column, m)
		}
		return "(" + strings.Join(parts, join) + ")"
	}
	switch {
	case kind == wordsColumn && (op == OpContains || op == OpNotContains):
		return b.words(op, marks), nil
	case kind == resourcesColumn && op == OpEqual:
		return anyResource(strings.Join(marks, ", ")), nil
	case kind == listColumn && op == OpContains:
		return each(b.dialect.Find+"(%[1]s, %[2]s) > 0", " OR "), nil
	case kind == listColumn && op == OpNotContains:
		return each(b.dialect.Find+"(%[1]s, %[2]s) = 0", " AND "), nil
	case !kind.sortable():
		return "", invalid("read filter", "operator %q does not fit %s", op, strings.TrimPrefix(column, "f."))
	}
	switch op {
	case OpEqual:
		return fmt.Sprintf("%s IN (%s)", column, strings.Join(marks, ", ")), nil
	case OpNotEqual:
		return fmt.Sprintf("%s NOT IN (%s)", column, strings.Join(marks, ", ")), nil
	}
	if order, ok := map[Op]string{OpLess: "<", OpAtMost: "<=", OpGreater: ">", OpAtLeast: ">="}[op]; ok && len(marks) == 1 {
		return fmt.Sprintf("%s %s %s", column, order, marks[0]), nil
	}
	if op == OpBetween && len(marks) == 2 {
		return fmt.Sprintf("%s BETWEEN %s AND %s", column, marks[0], marks[1]), nil
	}
	if kind == textColumn {
		// Neither database's pattern syntax is used, so nothing in a value needs
		// escaping.
		switch op {
		case OpPrefix:
			return each("substr(%[1]s, 1, length(%[2]s)) = %[2]s", " OR "), nil
		case OpNotPrefix:
			return each("substr(%[1]s, 1, length(%[2]s)) <> %[2]s", " AND "), nil
		case OpContains:
			return each(b.dialect.Find+"(%[1]s, %[2]s) > 0", " OR "), nil
		case OpNotContains:
			return each(b.dialect.Find+"(%[1]s, %[2]s) = 0", " AND "), nil
		}
	}
	return "", invalid("read filter", "operator %q does not fit %s with %d values", op, strings.TrimPrefix(column, "f."), len(args))
}

// words asks the table of texts, which is narrow and therefore read as a whole.
func (b *builder) words(op Op, marks []string) string {
	parts := make([]string, len(marks))
	for i, m := range marks {
		parts[i] = b.dialect.Find + "(t.text, " + m + ") > 0"
	}
	in := "IN"
	if op == OpNotContains {
		in = "NOT IN"
	}
	return fmt.Sprintf("f.rid %s (SELECT t.rid FROM finding_text t WHERE %s)", in, strings.Join(parts, " OR "))
}

// anyResource looks the ids up in the index of first resources and in that of
// the others.
func anyResource(marks string) string {
	return fmt.Sprintf("f.rid IN (SELECT a.rid FROM finding a WHERE a.resource_id IN (%[1]s) UNION SELECT r.rid FROM finding_further r WHERE r.resource_id IN (%[1]s))", marks)
}

// atMicros writes a time for a condition exactly as it is stored.
func atMicros(n int64) string { return "@" + strconv.FormatInt(n, 10) }
