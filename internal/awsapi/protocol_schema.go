package awsapi

import (
	"regexp"
	"strings"
	"sync"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"

	"github.com/parry-security/parry/internal/apimodel"
)

// A node is a shape with the smithy schema that describes it on the wire. Nodes
// are built once per service and shared, since shapes refer to each other in
// circles; only the inputs and outputs of operations have nodes of their own,
// because HTTP bindings hold at the top alone.
type node struct {
	shape   *apimodel.Shape
	schema  *smithy.Schema
	members []*memberNode
	bySchem map[*smithy.Schema]*memberNode
	twins   map[*memberNode][]*memberNode // other members for the same element
	elem    *memberNode                   // of a list
	key     *memberNode                   // of a map
	value   *memberNode                   // of a map
}

// memberNode is a use of a node by another.
type memberNode struct {
	apimodel.Member
	schema *smithy.Schema
	node   *node
	bound  binding
}

// binding says where in the HTTP message a top-level member is.
type binding uint8

const (
	inBody binding = iota
	inHeader
	inHeaders
	inQuery
	inURI
	inStatus
	inPayload
)

// schemas builds the nodes of one service. Building is under the lock; what was
// built never changes and is read without it.
type schemas struct {
	service *apimodel.Service
	mu      sync.Mutex
	nodes   map[*apimodel.Shape]*node
}

func newSchemas(s *apimodel.Service) *schemas {
	return &schemas{service: s, nodes: map[*apimodel.Shape]*node{}}
}

// operation builds the schema of one operation.
func (b *schemas) operation(op *apimodel.Operation) (schema *smithy.OperationSchema, in, out *node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var inSchema, outSchema *smithy.Schema
	if op.Input != nil {
		in = b.top(op.Input, op.InputName, op.InputXMLNS)
		inSchema = in.schema
	}
	if op.Output != nil {
		out = b.top(op.Output, "", apimodel.XMLNamespace{})
		outSchema = out.schema
	}
	http := &traits.HTTP{Method: op.Method, URI: templateURI(op), Code: op.ResponseCode}
	id := smithy.ShapeID{Namespace: b.service.Name, Name: op.WireName}
	return smithy.NewOperationSchema(smithy.NewSchema(id, smithy.ShapeTypeOperation, 0, http), inSchema, outSchema), in, out
}

// exception builds the node of an error, whose members may be in headers too.
func (b *schemas) exception(shape *apimodel.Shape) *node {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.top(shape, "", apimodel.XMLNamespace{})
}

var uriLabel = regexp.MustCompile(`\{([^{}+]+)(\+?)\}`)

// templateURI renames the labels of a path to the names that members have in
// the schema: a wire name may be used twice, in the path and in the body.
func templateURI(op *apimodel.Operation) string {
	names := map[string]string{}
	if op.Input != nil {
		for _, m := range op.Input.Members {
			if m.Location == "uri" {
				names[wireName(m)] = schemaName(m, inURI)
			}
		}
	}
	return uriLabel.ReplaceAllStringFunc(op.URI, func(label string) string {
		part := uriLabel.FindStringSubmatch(label)
		if name, ok := names[part[1]]; ok {
			return "{" + name + part[2] + "}"
		}
		return label
	})
}

// wireName is what a member is called on the wire: by the member, or by its
// shape (ElastiCache's PendingLogDeliveryConfiguration), or as it is.
func wireName(m apimodel.Member) string {
	return firstNonEmpty(m.LocationName, m.Shape.LocationName, m.Name)
}

// schemaName is what a member is called in its schema: its name on the wire for
// members of the body, which the formats take from there, and something that
// cannot collide with one for the others.
func schemaName(m apimodel.Member, at binding) string {
	switch at {
	case inBody, inPayload:
		// A flattened list that names its elements is known by their name.
		if isFlattened(m) && m.Shape.Type == apimodel.List && m.Shape.Elem.LocationName != "" {
			return m.Shape.Elem.LocationName
		}
		return wireName(m)
	}
	return "\x00" + m.Name
}

func isFlattened(m apimodel.Member) bool { return m.Flattened || m.Shape.Flattened }

// isREST reports whether members may be bound to parts of the HTTP message.
func (b *schemas) isREST() bool { return strings.HasPrefix(b.service.Protocol, "rest-") }

// top builds the node of an operation's input or output.
func (b *schemas) top(shape *apimodel.Shape, root string, ns apimodel.XMLNamespace) *node {
	if root == "" {
		root = shape.Name
	}
	var ts []smithy.Trait
	if ns.URI != "" {
		ts = append(ts, &traits.XMLNamespace{URI: ns.URI, Prefix: ns.Prefix})
	}
	n := &node{shape: shape, schema: smithy.NewSchema(b.id(root), smithy.ShapeTypeStructure, len(shape.Members), ts...)}
	b.members(n, b.isREST())
	return n
}

func (b *schemas) id(name string) smithy.ShapeID {
	return smithy.ShapeID{Namespace: b.service.Name, Name: name}
}

// members adds the members of a structure to its schema.
func (b *schemas) members(n *node, bind bool) {
	n.bySchem = make(map[*smithy.Schema]*memberNode, len(n.shape.Members))
	for _, m := range n.shape.Members {
		mn := &memberNode{Member: m, node: b.node(m.Shape)}
		if bind {
			mn.bound = bindingOf(m, n.shape.Payload)
		}
		n.pair(mn)
		mn.schema = n.schema.AddMember(schemaName(m, mn.bound), mn.node.schema, b.memberTraits(m, mn.bound)...)
		n.members = append(n.members, mn)
		n.bySchem[mn.schema] = mn
	}
}

