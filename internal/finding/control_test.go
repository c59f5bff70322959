package finding_test

import (
	"slices"
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
		"cis 3 contacts":        {obj("GeneratorId", "cis-aws-foundations-benchmark/v/3.0.0/1.2"), []string{"Account.1"}},
		"cis 5":                 {obj("GeneratorId", "cis-aws-foundations-benchmark/v/5.0.0/5.1.1"), []string{"EC2.7"}},
		"cis 5 two controls":    {obj("GeneratorId", "cis-aws-foundations-benchmark/v/5.0.0/2.2.4"), []string{"RDS.5", "RDS.15"}},
		"cis 5 no control's":    {obj("GeneratorId", "cis-aws-foundations-benchmark/v/5.0.0/1.1"), nil},
		"pci 3 retired":         {obj("GeneratorId", "pci-dss/v/3.2.1/PCI.EC2.3"), []string{"EC2.22"}},
		"control tower elbv2":   {obj("GeneratorId", "service-managed-aws-control-tower/v/1.0.0/ELBv2.1"), []string{"ELB.1"}},
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

// All samples are of controls, and say of which standard they are evidence.
func TestSamplesAreEvidence(t *testing.T) {
	t.Parallel()
	for name, raw := range samples(t) {
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Controls()) == 0 {
			t.Errorf("%s is of no control", name)
		}
		e := f.Evidence()
		for prefix, standard := range map[string]string{"afsbp-": "fsbp", "pci-": "pci-3.2.1", "cis": "cis-1.2"} {
			if strings.HasPrefix(name, prefix) && (e.IsZero() || !slices.Equal(e.Standards, []string{standard})) {
				t.Errorf("%s is evidence %q, want some for %s", name, e, standard)
			}
		}
	}
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	hub := "arn:aws:securityhub:eu-west-1::product/aws/securityhub"
	of := func(set map[string]any, more ...any) map[string]any {
		out := obj(append([]any{"ProductArn", hub, "GeneratorId", "security-control/s3.8", "Compliance", obj("Status", "FAILED")}, more...)...)
		for k, v := range set {
			out[k] = v
		}
		return out
	}
	standards := func(ids ...string) map[string]any {
		var list []any
		for _, id := range ids {
			list = append(list, obj("StandardsId", id))
		}
		return obj("Compliance", obj("Status", "FAILED", "AssociatedStandards", list))
	}
	for name, tc := range map[string]struct {
		set  map[string]any
		want string
	}{
		"of all its standards": {of(nil), "FAILED|S3.8|"},
		"of those it names": {
			of(standards("standards/nist-800-53/v/5.0.0", "standards/aws-foundational-security-best-practices/v/1.0.0", "standards/aws-foundational-security-best-practices/v/1.0.0", "standards/of/v/tomorrow")),
			"FAILED|S3.8|fsbp,nist-800-53",
		},
		"of the one that made it": {
			of(standards("standards/nist-800-53/v/5.0.0"), "GeneratorId", "pci-dss/v/3.2.1/PCI.S3.6"), "FAILED|S3.1|pci-3.2.1",
		},
		"of two controls": {
			of(nil, "GeneratorId", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.1"), "FAILED|CloudWatch.1,IAM.20|cis-1.2",
		},
		"suppressed":          {of(obj("Workflow", obj("Status", "SUPPRESSED"))), "SUPPRESSED|S3.8|"},
		"archived":            {of(obj("RecordState", "ARCHIVED")), ""},
		"of another product":  {of(obj("ProductArn", "arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default")), ""},
		"without a status":    {of(obj("Compliance", obj("SecurityControlId", "S3.8"))), ""},
		"a hostile control":   {of(obj("Compliance", obj("Status", "FAILED", "SecurityControlId", "S3.8|x,EC2.1"))), ""},
		"of no control":       {of(obj("GeneratorId", "something")), ""},
		"standards of no use": {of(obj("Compliance", obj("Status", "PASSED", "AssociatedStandards", []any{1, "x", obj("StandardsId", 3)}))), "PASSED|S3.8|"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := minimal(t, tc.set).Evidence().String(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
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
