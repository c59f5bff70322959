package awsapi

import (
	"errors"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// refusal is the stop of another execution, which knows what it was stopped for.
type refusal interface {
	error
	RefusedCall() bool
}

// RefusedCall reports whether err says that an execution asked for what it may not
// do: a call outside of its plan, a role that is not listed, what a guard refuses.
// AWS's own refusals, a resource that changed after the plan, and a change of which
// nobody can tell what became of it are none.
func RefusedCall(err error) bool {
	var child refusal
	if errors.As(err, &child) {
		return child.RefusedCall()
	}
	var aws *apimodel.APIError
	return fault.Is(err, fault.Denied) && !errors.As(err, &aws) && !errors.Is(err, ErrUncertain)
}
