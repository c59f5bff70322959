package finding

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Link leads to a page about a finding, or about one of the things that it names.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// The parts of Detective's URLs that come from a finding. Nothing else of a
// provider's text gets into one.
//
//nolint:gochecknoglobals // constants
var (
	detectorFinding = regexp.MustCompile(`^arn:[a-z-]+:guardduty:[a-z0-9-]+:[0-9]{12}:detector/[0-9a-f]{32}/finding/([0-9a-f]{32})$`)
	instanceARN     = regexp.MustCompile(`^arn:[a-z-]+:ec2:[a-z0-9-]+:[0-9]{12}:instance/(i-[0-9a-f]{8,17})$`)
	principalID     = regexp.MustCompile(`^(A(?:ROA|IDA)[A-Z0-9]{12,28})(?::|$)`)
)

// maxLinks bounds the links of one finding.
const maxLinks = 20

// DetectiveLinks gives the pages of Amazon Detective about a finding of GuardDuty: its
// own, and those of the account, the IAM roles and users, the EC2 instances and the
// IP addresses that it names. Other findings have none.
// https://docs.aws.amazon.com/detective/latest/userguide/navigate-to-profile.html
func (f Finding) DetectiveLinks() []Link {
	arn, _ := ParseProductARN(f.String("ProductArn"))
	console := map[string]string{"aws": "https://console.aws.amazon.com", "aws-us-gov": "https://console.amazonaws-us-gov.com"}[arn.Partition]
	region := f.Region()
	if arn.Name() != "aws/guardduty" || console == "" || !regionName.MatchString(region) {
		return nil
	}
	var links []Link
	add := func(title, path string) {
		link := Link{"Detective: " + title, console + "/detective/home?region=" + region + "#" + path}
		if len(links) < maxLinks && !slices.Contains(links, link) {
			links = append(links, link)
		}
	}
	if id := detectorFinding.FindStringSubmatch(f.String("Id")); id != nil {
		add("the finding", "findings/"+id[1])
	}
	if account := f.Account(); isAccount(account) {
		add("account "+account, "entities/AwsAccount/"+account)
	}
	f.each([]string{"Resources", "Id"}, func(text string) {
		if id := instanceARN.FindStringSubmatch(text); id != nil {
			add("instance "+id[1], "entities/Ec2Instance/"+id[1])
		}
	})
	for _, path := range []string{"AwsIamAccessKey.PrincipalId", "AwsIamRole.RoleId", "AwsIamUser.UserId"} {
		f.each(append([]string{"Resources", "Details"}, strings.Split(path, ".")...), func(text string) {
			id := principalID.FindStringSubmatch(text)
			switch {
			case id == nil:
			case strings.HasPrefix(id[1], "AROA"):
				add("role "+id[1], "entities/AwsRole/"+id[1])
			default:
				add("user "+id[1], "entities/AwsUser/"+id[1])
			}
		})
	}
	for _, path := range []string{
		"Action.NetworkConnectionAction.RemoteIpDetails.IpAddressV4", "Action.AwsApiCallAction.RemoteIpDetails.IpAddressV4",
		"Action.PortProbeAction.PortProbeDetails.RemoteIpDetails.IpAddressV4", "Network.SourceIpV4", "Network.SourceIpV6", "Network.DestinationIpV4", "Network.DestinationIpV6",
	} {
		f.each(strings.Split(path, "."), func(text string) {
			if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
				add("address "+ip.String(), "entities/IpAddress/"+ip.String())
			}
		})
	}
	return links
}

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`) //nolint:gochecknoglobals // a constant

// each calls yield for every string at path.
func (f Finding) each(path []string, yield func(text string)) {
	f.Values(path, func(v any) bool {
		if s, ok := v.(string); ok {
			yield(s)
		}
		return true
	})
}
