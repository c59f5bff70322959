package script

import (
	"errors"
	"fmt"
	"maps"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// answer gives the message that answers a call: the reply, or the error in the
// form in which python/patch.py raises it.
func answer(m message, reply apimodel.Reply, failure error, limit int) ([]byte, error) {
	if failure != nil {
		return encode(map[string]any{"t": "reply", "n": m.N, "error": errorOf(failure)})
	}
	output := reply.Output
	if output == nil {
		output = map[string]any{}
	}
	raw, err := encode(map[string]any{"t": "reply", "n": m.N, "output": output})
	if err != nil {
		return nil, err
	}
	if len(raw) > limit {
		return encode(map[string]any{"t": "reply", "n": m.N, "error": map[string]any{
			"kind":    "sandbox",
			"message": fmt.Sprintf("the answer to %s:%s has %d bytes, a script is given %d at most", m.Service, m.Operation, len(raw), limit),
		}})
	}
	return raw, nil
}

func errorOf(err error) map[string]any {
	var api *apimodel.APIError
	switch {
	case errors.As(err, &api):
		return map[string]any{"kind": "api", "code": api.Code, "response": clientError(api)}
	case fault.Is(err, fault.Invalid):
		return map[string]any{"kind": "invalid", "message": err.Error()}
	case transient(err):
		return map[string]any{"kind": "unavailable", "message": err.Error()}
	default:
		return map[string]any{"kind": "sandbox", "message": err.Error()}
	}
}

func transient(err error) bool {
	_, again := fault.IsTransient(err)
	return again || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Exhausted)
}

// clientError is ClientError.response as botocore makes it.
func clientError(e *apimodel.APIError) map[string]any {
	response := maps.Clone(e.Members)
	if response == nil {
		response = map[string]any{}
	}
	response["Error"] = map[string]any{"Code": e.Code, "Message": e.Message}
	response["ResponseMetadata"] = map[string]any{
		"RequestId": e.RequestID, "HTTPStatusCode": e.HTTPStatus, "HTTPHeaders": map[string]any{}, "RetryAttempts": e.Retries,
	}
	return response
}
