package apimodel

import "strings"

// Type is the type of a shape, in botocore's words.
type Type uint8

// The shape types of the models.
const (
	String Type = iota
	Structure
	List
	Map
	Integer
	Long
	Float
	Double
	Boolean
	Timestamp
	Blob
)

var typeNames = [...]string{"string", "structure", "list", "map", "integer", "long", "float", "double", "boolean", "timestamp", "blob"}

// String gives botocore's name of the type.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "unknown"
}

// TypeOf gives the type with botocore's name.
func TypeOf(name string) (Type, bool) {
	for i, n := range typeNames {
		if n == name {
			return Type(i), true
		}
	}
	return 0, false
}

// Service is one AWS API in one version. It is immutable once loaded.
type Service struct {
	Name             string // boto3's name: "s3", "securityhub", "logs"
	ID               string // "S3", "SecurityHub", "CloudWatch Logs"
	APIVersion       string
	EndpointPrefix   string
	SigningName      string // what SigV4 signs with; EndpointPrefix where the model names none
	SignatureVersion string
	Protocol         string   // the one botocore speaks: "json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor"
	Protocols        []string // all that the service understands
	JSONVersion      string
	TargetPrefix     string
	GlobalEndpoint   string
	XMLNamespace     XMLNamespace
	Auth             []string
	QueryCompatible  bool // error codes of the query protocol come in a header
	Scopes           []Scope
	ClientContext    []string // endpoint parameters that a client may set

	Operations []*Operation // sorted by name
	Shapes     []*Shape     // sorted by name

	byKey map[string]*Operation
	calls func() (callModels, error) // unpacks paginators and waiters once
	rules func() (*RuleSet, error)   // unpacks the endpoint rule set once
}

// Scope is what a request is signed for in a partition where that is neither the
// region of the call nor said by the endpoint rules: the one region of a service
// that is global there, and its name.
type Scope struct{ Partition, Region, SigningName string }

// ContextParam is a parameter of the endpoint rules that an operation sets: to
// Value, or to what the JMESPath expression Path finds in the input. A value
// that is a flag has the text "true" or "false" and Bool set.
type ContextParam struct {
	Name, Value, Path string
	Bool              bool
}

// XMLNamespace is the xmlns of an element.
type XMLNamespace struct{ URI, Prefix string }

// Operation is one API call.
type Operation struct {
	Name          string // boto3's API name: "PutBucketPolicy"
	WireName      string // what is sent as action or target; almost always Name
	Method        string
	URI           string // path and query template: "/{Bucket}?policy"
	ResponseCode  int
	Input, Output *Shape // nil where the operation has none
	InputName     string // XML root element of the body, where the model names one
	InputXMLNS    XMLNamespace
	ResultWrapper string
	Errors        []*Shape
	AuthType      string // "none", "v4-unsigned-body" or ""
	Auth          []string
	HostPrefix    string
	Checksum      Checksum
	Context       []ContextParam

	ReadOnly        bool // marked by the model
	Idempotent      bool // marked by the model
	Deprecated      bool
	UnsignedPayload bool
}

// Checksum says what integrity header a request must carry.
type Checksum struct {
	MD5             bool   // httpChecksumRequired: Content-MD5
	Required        bool   // a flexible checksum must be there
	AlgorithmMember string // input member that names the algorithm
	ModeMember      string // input member that asks for the response's checksum
}

// Shape is one type of the model.
type Shape struct {
	Name            string
	Type            Type
	Members         []Member // of a structure, in the model's order
	Required        []string
	Elem            Member // of a list
	Key, Value      Member // of a map
	Enum            []string
	Min, Max        string // decimal text, "" = none: value, length or count
	Pattern         string
	Payload         string // member that is the HTTP body
	TimestampFormat string
	LocationName    string
	XMLNamespace    XMLNamespace
	ErrorCode       string
	ErrorStatus     int

	Exception, Fault, SenderFault, Retryable    bool
	Sensitive, Union, Document                  bool
	EventStream, Event, Streaming, Flattened    bool
	Deprecated, RequiresLength, Sparse, Wrapper bool

	byName map[string]int
}

