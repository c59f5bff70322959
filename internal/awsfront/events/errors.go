package events

import (
	"errors"
	"net/http"

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

// kinds are the exceptions for what is only known by its fault code.
func kinds() map[fault.Code]protocol.Kind {
	return map[fault.Code]protocol.Kind{
		fault.Invalid:   {Code: "ValidationException", Status: http.StatusBadRequest},
		fault.Denied:    {Code: "AccessDeniedException", Status: http.StatusBadRequest},
		fault.NotFound:  {Code: "ResourceNotFoundException", Status: http.StatusBadRequest},
		fault.Conflict:  {Code: "ConcurrentModificationException", Status: http.StatusBadRequest},
		fault.Exhausted: {Code: "LimitExceededException", Status: http.StatusBadRequest},
		fault.Internal:  {Code: "InternalException"},
	}
}

// ErrorOf words err as EventBridge does. What is internal stays in the log.
func ErrorOf(err error) *protocol.Error {
	for _, n := range named() {
		if errors.Is(err, n.means) {
			return &protocol.Error{Status: http.StatusBadRequest, Code: n.code, Message: protocol.Message(err)}
		}
	}
	return protocol.ErrorOf(err, kinds())
}

// invalid is a validation error that the model does not express.
func invalid(format string, args ...any) error {
	return fault.Errorf(fault.Invalid, "", format, args...)
}
