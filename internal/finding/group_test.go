package finding_test

import (
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

func TestGroupKey(t *testing.T) {
	t.Parallel()
	const bucket, account = "arn:aws:s3:::b", "AWS::::Account:111111111111"
	base := finding.GroupKey("111111111111", "eu-west-1", "S3.8", bucket)
	for name, tc := range map[string]struct {
		key  string
		same bool
	}{
		"case of the control":         {finding.GroupKey("111111111111", "eu-west-1", "s3.8", bucket), true},
		"another region of an ARN":    {finding.GroupKey("111111111111", "us-east-1", "S3.8", bucket), true},
		"another control":             {finding.GroupKey("111111111111", "eu-west-1", "S3.1", bucket), false},
		"another account":             {finding.GroupKey("222222222222", "eu-west-1", "S3.8", bucket), false},
		"another resource":            {finding.GroupKey("111111111111", "eu-west-1", "S3.8", bucket+"2"), false},
		"no control":                  {finding.GroupKey("111111111111", "eu-west-1", "", bucket), false},
		"parts that run into another": {finding.GroupKey("111111111111", "", "S3.8"+"\x00", bucket), false},
	} {
		if (tc.key == base) != tc.same {
			t.Errorf("%s: same key is %v", name, !tc.same)
		}
	}
	if finding.GroupKey("1", "eu-west-1", "EC2.7", account) == finding.GroupKey("1", "us-east-1", "EC2.7", account) {
		t.Error("an account is checked in every region by itself")
	}
	if finding.GroupKey("1", "r", "", "x") != "" || finding.GroupKey("1", "r", "S3.1", "") != "" {
		t.Error("a finding without control or resource stands alone")
	}
}

func TestGroupRank(t *testing.T) {
	t.Parallel()
	order := []struct {
		generator string
		state     finding.RecordState
	}{
		{"security-control/S3.8", finding.Active},
		{"aws-foundational-security-best-practices/v/1.0.0/S3.8", finding.Active},
		{"pci-dss/v/3.2.1/PCI.S3.6", finding.Active},
		{"security-control/S3.8", finding.Archived},
		{"arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.7", finding.Archived},
	}
	for i := 1; i < len(order); i++ {
		if a, b := finding.GroupRank(order[i-1].generator, order[i-1].state), finding.GroupRank(order[i].generator, order[i].state); a >= b {
			t.Errorf("%v (%d) is not before %v (%d)", order[i-1], a, order[i], b)
		}
	}
}
