package awsapi

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/parry-security/parry/internal/apimodel"
)

// readError gives the error that AWS answered, with the code and the text that
// boto3 shows. A body that is not what the protocol says (HTML of a proxy, or
// nothing) gives the HTTP status as the code.
func (r *runtime) readError(ctx context.Context, o *operationRuntime, a answer) *apimodel.APIError {
	e := &apimodel.APIError{Service: r.service.Name, Operation: o.op.Name, HTTPStatus: a.status, RequestID: requestID(a)}
	e.Code, e.Message = r.codeAndMessage(ctx, o, a)
	// smithy's word for what is not there.
	if e.Message == "UnknownError" {
		e.Message = ""
	}
	if e.Code == "" || e.Code == "UnknownError" {
		e.Code = strconv.Itoa(a.status)
		e.Message = firstNonEmpty(e.Message, unparsed(a))
	}
	return e
}

func (r *runtime) codeAndMessage(ctx context.Context, o *operationRuntime, a answer) (code, message string) {
	defer func() {
		if recover() != nil { // others' parsers on any bytes; see read
			code, message = "", ""
		}
	}()
	if len(bytes.TrimSpace(a.body)) == 0 && a.header.Get("X-Amzn-Errortype") == "" {
		return "", ""
	}
	if r.style == asDocument && !shallow(a.body) {
		return "", ""
	}
	if a.status < 300 { // S3 answers some errors with 200; see isHiddenError
		a.status = http.StatusInternalServerError
	}
	out := &dynamicOutput{node: emptyNode, style: r.style}
	err := r.protocol.DeserializeResponse(ctx, o.schema, &smithy.TypeRegistry{}, a.smithy(), out)
	var generic *smithy.GenericAPIError
	if errors.As(err, &generic) {
		return generic.Code, generic.Message
	}
	return "", ""
}

// unparsed words an answer that could not be read as an error of the service.
func unparsed(a answer) string {
	text := http.StatusText(a.status)
	body := strings.Join(strings.Fields(strings.ToValidUTF8(string(a.body), "")), " ")
	if body == "" {
		return text
	}
	kind := "an answer that is not of the service's form"
	if looksLikeHTML(a) {
		kind = "an HTML page, so the answer may come from a proxy or a wrong endpoint"
	}
	return text + ": " + kind + ": " + clip(printable(body))
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
		_, after, ok := bytes.Cut(a.body, []byte("<"+tag+">"))
		if !ok {
			continue
		}
		if id, _, ok := bytes.Cut(after, []byte("<")); ok {
			return printable(clip(string(id)))
		}
	}
	return ""
}
