package finding_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
)

func TestControls(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  map[string]any
		want []string
	}{
		"named":                 {obj("Compliance", obj("SecurityControlId", "S3.8"), "GeneratorId", "security-control/EC2.1"), []string{"S3.8"}},
		"consolidated":          {obj("GeneratorId", "security-control/CloudTrail.2"), []string{"CloudTrail.2"}},
		"consolidated lower":    {obj("GeneratorId", "security-control/iam.9"), []string{"iam.9"}},
		"fsbp":                  {obj("GeneratorId", "aws-foundational-security-best-practices/v/1.0.0/CloudTrail.2"), []string{"CloudTrail.2"}},
		"fsbp elbv2":            {obj("GeneratorId", "aws-foundational-security-best-practices/v/1.0.0/ELBv2.1"), []string{"ELB.1"}},
		"nist":                  {obj("GeneratorId", "nist-800-53/v/5.0.0/CloudTrail.2"), []string{"CloudTrail.2"}},
		"pci 4":                 {obj("GeneratorId", "pci-dss/v/4.0.1/CloudTrail.2"), []string{"CloudTrail.2"}},
		"pci 3 renumbered":      {obj("GeneratorId", "pci-dss/v/3.2.1/PCI.CloudTrail.1"), []string{"CloudTrail.2"}},
		"pci 3 swapped":         {obj("GeneratorId", "pci-dss/v/3.2.1/PCI.ES.1"), []string{"ES.2"}},
		"pci 3 same":            {obj("GeneratorId", "pci-dss/v/3.2.1/PCI.S3.4"), []string{"S3.4"}},
		"control tower":         {obj("GeneratorId", "service-managed-aws-control-tower/v/1.0.0/CloudTrail.2"), []string{"CloudTrail.2"}},
		"cis 1.2":               {obj("GeneratorId", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.7"), []string{"CloudTrail.2"}},
		"cis 1.2 in a region":   {obj("GeneratorId", "arn:aws:securityhub:eu-west-1::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.7"), []string{"CloudTrail.2"}},
		"cis 1.2 two controls":  {obj("GeneratorId", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.1"), []string{"CloudWatch.1", "IAM.20"}},
		"cis 1.2 unknown rule":  {obj("GeneratorId", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/9.9"), nil},
		"cis 1.4":               {obj("GeneratorId", "cis-aws-foundations-benchmark/v/1.4.0/2.1.5.2"), []string{"S3.8"}},
		"cis 3":                 {obj("GeneratorId", "cis-aws-foundations-benchmark/v/3.0.0/2.1.4.2"), []string{"S3.8"}},
		"misspelt standard":     {obj("GeneratorId", "aws-foundation-best-practices/v/1.0.0/S3.8"), []string{"S3.8"}},
		"product field":         {obj("GeneratorId", "x", "ProductFields", obj("ControlId", "CT.CloudTrail.2")), []string{"CloudTrail.2"}},
		"rule id is no control": {obj("GeneratorId", "x", "ProductFields", obj("RuleId", "1.4")), nil},
		"no control":            {obj("GeneratorId", "arn:aws:guardduty:eu-west-1:111122223333:detector/abc"), nil},
		"a path":                {obj("GeneratorId", "security-control/../../etc"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, minimal(t, tc.set).Controls()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestControlsCompareWithoutCase(t *testing.T) {
	t.Parallel()
	f := minimal(t, obj("GeneratorId", "security-control/iam.9"))
	if !f.Is("IAM.9") || f.Is("IAM.90") || !finding.SameControl("s3.8", "S3.8") {
		t.Error("control ids are one whatever their case")
	}
}

// The names of the FSBP samples carry their control.
func TestSampleControls(t *testing.T) {
	t.Parallel()
	for name, raw := range samples(t) {
		id, ok := strings.CutPrefix(strings.TrimSuffix(name, ".json"), "afsbp-")
		if !ok {
			continue
		}
		id = strings.TrimSuffix(id, "-nodetails")
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Is(id) {
			t.Errorf("%s: got %v", name, f.Controls())
		}
	}
}

func TestProductARN(t *testing.T) {
	t.Parallel()
	p, ok := finding.ParseProductARN("arn:aws:securityhub:us-east-1::product/aws/securityhub")
	if !ok || p.Name() != "aws/securityhub" || p.Private() || p.Region != "us-east-1" {
		t.Errorf("%+v", p)
	}
	p, ok = finding.ParseProductARN("arn:aws-cn:securityhub:cn-north-1:111122223333:product/111122223333/default")
	if !ok || !p.Private() || p.Account != "111122223333" || p.Partition != "aws-cn" {
		t.Errorf("%+v", p)
	}
	for _, bad := range []string{"", "arn:aws:securityhub:r::product/a", "arn:aws:securityhub:r::product/a/b/c", "arn:aws:securityhub:r:123:product/a/b", "arn:aws:s3:::b"} {
		if _, ok := finding.ParseProductARN(bad); ok {
			t.Errorf("%q was accepted", bad)
		}
	}
}
