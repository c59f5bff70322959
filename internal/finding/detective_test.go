package finding_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
)

const guardDuty = "arn:aws:securityhub:eu-west-1::product/aws/guardduty"

func TestDetectiveLinks(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0a", 16)
	f := minimal(t, obj(
		"ProductArn", guardDuty, "Id", "arn:aws:guardduty:eu-west-1:111122223333:detector/"+strings.Repeat("b", 32)+"/finding/"+id,
		"Resources", []any{
			obj("Type", "AwsEc2Instance", "Id", "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0"),
			obj("Type", "AwsIamAccessKey", "Id", "x", "Details", obj("AwsIamAccessKey", obj("PrincipalId", "AROAABCDEFGHIJKLMNOPQ:session"))),
			obj("Type", "AwsIamUser", "Id", "y", "Details", obj("AwsIamUser", obj("UserId", "AIDAABCDEFGHIJKLMNOPQ"))),
		},
		"Action", obj("ActionType", "NETWORK_CONNECTION", "NetworkConnectionAction", obj("RemoteIpDetails", obj("IpAddressV4", "198.51.100.7"))),
		"Network", obj("SourceIpV4", "198.51.100.7", "SourceIpV6", "2001:DB8::1"),
	))
	const home = "https://console.aws.amazon.com/detective/home?region=eu-west-1#"
	want := []finding.Link{
		{Title: "Detective: the finding", URL: home + "findings/" + id},
		{Title: "Detective: account 111122223333", URL: home + "entities/AwsAccount/111122223333"},
		{Title: "Detective: instance i-0123456789abcdef0", URL: home + "entities/Ec2Instance/i-0123456789abcdef0"},
		{Title: "Detective: role AROAABCDEFGHIJKLMNOPQ", URL: home + "entities/AwsRole/AROAABCDEFGHIJKLMNOPQ"},
		{Title: "Detective: user AIDAABCDEFGHIJKLMNOPQ", URL: home + "entities/AwsUser/AIDAABCDEFGHIJKLMNOPQ"},
		{Title: "Detective: address 198.51.100.7", URL: home + "entities/IpAddress/198.51.100.7"},
		{Title: "Detective: address 2001:db8::1", URL: home + "entities/IpAddress/2001:db8::1"},
	}
	if diff := cmp.Diff(want, f.DetectiveLinks()); diff != "" {
		t.Error(diff)
	}
	for name, members := range map[string]map[string]any{
		"of another product":    obj("ProductArn", "arn:aws:securityhub:eu-west-1::product/aws/inspector"),
		"of another's product":  obj("ProductArn", "arn:aws:securityhub:eu-west-1::product/evil/guardduty"),
		"of no region":          obj("ProductArn", guardDuty, "Region", "eu-west-1#x"),
		"of another partition":  obj("ProductArn", strings.Replace(guardDuty, "aws", "aws-cn", 1)),
		"of a forged partition": obj("ProductArn", strings.Replace(guardDuty, "arn:aws:", "arn:https://evil/:", 1)),
	} {
		if links := minimal(t, members).DetectiveLinks(); links != nil {
			t.Errorf("%s: %v", name, links)
		}
	}
}

// FuzzDetectiveLinks: whatever a provider writes, a link leads to Detective, and says
// nothing that is no identifier.
func FuzzDetectiveLinks(f *testing.F) {
	f.Add("arn:aws:guardduty:eu-west-1:1:detector/x/finding/../evil?a=b", "eu-west-1", "AROA?x=#y", "198.51.100.7%2f")
	f.Add("i", "eu-west-1", "AIDAABCDEFGHIJKLMNOPQ", "fe80::1%eth0/..")
	f.Fuzz(func(t *testing.T, id, region, principal, address string) {
		doc := minimal(t, nil).With("Id", id).With("ProductArn", guardDuty).With("Region", region).
			With("Resources", []any{obj("Type", "x", "Id", id, "Details", obj("AwsIamRole", obj("RoleId", principal)))}).With("Network", obj("SourceIpV4", address))
		for _, l := range doc.DetectiveLinks() {
			rest, ok := strings.CutPrefix(l.URL, "https://console.aws.amazon.com/detective/home?region=")
			if !ok || strings.Trim(strings.ToLower(rest), "abcdefghijklmnopqrstuvwxyz0123456789-#/.:") != "" || strings.Contains(rest, "..") || strings.Count(rest, "#") != 1 {
				t.Errorf("%q", l.URL)
			}
		}
	})
}
