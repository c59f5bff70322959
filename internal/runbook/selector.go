package runbook

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	maxSelector = 1024
	maxNesting  = 16
)

// Selector is a parsed path in the JSONPath subset that Automation documents
// use: children, deep scans, indexes, wildcards, filters and quoted names. The
// zero Selector selects the whole document.
type Selector struct {
	text string
	segs []segment
}

type segKind int

const (
	segChild segKind = iota
	segDeep
	segIndex
	segAll
	segFilter
)

type segment struct {
	kind   segKind
	name   string
	index  int
	filter *filterExpr
}

// String gives the selector as it was written.
func (s Selector) String() string { return s.text }

// Definite reports whether s selects at most one value. A selector that is not
// definite always gives a list.
func (s Selector) Definite() bool {
	for _, g := range s.segs {
		if g.kind != segChild && g.kind != segIndex {
			return false
		}
	}
	return true
}

// ParseSelector reads a selector. Text without a leading $ counts as "$." and
// the text; empty text is the whole document.
func ParseSelector(text string) (Selector, error) {
	s := Selector{text: text}
	trimmed := strings.TrimSpace(text)
	if len(trimmed) > maxSelector {
		return s, fmt.Errorf("it has more than %d characters", maxSelector)
	}
	if trimmed == "" || trimmed == "$" {
		return s, nil
	}
	p := &selParser{text: trimmed}
	switch {
	case trimmed[0] == '$':
		p.at = 1
	case trimmed[0] != '.' && trimmed[0] != '[':
		p.text = "." + trimmed
	}
	segs, err := p.path()
	if err != nil {
		return s, err
	}
	if p.at < len(p.text) {
		return s, p.errorf("%.20q is not understood", p.text[p.at:])
	}
	s.segs = segs
	return s, nil
}

type selParser struct {
	text  string
	at    int
	depth int
}

func (p *selParser) errorf(format string, args ...any) error {
	return fmt.Errorf("at character %d: %s", p.at+1, fmt.Sprintf(format, args...))
}

func (p *selParser) rest() string { return p.text[p.at:] }

func (p *selParser) spaces() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t' || p.text[p.at] == '\n') {
		p.at++
	}
}

func (p *selParser) take(token string) bool {
	if strings.HasPrefix(p.rest(), token) {
		p.at += len(token)
		return true
	}
	return false
}

// path reads segments as long as they follow each other.
func (p *selParser) path() ([]segment, error) {
	var segs []segment
	for p.at < len(p.text) {
		switch {
		case p.take(".."):
			seg, err := p.deep()
			if err != nil {
				return nil, err
			}
			segs = append(segs, seg...)
		case p.text[p.at] == '.':
			p.at++
			seg, err := p.dotted()
			if err != nil {
				return nil, err
			}
			segs = append(segs, seg)
		case p.text[p.at] == '[':
			seg, err := p.bracket()
			if err != nil {
				return nil, err
			}
			segs = append(segs, seg)
		default:
			return segs, nil
		}
	}
	return segs, nil
}

// deep reads what follows "..": a name, a wildcard or a bracket.
func (p *selParser) deep() ([]segment, error) {
	if p.take("*") {
		return []segment{{kind: segDeep, name: "*"}}, nil
	}
	if strings.HasPrefix(p.rest(), "[") {
		next, err := p.bracket()
		if err != nil {
			return nil, err
		}
		if next.kind == segChild {
			return []segment{{kind: segDeep, name: next.name}}, nil
		}
		return []segment{{kind: segDeep, name: ""}, next}, nil
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	return []segment{{kind: segDeep, name: name}}, nil
}

func (p *selParser) dotted() (segment, error) {
	if p.take("*") {
		return segment{kind: segAll}, nil
	}
	name, err := p.name()
	return segment{kind: segChild, name: name}, err
}

// name reads a plain or quoted member name. Plain names end at a character that
// has a meaning of its own.
func (p *selParser) name() (string, error) {
	if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
		return p.quoted()
	}
	end := strings.IndexAny(p.rest(), ".[]()'\"=!<>&|, \t\n*@?$")
	if end < 0 {
		end = len(p.rest())
	}
	if end == 0 {
		return "", p.errorf("a name is missing")
	}
	name := p.rest()[:end]
	p.at += end
	if strings.HasPrefix(p.rest(), "(") {
		return "", p.errorf("functions such as %s() are not supported", name)
	}
	return name, nil
}

func (p *selParser) quoted() (string, error) {
	quote := p.text[p.at]
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\' && i+1 < len(p.text):
			i++
			b.WriteByte(p.text[i])
		case c == quote:
			p.at = i + 1
			return b.String(), nil
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorf("the quote is not closed")
}

// bracket reads [3], [*], ['name'] or [?(filter)].
func (p *selParser) bracket() (segment, error) {
	p.at++
	p.spaces()
	seg, err := p.inBracket()
	if err != nil {
		return segment{}, err
	}
	p.spaces()
	if strings.HasPrefix(p.rest(), ",") || strings.HasPrefix(p.rest(), ":") {
		return segment{}, p.errorf("unions and slices are not supported")
	}
	if !p.take("]") {
		return segment{}, p.errorf("the bracket is not closed")
	}
	return seg, nil
}

