package awsapi

import (
	"net"
	"net/url"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// endpoint is where a request goes and what it is signed for.
type endpoint struct {
	url           *url.URL
	signingRegion string
	custom        bool // from configuration, not AWS's own
}

// partition is one of AWS's separate clouds.
type partition struct {
	name, suffix string
	global       string // region in which its global services are signed
}

func partitionOf(region string) partition {
	switch apimodel.Partition(region) {
	case "aws-cn":
		return partition{"aws-cn", "amazonaws.com.cn", "cn-north-1"}
	case "aws-us-gov":
		return partition{"aws-us-gov", "amazonaws.com", "us-gov-west-1"}
	}
	return partition{"aws", "amazonaws.com", "us-east-1"}
}

// globalHosts are services that have one endpoint for a whole partition,
// whatever the region; the key is boto3's name, the value the host by partition.
// Where a partition is missing, the service is regional or absent there.
var globalHosts = map[string]map[string]string{
	"iam":               {"aws": "iam.amazonaws.com", "aws-cn": "iam.cn-north-1.amazonaws.com.cn", "aws-us-gov": "iam.us-gov.amazonaws.com"},
	"organizations":     {"aws": "organizations.us-east-1.amazonaws.com", "aws-cn": "organizations.cn-northwest-1.amazonaws.com.cn", "aws-us-gov": "organizations.us-gov-west-1.amazonaws.com"},
	"cloudfront":        {"aws": "cloudfront.amazonaws.com", "aws-cn": "cloudfront.cn-northwest-1.amazonaws.com.cn"},
	"route53":           {"aws": "route53.amazonaws.com", "aws-cn": "route53.amazonaws.com.cn", "aws-us-gov": "route53.us-gov.amazonaws.com"},
	"waf":               {"aws": "waf.amazonaws.com"},
	"shield":            {"aws": "shield.us-east-1.amazonaws.com"},
	"support":           {"aws": "support.us-east-1.amazonaws.com", "aws-cn": "support.cn-north-1.amazonaws.com.cn", "aws-us-gov": "support.us-gov-west-1.amazonaws.com"},
	"budgets":           {"aws": "budgets.amazonaws.com", "aws-cn": "budgets.amazonaws.com.cn"},
	"ce":                {"aws": "ce.us-east-1.amazonaws.com", "aws-cn": "ce.cn-northwest-1.amazonaws.com.cn"},
	"account":           {"aws": "account.us-east-1.amazonaws.com", "aws-cn": "account.cn-northwest-1.amazonaws.com.cn"},
	"globalaccelerator": {"aws": "globalaccelerator.us-west-2.amazonaws.com"},
	"networkmanager":    {"aws": "networkmanager.us-west-2.amazonaws.com", "aws-us-gov": "networkmanager.us-gov-west-1.amazonaws.com"},
	"health":            {"aws": "global.health.amazonaws.com", "aws-cn": "global.health.amazonaws.com.cn", "aws-us-gov": "health.us-gov-west-1.amazonaws.com"},
	"importexport":      {"aws": "importexport.amazonaws.com"},
	"mturk":             {"aws": "mturk-requester.us-east-1.amazonaws.com"},
	"savingsplans":      {"aws": "savingsplans.amazonaws.com"},
}

// globalSigning says where a global service is signed when that is not the
// partition's usual region.
var globalSigning = map[string]map[string]string{
	"organizations":     {"aws-cn": "cn-northwest-1"},
	"cloudfront":        {"aws-cn": "cn-northwest-1"},
	"route53":           {"aws-cn": "cn-northwest-1"},
	"ce":                {"aws-cn": "cn-northwest-1"},
	"account":           {"aws-cn": "cn-northwest-1"},
	"budgets":           {"aws-cn": "cn-northwest-1"},
	"globalaccelerator": {"aws": "us-west-2"},
	"networkmanager":    {"aws": "us-west-2"},
}

// resolveEndpoint finds the address of a service in a region. An override from
// AWS_ENDPOINT_URL_<SERVICE> or AWS_ENDPOINT_URL wins.
func resolveEndpoint(s *apimodel.Service, region string, env func(string) string) (endpoint, error) {
	p := partitionOf(region)
	e := endpoint{signingRegion: region}
	host, global := globalHosts[s.Name][p.name]
	if global {
		e.signingRegion = p.global
		if r := globalSigning[s.Name][p.name]; r != "" {
			e.signingRegion = r
		}
	}
	if custom := endpointOverride(s, env); custom != "" {
		u, err := url.Parse(custom)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return e, fault.Errorf(fault.Invalid, "find endpoint of "+s.Name, "%q is not a URL", custom).
				WithHint("AWS_ENDPOINT_URL must look like https://host:port")
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		e.url, e.custom = u, true
		return e, nil
	}
	if !global {
		host = s.EndpointPrefix + "." + region + "." + p.suffix
	}
	if !validHost(host) {
		return e, fault.Errorf(fault.Invalid, "find endpoint of "+s.Name, "%q is not a region", region)
	}
	e.url = &url.URL{Scheme: "https", Host: host}
	return e, nil
}

// endpointOverride reads the variables that botocore reads, the one of the
// service first.
func endpointOverride(s *apimodel.Service, env func(string) string) string {
	if strings.EqualFold(env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return ""
	}
	id := strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(s.ID))
	if v := env("AWS_ENDPOINT_URL_" + id); v != "" {
		return v
	}
	return env("AWS_ENDPOINT_URL")
}

// validHost keeps a region that came from a document from naming another host.
func validHost(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return len(host) <= 253
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// isLocal reports whether a host has no names of its own below it, so that
// neither a bucket nor a prefix can be put in front.
func isLocal(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	return name == "localhost" || net.ParseIP(strings.Trim(name, "[]")) != nil || !strings.Contains(name, ".")
}

// accountOf gives the account field of an ARN, or "".
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	return parts[4]
}
