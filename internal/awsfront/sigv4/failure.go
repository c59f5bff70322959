package sigv4

import (
	"fmt"
	"net/http"
)

// Kind says why a request was not let through. Each protocol has words of its
// own for it.
type Kind string

// The kinds.
const (
	Missing     Kind = "missing"     // no Authorization header
	Incomplete  Kind = "incomplete"  // a header that cannot be read
	UnknownKey  Kind = "unknown_key" // no such key, revoked, or a session token
	Mismatch    Kind = "mismatch"    // the signature is not the one computed
	Skewed      Kind = "skewed"      // signed too long ago, or in the future
	Replayed    Kind = "replayed"    // accepted once already
	TooLarge    Kind = "too_large"   // the body is over the limit
	Malformed   Kind = "malformed"   // the request itself is not one
	Busy        Kind = "busy"        // too many bytes are being read at the moment
	Unavailable Kind = "unavailable" // keys or signatures could not be read
	Unserved    Kind = "unserved"    // signed for a service that Parry does not answer
	// Of requests with a session's cookie instead of a signature:
	SignedOut   Kind = "signed_out"   // no such session, or one that ended
	CrossOrigin Kind = "cross_origin" // a change that another site asked for
)

// Failure is a request that was not let through. Its message is for the sender
// and says nothing that only the holder of a key may know.
type Failure struct {
	Kind    Kind
	Message string
	// Err is for the log only.
	Err error
}

func (f *Failure) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s: %v", f.Kind, f.Message, f.Err)
	}
	return fmt.Sprintf("%s: %s", f.Kind, f.Message)
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

func fail(kind Kind, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Status is the HTTP status of f in AWS's protocols.
func (f *Failure) Status() int {
	switch f.Kind {
	case Incomplete, Malformed:
		return http.StatusBadRequest
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Replayed:
		return http.StatusTooManyRequests
	case Busy, Unavailable:
		return http.StatusServiceUnavailable
	case Unserved:
		return http.StatusNotFound
	default:
		return http.StatusForbidden
	}
}

// Again reports whether the sender should sign the request anew and repeat it.
func (f *Failure) Again() bool {
	return f.Kind == Replayed || f.Kind == Busy || f.Kind == Unavailable
}
