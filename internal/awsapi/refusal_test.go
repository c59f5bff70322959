package awsapi_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

func TestRefusedCall(t *testing.T) {
	t.Parallel()
	outside := fault.Errorf(fault.Denied, "apply step A", "%w: no", awsapi.ErrNotInPlan)
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":               {nil, false},
		"outside of the plan":   {outside, true},
		"a guard's no, wrapped": {fmt.Errorf("step A: %w", fault.Errorf(fault.Denied, "call", "refused by guard")), true},
		"AWS's own no":          {fault.Errorf(fault.Denied, "assume", "%w", &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403}), false},
		"an unknown outcome":    {fault.Terminal(fault.Errorf(fault.Denied, "apply step A", "%w", awsapi.ErrUncertain)), false},
		"a drift":               {fault.Errorf(fault.Conflict, "apply step A", "%w", awsapi.ErrSuperseded), false},
		"AWS out of reach":      {fault.Errorf(fault.Unavailable, "apply step A", "no route"), false},
		"a child's":             {&automation.ChildStopError{Err: outside, Refused: true}, true},
		"a child's that is not": {errors.Join(&automation.ChildStopError{Err: outside}), false},
	} {
		if got := awsapi.RefusedCall(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
