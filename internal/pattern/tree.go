package pattern

// node is a JSON value of a pattern, with its members in order and as often as
// they are written.
type node struct {
	kind    nodeKind
	leaf    kind
	text    string // of a string or scalar
	members []member
	items   []node
	raw     string // the JSON text of the whole value
}

type nodeKind uint8

const (
	nodeScalar nodeKind = iota
	nodeObject
	nodeArray
)

type member struct {
	key   string
	value node
}

func (n node) isString() bool { return n.kind == nodeScalar && n.leaf == kindString }
func (n node) isNumber() bool { return n.kind == nodeScalar && n.leaf == kindNumber }

// what names the JSON type, for messages.
func (n node) what() string {
	switch {
	case n.kind == nodeObject:
		return "an object"
	case n.kind == nodeArray:
		return "a list"
	case n.leaf == kindString:
		return "a string"
	case n.leaf == kindNumber:
		return "a number"
	default:
		return n.text
	}
}

// tree reads one JSON value.
func (p *scanner) tree(depth int) (node, error) {
	if depth > MaxDepth {
		return node{}, p.syntax("nested deeper than the limit of %d levels", MaxDepth)
	}
	c := p.peek()
	start := p.i
	var n node
	var err error
	switch c {
	case '{':
		n, err = p.treeObject(depth)
	case '[':
		n, err = p.treeArray(depth)
	case '"':
		n.leaf = kindString
		n.text, err = p.str()
	default:
		n.leaf, n.text, err = p.scalar()
	}
	if err == nil {
		n.raw = p.s[start:p.i]
	}
	return n, err
}

func (p *scanner) treeObject(depth int) (node, error) {
	n := node{kind: nodeObject}
	p.i++
	for first := true; ; first = false {
		more, err := p.more('}', first)
		if err != nil || !more {
			return n, err
		}
		key, err := p.key()
		if err != nil {
			return n, err
		}
		v, err := p.tree(depth + 1)
		if err != nil {
			return n, err
		}
		n.members = append(n.members, member{key, v})
	}
}

func (p *scanner) treeArray(depth int) (node, error) {
	n := node{kind: nodeArray}
	p.i++
	for first := true; ; first = false {
		more, err := p.more(']', first)
		if err != nil || !more {
			return n, err
		}
		v, err := p.tree(depth + 1)
		if err != nil {
			return n, err
		}
		n.items = append(n.items, v)
	}
}
