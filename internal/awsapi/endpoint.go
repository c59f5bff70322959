package awsapi

import (
	_ "embed"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// endpoint is where a request goes and what it is signed for.
type endpoint struct {
	url           *url.URL
	signingRegion string
	custom        bool // from configuration, not AWS's own
}

// suffixes are the domains of AWS's separate clouds.
var suffixes = map[string]string{"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}

//go:embed endpoints.json
var endpointsJSON []byte

// endpointTable holds what does not follow the rule, by service, partition and
// region ("*" for all): the URL, in which {region} stands for the region, and
// the region that is signed for ("" for the region itself).
type endpointTable map[string]map[string]map[string][2]string

// endpoints parses the table once; it is embedded, so it cannot differ later.
var endpoints = sync.OnceValues(func() (endpointTable, error) {
	var t endpointTable
	err := json.Unmarshal(endpointsJSON, &t)
	return t, err
})

// resolveEndpoint finds the address of a service in a region. An override from
// AWS_ENDPOINT_URL_<SERVICE> or AWS_ENDPOINT_URL wins; it changes the address
// only, so that a request is signed as AWS would want it.
func resolveEndpoint(s *apimodel.Service, region string, env func(string) string) (endpoint, error) {
	op := "find endpoint of " + s.Name
	e, err := ownEndpoint(s, region)
	custom := endpointOverride(s, env)
	if custom == "" || !validLabel(region) {
		return e, err
	}
	if err != nil { // a partition that we do not know, with an address that we do
		e = endpoint{signingRegion: region}
	}
	u, err := url.Parse(custom)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return e, fault.Errorf(fault.Invalid, op, "%q is not a URL", custom).WithHint("AWS_ENDPOINT_URL must look like https://host:port")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	e.url, e.custom = u, true
	return e, nil
}

// ownEndpoint is where AWS has the service.
func ownEndpoint(s *apimodel.Service, region string) (endpoint, error) {
	op := "find endpoint of " + s.Name
	table, err := endpoints()
	if err != nil {
		return endpoint{}, fault.E(fault.Internal, op, err)
	}
	if !validLabel(region) {
		return endpoint{}, fault.Errorf(fault.Invalid, op, "%q is not a region", clip(printable(region)))
	}
	partition := apimodel.Partition(region)
	suffix := suffixes[partition]
	if suffix == "" {
		return endpoint{}, fault.Errorf(fault.Invalid, op, "region %s is in partition %s, whose endpoints are not known", region, partition).
			WithHint("set AWS_ENDPOINT_URL_%s", serviceVariable(s))
	}
	odd, ok := table[s.Name][partition][region]
	if !ok {
		odd, ok = table[s.Name][partition]["*"]
	}
	if !ok {
		odd = [2]string{"https://" + s.EndpointPrefix + ".{region}." + suffix}
	}
	u, err := url.Parse(strings.ReplaceAll(odd[0], "{region}", region))
	if err != nil {
		return endpoint{}, fault.E(fault.Internal, op, err)
	}
	return endpoint{url: u, signingRegion: firstNonEmpty(odd[1], region)}, nil
}

// endpointOverride reads the variables that botocore reads, the one of the
// service first.
func endpointOverride(s *apimodel.Service, env func(string) string) string {
	if strings.EqualFold(env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return ""
	}
	if v := env("AWS_ENDPOINT_URL_" + serviceVariable(s)); v != "" {
		return v
	}
	return env("AWS_ENDPOINT_URL")
}

// serviceVariable is the end of the variable that names a service's endpoint.
func serviceVariable(s *apimodel.Service) string {
	return strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(s.ID))
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
