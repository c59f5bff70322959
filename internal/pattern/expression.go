package pattern

import (
	"net/netip"
	"strconv"
	"strings"
)

// operator says how an alternative tests a leaf.
type operator uint8

const (
	opString operator = iota + 1
	opNumber
	opLiteral
	opAddress
	opPrefix
	opPrefixFold
	opSuffix
	opSuffixFold
	opFold
	opWildcard
	opNumeric
	opCIDR
	opExists
	opAbsent
	opAnythingBut
)

// alternative is one entry of a leaf's list.
type alternative struct {
	op     operator
	kind   kind // of opLiteral
	text   string
	wild   wildcard
	num    number
	fold   folded
	bounds bounds
	block  netip.Prefix
	but    []alternative
}

// bounds is a numeric range.
type bounds struct {
	low, high         float64
	hasLow, hasHigh   bool
	openLow, openHigh bool
}

const leafHint = `write a list of values and expressions: ["a", 5, null, {"prefix": "b"}]`

// compileLeaf reads the list of a field.
func compileLeaf(n node, place string) ([]alternative, error) {
	if len(n.items) == 0 {
		return nil, refuse(place, `name at least one value, or use [{"exists": true}]`, "an empty list matches nothing")
	}
	out := make([]alternative, 0, len(n.items))
	for i, item := range n.items {
		here := place + "[" + strconv.Itoa(i) + "]"
		switch {
		case item.kind == nodeArray:
			return nil, refuse(here, leafHint, "a list stands inside a list")
		case item.kind == nodeObject:
			a, err := compileExpression(item, here)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		default:
			out = append(out, plain(item))
		}
	}
	return out, nil
}

// plain is a value that must be equal. A string that is an IP address also meets
// its other spellings.
func plain(n node) alternative {
	switch n.leaf {
	case kindString:
		if a, ok := parseAddress(n.text); ok {
			return alternative{op: opAddress, text: n.text, block: netip.PrefixFrom(a, a.BitLen())}
		}
		return alternative{op: opString, text: n.text}
	case kindNumber:
		return alternative{op: opNumber, text: n.text, num: parseNumber(n.text)}
	default:
		return alternative{op: opLiteral, kind: n.leaf, text: n.text}
	}
}

// only gives the one member of an expression.
func only(n node, place string) (member, error) {
	if len(n.members) == 0 {
		return member{}, refuse(place, leafHint, "the expression names no operator")
	}
	if len(n.members) > 1 {
		return member{}, refuse(place, "write one object for each operator; a list means any of them", "an expression has exactly one operator, this has %d", len(n.members))
	}
	return n.members[0], nil
}

func compileExpression(n node, place string) (alternative, error) {
	m, err := only(n, place)
	if err != nil {
		return alternative{}, err
	}
	here := place + "." + m.key
	switch m.key {
	case "exists":
		if m.value.kind == nodeScalar && m.value.leaf == kindTrue {
			return alternative{op: opExists}, nil
		}
		if m.value.kind == nodeScalar && m.value.leaf == kindFalse {
			return alternative{op: opAbsent}, nil
		}
		return alternative{}, refuse(here, "write true or false without quotes", "exists takes true or false, not %s", m.value.what())
	case "anything-but":
		return anythingBut(m.value, here)
	case "numeric":
		return numeric(m.value, here)
	case "cidr":
		return cidr(m.value, here)
	case "prefix", "suffix":
		if m.value.kind == nodeObject {
			return foldedAffix(m.key, m.value, here)
		}
	}
	return textual(m.key, m.value, here)
}

