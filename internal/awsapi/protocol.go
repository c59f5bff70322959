package awsapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/traits"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
	"github.com/aws/smithy-go/transport/http/protocol/ec2query"
	"github.com/aws/smithy-go/transport/http/protocol/restjson1"
	"github.com/aws/smithy-go/transport/http/protocol/restxml"
	"github.com/aws/smithy-go/transport/http/protocol/rpcv2"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// ErrEventStream says that an operation speaks in event streams, which neither
// a runbook nor a plan can hold. Nothing was sent.
var ErrEventStream = errors.New("operation uses an event stream, which is not supported")

// All bytes on the wire are written and read by smithy-go's protocols. Where
// they and botocore part, this package bends what goes in or comes out, in
// these places and no others:
//
//   - members have their wire names in the schema, since smithy's JSON-RPC
//     protocols ignore jsonName (schemaName), and a flattened list that names
//     its elements is known by their name;
//   - bindings to headers, query and path hold at the top of an input only,
//     while smithy looks for them at every depth (schemas.top, schemas.node);
//   - the namespace of a shape is repeated on its members (bodyTraits);
//   - scalars of an answer are read in their loosest form and converted here,
//     because services send numbers for text and times in any form (reading);
//   - a "{}" that smithy invents for an absent XML body is dropped
//     (dropInventedBody), and S3's bare GetBucketLocation is wrapped (wrapXML);
//   - JSON nested too deeply is refused before smithy recurses into it
//     (shallow), and a panic of a parser becomes an error (runtime.read);
//   - unions are structures with one member, and event streams are refused.

// runtime is what a service needs to speak: smithy's implementation of its
// protocol and the schemas of its operations, each built when first used.
type runtime struct {
	service  *apimodel.Service
	protocol smithyhttp.ClientProtocol
	style    reading
	schemas  *schemas

	mu         sync.Mutex
	ops        map[string]*operationRuntime
	exceptions map[string]*apimodel.Shape // by error code; nil until asked for
}

type operationRuntime struct {
	op      *apimodel.Operation
	schema  *smithy.OperationSchema
	in, out *node
}

// newRuntime chooses the protocol: the one that botocore speaks with the
// service.
func newRuntime(s *apimodel.Service, protocol string) (*runtime, error) {
	r := &runtime{service: s, schemas: newSchemas(s), ops: map[string]*operationRuntime{}}
	switch protocol {
	case "json":
		if s.JSONVersion == "1.0" {
			r.protocol = awsjson.New10(serviceSchema(s))
		} else {
			r.protocol = awsjson.New11(serviceSchema(s))
		}
		r.style = asDocument
	case "rest-json":
		r.protocol, r.style = restjson1.New(serviceSchema(s)), asRestDocument
	case "rest-xml":
		r.protocol, r.style = restxml.New(serviceSchema(s)), asText
	case "query":
		r.protocol, r.style = awsquery.New(serviceSchema(s)), asText
	case "ec2":
		r.protocol, r.style = ec2query.New(serviceSchema(s)), asText
	case "smithy-rpc-v2-cbor":
		r.protocol, r.style = rpcv2.NewCBOR(serviceSchema(s)), asTyped
	default:
		return nil, fault.Errorf(fault.Invalid, "speak to "+s.Name, "unknown protocol %q", protocol)
	}
	return r, nil
}

// serviceSchema names the service as its protocol needs it: the JSON and CBOR
// protocols send the name as the target.
func serviceSchema(s *apimodel.Service) *smithy.ServiceSchema {
	name := s.TargetPrefix
	if name == "" {
		name = s.Name
	}
	var ts []smithy.Trait
	if s.QueryCompatible {
		ts = append(ts, &traits.AWSQueryCompatible{})
	}
	id := smithy.ShapeID{Namespace: "com.amazonaws", Name: name}
	return smithy.NewServiceSchema(smithy.NewSchema(id, smithy.ShapeTypeService, 0, ts...), s.APIVersion)
}

func (r *runtime) operation(op *apimodel.Operation) (*operationRuntime, error) {
	if op.HasEventStream() {
		return nil, fault.E(fault.Invalid, "call "+r.service.Name+":"+op.Name, ErrEventStream)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.ops[op.Name]; o != nil {
		return o, nil
	}
	o := &operationRuntime{op: op}
	o.schema, o.in, o.out = r.schemas.operation(op)
	r.ops[op.Name] = o
	return o, nil
}

// message is a request before it has an address: what the protocol made of the
// input.
type message struct {
	method, path, rawPath, query string
	header                       http.Header
	body                         []byte
}

// write gives the request for an input that was validated. It never panics,
// although smithy's serializers do where a model asks for what their format
// cannot hold.
func (r *runtime) write(ctx context.Context, o *operationRuntime, input map[string]any) (m message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Errorf(fault.Invalid, "write request", "%s:%s: %v", r.service.Name, o.op.Name, p)
		}
	}()
	req, ok := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if !ok {
		return m, fault.Errorf(fault.Internal, "write request", "smithy gave no request")
	}
	var in smithy.Serializable = &dynamicInput{node: emptyNode, input: input}
	if o.in != nil {
		in = &dynamicInput{node: o.in, input: input, timing: r.timing()}
	}
	ctx = middleware.WithOperationName(ctx, o.op.WireName)
	if err := r.protocol.SerializeRequest(ctx, o.schema, in, req); err != nil {
		return m, fault.E(fault.Invalid, "write request", err)
	}
	if d, ok := in.(*dynamicInput); ok && d.err != nil {
		return m, fault.E(fault.Invalid, "write request", d.err)
	}
	m = message{method: req.Method, path: req.URL.Path, rawPath: req.URL.RawPath, query: req.URL.RawQuery, header: req.Header}
	if stream := req.GetStream(); stream != nil {
		if m.body, err = io.ReadAll(stream); err != nil {
			return m, fault.E(fault.Internal, "write request", err)
		}
	}
	r.dropInventedBody(o, input, &m)
	r.contentType(o, input, &m)
	return m, nil
}

