package automation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// FailureType says what kind of failure a step had.
type FailureType string

// The failure types. Systems Manager publishes no closed list; these are ours.
const (
	FailureAction          FailureType = "Action"
	FailureInvocation      FailureType = "Invocation"
	FailureTimeout         FailureType = "Timeout"
	FailureInputValidation FailureType = "InputValidation"
	FailureVerification    FailureType = "Verification"
	FailureCancelled       FailureType = "Cancelled"
	// FailureSandbox is a script's that ran into a limit of the sandbox, or that took
	// another way when it was run again.
	FailureSandbox FailureType = "Sandbox"
)

// Failure is why a step, or an execution, failed.
type Failure struct {
	Step    string              `json:"step"`
	Attempt int                 `json:"attempt,omitempty"`
	Stage   string              `json:"stage"` // "Invocation", "Verification", ...: what the step was doing
	Type    FailureType         `json:"type"`
	Message string              `json:"message"`
	Details map[string][]string `json:"details,omitempty"`
	// Final says that no further attempt is made: what the step changed is made
	// once, and waiting for it again would show the same.
	Final bool `json:"final,omitempty"`
}

// Status gives the status of an execution that ends by f.
func (f *Failure) Status() Status {
	if f.Type == FailureTimeout {
		return TimedOut
	}
	return Failed
}

// callFailure turns what a Caller answered into a failure of the step.
func callFailure(err error) *Failure {
	var api *apimodel.APIError
	if errors.As(err, &api) {
		return &Failure{
			Stage: "Invocation", Type: FailureInvocation,
			Message: fmt.Sprintf("Step fails when it is Executing. An error occurred (%s) when calling the %s operation: %s (Service: %s; Status Code: %d; Error Code: %s; Request ID: %s)",
				api.Code, api.Operation, api.Message, api.Service, api.HTTPStatus, api.Code, api.RequestID),
			Details: map[string][]string{
				"ApiName": {api.Operation}, "ErrorCode": {api.Code}, "HTTPStatus": {strconv.Itoa(api.HTTPStatus)}, "RequestId": {api.RequestID},
			},
		}
	}
	if fault.Is(err, fault.Invalid) {
		return inputFailure(err)
	}
	f := &Failure{Stage: "Invocation", Type: FailureInvocation, Message: "Step fails when it is Executing. " + err.Error()}
	if hint := fault.HintOf(err); hint != "" {
		f.Details = map[string][]string{"Hint": {hint}}
	}
	return f
}

func inputFailure(err error) *Failure {
	return &Failure{Stage: "InputValidation", Type: FailureInputValidation, Message: "Step fails when it is validating and resolving the step inputs. " + err.Error()}
}

func verificationFailure(format string, args ...any) *Failure {
	return &Failure{Stage: "Verification", Type: FailureVerification, Message: "Step fails when it is verifying the response. " + fmt.Sprintf(format, args...)}
}

func cancelFailure(format string, args ...any) *Failure {
	return &Failure{Stage: "Cancellation", Type: FailureCancelled, Message: fmt.Sprintf(format, args...)}
}

func timeoutFailure(format string, args ...any) *Failure {
	return &Failure{Stage: "Invocation", Type: FailureTimeout, Message: "Step timed out while it was Executing. " + fmt.Sprintf(format, args...)}
}

// stops reports whether err must end the whole execution, whatever the document
// says: the gate refused a change because the plan does not hold it or because
// the resource is not what the plan saw, or nobody can tell what became of it.
func stops(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.Conflict || code == fault.Denied
}

// holder is a refusal that is only for now: nothing was done, and the same call
// may be made again when the time is over.
type holder interface {
	error
	Held() time.Duration
}

// held gives how long err asks to wait before the call is made again. What is
// final on the outside is final, whatever it was caused by.
func held(err error) (time.Duration, bool) {
	var h holder
	if err == nil || fault.IsTerminal(err) || !errors.As(err, &h) {
		return 0, false
	}
	return max(h.Held(), time.Second), true
}

// passes reports whether err says nothing about the call, only that AWS could
// not be reached, was too busy, or broke without having been asked to change.
func passes(err error) bool {
	if err == nil || fault.IsTerminal(err) {
		return false
	}
	if _, transient := fault.IsTransient(err); transient || fault.Is(err, fault.Unavailable) {
		return true
	}
	var api *apimodel.APIError
	if !errors.As(err, &api) || api.Uncertain {
		return false
	}
	return api.Throttled || api.HTTPStatus >= 500 && api.HTTPStatus != http.StatusNotImplemented
}

// ended gives the cause when ctx is done: then the run ends without an outcome,
// and its last attempt without a checkpoint.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("run interrupted: %w", context.Cause(ctx))
}