// pair notes members that share an element, as S3's old and new notifications
// do (Event and Events): smithy knows one member for each name.
func (n *node) pair(mn *memberNode) {
	for _, other := range n.members {
		if other.bound == mn.bound && schemaName(other.Member, other.bound) == schemaName(mn.Member, mn.bound) {
			if n.twins == nil {
				n.twins = map[*memberNode][]*memberNode{}
			}
			n.twins[mn] = append(n.twins[mn], other)
			n.twins[other] = append(n.twins[other], mn)
		}
	}
}

func bindingOf(m apimodel.Member, payload string) binding {
	switch m.Location {
	case "header":
		return inHeader
	case "headers":
		return inHeaders
	case "querystring":
		return inQuery
	case "uri":
		return inURI
	case "statusCode":
		return inStatus
	}
	if m.Name == payload {
		return inPayload
	}
	return inBody
}

func (b *schemas) memberTraits(m apimodel.Member, at binding) []smithy.Trait {
	var ts []smithy.Trait
	switch at {
	case inHeader:
		ts = append(ts, &traits.HTTPHeader{Name: wireName(m)})
		if m.JSONValue {
			// The media type is what makes smithy encode the value in base64.
			ts = append(ts, &traits.MediaType{Type: "application/json"})
		}
	case inHeaders:
		ts = append(ts, &traits.HTTPPrefixHeaders{Prefix: m.LocationName})
	case inQuery:
		if m.Shape.Type == apimodel.Map {
			ts = append(ts, &traits.HTTPQueryParams{})
		} else {
			ts = append(ts, &traits.HTTPQuery{Name: wireName(m)})
		}
	case inURI:
		ts = append(ts, &traits.HTTPLabel{})
	case inStatus:
		ts = append(ts, &traits.HTTPResponseCode{})
	case inPayload:
		ts = append(ts, &traits.HTTPPayload{})
		if name := rootName(m); name != "" {
			ts = append(ts, &traits.XMLName{Name: name})
		}
	}
	return append(ts, b.bodyTraits(m)...)
}

// rootName names the XML element of a structure that is the whole body.
func rootName(m apimodel.Member) string {
	if m.LocationName != "" {
		return m.LocationName
	}
	return m.Shape.LocationName
}

func (b *schemas) bodyTraits(m apimodel.Member) []smithy.Trait {
	var ts []smithy.Trait
	ns := m.XMLNamespace
	if ns.URI == "" {
		// smithy reads the namespace of a member, botocore also that of its shape.
		ns = m.Shape.XMLNamespace
	}
	if ns.URI != "" {
		ts = append(ts, &traits.XMLNamespace{URI: ns.URI, Prefix: ns.Prefix})
	}
	if isFlattened(m) {
		ts = append(ts, &traits.XMLFlattened{})
	}
	if m.XMLAttribute {
		ts = append(ts, &traits.XMLAttribute{})
	}
	if m.QueryName != "" {
		ts = append(ts, &traits.EC2QueryName{Name: m.QueryName})
	}
	if f := timestampTrait(m.Shape.TimestampFormat); f != nil {
		ts = append(ts, f)
	}
	return ts
}

// timestampTrait turns botocore's name of a format into smithy's.
func timestampTrait(format string) smithy.Trait {
	switch format {
	case "iso8601":
		return &traits.TimestampFormat{Format: "date-time"}
	case "rfc822":
		return &traits.TimestampFormat{Format: "http-date"}
	case "unixTimestamp":
		return &traits.TimestampFormat{Format: "epoch-seconds"}
	}
	return nil
}

// node gives the node of a shape as it is inside a body.
func (b *schemas) node(shape *apimodel.Shape) *node {
	if n := b.nodes[shape]; n != nil {
		return n
	}
	n := &node{shape: shape, schema: smithy.NewSchema(b.id(shape.Name), schemaType(shape), len(shape.Members))}
	// Entered before its members are built: a shape may contain itself, and its
	// members share the schema's member table.
	b.nodes[shape] = n
	switch {
	case shape.Type == apimodel.Structure && !shape.Document:
		b.members(n, false)
	case shape.Type == apimodel.List:
		n.elem = b.part(n.schema, "member", shape.Elem)
	case shape.Type == apimodel.Map:
		n.key = b.part(n.schema, "key", shape.Key)
		n.value = b.part(n.schema, "value", shape.Value)
	}
	return n
}

// part adds the element of a list, or the key or value of a map.
func (b *schemas) part(parent *smithy.Schema, name string, m apimodel.Member) *memberNode {
	mn := &memberNode{Member: m, node: b.node(m.Shape)}
	ts := b.bodyTraits(m)
	if m.LocationName != "" {
		ts = append(ts, &traits.XMLName{Name: m.LocationName})
	}
	mn.schema = parent.AddMember(name, mn.node.schema, ts...)
	return mn
}

func schemaType(s *apimodel.Shape) smithy.ShapeType {
	if s.Document {
		return smithy.ShapeTypeDocument
	}
	switch s.Type {
	case apimodel.Structure: // unions too: on the wire they are structures with one member
		return smithy.ShapeTypeStructure
	case apimodel.List:
		return smithy.ShapeTypeList
	case apimodel.Map:
		return smithy.ShapeTypeMap
	case apimodel.Integer:
		return smithy.ShapeTypeInteger
	case apimodel.Long:
		return smithy.ShapeTypeLong
	case apimodel.Float:
		return smithy.ShapeTypeFloat
	case apimodel.Double:
		return smithy.ShapeTypeDouble
	case apimodel.Boolean:
		return smithy.ShapeTypeBoolean
	case apimodel.Timestamp:
		return smithy.ShapeTypeTimestamp
	case apimodel.Blob:
		return smithy.ShapeTypeBlob
	}
	return smithy.ShapeTypeString
}
