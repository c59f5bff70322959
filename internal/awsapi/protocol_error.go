package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/parry-security/parry/internal/apimodel"
)

// readError gives the error that AWS answered, with the code, the text and the
// members that boto3 shows. A body that is not what the protocol says (HTML of a
// proxy, or nothing) gives the HTTP status as the code.
func (r *runtime) readError(ctx context.Context, o *operationRuntime, a answer) *apimodel.APIError {
	e := &apimodel.APIError{Service: r.service.Name, Operation: o.op.Name, HTTPStatus: a.status, RequestID: requestID(a)}
	if a.status < 300 { // S3 answers some errors with 200; see isHiddenError
		a.status = http.StatusInternalServerError
	}
	if isGeneric(a) {
		e.Code, e.Message, e.Note = strconv.Itoa(a.status), http.StatusText(a.status), note(a)
		return e
	}
	e.Code, e.Message = r.codeAndMessage(ctx, o, a)
	if e.Code == "" {
		e.Code, e.Note = strconv.Itoa(a.status), note(a)
		e.Message = firstNonEmpty(e.Message, r.unparsed(a))
		return e
	}
	if shape := r.exception(e.Code); shape != nil {
		e.Members = r.errorMembers(ctx, o, a, shape)
	}
	return e
}

// isGeneric reports whether an answer comes from something before the service,
// which speaks no protocol of it.
func isGeneric(a answer) bool {
	body := bytes.TrimSpace(a.body)
	return a.status >= http.StatusInternalServerError && (len(body) == 0 || bytes.HasPrefix(body, []byte("<html>")))
}

func (r *runtime) codeAndMessage(ctx context.Context, o *operationRuntime, a answer) (code, message string) {
	var generic *smithy.GenericAPIError
	query := r.queryCode(a)
	a.header = a.header.Clone()
	a.header.Del("X-Amzn-Query-Error")
	if err := r.deserializeError(ctx, o, a, &smithy.TypeRegistry{}); !errors.As(err, &generic) {
		return "", ""
	}
	code, message = generic.Code, generic.Message
	// smithy's word for what is not there.
	if message == "UnknownError" {
		message = ""
	}
	if code == "UnknownError" {
		code = ""
	}
	if message == "" && r.service.Name == "sso-oidc" { // it speaks OAuth there
		var body map[string]any
		_ = json.Unmarshal(a.body, &body)
		if _, given := body["message"]; !given {
			message, _ = body["error_description"].(string)
		}
	}
	return firstNonEmpty(query, code), message
}

// queryCode is the code that an error had when its service still spoke the query
// protocol ("code;fault" in a header). smithy reads it for some services and in
// any form, botocore for all.
func (r *runtime) queryCode(a answer) string {
	code, _, _ := strings.Cut(a.header.Get("X-Amzn-Query-Error"), ";")
	if r.style == asText || strings.Count(a.header.Get("X-Amzn-Query-Error"), ";") != 1 {
		return ""
	}
	if r.style == asRestDocument {
		var body struct{ Code any } // in any case
		_ = json.Unmarshal(a.body, &body)
		if a.header.Get("X-Amzn-Errortype") != "" || body.Code != nil {
			return "" // the REST protocol's own places win
		}
	}
	return code
}

func (r *runtime) deserializeError(ctx context.Context, o *operationRuntime, a answer, types *smithy.TypeRegistry) (err error) {
	defer func() {
		if recover() != nil { // others' parsers on any bytes; see read
			err = errUnreadableError
		}
	}()
	if r.style != asText && r.style != asTyped && !shallow(a.body) {
		return errTooDeep
	}
	out := &dynamicOutput{node: emptyNode, style: r.style}
	return r.protocol.DeserializeResponse(ctx, o.schema, types, a.smithy(), out)
}

var errUnreadableError = errors.New("error answer cannot be parsed")

// exception finds the shape of an error by its code.
func (r *runtime) exception(code string) *apimodel.Shape {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.exceptions == nil {
		r.exceptions = map[string]*apimodel.Shape{}
		for _, s := range r.service.Shapes {
			if s.Exception && s.Type == apimodel.Structure {
				r.exceptions[firstNonEmpty(s.ErrorCode, s.Name)] = s
			}
		}
	}
	return r.exceptions[code]
}

