package control

import (
	"slices"
	"strings"
	"sync"
)

// The standards that number their rules otherwise than by control id, each as
// lines of "rule control[,control]". The newer standards (foundational best
// practices, NIST, PCI DSS 4, tagging) use the control id itself.
//
// They are held against the tables of generator ids and of ids and titles in
// https://docs.aws.amazon.com/securityhub/latest/userguide/asff-changes-consolidation.html
// and the comparison of versions in
// https://docs.aws.amazon.com/securityhub/latest/userguide/cis-aws-foundations-benchmark.html;
// docs/design/0012 says where these contradict each other.
const (
	cis120 = `
1.1 CloudWatch.1,IAM.20
1.2 IAM.5
1.3 IAM.8
1.4 IAM.3
1.5 IAM.11
1.6 IAM.12
1.7 IAM.13
1.8 IAM.14
1.9 IAM.15
1.10 IAM.16
1.11 IAM.17
1.12 IAM.4
1.13 IAM.9
1.14 IAM.6
1.16 IAM.2
1.20 IAM.18
1.22 IAM.1
2.1 CloudTrail.1
2.2 CloudTrail.4
2.3 CloudTrail.6
2.4 CloudTrail.5
2.5 Config.1
2.6 CloudTrail.7
2.7 CloudTrail.2
2.8 KMS.4
2.9 EC2.6
3.1 CloudWatch.2
3.2 CloudWatch.3
3.3 CloudWatch.1
3.4 CloudWatch.4
3.5 CloudWatch.5
3.6 CloudWatch.6
3.7 CloudWatch.7
3.8 CloudWatch.8
3.9 CloudWatch.9
3.10 CloudWatch.10
3.11 CloudWatch.11
3.12 CloudWatch.12
3.13 CloudWatch.13
3.14 CloudWatch.14
4.1 EC2.13
4.2 EC2.14
4.3 EC2.2
`
	cis140 = `
1.4 IAM.4
1.5 IAM.9
1.6 IAM.6
1.7 CloudWatch.1
1.8 IAM.15
1.9 IAM.16
1.10 IAM.5
1.12 IAM.22
1.14 IAM.3
1.16 IAM.1
1.17 IAM.18
2.1.1 S3.4
2.1.2 S3.5
2.1.3 S3.20
2.1.5.1 S3.1
2.1.5.2 S3.8
2.2.1 EC2.7
2.3.1 RDS.3
3.1 CloudTrail.1
3.2 CloudTrail.4
3.3 CloudTrail.6
3.4 CloudTrail.5
3.5 Config.1
3.6 CloudTrail.7
3.7 CloudTrail.2
3.8 KMS.4
3.9 EC2.6
4.3 CloudWatch.1
4.4 CloudWatch.4
4.5 CloudWatch.5
4.6 CloudWatch.6
4.7 CloudWatch.7
4.8 CloudWatch.8
4.9 CloudWatch.9
4.10 CloudWatch.10
4.11 CloudWatch.11
4.12 CloudWatch.12
4.13 CloudWatch.13
4.14 CloudWatch.14
5.1 EC2.21
5.3 EC2.2
`
	cis300 = `
1.2 Account.1
1.4 IAM.4
1.5 IAM.9
1.6 IAM.6
1.8 IAM.15
1.9 IAM.16
1.10 IAM.5
1.12 IAM.22
1.14 IAM.3
1.15 IAM.2
1.16 IAM.1
1.17 IAM.18
1.19 IAM.26
1.20 IAM.28
1.22 IAM.27
2.1.1 S3.5
2.1.2 S3.20
2.1.4.1 S3.1
2.1.4.2 S3.8
2.2.1 EC2.7
2.3.1 RDS.3
2.3.2 RDS.13
2.3.3 RDS.2
2.4.1 EFS.1
3.1 CloudTrail.1
3.2 CloudTrail.4
3.3 Config.1
3.4 CloudTrail.7
3.5 CloudTrail.2
3.6 KMS.4
3.7 EC2.6
3.8 S3.22
3.9 S3.23
5.1 EC2.21
5.2 EC2.53
5.3 EC2.54
5.4 EC2.2
5.6 EC2.8
`
	cis500 = `
1.2 Account.1
1.3 IAM.4
1.4 IAM.9
1.5 IAM.6
1.7 IAM.15
1.8 IAM.16
1.9 IAM.5
1.11 IAM.22
1.13 IAM.3
1.14 IAM.2
1.16 IAM.18
1.18 IAM.26
1.19 IAM.28
1.21 IAM.27
2.1.1 S3.5
2.1.2 S3.20
2.1.4.1 S3.1
2.1.4.2 S3.8
2.2.1 RDS.3
2.2.2 RDS.13
2.2.3 RDS.2
2.2.4 RDS.5,RDS.15
2.3.1 EFS.1,EFS.8
3.1 CloudTrail.1
3.2 CloudTrail.4
3.3 Config.1
3.4 CloudTrail.7
3.5 CloudTrail.2
3.6 KMS.4
3.7 EC2.6
3.8 S3.22
3.9 S3.23
5.1.1 EC2.7
5.2 EC2.21
5.3 EC2.53
5.4 EC2.54
5.5 EC2.2
5.7 EC2.8
`
	pci321 = `
PCI.CW.1 CloudWatch.1
PCI.CloudTrail.1 CloudTrail.2
PCI.CloudTrail.2 CloudTrail.3
PCI.CloudTrail.3 CloudTrail.4
PCI.CloudTrail.4 CloudTrail.5
PCI.EC2.3 EC2.22
PCI.EC2.4 EC2.12
PCI.EC2.5 EC2.13
PCI.ES.1 ES.2
PCI.ES.2 ES.1
PCI.IAM.1 IAM.4
PCI.IAM.3 IAM.1
PCI.IAM.4 IAM.6
PCI.IAM.5 IAM.9
PCI.IAM.6 IAM.19
PCI.IAM.7 IAM.8
PCI.IAM.8 IAM.10
PCI.KMS.1 KMS.4
PCI.Lambda.2 Lambda.3
PCI.Opensearch.1 Opensearch.2
PCI.Opensearch.2 Opensearch.1
PCI.S3.1 S3.3
PCI.S3.3 S3.7
PCI.S3.6 S3.1
PCI.SSM.1 SSM.2
PCI.SSM.2 SSM.3
PCI.SSM.3 SSM.1
`
)

