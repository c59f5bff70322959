// Package org describes the organization that Parry answers for: its partition,
// management account, units, accounts with their member role, and regions.
// Types and pure functions only; ingest/org fills them from AWS.
package org

import (
	"regexp"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

var (
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	roleName  = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
	policyARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9_+=,.@/-]{1,512}$`)
	region    = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$`)
	partition = regexp.MustCompile(`^aws(-[a-z]+)*$`)
)

// Organization is what Parry knows of the AWS Organization.
type Organization struct {
	Partition         string `json:"partition" yaml:"partition"` // aws, aws-cn, aws-us-gov; default aws
	ManagementAccount string `json:"management_account" yaml:"management_account"`
	HubAccount        string `json:"hub_account" yaml:"hub_account"` // the account that Parry's own credentials belong to
	HomeRegion        string `json:"home_region" yaml:"home_region"`
	MemberRole        string `json:"member_role" yaml:"member_role"` // role name assumed in every member; default ParryMemberRole
	ExternalID        string `json:"external_id" yaml:"external_id"` // asked for by every member role's trust policy
	// SessionTags marks the sessions that change something with what they are for
	// (parry:remediation, parry:execution, parry:plan); the trust policies then have
	// to allow sts:TagSession. Default true.
	SessionTags bool `json:"session_tags" yaml:"session_tags"`
	// ReadPolicies are ARNs of managed policies that narrow the sessions which only
	// read, as session policies; at most 10. Default none.
	ReadPolicies []string  `json:"read_policies,omitempty" yaml:"read_policies"`
	Accounts     []Account `json:"accounts" yaml:"accounts"`
	// Sync follows the organization as AWS has it.
	Sync Sync `json:"sync" yaml:"sync"`
	// Coverage says what is tried in each account.
	Coverage CoverageSettings `json:"coverage" yaml:"coverage"`
}

// Sync says how AWS Organizations is read.
type Sync struct {
	Enabled bool `json:"enabled" yaml:"enabled"`
	// Every is how often all of it is read. Default 1 hour.
	Every time.Duration `json:"every" yaml:"every"`
	// Account is the one that Organizations is read in, entered as the member role;
	// "" is Parry's own, with its own credentials.
	Account string `json:"account" yaml:"account"`
}

// CoverageSettings say how coverage is found out.
type CoverageSettings struct {
	// Every is how often the member role of each account is tried. Default 1 hour
	// with sync, else never; less than 0: never.
	Every time.Duration `json:"every" yaml:"every"`
	// Regions are those that should be covered. Default: the home region and those
	// of the hubs.
	Regions []string `json:"regions" yaml:"regions"`
	// Silence is for how long a hub may bring nothing of a region of an account.
	// Default 72 hours; less than 0: for ever.
	Silence time.Duration `json:"silence" yaml:"silence"`
}

// Account is one member account.
type Account struct {
	ID   string `json:"id" yaml:"id"`
	Name string `json:"name" yaml:"name"`
	Unit string `json:"unit" yaml:"unit"` // organizational unit path: "dev", "prod/payments"; "" = not known
	// Tags are the account's tags in AWS Organizations.
	Tags map[string]string `json:"tags,omitempty" yaml:"tags"`

	// What AWS Organizations says, where it is followed: the ids of the root and the
	// units that it is in, the root first, and its state.
	UnitIDs []string `json:"unit_ids,omitempty" yaml:"-"`
	State   State    `json:"state,omitempty" yaml:"-"`
	// TagsUnknown says that its tags were not read yet.
	TagsUnknown bool `json:"tags_unknown,omitempty" yaml:"-"`
	// Listed says that parry.yaml lists it.
	Listed bool `json:"listed,omitempty" yaml:"-"`
}

