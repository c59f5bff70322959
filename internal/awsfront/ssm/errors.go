package ssm

import (
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
	return protocol.ErrorOf(err, map[fault.Code]protocol.Kind{
		fault.Invalid:   {Code: "ValidationException", Status: http.StatusBadRequest},
		fault.Denied:    {Code: "AccessDeniedException", Status: http.StatusBadRequest},
		fault.NotFound:  {Code: "ResourceNotFoundException", Status: http.StatusBadRequest},
		fault.Conflict:  {Code: "TooManyUpdates", Status: http.StatusBadRequest},
		fault.Exhausted: {Code: "ThrottlingException", Status: http.StatusBadRequest},
		fault.Internal:  {Code: "InternalServerError"},
	})
}

// as gives what fits err, by its code, in place of the general word for it.
func as(err error, code fault.Code, name, format string, args ...any) error {
	if fault.Is(err, code) {
		return refuse(name, format, args...)
	}
	return err
}