// tables gives the rules of each standard that has its own numbers.
var tables = map[string]string{
	"cis-aws-foundations-benchmark/v/1.2.0": cis120,
	"cis-aws-foundations-benchmark/v/1.4.0": cis140,
	"cis-aws-foundations-benchmark/v/3.0.0": cis300,
	"cis-aws-foundations-benchmark/v/5.0.0": cis500,
	"pci-dss/v/3.2.1":                       pci321,
}

// rules are the tables, read once and never written.
type rules struct {
	controls map[string][]string // by "name/rule" in upper case
	rule     map[string]string   // by "name/control" in upper case: the first rule of it
}

var numbered = sync.OnceValue(func() rules {
	r := rules{map[string][]string{}, map[string]string{}}
	for name, table := range tables {
		for line := range strings.Lines(table) {
			rule, ids, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				continue
			}
			r.controls[strings.ToUpper(name+"/"+rule)] = strings.Split(ids, ",")
			for id := range strings.SplitSeq(ids, ",") {
				if at := strings.ToUpper(name + "/" + id); r.rule[at] == "" {
					r.rule[at] = rule
				}
			}
		}
	}
	return r
})

// OfRule gives the controls behind a rule of a standard, most likely first; nil
// when the standard numbers its rules by control, or has none such. name is
// that of Standard.Named.
func OfRule(name, rule string) []string {
	return slices.Clone(numbered().controls[strings.ToUpper(name+"/"+rule)])
}

// Rule gives what the standard calls the control: "2.7" in CIS 1.2, "PCI.IAM.5"
// in PCI DSS 3.2.1, the control's own id in most. "" when a benchmark has no
// number for it.
func (s Standard) Rule(id string) string {
	if rule := numbered().rule[strings.ToUpper(s.Named()+"/"+id)]; rule != "" {
		return rule
	}
	if strings.HasPrefix(s.Key, "cis-") {
		return ""
	}
	return s.prefix + id
}

// ControlID gives what Security Hub's API calls the control in the standard: the
// rule, after "CIS." in the benchmarks and "CT." in Control Tower's.
func (s Standard) ControlID(id string) string {
	switch {
	case strings.HasPrefix(s.Key, "cis-"):
		return "CIS." + s.Rule(id)
	case s.Key == "control-tower":
		return "CT." + id
	}
	return s.Rule(id)
}
