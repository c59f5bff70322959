package triage

import (
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/parry-security/parry/internal/finding"
)

// IsThreat reports whether f tells of something that happened, rather than of
// something that could: its types are tactics, effects or unusual behaviors of ASFF's
// taxonomy, and it is active and nobody closed it. The findings of Security Hub's
// controls name effects too ("Effects/Data Exposure/..."), of what they would allow; a
// check of compliance is no threat.
func IsThreat(f finding.Finding) bool {
	return idle(f) == "" && tellsOfThreat(f)
}

// tellsOfThreat is IsThreat, whether the finding is open or not.
func tellsOfThreat(f finding.Finding) bool {
	if f.Has("Compliance") {
		return false
	}
	threat := false
	f.Values([]string{"Types"}, func(v any) bool {
		t, _ := v.(string)
		namespace, _, _ := strings.Cut(t, "/")
		switch namespace {
		case "TTPs", "Effects", "Unusual Behaviors":
			threat = true
		}
		return !threat
	})
	return threat
}

// openings say for members of a resource's details which value makes it reachable from
// outside. They are those of ASFF's "resource details" pages.
var openings = []struct { //nolint:gochecknoglobals // a table
	path  []string
	value string
	why   string
}{
	{[]string{"AwsRdsDbInstance", "PubliclyAccessible"}, "true", "the database is publicly accessible"},
	{[]string{"AwsRedshiftCluster", "PubliclyAccessible"}, "true", "the cluster is publicly accessible"},
	{[]string{"AwsDmsReplicationInstance", "PubliclyAccessible"}, "true", "the replication instance is publicly accessible"},
	{[]string{"AwsAmazonMqBroker", "PubliclyAccessible"}, "true", "the broker is publicly accessible"},
	{[]string{"AwsElbv2LoadBalancer", "Scheme"}, "internet-facing", "the load balancer faces the internet"},
	{[]string{"AwsElbLoadBalancer", "Scheme"}, "internet-facing", "the load balancer faces the internet"},
	{[]string{"AwsEksCluster", "ResourcesVpcConfig", "EndpointPublicAccess"}, "true", "the cluster's endpoint is public"},
	{[]string{"AwsAutoScalingLaunchConfiguration", "AssociatePublicIpAddress"}, "true", "its instances get public addresses"},
	{[]string{"AwsEc2Subnet", "MapPublicIpOnLaunch"}, "true", "instances in the subnet get public addresses"},
	{[]string{"AwsEc2SecurityGroup", "IpPermissions", "IpRanges", "CidrIp"}, "0.0.0.0/0", "the security group is open to all"},
	{[]string{"AwsEc2SecurityGroup", "IpPermissions", "Ipv6Ranges", "CidrIpv6"}, "::/0", "the security group is open to all"},
	{[]string{"AwsS3Bucket", "PublicAccessBlockConfiguration", "BlockPublicPolicy"}, "false", "the bucket lets policies make it public"},
	{[]string{"AwsS3Bucket", "PublicAccessBlockConfiguration", "BlockPublicAcls"}, "false", "the bucket lets grants make it public"},
}

// addresses are where details have IP addresses; a public one is reachable.
var addresses = [][]string{ //nolint:gochecknoglobals // a table
	{"AwsEc2Instance", "IpV4Addresses"},
	{"AwsEc2Instance", "IpV6Addresses"},
	{"AwsEc2NetworkInterface", "PublicIp"},
	{"AwsEc2Eip", "PublicIp"},
}

// exposure says why a resource of f is reachable from outside, "" when nothing in the
// finding says so. It is the provider's claim and moves a score, nothing more.
func exposure(f finding.Finding) string {
	if f.Has("NetworkPath") {
		return "there is a network path to the resource"
	}
	exposed := ""
	f.Values([]string{"Types"}, func(v any) bool {
		if t, _ := v.(string); strings.HasSuffix(t, "/Network Reachability") || strings.HasPrefix(t, "Effects/Data Exposure") {
			exposed = "the finding is of type " + t
		}
		return exposed == ""
	})
	for _, o := range openings {
		if exposed != "" {
			break
		}
		f.Values(append([]string{"Resources", "Details"}, o.path...), func(v any) bool {
			if scalar(v) == o.value {
				exposed = o.why
			}
			return exposed == ""
		})
	}
	for _, path := range addresses {
		if exposed != "" {
			break
		}
		f.Values(append([]string{"Resources", "Details"}, path...), func(v any) bool {
			if a, err := netip.ParseAddr(scalar(v)); err == nil && a.IsGlobalUnicast() && !a.IsPrivate() {
				exposed = "the resource has the public address " + a.String()
			}
			return exposed == ""
		})
	}
	return exposed
}

// scalar gives a value of a document as text.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

// exploits is what a finding says of the exploits of its weakness.
type exploits struct {
	known, available bool
	epss             float64 // 0 to 1
}

// exploitOf reads ASFF's Vulnerabilities: EpssScore, ExploitAvailable and
// LastKnownExploitAt, the worst of all.
func exploitOf(f finding.Finding) exploits {
	var x exploits
	f.Values([]string{"Vulnerabilities", "LastKnownExploitAt"}, func(v any) bool {
		x.known = x.known || scalar(v) != ""
		return !x.known
	})
	f.Values([]string{"Vulnerabilities", "ExploitAvailable"}, func(v any) bool {
		x.available = x.available || scalar(v) == "YES"
		return !x.available
	})
	f.Values([]string{"Vulnerabilities", "EpssScore"}, func(v any) bool {
		if n, ok := v.(json.Number); ok {
			if score, err := n.Float64(); err == nil && score > x.epss {
				x.epss = min(1, score)
			}
		}
		return true
	})
	return x
}