// errorMembers reads the members of an error that the model has. What cannot be
// read is left out: code and message are what a caller decides by.
func (r *runtime) errorMembers(ctx context.Context, o *operationRuntime, a answer, shape *apimodel.Shape) map[string]any {
	out := &errorOutput{dynamicOutput{node: r.schemas.exception(shape), style: r.style}}
	entry := &smithy.TypeRegistryEntry{Schema: out.node.schema, New: func() any { return out }}
	types := &smithy.TypeRegistry{Entries: map[string]*smithy.TypeRegistryEntry{firstNonEmpty(shape.ErrorCode, shape.Name): entry}}
	_ = r.deserializeError(ctx, o, a, types)
	if m, ok := shape.Member("message"); ok && r.style == asText && wireName(m) == "message" {
		delete(out.output, "message") // smithy takes Message for it, botocore does not
	}
	return out.output
}

// errorOutput receives the members of an error.
type errorOutput struct{ dynamicOutput }

// Error implements error, which smithy wants of what an error is read into.
func (o *errorOutput) Error() string { return o.node.shape.Name }

// unparsed words an answer without a code, as botocore does.
func (r *runtime) unparsed(a answer) string {
	if r.style == asText {
		return http.StatusText(a.status)
	}
	if json.Valid(a.body) {
		return ""
	}
	return clip(printable(strings.ToValidUTF8(string(a.body), "")))
}

// note says what an answer that is not of the service's form looks like.
func note(a answer) string {
	body := strings.Join(strings.Fields(strings.ToValidUTF8(string(a.body), "")), " ")
	switch {
	case body == "" || json.Valid(a.body):
		return ""
	case looksLikeHTML(a):
		return "the answer is an HTML page, so it may come from a proxy or a wrong endpoint: " + clip(printable(body))
	}
	return "the answer is not of the service's form: " + clip(printable(body))
}

// printable drops control characters: the text goes to terminals and logs.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0) {
			return -1
		}
		return c
	}, text)
}

func looksLikeHTML(a answer) bool {
	start := bytes.ToLower(bytes.TrimSpace(a.body[:min(len(a.body), 200)]))
	return strings.Contains(a.header.Get("Content-Type"), "text/html") ||
		bytes.HasPrefix(start, []byte("<!doctype html")) || bytes.HasPrefix(start, []byte("<html"))
}

// isHiddenError reports whether a success of S3 is none: CopyObject and
// CompleteMultipartUpload answer 200 before the work is done and then write an
// error.
func (r *runtime) isHiddenError(o *operationRuntime, a answer) bool {
	if r.service.Protocol != "rest-xml" || a.status != http.StatusOK || len(a.body) == 0 {
		return false
	}
	if o.out != nil && o.out.shape.Payload != "" {
		if m, ok := o.out.shape.Member(o.out.shape.Payload); ok && m.Shape.Type != apimodel.Structure {
			return false // the body is a customer's object
		}
	}
	return rootElement(a.body) == "Error"
}

func rootElement(body []byte) string {
	dec := xml.NewDecoder(bytes.NewReader(body))
	for {
		tok, err := dec.Token()
		if err != nil {
			return ""
		}
		if start, ok := tok.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// requestIDHeaders are where services put the request id, in order of trust.
var requestIDHeaders = [...]string{"X-Amzn-Requestid", "X-Amz-Request-Id", "X-Amz-Cf-Id"}

// requestID finds the id by which AWS knows the request.
func requestID(a answer) string {
	for _, name := range requestIDHeaders {
		if id := a.header.Get(name); id != "" {
			return printable(clip(id))
		}
	}
	if len(a.body) == 0 || a.body[0] != '<' {
		return ""
	}
	// The query protocols have it in the body, near the end or near the start.
	for _, tag := range []string{"RequestId", "requestId", "RequestID"} {
		i := bytes.LastIndex(a.body, []byte("<"+tag+">"))
		if tag == "requestId" { // EC2 has it first
			i = bytes.Index(a.body, []byte("<"+tag+">"))
		}
		if i < 0 {
			continue
		}
		if id, _, ok := bytes.Cut(a.body[i+len(tag)+2:], []byte("<")); ok {
			return printable(clip(string(id)))
		}
	}
	return ""
}