// contentType declares the body as botocore does, where smithy declares more.
func (r *runtime) contentType(o *operationRuntime, input map[string]any, m *message) {
	switch r.service.Protocol {
	case "query", "ec2":
		m.header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return
	case "rest-xml", "rest-json":
	default:
		return
	}
	raw := false
	if o.in != nil {
		for _, n := range o.in.members {
			if n.bound == inHeader && strings.EqualFold(wireName(n.Member), "Content-Type") && input[n.Name] != nil {
				return
			}
			raw = raw || n.bound == inPayload && (n.Shape.Type == apimodel.Blob || n.Shape.Type == apimodel.String)
		}
	}
	m.header.Del("Content-Type")
	if r.service.Protocol == "rest-json" && len(m.body) > 0 && !raw {
		m.header.Set("Content-Type", "application/json")
	}
}

// dropInventedBody takes away what smithy sends in an XML protocol when nothing
// was given for the body: "{}" for a structure that is the whole body, which S3
// refuses as malformed (PutBucketAcl with a canned ACL), or an empty element.
// botocore sends nothing.
func (r *runtime) dropInventedBody(o *operationRuntime, input map[string]any, m *message) {
	if r.service.Protocol != "rest-xml" || o.in == nil {
		return
	}
	for _, n := range o.in.members {
		if (n.bound == inBody || n.bound == inPayload) && input[n.Name] != nil {
			return
		}
	}
	m.body = nil
}

// timing is how times are written.
func (r *runtime) timing() timing {
	t := timing{timeFormat: "unixTimestamp", milliseconds: r.service.Name == "bedrock-agentcore"}
	if r.style == asText {
		t.timeFormat = "iso8601"
	}
	return t
}

// emptyNode is the input of an operation that takes none.
var emptyNode = &node{schema: smithy.NewSchema(smithy.ShapeID{Namespace: "parry", Name: "Unit"}, smithy.ShapeTypeStructure, 0, &traits.UnitShape{})}

// answer is a response whose body was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// read gives the members of a successful answer. Whatever bytes come, it gives
// an error and never a panic: the parsers below are others'.
func (r *runtime) read(ctx context.Context, o *operationRuntime, a answer) (out map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("answer cannot be parsed: %v", p)
		}
	}()
	if o.out == nil {
		return map[string]any{}, nil
	}
	if a.body, err = r.prepare(o, a.body); err != nil {
		return nil, err
	}
	into := &dynamicOutput{node: o.out, style: r.style}
	if err := r.protocol.DeserializeResponse(ctx, o.schema, &smithy.TypeRegistry{}, a.smithy(), into); err != nil && !r.mayBeEmpty(o, err) {
		return nil, err
	}
	if into.output == nil {
		into.output = map[string]any{}
	}
	fillPayload(o, into.output)
	return into.output, nil
}

func (a answer) smithy() *smithyhttp.Response {
	return &smithyhttp.Response{Response: &http.Response{
		StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}}
}

// mayBeEmpty forgives a query answer without its result element where there is
// nothing to put into it.
func (r *runtime) mayBeEmpty(o *operationRuntime, err error) bool {
	return r.service.Protocol == "query" && errors.Is(err, io.EOF) && (len(o.out.members) == 0 || o.op.ResultWrapper == "")
}

// prepare makes a body fit what smithy expects.
func (r *runtime) prepare(o *operationRuntime, body []byte) ([]byte, error) {
	switch r.style {
	case asDocument, asRestDocument:
		if !shallow(body) {
			return nil, errTooDeep
		}
		if !hasPayload(o.out) && bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
			return nil, nil
		}
	case asText:
		if r.service.Name == "s3" && o.op.Name == "GetBucketLocation" {
			return wrapXML(body, "GetBucketLocationOutput"), nil
		}
	}
	return body, nil
}

func hasPayload(n *node) bool { return n != nil && n.shape.Payload != "" }

// wrapXML puts a body inside one more element. S3 answers GetBucketLocation with
// the member itself as the root.
func wrapXML(body []byte, element string) []byte {
	if i := bytes.Index(body, []byte("?>")); i >= 0 && bytes.HasPrefix(bytes.TrimSpace(body), []byte("<?xml")) {
		body = body[i+2:]
	}
	return bytes.Join([][]byte{[]byte("<" + element + ">"), body, []byte("</" + element + ">")}, nil)
}

// fillPayload gives an empty body to a member that is the whole body, as boto3
// does: a caller may read it without asking whether it is there.
func fillPayload(o *operationRuntime, out map[string]any) {
	if o.out.shape.Payload == "" {
		return
	}
	m, ok := o.out.shape.Member(o.out.shape.Payload)
	if !ok || out[m.Name] != nil {
		return
	}
	switch m.Shape.Type {
	case apimodel.Blob:
		out[m.Name] = []byte{}
	case apimodel.String:
		out[m.Name] = ""
	}
}

// shallow reports whether JSON is nested no deeper than maxDepth. smithy reads
// free-form values by recursion, and a stack that overflows cannot be recovered.
func shallow(body []byte) bool {
	depth, inText := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
