package ssm

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
)

// refuse makes one of the API's errors. All of them are 400 in JSON 1.1.
func refuse(code, format string, args ...any) error {
	return &protocol.Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// ErrorOf words err as Systems Manager does. What is internal stays in the log.
func ErrorOf(err error) *protocol.Error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e
	}
	message := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		message += ". " + hint
	}
	switch fault.CodeOf(err) {
	case fault.Invalid:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "ValidationException", Message: message}
	case fault.Denied:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: message}
	case fault.NotFound:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "ResourceNotFoundException", Message: message}
	case fault.Conflict:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "TooManyUpdates", Message: message}
	case fault.Exhausted:
		return &protocol.Error{Status: http.StatusBadRequest, Code: "ThrottlingException", Message: message}
	case fault.Unavailable:
		return &protocol.Error{Status: http.StatusServiceUnavailable, Code: "InternalServerError", Message: "The service is not available at the moment. Try again."}
	default:
		return &protocol.Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: "Internal server error. The reason is in the server's log."}
	}
}

// as gives what fits err, by its code, in place of the general word for it.
func as(err error, code fault.Code, name, format string, args ...any) error {
	if fault.Is(err, code) {
		return refuse(name, format, args...)
	}
	return err
}