// textual compiles the operators that take one string.
func textual(name string, v node, place string) (alternative, error) {
	switch name {
	case "exactly", "prefix", "suffix", "equals-ignore-case", "wildcard":
	default:
		return alternative{}, refuse(place,
			"the operators are exactly, prefix, suffix, equals-ignore-case, wildcard, anything-but, numeric, cidr and exists, in lower case", "there is no operator %q", short(name, 60))
	}
	if !v.isString() {
		return alternative{}, refuse(place, "write several expressions in the list for several strings", "%s takes a string, not %s", name, v.what())
	}
	switch name {
	case "prefix":
		return alternative{op: opPrefix, text: v.text}, nil
	case "suffix":
		return alternative{op: opSuffix, text: v.text}, nil
	case "equals-ignore-case":
		return alternative{op: opFold, fold: fold(v.text)}, nil
	case "wildcard":
		w, err := parseWildcard(v.text)
		if err != nil {
			return alternative{}, refuse(place, `write \\* in JSON for a star that is meant as such, and one star for any text`, "wildcard: %w", err)
		}
		return alternative{op: opWildcard, wild: w}, nil
	default:
		return alternative{op: opString, text: v.text}, nil
	}
}

// foldedAffix compiles {"prefix": {"equals-ignore-case": "a"}}.
func foldedAffix(name string, v node, place string) (alternative, error) {
	m, err := only(v, place)
	if err != nil {
		return alternative{}, err
	}
	if m.key != "equals-ignore-case" || !m.value.isString() {
		return alternative{}, refuse(place, `write {"`+name+`": {"equals-ignore-case": "a"}}`, "%s takes a string, or equals-ignore-case with one string", name)
	}
	op := opPrefixFold
	if name == "suffix" {
		op = opSuffixFold
	}
	return alternative{op: op, fold: fold(m.value.text)}, nil
}

func anythingBut(v node, place string) (alternative, error) {
	a := alternative{op: opAnythingBut}
	if v.kind != nodeObject {
		items, err := list(v, place)
		if err != nil {
			return a, err
		}
		for _, item := range items {
			if !item.isString() && !item.isNumber() || item.leaf != items[0].leaf {
				return a, refuse(place, `write ["a", "b"] or [1, 2]`, "anything-but takes strings or numbers, all of one kind")
			}
			one := plain(item)
			if one.op == opAddress {
				one.op = opString // event-ruler takes addresses here as text
			}
			if one.op == opNumber && !one.num.exact {
				return a, refuse(place, "write a number of at most 15 digits", "%s cannot be compared exactly", short(item.text, 40))
			}
			a.but = append(a.but, one)
		}
		return a, nil
	}
	m, err := only(v, place)
	if err != nil {
		return a, err
	}
	here := place + "." + m.key
	switch m.key {
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
	default:
		return a, refuse(here, "anything-but takes values, or prefix, suffix, equals-ignore-case or wildcard", "anything-but cannot be combined with %q", short(m.key, 60))
	}
	items, err := list(m.value, here)
	if err != nil {
		return a, err
	}
	for _, item := range items {
		if item.isString() && item.text == "" && (m.key == "prefix" || m.key == "suffix") {
			return a, refuse(here, `use {"exists": false} for a field that is missing`, "every string has an empty %s", m.key)
		}
		one, err := textual(m.key, item, here)
		if err != nil {
			return a, err
		}
		a.but = append(a.but, one)
	}
	return a, nil
}

// list gives the items of v, or v itself when it is a scalar.
func list(v node, place string) ([]node, error) {
	if v.kind != nodeArray {
		return []node{v}, nil
	}
	if len(v.items) == 0 {
		return nil, refuse(place, "name at least one value", "an empty list excludes nothing")
	}
	return v.items, nil
}

func cidr(v node, place string) (alternative, error) {
	const hint = `write {"cidr": "10.0.0.0/8"}`
	if !v.isString() {
		return alternative{}, refuse(place, hint, "cidr takes a string, not %s", v.what())
	}
	address, length, ok := strings.Cut(v.text, "/")
	if !ok {
		return alternative{}, refuse(place, hint, "a cidr block needs a slash and the number of bits")
	}
	a, ok := parseAddress(address)
	if !ok {
		return alternative{}, refuse(place, hint, "%q is no IP address", short(address, 60))
	}
	bits, err := strconv.Atoi(length)
	if err != nil || bits < 0 || bits > a.BitLen() {
		return alternative{}, refuse(place, hint, "%q is no number of bits from 0 to %d", short(length, 20), a.BitLen()-1)
	}
	if bits == a.BitLen() {
		return alternative{}, refuse(place, "write the address alone: [\""+a.String()+"\"]", "a block of one address is refused by EventBridge")
	}
	return alternative{op: opCIDR, block: netip.PrefixFrom(a, bits).Masked()}, nil
}

