package control

import (
	"slices"
	"strings"
)

// Standard is a security standard that Security Hub has controls for.
type Standard struct {
	// Key is Parry's short name: "fsbp", "cis-5.0".
	Key string
	// Name is AWS's.
	Name string
	// Path is the resource part of its ARN: "standards/nist-800-53/v/5.0.0".
	Path string
	// Summary is one sentence of ours, for answers that need a description.
	Summary string
	// Default says that AWS enables it with Security Hub.
	Default bool
	// Managed names the service that manages it in place of Security Hub.
	Managed string
	// prefix goes before a control's id where the standard names it so.
	prefix string
}

// standards are in the order in which they are shown.
var standards = []Standard{
	{Key: "fsbp", Name: "AWS Foundational Security Best Practices v1.0.0", Path: "standards/aws-foundational-security-best-practices/v/1.0.0", Summary: "AWS's own best practices for accounts and resources.", Default: true},
	{Key: "cis-5.0", Name: "CIS AWS Foundations Benchmark v5.0.0", Path: "standards/cis-aws-foundations-benchmark/v/5.0.0", Summary: "The benchmark of the Center for Internet Security, version 5.0.0."},
	{Key: "cis-3.0", Name: "CIS AWS Foundations Benchmark v3.0.0", Path: "standards/cis-aws-foundations-benchmark/v/3.0.0", Summary: "The benchmark of the Center for Internet Security, version 3.0.0."},
	{Key: "cis-1.4", Name: "CIS AWS Foundations Benchmark v1.4.0", Path: "standards/cis-aws-foundations-benchmark/v/1.4.0", Summary: "The benchmark of the Center for Internet Security, version 1.4.0."},
	{Key: "cis-1.2", Name: "CIS AWS Foundations Benchmark v1.2.0", Path: "ruleset/cis-aws-foundations-benchmark/v/1.2.0", Summary: "The benchmark of the Center for Internet Security, version 1.2.0.", Default: true},
	{Key: "nist-800-53", Name: "NIST Special Publication 800-53 Revision 5", Path: "standards/nist-800-53/v/5.0.0", Summary: "Security and privacy controls of NIST SP 800-53, revision 5."},
	{Key: "nist-800-171", Name: "NIST Special Publication 800-171 Revision 2", Path: "standards/nist-800-171/v/2.0.0", Summary: "Protection of controlled unclassified information by NIST SP 800-171, revision 2."},
	{Key: "pci-4.0.1", Name: "PCI DSS v4.0.1", Path: "standards/pci-dss/v/4.0.1", Summary: "The Payment Card Industry's data security standard, version 4.0.1."},
	{Key: "pci-3.2.1", Name: "PCI DSS v3.2.1", Path: "standards/pci-dss/v/3.2.1", Summary: "The Payment Card Industry's data security standard, version 3.2.1.", prefix: "PCI."},
	{Key: "control-tower", Name: "Service-Managed Standard: AWS Control Tower", Path: "standards/service-managed-aws-control-tower/v/1.0.0", Summary: "Detective controls that AWS Control Tower manages.", Managed: "ControlTower"},
	{Key: "tagging", Name: "AWS Resource Tagging Standard v1.0.0", Path: "standards/aws-resource-tagging-standard/v/1.0.0", Summary: "Tags on resources."},
	{Key: "ai", Name: "AI Security Best Practices v1.0.0", Path: "standards/ai-security-best-practices/v/1.0.0", Summary: "AWS's best practices for resources of artificial intelligence."},
}

// Standards gives all standards. The caller must not change them.
func Standards() []Standard { return standards }

// StandardByKey finds a standard by its short name.
func StandardByKey(key string) (Standard, bool) {
	return findStandard(func(s Standard) bool { return s.Key == key })
}

// StandardByARN finds a standard by its ARN in any partition and region, by the
// ARN of a subscription to it, or by what an ASFF finding names it with:
// "standards/pci-dss/v/4.0.1".
func StandardByARN(arn string) (Standard, bool) {
	tail := arn
	if strings.HasPrefix(arn, "arn:") {
		parts := strings.SplitN(arn, ":", 6)
		if len(parts) != 6 || parts[2] != "securityhub" {
			return Standard{}, false
		}
		tail = parts[5]
	}
	kind, rest, ok := strings.Cut(tail, "/")
	if !ok || !slices.Contains([]string{"standards", "ruleset", "subscription"}, kind) {
		return Standard{}, false
	}
	return StandardByName(rest)
}

// StandardByName finds a standard by the name and version that generator ids
// and ARNs share: "nist-800-53/v/5.0.0".
func StandardByName(name string) (Standard, bool) {
	return findStandard(func(s Standard) bool { return s.Named() == name })
}

func findStandard(is func(Standard) bool) (Standard, bool) {
	if i := slices.IndexFunc(standards, is); i >= 0 {
		return standards[i], true
	}
	return Standard{}, false
}

// Named gives the standard's name and version: "nist-800-53/v/5.0.0".
func (s Standard) Named() string {
	_, name, _ := strings.Cut(s.Path, "/")
	return name
}

// ARN gives the standard's ARN. Only the ruleset of the oldest has no region.
func (s Standard) ARN(partition, region string) string {
	if strings.HasPrefix(s.Path, "ruleset/") {
		region = ""
	}
	return "arn:" + partition + ":securityhub:" + region + "::" + s.Path
}

// SubscriptionARN gives the ARN of an account's subscription to the standard.
func (s Standard) SubscriptionARN(partition, region, account string) string {
	return "arn:" + partition + ":securityhub:" + region + ":" + account + ":subscription/" + s.Named()
}

// ControlARN gives the ARN of a rule of the standard in an account.
func (s Standard) ControlARN(partition, region, account, rule string) string {
	return "arn:" + partition + ":securityhub:" + region + ":" + account + ":control/" + s.Named() + "/" + rule
}