// Member is a use of a shape by another.
type Member struct {
	Name         string
	Shape        *Shape
	LocationName string
	Location     string // "", "header", "headers", "querystring", "uri", "statusCode"
	QueryName    string
	ContextParam string // parameter of the endpoint rules that it sets
	XMLNamespace XMLNamespace

	IdempotencyToken, JSONValue, HostLabel, Flattened bool
	Streaming, XMLAttribute, Deprecated, EventPayload bool
	EventHeader                                       bool
}

// Member gives the structure member with exactly that name.
func (s *Shape) Member(name string) (Member, bool) {
	if s == nil {
		return Member{}, false
	}
	i, ok := s.byName[name]
	if !ok {
		return Member{}, false
	}
	return s.Members[i], true
}

// Requires reports whether the member name is required.
func (s *Shape) Requires(name string) bool {
	for _, r := range s.Required {
		if r == name {
			return true
		}
	}
	return false
}

// Operation finds an operation in any spelling: PutBucketPolicy,
// putBucketPolicy, put_bucket_policy, put-bucket-policy, in any case.
func (s *Service) Operation(name string) (*Operation, bool) {
	op, ok := s.byKey[foldName(name)]
	return op, ok
}

// HasEventStream reports whether a request or an answer of the operation is an
// event stream.
func (o *Operation) HasEventStream() bool { return hasEventStream(o.Input) || hasEventStream(o.Output) }

func hasEventStream(s *Shape) bool {
	if s == nil {
		return false
	}
	for _, m := range s.Members {
		if m.Shape.EventStream {
			return true
		}
	}
	return false
}

// TokenMember gives the member that botocore fills with a fresh identifier, so
// that a repeated request is recognised as the same one.
func (o *Operation) TokenMember() (string, bool) {
	if o.Input == nil {
		return "", false
	}
	for _, m := range o.Input.Members {
		if m.IdempotencyToken {
			return m.Name, true
		}
	}
	return "", false
}

// repeatMembers are members that no model marks as tokens and that are such in fact:
// AWS's pages say that a request with the same one is the same request.
//
//   - CloudFormation, "ClientRequestToken": "specify this token if you plan to retry
//     requests" (CreateStack and the others).
//   - Step Functions, StartExecution: idempotent by name and input while the
//     execution of a standard workflow runs; afterwards the name is taken
//     (ExecutionAlreadyExists), and for 90 days nothing starts twice. Express
//     workflows promise no more than to start at least once.
var repeatMembers = map[string]string{
	"cloudformation:CreateStack": "ClientRequestToken", "cloudformation:UpdateStack": "ClientRequestToken", "cloudformation:DeleteStack": "ClientRequestToken",
	"cloudformation:ContinueUpdateRollback": "ClientRequestToken", "cloudformation:CancelUpdateStack": "ClientRequestToken",
	"cloudformation:RollbackStack": "ClientRequestToken", "cloudformation:ExecuteChangeSet": "ClientRequestToken",
	"stepfunctions:StartExecution": "name",
}

// RepeatMember gives the member by which AWS knows the request with that input
// again: that of TokenMember, which is filled in by whoever sends, or another that
// the input has.
func (o *Operation) RepeatMember(service string, input map[string]any) (string, bool) {
	if member, ok := o.TokenMember(); ok {
		return member, true
	}
	member, ok := repeatMembers[service+":"+o.Name]
	return member, ok && input[member] != nil
}

// Streams reports whether the answer of the operation is a stream: a body without
// a size that is known before, or events.
func (o *Operation) Streams() bool {
	if o.HasEventStream() {
		return true
	}
	if o.Output == nil {
		return false
	}
	for _, m := range o.Output.Members {
		if m.Name == o.Output.Payload && (m.Streaming || m.Shape.Streaming) {
			return true
		}
	}
	return false
}

// foldName makes all spellings of a name alike.
func foldName(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_' || c == '-' || c == ' ' || c == '.':
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// index builds what lookups need. Called once, before the service is shared.
func (s *Service) index() {
	s.byKey = make(map[string]*Operation, len(s.Operations))
	for _, op := range s.Operations {
		s.byKey[foldName(op.Name)] = op
	}
	for _, sh := range s.Shapes {
		if sh.Type != Structure {
			continue
		}
		sh.byName = make(map[string]int, len(sh.Members))
		for i := range sh.Members {
			sh.byName[sh.Members[i].Name] = i
		}
	}
}
