package control_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/control"
)

func TestCatalogue(t *testing.T) {
	t.Parallel()
	in := map[string]int{}
	for i, d := range control.All() {
		if d.Title == "" || strings.TrimSpace(d.Title) != d.Title || strings.ContainsAny(d.Title, "\t|[]\\") {
			t.Errorf("%s has the title %q", d.ID, d.Title)
		}
		if !slices.Contains([]string{"Periodic", "Change triggered", "Change triggered and periodic"}, d.Schedule) {
			t.Errorf("%s has the schedule %q", d.ID, d.Schedule)
		}
		if i > 0 && control.Compare(control.All()[i-1].ID, d.ID) >= 0 {
			t.Errorf("%s is out of order", d.ID)
		}
		for _, m := range d.Standards {
			in[m.Standard]++
		}
	}
	// AWS announced 40 controls for CIS 5.0.0 and 63 for NIST SP 800-171.
	want := map[string]int{
		"fsbp": 376, "cis-5.0": 40, "cis-3.0": 37, "cis-1.4": 39, "cis-1.2": 42, "nist-800-53": 298, "nist-800-171": 63,
		"pci-4.0.1": 143, "pci-3.2.1": 44, "control-tower": 153, "tagging": 137, "ai": 31,
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Error(diff)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	d, ok := control.Lookup("s3.8")
	if !ok || d.ID != "S3.8" || d.Severity != "HIGH" || d.RemediationURL() != "https://docs.aws.amazon.com/console/securityhub/S3.8/remediation" {
		t.Errorf("S3.8 is %+v", d)
	}
	if want := []string{"CIS AWS Foundations Benchmark v5.0.0/2.1.4", "CIS AWS Foundations Benchmark v3.0.0/2.1.4", "CIS AWS Foundations Benchmark v1.4.0/2.1.5"}; !cmp.Equal(want, d.Related()[:3]) {
		t.Error(cmp.Diff(want, d.Related()[:3]))
	}
	if _, ok := control.Lookup("S3.800"); ok || control.Canonical("Own.1") != "Own.1" || control.Canonical("autoscaling.5") != "Autoscaling.5" {
		t.Error("an id that is none, or its spelling")
	}
}

// The benchmarks' tables of rules and the catalogue say the same of what belongs
// to which version. Rules of retired controls are only in the tables.
func TestRulesAndCatalogueAgree(t *testing.T) {
	t.Parallel()
	for _, s := range control.Standards() {
		if !strings.HasPrefix(s.Key, "cis-") && s.Key != "pci-3.2.1" {
			continue
		}
		for _, d := range control.All() {
			m, in := d.In(s.Key)
			rule := s.Rule(d.ID)
			if !in {
				continue
			}
			if rule == "" {
				t.Errorf("%s has no rule for %s", s.Key, d.ID)
				continue
			}
			if s.Key == "pci-3.2.1" {
				if ids := control.OfRule(s.Named(), rule); ids != nil && ids[0] != d.ID {
					t.Errorf("%s: rule %s of %s is of %v", s.Key, rule, d.ID, ids)
				}
				continue
			}
			if !slices.Contains(control.OfRule(s.Named(), rule), d.ID) {
				t.Errorf("%s: rule %s is not of %s", s.Key, rule, d.ID)
			}
			// A rule that stands for several controls is numbered below the requirement.
			if len(m.Requirements) > 0 && !strings.HasPrefix(rule+".", m.Requirements[0]+".") && !second(s.Key, d.ID) {
				t.Errorf("%s: rule %s of %s is not requirement %v", s.Key, rule, d.ID, m.Requirements)
			}
		}
	}
}

// second are controls behind two rules: the user guide names the requirement of
// the other one.
func second(standard, id string) bool {
	return (standard == "cis-1.2" || standard == "cis-1.4") && id == "CloudWatch.1"
}

func TestStandardARNs(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0":          "cis-1.2",
		"arn:aws:securityhub:eu-west-1::ruleset/cis-aws-foundations-benchmark/v/1.2.0": "cis-1.2",
		"arn:aws-us-gov:securityhub:us-gov-west-1::standards/nist-800-53/v/5.0.0":      "nist-800-53",
		"standards/pci-dss/v/4.0.1":                     "pci-4.0.1",
		"ruleset/cis-aws-foundations-benchmark/v/1.2.0": "cis-1.2",
		"arn:aws:securityhub:us-east-1:123456789012:subscription/aws-foundational-security-best-practices/v/1.0.0": "fsbp",
		"arn:aws:securityhub:us-east-1::standards/nist-800-53/v/9.0.0":                                             "",
		"arn:aws:s3:::standards/nist-800-53/v/5.0.0":                                                               "",
		"nist-800-53/v/5.0.0": "", "": "", "arn:": "",
	} {
		s, ok := control.StandardByARN(arn)
		if s.Key != want || ok != (want != "") {
			t.Errorf("%q is %q, want %q", arn, s.Key, want)
		}
	}
	for _, s := range control.Standards() {
		if back, _ := control.StandardByARN(s.ARN("aws", "eu-west-1")); back.Key != s.Key {
			t.Errorf("%s: its ARN reads as %q", s.Key, back.Key)
		}
	}
	if got := mustStandard(t, "cis-1.2").ARN("aws", "eu-west-1"); got != "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0" {
		t.Error(got)
	}
}

func mustStandard(t *testing.T, key string) control.Standard {
	t.Helper()
	s, ok := control.StandardByKey(key)
	if !ok {
		t.Fatalf("there is no %s", key)
	}
	return s
}

func TestEvidenceRoundTrip(t *testing.T) {
	t.Parallel()
	for _, e := range []control.Evidence{
		{},
		{State: control.Failed, Controls: []string{"S3.8"}},
		{State: control.Passed, Controls: []string{"CloudWatch.1", "IAM.20"}, Standards: []string{"cis-1.2"}},
	} {
		if got := control.ParseEvidence(e.String()); !cmp.Equal(e, got) {
			t.Errorf("%v reads as %v", e, got)
		}
	}
}

func FuzzParseEvidence(f *testing.F) {
	f.Add("FAILED|S3.8|fsbp,cis-5.0")
	f.Add("||")
	f.Fuzz(func(t *testing.T, s string) {
		e := control.ParseEvidence(s)
		if again := control.ParseEvidence(e.String()); len(e.Standards) <= 32 && e.State != "" && !cmp.Equal(e, again) {
			t.Errorf("%q reads as %v, and that as %v", s, e, again)
		}
	})
}
