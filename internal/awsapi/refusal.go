package awsapi

import (
	"errors"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// marked marks an error as refused that says that whoever applies a plan asked for
// what it may not do: a call outside of the plan, a role that is not listed, what a
// guard refuses. AWS's own refusals, a stop that passes, a resource that changed
// after the plan, and a change of which nobody can tell what became of it are none.
func (s *Session) marked(err error) error {
	var aws *apimodel.APIError
	if s.mode != ModeApply || !fault.Is(err, fault.Denied) || errors.As(err, &aws) || errors.Is(err, ErrUncertain) || errors.Is(err, ErrStopped) {
		return err
	}
	return fault.Refused(err)
}
