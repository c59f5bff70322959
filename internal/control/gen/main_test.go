package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// page makes the rows of a reference page: enough of them to be taken for one.
func page(rows string) string {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "| [X.%d](x-controls.md#x-%d) | A title | AWS Resource Tagging Standard | LOW | No | Periodic |\n", i+1, i+1)
	}
	return "| Security control ID | Security control title | Applicable standards | Severity | Supports custom parameters | Schedule type |\n" + rows + b.String()
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"securityhub-controls-reference.md": page("" +
			`|  [S3.1](s3-controls.md#s3-1)  | Buckets should   be<br>closed \*always\* | CIS AWS Foundations Benchmark v5.0.0, CIS AWS Foundations Benchmark v1.4.0 AWS Foundational Security Best Practices v1.0.0, NIST<br>SP 800-53 Rev. 5, PCI DSS v4.0.1, | MEDIUM | ![](icon-yes.png) Yes | Periodic |` + "\n" +
			"| [ELB.1](elb-controls.md#elb-1) | Redirect | PCI DSS v3.2.1 | LOW | No | Change triggered |\n"),
		"cis-aws-foundations-benchmark.md": "| [[S3.1] Buckets](s3-controls.md#s3-1) | 2.1.4 | 2.1.4 | Not supported – manual check | Not supported |\n",
		"asff-changes-consolidation.md": "| service-managed-aws-control-tower/v/1.0.0/ELBv2.1 | security-control/ELBv2.1 |\n" +
			"| service-managed-aws-control-tower/v/1.0.0/CodeBuild.5 | security-control/CodeBuild.5 |\n",
		"ai-best.md":     "`arn:aws:securityhub:{{region}}::standards/ai-security-best-practices/v/1.0.0`\n+ [[S3.1] Buckets](s3)\n",
		"s3-controls.md": "## [S3.1] Buckets\n\n**Related requirements:** NIST.800-53.r5 AC-21, NIST.800-53.r5 AC-3(7), PCI DSS v4.0.1/1.4.4, Unknown/1\n\n## [S3.99] Other\n\n**Related requirements:** PCI DSS v4.0.1/9.9\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out.tsv")
	if err := run(dir, out, "a test"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"S3.1\tMEDIUM\tPeriodic\tparameters\tfsbp cis-5.0=2.1.4 cis-3.0=2.1.4 cis-1.4 nist-800-53=AC-21;AC-3(7) pci-4.0.1=1.4.4 ai\tBuckets should be closed *always*\n",
		"ELB.1\tLOW\tChange triggered\t-\tpci-3.2.1 control-tower\tRedirect\n",
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("there is no line\n%s", want)
		}
	}
	if strings.Contains(string(raw), "S3.99") || strings.Contains(string(raw), "CodeBuild.5") {
		t.Error("a control is there that the reference does not have")
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	row := "| [S3.1](x) | T | PCI DSS v4.0.1 | LOW | No | Periodic |\n"
	for name, text := range map[string]string{
		"a page without the table": "# Control reference\n",
		"an unknown severity":      page(strings.Replace(row, "LOW", "DIRE", 1)),
		"an unknown standard":      page(strings.Replace(row, "PCI DSS", "ISO 9001", 1)),
		"a control twice":          page(row + row),
	} {
		if _, err := readReference(text); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
