package apimodel

import (
	"fmt"
	"maps"
)

// Class says what an operation may do to an account. An unknown operation is a
// change: the gate never guesses in favour of sending.
type Class string

// The classes of design.md decision 2.
const (
	Read          Class = "read"
	SensitiveRead Class = "sensitive_read" // answers with secret values: planned and approved like a change
	Change        Class = "change"
)

// Valid reports whether c is one of the three classes.
func (c Class) Valid() bool { return c == Read || c == SensitiveRead || c == Change }

// NeedsApproval reports whether a call of this class may only be sent under an
// approved plan or an own-traffic grant.
func (c Class) NeedsApproval() bool { return c != Read }

// Call names one AWS API call in boto3's terms: service and operation in any
// case and spelling that boto3 accepts, input members as the model names them.
type Call struct {
	Service   string         `json:"service"`
	Operation string         `json:"operation"`
	Account   string         `json:"account,omitempty"` // "" = the account of the process's own credentials
	Region    string         `json:"region,omitempty"`
	Input     map[string]any `json:"input,omitempty"`
	// As says as whom the call is made, where that is not the session itself: the
	// ARN of a role, or the access key id that the gate minted when a script assumed
	// one. "" = the session's own identity.
	As string `json:"as,omitempty"`
}

// String gives "s3:PutBucketPolicy in 111122223333/us-east-1".
func (c Call) String() string {
	where := c.Account
	if c.Region != "" {
		where += "/" + c.Region
	}
	return fmt.Sprintf("%s:%s in %s", c.Service, c.Operation, where)
}

// Clone copies c so that its top-level input may be changed.
func (c Call) Clone() Call { c.Input = maps.Clone(c.Input); return c }

// Reply is a parsed response. Output holds the members of the output shape and
// ResponseMetadata (RequestId, HTTPStatusCode, HTTPHeaders, RetryAttempts), as
// boto3 gives it: blobs are []byte, timestamps time.Time, integers int64,
// floats float64.
type Reply struct {
	Output map[string]any
}

// RequestID gives ResponseMetadata.RequestId, or "".
func (r Reply) RequestID() string {
	meta, _ := r.Output["ResponseMetadata"].(map[string]any)
	id, _ := meta["RequestId"].(string)
	return id
}

// APIError is an error that AWS answered, in botocore's terms (ClientError).
type APIError struct {
	Service    string
	Operation  string
	Code       string // the error code as boto3 shows it: "NoSuchBucketPolicy", "AccessDenied"
	Message    string
	HTTPStatus int
	RequestID  string
	Retries    int
	// Members are the error's own members where the model has the error, as
	// boto3 puts them beside Error in ClientError.response. They are AWS's text.
	Members map[string]any
	// Note says more than AWS did: that the answer looks like a proxy's, say.
	Note string
	// Throttled and Uncertain steer the caller: throttled means that nothing was
	// done; uncertain means that the connection broke after the request was sent
	// and the change may or may not have been made.
	Throttled bool
	Uncertain bool
}

// Error prints botocore's ClientError sentence.
func (e *APIError) Error() string {
	text := fmt.Sprintf("an error occurred (%s) when calling the %s operation: %s", e.Code, e.Operation, e.Message)
	if e.Note != "" {
		text += " (" + e.Note + ")"
	}
	return text
}