// Validate checks ids and names, and fills nothing.
func (o Organization) Validate() error {
	const op = "check organization"
	if !partition.MatchString(o.Partition) {
		return fault.Errorf(fault.Invalid, op, "partition %q is not one of AWS's, such as aws, aws-cn or aws-us-gov", o.Partition)
	}
	if !roleName.MatchString(o.MemberRole) {
		// Without a role a call would be made with Parry's own credentials.
		return fault.Errorf(fault.Invalid, op, "member_role %q is not the name of an IAM role", o.MemberRole)
	}
	if o.HomeRegion == "" {
		return fault.Errorf(fault.Invalid, op, "home_region is empty")
	}
	if !accountID.MatchString(o.HubAccount) {
		return fault.Errorf(fault.Invalid, op, "hub_account %q is not a 12-digit account id", o.HubAccount)
	}
	if o.ManagementAccount != "" && !accountID.MatchString(o.ManagementAccount) {
		return fault.Errorf(fault.Invalid, op, "management_account %q is not a 12-digit account id", o.ManagementAccount)
	}
	if len(o.ReadPolicies) > 10 {
		return fault.Errorf(fault.Invalid, op, "read_policies has %d entries, STS takes 10", len(o.ReadPolicies))
	}
	for i, arn := range o.ReadPolicies {
		if !policyARN.MatchString(arn) {
			return fault.Errorf(fault.Invalid, op, "read_policies[%d] %q is not the ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess", i, arn)
		}
	}
	seen := map[string]bool{}
	for i, a := range o.Accounts {
		if !accountID.MatchString(a.ID) {
			return fault.Errorf(fault.Invalid, op, "accounts[%d].id %q is not a 12-digit account id", i, a.ID)
		}
		if seen[a.ID] {
			return fault.Errorf(fault.Invalid, op, "accounts[%d].id %s is listed twice", i, a.ID)
		}
		seen[a.ID] = true
	}
	return o.validateFollowing()
}

const (
	maxRegions   = 100
	leastBetween = time.Minute
)

// validateFollowing checks how AWS Organizations is read and coverage found out.
func (o Organization) validateFollowing() error {
	const op = "check organization"
	switch {
	case o.Sync.Enabled && o.ManagementAccount == "":
		// It says which organization is meant, and is what no change may touch.
		return fault.Errorf(fault.Invalid, op, "sync.enabled needs management_account").WithHint("set organization.management_account")
	case o.Sync.Account != "" && !accountID.MatchString(o.Sync.Account):
		return fault.Errorf(fault.Invalid, op, "sync.account %q is not a 12-digit account id", o.Sync.Account)
	case o.Sync.Every != 0 && o.Sync.Every < leastBetween:
		return fault.Errorf(fault.Invalid, op, "sync.every %s is less than %s", o.Sync.Every, leastBetween)
	case o.Coverage.Every > 0 && o.Coverage.Every < leastBetween:
		return fault.Errorf(fault.Invalid, op, "coverage.every %s is less than %s", o.Coverage.Every, leastBetween)
	case len(o.Coverage.Regions) > maxRegions:
		return fault.Errorf(fault.Invalid, op, "coverage.regions has %d entries, the limit is %d", len(o.Coverage.Regions), maxRegions)
	}
	for i, r := range o.Coverage.Regions {
		if !region.MatchString(r) {
			return fault.Errorf(fault.Invalid, op, "coverage.regions[%d] %q is not a region, such as eu-west-1", i, r)
		}
	}
	return nil
}

// UnitPath gives the units that an account with this unit is in: its own, and
// those above it, by their paths. "prod/payments" gives "prod/payments" and "prod".
func UnitPath(unit string) []string {
	unit = strings.Trim(unit, "/")
	var out []string
	for unit != "" {
		out = append(out, unit)
		unit = unit[:max(strings.LastIndexByte(unit, '/'), 0)]
	}
	return out
}

// ValidAccountID reports whether id has the form of an account id.
func ValidAccountID(id string) bool { return accountID.MatchString(id) }
