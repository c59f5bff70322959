package event_test

import (
	"testing"

	"github.com/parry-security/parry/internal/normalize/event"
)

func TestTimestamp(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-03-04T10:00:00.123456789Z":   "2026-03-04T10:00:00.123456789Z",
		"2026-03-04T10:00:00+02:00":        "2026-03-04T10:00:00+02:00",
		"2026-03-04T10:00:00.913874":       "2026-03-04T10:00:00.913874Z",
		"Wed Sep 04 16:59:44.356 UTC 2024": "2024-09-04T16:59:44.356Z",
		"Mar 20, 2023, 6:08:05 PM":         "2023-03-20T18:08:05.000Z",
		"Wed, 04 Mar 2026 06:27:57 GMT":    "2026-03-04T06:27:57.000Z",
		"1492735675000":                    "2017-04-21T00:47:55.000Z",
		"1739539623":                       "2025-02-14T13:27:03.000Z",
		"":                                 "",
		"yesterday":                        "",
		"1e300":                            "",
		"-5":                               "",
	} {
		if got := event.Timestamp(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestResourceType(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"AWS::S3::Bucket": "AwsS3Bucket", "AWS::EC2::SecurityGroup": "AwsEc2SecurityGroup", "AWS::RDS::DBInstance": "AwsRdsDbInstance",
		"AWS::ElasticLoadBalancingV2::LoadBalancer": "AwsElbv2LoadBalancer", "AWS::ElasticLoadBalancing::LoadBalancer": "AwsElbLoadBalancer",
		"AWS::ACM::Certificate": "AwsCertificateManagerCertificate", "AWS::KMS::Key": "AwsKmsKey", "AWS::WAFv2::WebACL": "AwsWafv2WebAcl",
		"AWS::Made::Up": "Other", "": "Other",
	} {
		if got := event.ResourceType(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestFieldsStayWithinASFF(t *testing.T) {
	t.Parallel()
	list := make([]any, 300)
	for i := range list {
		list[i] = map[string]any{"a": "b"}
	}
	f := event.Fields{}
	f.Flatten("p", event.Doc{"list": list})
	if len(f) != 47 || f["p/list.0_/a"] != "b" {
		t.Errorf("%d fields: %v", len(f), f["p/list.0_/a"])
	}
}
