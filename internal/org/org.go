// Package org describes the organization that Parry answers for: its partition,
// management account, units, accounts with their member role, and regions.
// Types and pure functions only; ingest/org fills them from AWS.
package org

import (
	"regexp"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

var (
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	roleName  = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
	policyARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9_+=,.@/-]{1,512}$`)
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
}

// Account is one member account.
type Account struct {
	ID   string `json:"id" yaml:"id"`
	Name string `json:"name" yaml:"name"`
	Unit string `json:"unit" yaml:"unit"` // organizational unit path: "dev", "prod/payments"; "" = not known
	// Tags are the account's tags in AWS Organizations.
	Tags map[string]string `json:"tags,omitempty" yaml:"tags"`
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
	return nil
}

// Account gives the member account with id.
func (o Organization) Account(id string) (Account, bool) {
	for _, a := range o.Accounts {
		if a.ID == id {
			return a, true
		}
	}
	return Account{}, false
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