const numericHint = `write {"numeric": [">=", 5]} or {"numeric": [">", 0, "<=", 5]}`

func numeric(v node, place string) (alternative, error) {
	if v.kind != nodeArray || len(v.items) != 2 && len(v.items) != 4 {
		return alternative{}, refuse(place, numericHint, "numeric takes a list of an operator and a number, or two of each")
	}
	var b bounds
	for i := 0; i < len(v.items); i += 2 {
		name, operand := v.items[i], v.items[i+1]
		if !name.isString() || !operand.isNumber() {
			return alternative{}, refuse(place, numericHint, "numeric takes operators as strings and numbers without quotes")
		}
		num := parseNumber(operand.text)
		if !num.exact {
			return alternative{}, refuse(place, "write a number of at most 15 digits", "%s cannot be compared exactly", short(operand.text, 40))
		}
		if !b.set(name.text, num.f, len(v.items) == 4, i == 0) {
			return alternative{}, refuse(place, numericHint, "%q does not belong here; a range is > or >= and then < or <=", short(name.text, 20))
		}
	}
	if len(v.items) == 4 && b.low >= b.high {
		return alternative{}, refuse(place, numericHint, "the lower end of a range must be less than the upper")
	}
	return alternative{op: opNumeric, bounds: b}, nil
}

// set adds one comparison and reports whether it may stand there.
func (b *bounds) set(op string, f float64, ranged, first bool) bool {
	switch {
	case op == "=" && !ranged:
		b.low, b.high, b.hasLow, b.hasHigh = f, f, true, true
	case (op == ">" || op == ">=") && first:
		b.low, b.hasLow, b.openLow = f, true, op == ">"
	case (op == "<" || op == "<=") && ranged != first:
		b.high, b.hasHigh, b.openHigh = f, true, op == "<"
	default:
		return false
	}
	return true
}

func (b bounds) hold(f float64) bool {
	if b.hasLow && (f < b.low || f == b.low && b.openLow) {
		return false
	}
	return !b.hasHigh || f < b.high || f == b.high && !b.openHigh
}

// accepts reports whether the leaf meets a. Absence is no matter of a leaf.
func (a *alternative) accepts(l *leaf) bool {
	switch a.op {
	case opExists:
		return true
	case opLiteral:
		return l.kind == a.kind
	case opNumber:
		return l.kind == kindNumber && (l.text == a.text || l.num.exact && a.num.exact && l.num.f == a.num.f)
	case opNumeric:
		return l.kind == kindNumber && l.num.exact && a.bounds.hold(l.num.f)
	case opAnythingBut:
		for i := range a.but {
			if a.but[i].accepts(l) {
				return false
			}
		}
		return true
	}
	return l.kind == kindString && a.acceptsText(l.text)
}

func (a *alternative) acceptsText(s string) bool {
	switch a.op {
	case opString:
		return s == a.text
	case opAddress:
		if s == a.text {
			return true
		}
		address, ok := parseAddress(s)
		return ok && address == a.block.Addr()
	case opCIDR:
		address, ok := parseAddress(s)
		return ok && a.block.Contains(address)
	case opPrefix:
		return strings.HasPrefix(s, a.text)
	case opSuffix:
		return strings.HasSuffix(s, a.text)
	case opPrefixFold:
		return a.fold.prefixOf(s) >= 0
	case opSuffixFold:
		return a.fold.suffixOf(s)
	case opFold:
		return a.fold.equals(s)
	case opWildcard:
		return a.wild.match(s)
	}
	return false
}
