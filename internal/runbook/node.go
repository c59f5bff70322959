package runbook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a document. Systems Manager itself stores at most 64 KB; the rest
// of the allowance is for documents with long inline scripts.
const (
	MaxSize  = 1 << 20
	MaxDepth = 64
	// MaxNodes counts values after aliases are expanded, which is what defuses
	// an alias bomb.
	MaxNodes = 50_000
)

// Pos is a place in the text of a document; both count from 1.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

type kind int

const (
	scalarKind kind = iota
	listKind
	mapKind
)

// node is one value of a document with the place where it stands. YAML and
// JSON are read into the same tree.
type node struct {
	kind   kind
	scalar any    // string, int64, float64, bool or nil
	text   string // the scalar as it was written
	keys   []string
	keyPos []Pos
	items  []*node // list items, or map values in the order of keys
	pos    Pos
	block  bool // a YAML block scalar, whose text begins in the next line
}

// get gives the value of a map's key.
func (n *node) get(key string) (*node, bool) {
	if n == nil || n.kind != mapKind {
		return nil, false
	}
	for i, k := range n.keys {
		if k == key {
			return n.items[i], true
		}
	}
	return nil, false
}

// value gives n as plain Go values: map[string]any, []any and scalars.
func (n *node) value() any {
	switch n.kind {
	case mapKind:
		m := make(map[string]any, len(n.keys))
		for i, k := range n.keys {
			m[k] = n.items[i].value()
		}
		return m
	case listKind:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			l[i] = item.value()
		}
		return l
	}
	return n.scalar
}

// printable is value for printing: a float keeps its point, so that it is one
// when it is read again.
func (n *node) printable() any {
	switch n.kind {
	case mapKind:
		m := make(map[string]any, len(n.keys))
		for i, k := range n.keys {
			m[k] = n.items[i].printable()
		}
		return m
	case listKind:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			l[i] = item.printable()
		}
		return l
	}
	f, ok := n.scalar.(float64)
	if !ok {
		return n.scalar
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return json.Number(text)
}

// what names the kind of n for a message.
func (n *node) what() string {
	switch n.kind {
	case mapKind:
		return "a map"
	case listKind:
		return "a list"
	}
	if n.scalar == nil {
		return "null"
	}
	return fmt.Sprintf("%.40q", n.text)
}

// readTree reads YAML or JSON. Text whose first character is a brace is JSON,
// because JSON allows tabs and surrogate escapes that YAML does not.
func readTree(raw []byte) (*node, *Problem) {
	if len(raw) > MaxSize {
		return nil, syntaxProblem(Pos{1, 1}, fmt.Sprintf("the document has %d bytes, the limit is %d", len(raw), MaxSize), "move long scripts into attachments")
	}
	if !utf8.Valid(raw) {
		return nil, syntaxProblem(Pos{1, 1}, "the document is not valid UTF-8", "save the file as UTF-8")
	}
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\ufeff")), " \t\r\n")
	if len(trimmed) == 0 {
		return nil, syntaxProblem(Pos{1, 1}, "the document is empty", `begin with schemaVersion: "0.3"`)
	}
	if trimmed[0] == '{' {
		return readJSON(raw, len(raw)-len(trimmed))
	}
	return readYAML(raw)
}

func readYAML(raw []byte) (*node, *Problem) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, syntaxProblem(yamlErrorPos(err), "the document is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "mend the YAML at this place")
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(Pos{max(second.Line, 1), max(second.Column, 1)}, "the file holds more than one YAML document", "keep one document in a file")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, syntaxProblem(Pos{1, 1}, "the document is empty", `begin with schemaVersion: "0.3"`)
	}
	b := &yamlBuilder{}
	n := b.build(doc.Content[0], 0)
	return n, b.problem
}

