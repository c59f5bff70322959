package store

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// SortKey orders a list by a column; the row's own number breaks ties.
type SortKey struct {
	Column     string
	Descending bool
}

// position is where a page ended: the values of the sort columns of its last
// row. It names the order and the question it was made for, so that it is not
// used with another, and keeps the time from which the question's relative dates
// are measured.
type position struct {
	Order    string `json:"o"`
	Values   []any  `json:"v"`
	Question string `json:"q,omitempty"`
	At       int64  `json:"t,omitempty"`
}

const maxCursor = 16 << 10

func (p position) encode() (string, error) {
	raw, err := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

func badCursor() error {
	return fault.Errorf(fault.Invalid, "read cursor", "the cursor does not belong to this list").
		WithHint("start again from the first page, without a cursor")
}

// decodePosition reads a cursor for an order whose sort columns hold text or
// numbers as kinds says.
func decodePosition(cursor, order string, kinds []columnType) (position, error) {
	var p position
	if len(cursor) > maxCursor {
		return p, badCursor()
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return p, badCursor()
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	if dec.Decode(&p) != nil || dec.More() || p.Order != order || len(p.Values) != len(kinds) {
		return p, badCursor()
	}
	for i, v := range p.Values {
		switch v := v.(type) {
		case string:
			if kinds[i] != textColumn || text(v, maxCursor) != v {
				return p, badCursor()
			}
		case json.Number:
			n, err := v.Int64()
			if err != nil || kinds[i] == textColumn {
				return p, badCursor()
			}
			p.Values[i] = n
		default:
			return p, badCursor()
		}
	}
	return p, nil
}

// sortColumn is one column of an order; name comes from an allow-list.
type sortColumn struct {
	name string // "f.updated_at"
	kind columnType
	desc bool
}

type order []sortColumn

// String names the order, for cursors and for ORDER BY.
func (o order) String() string {
	parts := make([]string, len(o))
	for i, c := range o {
		parts[i] = c.name
		if c.desc {
			parts[i] += " DESC"
		}
	}
	return strings.Join(parts, ", ")
}

func (o order) kinds() []columnType {
	out := make([]columnType, len(o))
	for i, c := range o {
		out[i] = c.kind
	}
	return out
}

// after limits b to the rows behind p. The first clause alone lets an index
// begin at the right place; the alternatives behind it decide among equals.
func (b *builder) after(o order, p position) {
	marks := make([]string, len(o))
	for i, v := range p.Values {
		marks[i] = b.arg(v)
	}
	sign := func(c sortColumn) string {
		if c.desc {
			return "<"
		}
		return ">"
	}
	b.and("%s %s= %s", o[0].name, sign(o[0]), marks[0])
	var alternatives []string
	for i, c := range o {
		var equal []string
		for j := range i {
			equal = append(equal, o[j].name+" = "+marks[j])
		}
		equal = append(equal, c.name+" "+sign(c)+" "+marks[i])
		alternatives = append(alternatives, "("+strings.Join(equal, " AND ")+")")
	}
	b.where = append(b.where, "("+strings.Join(alternatives, " OR ")+")")
}

// pageSize gives limit within bounds: 50 by default, 1,000 at most.
func pageSize(limit int) int {
	switch {
	case limit <= 0:
		return 50
	case limit > 1000:
		return 1000
	}
	return limit
}