func (p *selParser) inBracket() (segment, error) {
	switch {
	case p.take("*"):
		return segment{kind: segAll}, nil
	case p.take("?"):
		p.spaces()
		if !p.take("(") {
			return segment{}, p.errorf("a filter is written [?(...)]")
		}
		expr, err := p.or()
		if err != nil {
			return segment{}, err
		}
		p.spaces()
		if !p.take(")") {
			return segment{}, p.errorf("the filter is not closed")
		}
		return segment{kind: segFilter, filter: expr}, nil
	case strings.HasPrefix(p.rest(), "'"), strings.HasPrefix(p.rest(), `"`):
		name, err := p.quoted()
		return segment{kind: segChild, name: name}, err
	}
	end := 0
	for end < len(p.rest()) && p.rest()[end] >= '0' && p.rest()[end] <= '9' {
		end++
	}
	index, err := strconv.Atoi(p.rest()[:end])
	if err != nil || index > 1<<30 {
		return segment{}, p.errorf("an index is a whole number of 0 or more, a name is quoted")
	}
	p.at += end
	return segment{kind: segIndex, index: index}, nil
}

// filterExpr is a node of a filter: and, or, not, or a comparison.
type filterExpr struct {
	op          string // "&&", "||", "!", "exists", "==", "!=", "<", "<=", ">", ">=", "in", "nin"
	left, right *filterExpr
	a, b        operand
}

// operand is a path from the item (@) or the document ($), a literal, or a list
// of literals.
type operand struct {
	path    []segment
	isPath  bool
	root    bool
	literal any
}

func (p *selParser) nest() error {
	if p.depth++; p.depth > maxNesting {
		return p.errorf("the filter is nested more than %d deep", maxNesting)
	}
	return nil
}

func (p *selParser) or() (*filterExpr, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.chain("||", func() (*filterExpr, error) { return p.chain("&&", p.unary) })
}

// chain reads next op next op ... as a left-leaning tree.
func (p *selParser) chain(op string, next func() (*filterExpr, error)) (*filterExpr, error) {
	left, err := next()
	for err == nil {
		p.spaces()
		if !p.take(op) {
			return left, nil
		}
		var right *filterExpr
		if right, err = next(); err == nil {
			left = &filterExpr{op: op, left: left, right: right}
		}
	}
	return nil, err
}

func (p *selParser) unary() (*filterExpr, error) {
	p.spaces()
	switch {
	case strings.HasPrefix(p.rest(), "!") && !strings.HasPrefix(p.rest(), "!="):
		if err := p.nest(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		p.at++
		inner, err := p.unary()
		return &filterExpr{op: "!", left: inner}, err
	case p.take("("):
		inner, err := p.or()
		if err != nil {
			return nil, err
		}
		p.spaces()
		if !p.take(")") {
			return nil, p.errorf("a parenthesis is not closed")
		}
		return inner, nil
	}
	return p.comparison()
}

func (p *selParser) comparison() (*filterExpr, error) {
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.spaces()
	op := p.operator()
	if op == "" {
		if !a.isPath {
			return nil, p.errorf("a comparison is missing")
		}
		return &filterExpr{op: "exists", a: a}, nil
	}
	p.spaces()
	b, err := p.operand()
	if err != nil {
		return nil, err
	}
	if _, isList := b.literal.([]any); (op == "in" || op == "nin") && !isList && !b.isPath {
		return nil, p.errorf("%s needs a list such as ['a','b']", op)
	}
	return &filterExpr{op: op, a: a, b: b}, nil
}

func (p *selParser) operator() string {
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.take(op) {
			return op
		}
	}
	for _, op := range []string{"nin", "in", "NIN", "IN"} {
		if rest, ok := strings.CutPrefix(p.rest(), op); ok && strings.IndexAny(rest, " [@$'\"") == 0 {
			p.at += len(op)
			return strings.ToLower(op)
		}
	}
	return ""
}

func (p *selParser) operand() (operand, error) {
	p.spaces()
	switch {
	case p.take("@"):
		segs, err := p.path()
		return operand{isPath: true, path: segs}, err
	case p.take("$"):
		segs, err := p.path()
		return operand{isPath: true, root: true, path: segs}, err
	case p.take("["):
		list, err := p.literals()
		return operand{literal: list}, err
	}
	v, err := p.literal()
	return operand{literal: v}, err
}

func (p *selParser) literals() ([]any, error) {
	list := []any{}
	for {
		p.spaces()
		if p.take("]") {
			return list, nil
		}
		if len(list) > 0 {
			if !p.take(",") {
				return nil, p.errorf("a comma is missing in the list")
			}
			p.spaces()
		}
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

func (p *selParser) literal() (any, error) {
	if p.at < len(p.text) && (p.text[p.at] == '\'' || p.text[p.at] == '"') {
		return p.quoted()
	}
	end := strings.IndexAny(p.rest(), " )],&|=!<>\t\n")
	if end < 0 {
		end = len(p.rest())
	}
	word := p.rest()[:end]
	var v any
	switch word {
	case "true":
		v = true
	case "false":
		v = false
	case "null":
	default:
		v = number(word)
		if _, isText := v.(string); isText {
			return nil, p.errorf("%.20q is not a value; text is quoted", word)
		}
	}
	p.at += end
	return v, nil
}
