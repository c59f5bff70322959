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
			"| [ELB.1](elb-controls.md#elb-1) | Redirect | PCI DSS v3.2.1 | LOW | No | Change triggered |\n" +
			"| [ELB.4](elb-controls.md#elb-4) | Drop http headers | NIST SP 800-53 Rev. 5 | LOW | No | Change triggered |\n"),
		"cis-aws-foundations-benchmark.md": "| [[S3.1] Buckets](s3-controls.md#s3-1) | 2.1.4 | 2.1.4 | Not supported – manual check | Not supported |\n",
		"asff-changes-consolidation.md": "| service-managed-aws-control-tower/v/1.0.0/ELBv2.1 | security-control/ELBv2.1 |\n" +
			"| service-managed-aws-control-tower/v/1.0.0/CodeBuild.5 | security-control/CodeBuild.5 |\n",
		"ai-best.md": "`arn:aws:securityhub:{{region}}::standards/ai-security-best-practices/v/1.0.0`\n+ [[S3.1] Buckets](s3)\n",
		"s3-controls.md": "## [S3.1] Buckets\n\n**Related requirements:** NIST.800-53.r5 AC-21, NIST.800-53.r5\nAC-3(7), PCI DSS v4.0.1/1.4.4, PCI DSS v3.2.1/1.2.1, CIS AWS Foundations Benchmark v5.0.0/9.9, NIST.800-53.r5 <b>, NIST.800-53.r5 SI-2(5) PCI DSS v4.0.1/6.3.3, NIST.800-53.r5 SI-13(5\n\n" +
			"**Parameters:**\n\n| Parameter | Description | Type | Allowed custom values | Security Hub CSPM default value |\n| --- | --- | --- | --- | --- |\n" +
			"|  `days`  | Days | Integer | `1` to `365` | `30 ` |\n| `mode` | Mode | Enum | `A, B` | No default value |\n| `on` | On | Boolean | `True` or `False` | `True` |\n" +
			"| requiredTagKeys | Keys | StringList (maximum of 6 items) | 1–6 tag keys that meet [rules](x). | No default value |\n| `kinds` | Kinds | Enum | `A`, `B` , `C` | `A`, `B` |\n" +
			"| `ports` | Ports | IntegerList (minimum of 1 item and maximum of 32 items) | `1` to `65535` | `[80,443]` |\n| `fixed` | Fixed | Boolean | Not customizable | `false` |\n\n## [S3.99] Other\n\n**Related requirements:** PCI DSS v4.0.1/9.9\n",
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
		"S3.1\tMEDIUM\tPeriodic\tdays|Integer|min=1|max=365|default=30 mode|Enum|allowed=A,B on|Boolean|default=true requiredTagKeys|StringList|items=6 kinds|EnumList|allowed=A,B,C|default=A,B ports|IntegerList|min=1|max=65535|items=32|default=80,443\tfsbp cis-5.0=2.1.4 cis-3.0=2.1.4 cis-1.4 nist-800-53=AC-21;AC-3(7);SI-2(5) pci-4.0.1=1.4.4;6.3.3 ai\tBuckets should be closed *always*\n",
		"ELB.1\tLOW\tChange triggered\t-\tpci-3.2.1 control-tower\tRedirect\n",
		"ELB.4\tLOW\tChange triggered\t-\tnist-800-53\tApplication Load Balancer should be configured to drop invalid http headers\n",
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

// Pages without the reference add to the catalogue as it is, in the pages' older
// Markdown too, and what the API answered goes before what a page says.
func TestGenerateAdds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"acm-controls.md": `## \[ACM\.1\] Certificates<a name="acm-1"></a>

**Related requirements:** NIST\.800\-53\.r5 SC\-99\(3\), PCI DSS v3\.2\.1/9\.9

**Parameters:**

| Parameter | Description | Type | Allowed custom values | Security Hub default value |
| --- | --- | --- | --- | --- |
| requiredTagKeys | Keys | StringList (maximum of 6 items) | Keys | No default value |
`,
		"definitions.json": `{"SecurityControlDefinitions":[
			{"SecurityControlId":"ACM.1","ParameterDefinitions":{"requiredKeyTags":{"Description":"x","ConfigurationOptions":{"StringList":{}}}}},
			{"SecurityControlId":"EC2.18","ParameterDefinitions":{"ports":{"ConfigurationOptions":{"IntegerList":{"DefaultValue":[80,443],"Min":1,"Max":65535,"MaxItems":32}}}}},
			{"SecurityControlId":"S3.1","ParameterDefinitions":{"none":{"ConfigurationOptions":{"Boolean":{"DefaultValue":true}}}}}]}`,
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
		"ACM.1\tMEDIUM\tChange triggered and periodic\trequiredKeyTags|StringList|items=6\tfsbp nist-800-53=SC-99(3) nist-800-171",
		"EC2.18\tHIGH\tChange triggered\tports|IntegerList|min=1|max=65535|items=32|default=80,443\t",
		"S3.1\tMEDIUM\tPeriodic\t-\t",
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("there is no line with\n%s", want)
		}
	}
	if strings.Contains(string(raw), "9.9") {
		t.Error("an older page put a control into a standard")
	}
}

func TestGenerateRefusesParameters(t *testing.T) {
	t.Parallel()
	const head = "## [ACM.1] X\n\n**Parameters:**\n\n"
	for name, text := range map[string]string{
		"a table of other columns": head + "| Name | Kind |\n| --- | --- |\n| a | Integer |\n",
		"a row too short":          head + "| Parameter | Type | Allowed custom values | Default value |\n",
		"an unknown type":          head + "| Parameter | Type | Allowed custom values | Some default value |\n| --- | --- | --- | --- |\n| a | Date | - | No default value |\n",
	} {
		if c, err := start(t.TempDir()); err != nil || c.readControls(text) == nil {
			t.Errorf("%s was taken, %v", name, err)
		}
	}
	c, err := start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"no JSON", `{"SecurityControlDefinitions":[{"SecurityControlId":"ACM.1","ParameterDefinitions":{"a":{"ConfigurationOptions":{"Integer":{"DefaultValue":{"b":1}}}}}}]}`} {
		if c.readDefinitions(text) == nil {
			t.Errorf("%s was taken", text)
		}
	}
}
