package config

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

// maxEventTargets bounds the list: each ARN is a grant.
const maxEventTargets = 1000

// validateEventTargets takes exact ARNs alone: whoever reads the list knows what may be
// called.
func (c *Config) validateEventTargets() error {
	if len(c.EventTargets) > maxEventTargets {
		return fault.Errorf(fault.Invalid, validate, "event_targets has %d entries, the limit is %d", len(c.EventTargets), maxEventTargets)
	}
	seen := map[string]bool{}
	for i, text := range c.EventTargets {
		arn, ok := target.ParseARN(text)
		switch {
		case !ok || arn.Region == "" || arn.Account == "" || strings.ContainsAny(text, "*? "):
			return fault.Errorf(fault.Invalid, validate, "event_targets[%d] %q is not an exact ARN with region and account", i, text).
				WithHint("write for example arn:aws:sqs:us-east-1:111122223333:alarms; wildcards are not taken")
		case !slices.Contains(route.TargetServices(), arn.Service):
			return fault.Errorf(fault.Invalid, validate, "event_targets[%d]: Parry does not call %s as a target", i, arn.Service).
				WithHint("targets in AWS are of %s", strings.Join(route.TargetServices(), ", "))
		case seen[text]:
			return fault.Errorf(fault.Invalid, validate, "event_targets[%d] %q is there twice", i, text)
		}
		seen[text] = true
	}
	return nil
}
