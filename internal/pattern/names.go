package pattern

// names is the tree of the member names that an index looks at. A path with dots
// is a way through it.
type names struct {
	nodes []name
}

type name struct {
	field    int32 // whose values stand here, -1 for none
	children int32
	lengths  uint64  // of the children's names, a bit each, the last for all that are longer
	table    []child // open addressing, a power of two long; nil without children
}

type child struct {
	text string
	node int32 // 0 for an empty place: the root is nobody's child
}

func newNames() names { return names{nodes: []name{{field: -1}}} }

// add gives the field at the path, which becomes next where it has none yet.
func (n *names) add(path []string, next int32) int32 {
	at := int32(0)
	for _, s := range path {
		c := n.nodes[at].child(s)
		if c < 0 {
			c = int32(len(n.nodes)) //nolint:gosec // bounded by the memory for rules
			n.nodes = append(n.nodes, name{field: -1})
			n.nodes[at].put(child{s, c})
		}
		at = c
	}
	if n.nodes[at].field < 0 {
		n.nodes[at].field = next
	}
	return n.nodes[at].field
}

// fewChildren is up to how many children are told apart by a few bytes of theirs.
const fewChildren = 16

func (n *name) hash(s string) uint {
	if n.children > fewChildren {
		return uint(hashOf(s))
	}
	if s == "" {
		return 0
	}
	return uint(len(s))*7 ^ uint(s[0])*3 ^ uint(s[len(s)-1])*5
}

func (n *name) put(c child) {
	n.children++
	n.lengths |= 1 << min(len(c.text), 63)
	if 2*int(n.children) > len(n.table) || n.children == fewChildren+1 {
		old := n.table
		size := 4
		for size < 4*int(n.children) {
			size *= 2
		}
		n.table = make([]child, size)
		for _, o := range old {
			if o.node != 0 {
				n.insert(o)
			}
		}
	}
	n.insert(c)
}

func (n *name) insert(c child) {
	mask := uint(len(n.table) - 1)
	i := n.hash(c.text) & mask
	for n.table[i].node != 0 {
		i = (i + 1) & mask
	}
	n.table[i] = c
}

// child gives the node that s leads to, -1 for none.
func (n *name) child(s string) int32 {
	if n.lengths>>min(len(s), 63)&1 == 0 {
		return -1
	}
	return n.find(s)
}

func (n *name) find(s string) int32 {
	mask := uint(len(n.table) - 1)
	for i := n.hash(s) & mask; ; i = (i + 1) & mask {
		c := &n.table[i]
		if c.node == 0 {
			return -1
		}
		if c.text == s {
			return c.node
		}
	}
}
