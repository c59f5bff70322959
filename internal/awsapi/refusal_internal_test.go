package awsapi

import (
	"fmt"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

func TestWhatIsMarkedAsRefused(t *testing.T) {
	t.Parallel()
	outside := fault.Errorf(fault.Denied, "apply step A", "%w: no", ErrNotInPlan)
	for name, c := range map[string]struct {
		mode Mode
		err  error
		want bool
	}{
		"nothing":               {ModeApply, nil, false},
		"outside of the plan":   {ModeApply, outside, true},
		"while planning":        {ModePlan, outside, false},
		"a guard's no, wrapped": {ModeApply, fmt.Errorf("A: %w", fault.Errorf(fault.Denied, "call", "refused by guard")), true},
		"AWS's own no":          {ModeApply, fault.Errorf(fault.Denied, "assume", "%w", &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403}), false},
		"an unknown outcome":    {ModeApply, fault.Terminal(fault.Errorf(fault.Denied, "apply step A", "%w", ErrUncertain)), false},
		"the stop switch":       {ModeApply, &HeldError{Err: fault.Errorf(fault.Denied, "apply", "%w: drill", ErrStopped)}, false},
		"a drift":               {ModeApply, fault.Errorf(fault.Conflict, "apply step A", "%w", ErrSuperseded), false},
		"AWS out of reach":      {ModeApply, fault.Errorf(fault.Unavailable, "apply step A", "no route"), false},
	} {
		if got := fault.IsRefused((&Session{mode: c.mode}).marked(c.err)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