// yamlErrorPos takes the line out of a "yaml: line 3: ..." message.
func yamlErrorPos(err error) Pos {
	text := err.Error()
	i := strings.Index(text, "line ")
	if i < 0 {
		return Pos{1, 1}
	}
	digits := text[i+len("line "):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	line, convErr := strconv.Atoi(digits[:end])
	if convErr != nil || line < 1 {
		line = 1
	}
	return Pos{line, 1}
}

type yamlBuilder struct {
	count   int
	problem *Problem
}

func (b *yamlBuilder) fail(pos Pos, message, fix string) *node {
	if b.problem == nil {
		b.problem = syntaxProblem(pos, message, fix)
	}
	return &node{kind: scalarKind, pos: pos}
}

func (b *yamlBuilder) build(y *yaml.Node, depth int) *node {
	pos := Pos{max(y.Line, 1), max(y.Column, 1)}
	b.count++
	switch {
	case b.problem != nil:
		return &node{pos: pos}
	case b.count > MaxNodes:
		return b.fail(pos, fmt.Sprintf("the document has more than %d values, aliases expanded", MaxNodes), "split the document or remove aliases")
	case depth > MaxDepth:
		return b.fail(pos, fmt.Sprintf("the document is nested more than %d deep", MaxDepth), "flatten it")
	}
	n := &node{pos: pos}
	switch y.Kind {
	case yaml.AliasNode:
		return b.build(y.Alias, depth+1)
	case yaml.SequenceNode:
		n.kind = listKind
		for _, c := range y.Content {
			n.items = append(n.items, b.build(c, depth+1))
		}
	case yaml.MappingNode:
		n.kind = mapKind
		b.mapping(n, y, depth)
	case yaml.ScalarNode:
		n.text = y.Value
		n.scalar = yamlScalar(y)
		n.block = y.Style&yaml.LiteralStyle != 0
	default:
		return b.fail(pos, "this is not a value", "write a map, a list, text or a number")
	}
	return n
}

func (b *yamlBuilder) mapping(n *node, y *yaml.Node, depth int) {
	seen := make(map[string]bool, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		pos := Pos{max(k.Line, 1), max(k.Column, 1)}
		switch {
		case k.Kind != yaml.ScalarNode:
			b.fail(pos, "a key is not text", "write the key as plain text")
			return
		case k.Tag == "!!merge" || k.Value == "<<" && k.Style == 0:
			b.fail(pos, "merge keys (<<) are not part of a runbook", "write the members out")
			return
		case seen[k.Value]:
			b.fail(pos, fmt.Sprintf("key %.60q is given twice", k.Value), "remove one of the two")
			return
		}
		seen[k.Value] = true
		n.keys = append(n.keys, k.Value)
		n.keyPos = append(n.keyPos, pos)
		n.items = append(n.items, b.build(y.Content[i+1], depth+1))
	}
}

// yamlScalar resolves a scalar as the corpus means it: quoted text and dates
// stay text, and so does a number with a leading zero, because it is an account
// id or a version and not an octal number.
func yamlScalar(y *yaml.Node) any {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if y.Style&quoted != 0 || y.Tag == "!!str" || y.Tag == "!!timestamp" || y.Tag == "!!binary" {
		return y.Value
	}
	switch y.Value {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	return number(y.Value)
}

// number gives an int64 or a float64 where text is a plain decimal number, and
// the text otherwise.
func number(text string) any {
	digits := strings.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 || digits == "" || digits[0] < '0' || digits[0] > '9' {
		return text
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e' && digits[1] != 'E' {
		return text
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	if strings.Trim(digits, "0123456789.eE+-") != "" {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || !strings.ContainsAny(digits, ".eE") {
		return text
	}
	return f
}

type jsonBuilder struct {
	raw   []byte
	skip  int
	dec   *json.Decoder
	count int
	// line, column and at move forward together, so that positions cost one
	// pass, also where a whole document stands on one line.
	line, column, at int
}

func readJSON(raw []byte, skip int) (*node, *Problem) {
	b := &jsonBuilder{raw: raw, skip: skip, dec: json.NewDecoder(bytes.NewReader(raw[skip:])), line: 1, column: 1}
	b.dec.UseNumber()
	n, problem := b.value(0)
	if problem != nil {
		return nil, problem
	}
	if _, err := b.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(b.pos(), "there is text after the end of the JSON document", "remove what follows the last brace")
	}
	return n, nil
}

// pos gives the place of the next token.
func (b *jsonBuilder) pos() Pos {
	end := b.skip + int(b.dec.InputOffset())
	for end < len(b.raw) && strings.IndexByte(" \t\r\n,:", b.raw[end]) >= 0 {
		end++
	}
	for ; b.at < end && b.at < len(b.raw); b.at++ {
		switch {
		case b.raw[b.at] == '\n':
			b.line, b.column = b.line+1, 1
		case utf8.RuneStart(b.raw[b.at]):
			b.column++
		}
	}
	return Pos{b.line, b.column}
}

func (b *jsonBuilder) value(depth int) (*node, *Problem) {
	pos := b.pos()
	b.count++
	if b.count > MaxNodes {
		return nil, syntaxProblem(pos, fmt.Sprintf("the document has more than %d values", MaxNodes), "split the document")
	}
	if depth > MaxDepth {
		return nil, syntaxProblem(pos, fmt.Sprintf("the document is nested more than %d deep", MaxDepth), "flatten it")
	}
	tok, err := b.dec.Token()
	if err != nil {
		return nil, b.syntax(err)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return b.list(pos, depth)
		}
		return b.object(pos, depth)
	case json.Number:
		return &node{scalar: number(t.String()), text: t.String(), pos: pos}, nil
	case string:
		return &node{scalar: t, text: t, pos: pos}, nil
	case bool:
		return &node{scalar: t, text: strconv.FormatBool(t), pos: pos}, nil
	}
	return &node{text: "null", pos: pos}, nil
}

func (b *jsonBuilder) list(pos Pos, depth int) (*node, *Problem) {
	n := &node{kind: listKind, pos: pos}
	for b.dec.More() {
		item, problem := b.value(depth + 1)
		if problem != nil {
			return nil, problem
		}
		n.items = append(n.items, item)
	}
	if _, err := b.dec.Token(); err != nil {
		return nil, b.syntax(err)
	}
	return n, nil
}

func (b *jsonBuilder) object(pos Pos, depth int) (*node, *Problem) {
	n := &node{kind: mapKind, pos: pos}
	seen := map[string]bool{}
	for b.dec.More() {
		keyPos := b.pos()
		tok, err := b.dec.Token()
		if err != nil {
			return nil, b.syntax(err)
		}
		key, ok := tok.(string)
		if !ok {
			return nil, syntaxProblem(keyPos, "a key is not text", "write the key in quotes")
		}
		if seen[key] {
			return nil, syntaxProblem(keyPos, fmt.Sprintf("key %.60q is given twice", key), "remove one of the two")
		}
		seen[key] = true
		v, problem := b.value(depth + 1)
		if problem != nil {
			return nil, problem
		}
		n.keys, n.keyPos, n.items = append(n.keys, key), append(n.keyPos, keyPos), append(n.items, v)
	}
	if _, err := b.dec.Token(); err != nil {
		return nil, b.syntax(err)
	}
	return n, nil
}

func (b *jsonBuilder) syntax(err error) *Problem {
	text := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = "it ends too early"
	}
	return syntaxProblem(b.pos(), "the document is not JSON: "+text, "mend the JSON at this place")
}
