package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

// The ways of EventTransformers. Parry's is the default.
const (
	TransformersParry = "parry"
	TransformersAWS   = "aws"
)

// maxEventTargets bounds the list: each ARN is a grant.
const maxEventTargets = 1000

// validateEventTargets takes exact ARNs alone: whoever reads the list knows what may be
// called.
func (c *Config) validateEventTargets() error {
	switch c.EventTransformers {
	case "", TransformersParry, TransformersAWS:
	default:
		return fault.Errorf(fault.Invalid, validate, "event_transformers %q is neither %s nor %s", c.EventTransformers, TransformersParry, TransformersAWS)
	}
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

// EventLimit bounds what one target of the bus is sent, whichever rules send to it.
type EventLimit struct {
	Target      string        `yaml:"target"`      // its ARN
	Concurrency int           `yaml:"concurrency"` // deliveries at the same time; default 16
	Rate        float64       `yaml:"rate"`        // deliveries a second; default: no limit
	Timeout     time.Duration `yaml:"timeout"`     // of one delivery; default 30s
}

// The bounds of the limits.
const (
	maxConcurrency = 256
	maxEventRate   = 100_000
	maxTimeout     = 2 * time.Minute
)

func (c *Config) validateEventLimits() error {
	seen := map[string]bool{}
	for i, l := range c.EventLimits {
		place := fmt.Sprintf("event_limits[%d]", i)
		switch {
		case !strings.HasPrefix(l.Target, "arn:"):
			return fault.Errorf(fault.Invalid, validate, "%s.target %q is not the ARN of a target", place, l.Target).WithHint("write it as in the rule: arn:aws:parry:us-east-1:999988887777:webhook/shop")
		case seen[l.Target]:
			return fault.Errorf(fault.Invalid, validate, "%s.target %q is there twice", place, l.Target)
		case l.Concurrency < 0 || l.Concurrency > maxConcurrency:
			return fault.Errorf(fault.Invalid, validate, "%s.concurrency is %d, not 1 to %d", place, l.Concurrency, maxConcurrency)
		case l.Rate < 0 || l.Rate > maxEventRate:
			return fault.Errorf(fault.Invalid, validate, "%s.rate is %g, not 0 to %d", place, l.Rate, maxEventRate)
		case l.Timeout < 0 || l.Timeout > maxTimeout:
			return fault.Errorf(fault.Invalid, validate, "%s.timeout is %s, not up to %s", place, l.Timeout, maxTimeout)
		}
		seen[l.Target] = true
	}
	return nil
}
