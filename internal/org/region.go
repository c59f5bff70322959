package org

import (
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// AlwaysOn reports whether a Region is on in every account: those of 20 March 2019 and
// before, which nobody can turn off. Every one that came later is off in an account until
// somebody turns it on there, so the list is closed. The partitions of China and GovCloud
// have no others.
// https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html
func AlwaysOn(region string) bool {
	switch region {
	case "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1",
		"eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2":
		return true
	}
	return strings.HasPrefix(region, "cn-") || strings.HasPrefix(region, "us-gov-")
}

// AskedIn is where an account can be asked about itself: in region, or where that may be
// off, in one that is not.
func AskedIn(region string) string {
	if region != "" && !AlwaysOn(region) && apimodel.Partition(region) == "aws" {
		return "us-east-1"
	}
	return region
}

// RegionsCall asks an account which Regions are on in it. account:ListRegions tells more, but
// AWS's policy SecurityAudit does not have it.
func RegionsCall(account, home string) apimodel.Call {
	return apimodel.Call{Service: "ec2", Operation: "DescribeRegions", Account: account, Region: AskedIn(home), Input: map[string]any{"AllRegions": true}}
}

// RegionsOf reads its answer: every Region that there is for the account, and whether it
// is on.
func RegionsOf(output map[string]any) map[string]bool {
	on := map[string]bool{}
	list, _ := output["Regions"].([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, _ := m["RegionName"].(string)
		status, _ := m["OptInStatus"].(string)
		switch status {
		case "opt-in-not-required", "opted-in":
			on[name] = true
		case "not-opted-in":
			on[name] = false
		}
	}
	return on
}
