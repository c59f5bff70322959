// Package protocol reads and writes AWS's wire protocols (rest-json, JSON 1.1 and query)
// and answers services of JSON 1.1.
package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/awsfront/sigv4"
)

// Error is an error in AWS's form: a code that clients switch on and a message.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// WriteJSON answers value as rest-json.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	writeJSON(w, status, value, "application/json")
}

// JSON11 is the content type of AWS JSON 1.1.
const JSON11 = "application/x-amz-json-1.1"

// WriteJSON11 answers value as AWS JSON 1.1.
func WriteJSON11(w http.ResponseWriter, value any) { writeJSON(w, http.StatusOK, value, JSON11) }

// WriteJSON11Error answers e as AWS JSON 1.1: the code stands in the body alone.
func WriteJSON11Error(w http.ResponseWriter, e *Error) {
	writeJSON(w, e.Status, map[string]string{"__type": e.Code, "Message": e.Message, "message": e.Message}, JSON11)
}

// Appender is a value that writes itself: JSON without spaces, behind b.
type Appender interface {
	AppendJSON(b []byte) ([]byte, error)
}

// answers keeps the room that answers are written in before their length is known.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// keptAnswer is the greatest room kept, in bytes: that of a larger answer goes.
const keptAnswer = 1 << 20

func writeJSON(w http.ResponseWriter, status int, value any, contentType string) {
	room, _ := answers.Get().(*[]byte)
	defer answers.Put(room)
	b, err := appendJSON((*room)[:0], value)
	if cap(b) <= keptAnswer {
		*room = b
	}
	if err != nil {
		WriteJSONError(w, &Error{http.StatusInternalServerError, "InternalException", "The answer could not be written."})
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // A client that is gone needs no answer.
}

// appendJSON writes value as JSON, without a line end, behind b.
func appendJSON(b []byte, value any) ([]byte, error) {
	if a, ok := value.(Appender); ok {
		return a.AppendJSON(b)
	}
	room := bytes.NewBuffer(b)
	enc := json.NewEncoder(room)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return bytes.TrimSuffix(room.Bytes(), []byte("\n")), err
}

// WriteJSONError answers e as rest-json. The message stands under both
// spellings, since AWS's services use both and clients know one each; Code is
// a member of Security Hub's exceptions.
func WriteJSONError(w http.ResponseWriter, e *Error) {
	raw, err := json.Marshal(map[string]string{"__type": e.Code, "Code": e.Code, "Message": e.Message, "message": e.Message})
	if err != nil {
		raw = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", e.Code)
	w.WriteHeader(e.Status)
	_, _ = w.Write(raw)
}

// WriteXML answers value as query.
func WriteXML(w http.ResponseWriter, status int, value any) {
	raw, err := xml.Marshal(value)
	if err != nil {
		status, raw = http.StatusInternalServerError, []byte("<ErrorResponse/>")
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// WriteQueryError answers e as query, in the namespace of its service.
func WriteQueryError(w http.ResponseWriter, namespace string, e *Error) {
	type fault struct {
		Type    string `xml:"Type"`
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
	}
	who := "Sender"
	if e.Status >= http.StatusInternalServerError {
		who = "Receiver"
	}
	WriteXML(w, e.Status, struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr"`
		Error     fault    `xml:"Error"`
		RequestID string   `xml:"RequestId"`
	}{Namespace: namespace, Error: fault{who, e.Code, e.Message}, RequestID: w.Header().Get("X-Amzn-Requestid")})
}

// JSONFailure words a refused request as rest-json services do.
func JSONFailure(f *sigv4.Failure) *Error {
	code := "InternalException"
	switch f.Kind {
	case sigv4.Missing:
		code = "MissingAuthenticationTokenException"
	case sigv4.Incomplete:
		code = "IncompleteSignatureException"
	case sigv4.UnknownKey:
		code = "UnrecognizedClientException"
	case sigv4.Mismatch, sigv4.Skewed:
		code = "InvalidSignatureException"
	case sigv4.Replayed:
		// Every SDK signs anew and repeats on this code, see
		// docs/design/0002-replay-protection.md.
		code = "LimitExceededException"
	case sigv4.TooLarge:
		code = "RequestEntityTooLargeException"
	case sigv4.Malformed:
		code = "InvalidInputException"
	case sigv4.Busy, sigv4.Unavailable:
		code = "ServiceUnavailableException"
	case sigv4.Unserved:
		code = "UnknownOperationException"
	}
	return &Error{f.Status(), code, f.Message}
}

// QueryFailure words a refused request as query services do.
func QueryFailure(f *sigv4.Failure) *Error {
	code := "InternalFailure"
	switch f.Kind {
	case sigv4.Missing:
		code = "MissingAuthenticationToken"
	case sigv4.Incomplete:
		code = "IncompleteSignature"
	case sigv4.UnknownKey:
		code = "InvalidClientTokenId"
	case sigv4.Mismatch, sigv4.Skewed:
		code = "SignatureDoesNotMatch"
	case sigv4.Replayed:
		code = "Throttling"
	case sigv4.TooLarge:
		code = "RequestEntityTooLarge"
	case sigv4.Malformed:
		code = "MalformedQueryString"
	case sigv4.Busy, sigv4.Unavailable:
		code = "ServiceUnavailable"
	case sigv4.Unserved:
		code = "InvalidAction"
	}
	return &Error{f.Status(), code, f.Message}
}

// Refuse answers a request of which not even the service is known.
func Refuse(w http.ResponseWriter, f *sigv4.Failure) { WriteJSONError(w, JSONFailure(f)) }

// Enumerate lists names for a person: "a, b and c".
func Enumerate(names []string) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

type regionKey struct{}

// WithRegion gives a context that carries the region a request is signed for.
func WithRegion(ctx context.Context, region string) context.Context {
	return context.WithValue(ctx, regionKey{}, region)
}

// RegionFrom gives the region of ctx.
func RegionFrom(ctx context.Context) string {
	region, _ := ctx.Value(regionKey{}).(string)
	return region
}
