package events

import (
	"errors"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
)

// named are the exceptions that stand for one thing each.
func named() []struct {
	means error
	code  string
} {
	return []struct {
		means error
		code  string
	}{
		{route.ErrPattern, "InvalidEventPatternException"},
		{route.ErrManaged, "ManagedRuleException"},
		{route.ErrStatus, "IllegalStatusException"},
		{route.ErrPolicyLength, "PolicyLengthExceededException"},
		{store.ErrExists, "ResourceAlreadyExistsException"},
	}
}

// ErrorOf words err as EventBridge does. What is internal stays in the log.
func ErrorOf(err error) *protocol.Error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e
	}
	message := err.Error()
	if hint := fault.HintOf(err); hint != "" && !strings.Contains(message, hint) {
		message += ". " + hint
	}
	for _, n := range named() {
		if errors.Is(err, n.means) {
			return &protocol.Error{Status: http.StatusBadRequest, Code: n.code, Message: message}
		}
	}
	switch fault.CodeOf(err) {
	case fault.Invalid:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "ValidationException", Message: message}
	case fault.Denied:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: message}
	case fault.NotFound:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "ResourceNotFoundException", Message: message}
	case fault.Conflict:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "ConcurrentModificationException", Message: message}
	case fault.Exhausted:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "LimitExceededException", Message: message}
	case fault.Unavailable:
		return &protocol.Error{Status: http.StatusServiceUnavailable, Code: "InternalException", Message: "The service is not available at the moment. Try again."}
	default:
		return &protocol.Error{Status: http.StatusInternalServerError, Code: "InternalException", Message: "Internal server error. The reason is in the server's log."}
	}
}

// invalid is a validation error that the model does not express.
func invalid(format string, args ...any) error {
	return fault.Errorf(fault.Invalid, "", format, args...)
}
