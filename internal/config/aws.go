package config

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

// AWS says where and how fast AWS is called; see docs/configuration.md.
type AWS struct {
	// UseFIPS and UseDualStack pick AWS's FIPS and dual-stack endpoints. Where one
	// is false the environment decides: AWS_USE_FIPS_ENDPOINT,
	// AWS_USE_DUALSTACK_ENDPOINT.
	UseFIPS      bool `yaml:"use_fips"`
	UseDualStack bool `yaml:"use_dualstack"`
	// Rate and Burst are where calls to one service in one region of one account
	// start; 0 is the default of awsapi.ClientConfig.
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
	// Limits are where single services start, or operations: "cloudtrail:LookupEvents".
	Limits map[string]awsapi.Limit `yaml:"limits"`
	// RereadAfter is how long a fix that policy approved is made on what its plan read:
	// what is older is read again right before the change. Nil = DefaultRereadAfter, 0 =
	// always read again.
	RereadAfter *time.Duration `yaml:"reread_after"`
	// RereadSharedAfter is the same for what several people write parts of: policies,
	// access control lists. Nil = DefaultRereadSharedAfter, at most RereadAfter.
	RereadSharedAfter *time.Duration `yaml:"reread_shared_after"`
}

// Reread gives RereadAfter or its default.
func (a AWS) Reread() time.Duration {
	if a.RereadAfter == nil {
		return DefaultRereadAfter
	}
	return *a.RereadAfter
}

// RereadShared gives RereadSharedAfter or its default.
func (a AWS) RereadShared() time.Duration {
	if a.RereadSharedAfter == nil {
		return min(DefaultRereadSharedAfter, a.Reread())
	}
	return *a.RereadSharedAfter
}

// DefaultRereadAfter is long enough for a fix that nobody has to approve, and short
// against the time that people need to change something in between.
const DefaultRereadAfter = 5 * time.Second

// DefaultRereadSharedAfter is what planning, approval by policy and the change take on a
// server that is not busy, AWS's own time included.
const DefaultRereadSharedAfter = time.Second

// maxRereadAfter bounds it: beyond, a plan is no reading of now.
const maxRereadAfter = time.Minute

const (
	maxRate   = 10_000
	maxLimits = 500
)

var limitName = regexp.MustCompile(`^[a-z0-9-]{1,63}(:[A-Za-z0-9]{1,100})?$`)

func (c *Config) validateAWS() error {
	a := c.AWS
	if a.Rate < 0 || a.Rate > maxRate || a.Burst < 0 || a.Burst > maxRate {
		return fault.Errorf(fault.Invalid, validate, "aws.rate is %v and aws.burst is %d, not numbers from 0 (the default) to %d", a.Rate, a.Burst, maxRate)
	}
	if d := a.Reread(); d < 0 || d > maxRereadAfter {
		return fault.Errorf(fault.Invalid, validate, "aws.reread_after is %s, not from 0s to %s", d, maxRereadAfter)
	}
	if d := a.RereadShared(); d < 0 || d > a.Reread() {
		return fault.Errorf(fault.Invalid, validate, "aws.reread_shared_after is %s, not from 0s to aws.reread_after, %s", d, a.Reread())
	}
	if len(a.Limits) > maxLimits {
		return fault.Errorf(fault.Invalid, validate, "aws.limits has %d entries, the limit is %d", len(a.Limits), maxLimits)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Limits)) {
		l := a.Limits[name]
		if !limitName.MatchString(name) {
			return fault.Errorf(fault.Invalid, validate, "aws.limits has %.80q, which names no service", name).
				WithHint("name a service as boto3 does (organizations), or one of its operations (cloudtrail:LookupEvents)")
		}
		if l.PerSecond < 0.01 || l.PerSecond > maxRate || l.Burst < 1 || l.Burst > maxRate {
			return fault.Errorf(fault.Invalid, validate, "aws.limits.%s is rate %v and burst %d; rate goes from 0.01 to %d, burst from 1", name, l.PerSecond, l.Burst, maxRate)
		}
	}
	return nil
}
