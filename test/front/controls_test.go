package front_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestControls: standards, controls, their status and the score, as boto3, the
// AWS CLI, the REST API and parry's own commands see them.
func TestControls(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds and starts a server; run without -short")
	}
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); start(t, "").controls(t) })
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url, err := envtest.Postgres(t).CreateDatabase(t.Context(), "controls")
		if err != nil {
			t.Fatal(err)
		}
		start(t, url).controls(t)
	})
}

func (s *server) controls(t *testing.T) {
	python := envtest.Needs(t)
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "dev": dev, "prod": prod})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "controls.py"), s.url)
	cmd.Env = awsEnvironment(key{})
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if diff := cmp.Diff(wantControls(), got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	t.Run("AWS CLI", func(t *testing.T) { s.controlsCLI(t, python) })
	t.Run("REST", s.controlsREST)
	t.Run("commands", s.controlCommands)
}

type object = map[string]any

func list(v ...any) []any { return v }

func wantControls() object {
	const fsbp, cis, pci = "arn:aws:securityhub:us-east-1::standards/aws-foundational-security-best-practices/v/1.0.0", "arn:aws:securityhub:us-east-1::standards/cis-aws-foundations-benchmark/v/5.0.0", "arn:aws:securityhub:us-east-1::standards/pci-dss/v/3.2.1"
	const hub = "arn:aws:securityhub:us-east-1:" + hubAccount
	const title = "S3 general purpose buckets should block public access"
	acm := "Imported and ACM-issued certificates should be renewed after a specified time period"
	return object{
		"nothing is enabled without findings": list(),
		"imported":                            7.0,
		"enabled":                             list(fsbp, cis, pci),
		"subscription": object{
			"StandardsSubscriptionArn": hub + ":subscription/aws-foundational-security-best-practices/v/1.0.0", "StandardsArn": fsbp,
			"StandardsInput": object{}, "StandardsStatus": "READY", "StandardsControlsUpdatable": "READY_FOR_UPDATES",
		},
		"enabled for dev alone":      list(fsbp, cis),
		"enabled, asked by name":     list(pci),
		"enabled, asked by nonsense": "400 InvalidInputException",
		"standards":                  list(12.0, 3.0, fsbp, "AWS Foundational Security Best Practices v1.0.0", list("AWS Foundational Security Best Practices v1.0.0", "CIS AWS Foundations Benchmark v1.2.0")),
		"controls of FSBP":           list(376.0, 4.0, 376.0),
		"a control of CIS 5": object{
			"StandardsControlArn": hub + ":control/cis-aws-foundations-benchmark/v/5.0.0/2.1.4.2", "ControlStatus": "ENABLED", "ControlId": "CIS.2.1.4.2",
			"Title": title, "Description": title, "RemediationUrl": "https://docs.aws.amazon.com/console/securityhub/S3.8/remediation",
			"SeverityRating": "HIGH", "RelatedRequirements": list("CIS AWS Foundations Benchmark v5.0.0/2.1.4"),
		},
		"controls of what is not enabled": "404 ResourceNotFoundException",
		"controls of nonsense":            "400 InvalidInputException",
		"definitions":                     list(589.0, 6.0, 589.0),
		"definitions of CIS 5":            40.0,
		"definitions of nonsense":         "400 InvalidInputException",
		"a foreign token":                 "400 InvalidInputException",
		"a definition": object{
			"SecurityControlId": "ACM.1", "Title": acm, "Description": acm, "RemediationUrl": "https://docs.aws.amazon.com/console/securityhub/ACM.1/remediation",
			"SeverityRating": "MEDIUM", "CurrentRegionAvailability": "AVAILABLE", "CustomizableProperties": list("Parameters"),
			"ParameterDefinitions": object{"daysToExpiration": object{
				"Description": "Days to expiration", "ConfigurationOptions": object{"Integer": object{"DefaultValue": 30.0, "Min": 14.0, "Max": 365.0}},
			}},
		},
		"a definition that is none": "404 ResourceNotFoundException",
		"controls": list(
			list("S3.8", hub+":security-control/S3.8", "ENABLED"), list("ACM.3", hub+":security-control/ACM.3", "DISABLED"),
			object{"SecurityControlId": "Nope.1", "ErrorCode": "NOT_FOUND", "ErrorReason": "There is no such security control."},
		),
		"too many controls": "400 InvalidInputException",
		"associations": list(
			list(fsbp, "ENABLED", list()), list(cis, "ENABLED", list("CIS AWS Foundations Benchmark v5.0.0/2.1.4")),
		),
		"associations of nonsense": "400 InvalidInputException",
		"details":                  list(list(hub+":control/cis-aws-foundations-benchmark/v/5.0.0/2.1.4.2"), "RESOURCE_NOT_FOUND", "NOT_FOUND", "NOT_FOUND"),
	}
}

func (s *server) controlsCLI(t *testing.T, python string) {
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"get-enabled-standards --query length(StandardsSubscriptions)", "3"},
		{"describe-standards --max-items 1 --query Standards[].Name", `["AWS Foundational Security Best Practices v1.0.0"]`},
		{"describe-standards-controls --standards-subscription-arn arn:aws:securityhub:us-east-1:" + hubAccount + ":subscription/cis-aws-foundations-benchmark/v/5.0.0 --query length(Controls)", "40"},
		{"describe-standards-controls --standards-subscription-arn nonsense", "(InvalidInputException) when calling the DescribeStandardsControls operation"},
		{"list-security-control-definitions --query length(SecurityControlDefinitions)", "589"},
		{"get-security-control-definition --security-control-id S3.8 --query SecurityControlDefinition.SeverityRating", `"HIGH"`},
		{"get-security-control-definition --security-control-id RDS.42 --query SecurityControlDefinition.ParameterDefinitions.logTypes.ConfigurationOptions.EnumList", `{"DefaultValue":["audit","error"],"MaxItems":4,"AllowedValues":["audit","error","general","slowquery"]}`},
		{"batch-get-security-controls --security-control-ids ACM.1 --query SecurityControls[].Parameters", `[{"daysToExpiration":{"ValueType":"DEFAULT","Value":{"Integer":30}}}]`},
		{"batch-get-security-controls --security-control-ids S3.8 --query SecurityControls[].SecurityControlStatus", `["ENABLED"]`},
		{"list-standards-control-associations --security-control-id S3.8 --query length(StandardsControlAssociationSummaries)", "2"},
		{"batch-get-standards-control-associations --standards-control-association-ids SecurityControlId=S3.8,StandardsArn=arn:aws:securityhub:us-east-1::standards/cis-aws-foundations-benchmark/v/5.0.0 --query length(StandardsControlAssociationDetails)", "1"},
	} {
		cmd := exec.CommandContext(t.Context(), aws, append(append([]string{"securityhub"}, strings.Fields(c.args)...), "--endpoint-url", s.url, "--output", "json")...)
		cmd.Env = awsEnvironment(s.keys["admin"])
		out, _ := cmd.CombinedOutput() // the words tell a failure from an answer
		if got := strings.Join(strings.Fields(string(out)), ""); !strings.Contains(got, strings.Join(strings.Fields(c.want), "")) {
			t.Errorf("%s: %s, want %s", c.args, out, c.want)
		}
	}
}

// controlsREST: what the worked example of seven findings comes to. EC2.2 is
// unknown, S3.8 failed in one account, S3.2 is suppressed, S3.3 is archived.
func (s *server) controlsREST(t *testing.T) {
	for _, c := range []struct{ key, path, want string }{
		{"admin", "/v1/scores", `{"items":[{"name":"organization","title":"","status":"FAILED","score":50,"controls":{"passed":2,"failed":1,"unknown":1,"no_data":585}}]}`},
		{"dev-reader", "/v1/scores", `{"items":[{"name":"organization","title":"","status":"PASSED","score":100,"controls":{"passed":2,"failed":0,"unknown":0,"no_data":587}}]}`},
		{"admin", "/v1/scores?by=account", `{"items":[{"name":"111122223333","title":"dev","status":"PASSED","score":100,"controls":{"passed":2,"failed":0,"unknown":0,"no_data":587}},{"name":"444455556666","title":"prod","status":"FAILED","score":33,"controls":{"passed":1,"failed":1,"unknown":1,"no_data":586}}]}`},
		{"admin", "/v1/scores?by=account&limit=1", `{"items":[{"name":"111122223333","title":"dev","status":"PASSED","score":100,"controls":{"passed":2,"failed":0,"unknown":0,"no_data":587}}],"next":"111122223333"}`},
		{"admin", "/v1/scores?by=account&limit=1&cursor=111122223333", `{"items":[{"name":"444455556666","title":"prod","status":"FAILED","score":33,"controls":{"passed":1,"failed":1,"unknown":1,"no_data":586}}]}`},
		{"dev-reader", "/v1/scores?by=account&account=" + prod, `{"items":[]}`},
		{"admin", "/v1/scores?by=unit", `{"items":[{"name":"dev","title":"","status":"PASSED","score":100,"controls":{"passed":2,"failed":0,"unknown":0,"no_data":587}},{"name":"prod","title":"","status":"FAILED","score":33,"controls":{"passed":1,"failed":1,"unknown":1,"no_data":586}}]}`},
		{"admin", "/v1/scores?by=standard", `{"items":[{"name":"fsbp","title":"AWS Foundational Security Best Practices v1.0.0","status":"FAILED","score":33,"controls":{"passed":1,"failed":1,"unknown":1,"no_data":373}},{"name":"cis-5.0","title":"CIS AWS Foundations Benchmark v5.0.0","status":"FAILED","score":0,"controls":{"passed":0,"failed":1,"unknown":0,"no_data":39}},{"name":"pci-3.2.1","title":"PCI DSS v3.2.1","status":"PASSED","score":100,"controls":{"passed":1,"failed":0,"unknown":0,"no_data":43}}]}`},
		{"admin", "/v1/controls?status=FAILED", `{"items":[{"id":"S3.8","title":"S3 general purpose buckets should block public access","severity":"HIGH","status":"FAILED","findings":{"passed":1,"failed":1,"warning":0,"not_available":0,"suppressed":0},"standards":["fsbp","cis-5.0","cis-3.0","cis-1.4","nist-800-53","pci-4.0.1","control-tower"]}]}`},
		{"dev-reader", "/v1/controls?status=FAILED", `{"items":[]}`},
	} {
		a := s.do(t, call{key: c.key, method: http.MethodGet, path: c.path})
		if diff := cmp.Diff(c.want, strings.TrimSpace(string(a.body))); diff != "" {
			t.Errorf("%s as %s: %s", c.path, c.key, diff)
		}
	}
	suppressed := s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/controls/s3.2"})
	if !strings.Contains(string(suppressed.body), `"status":"NO_DATA","findings":{"passed":0,"failed":0,"warning":0,"not_available":0,"suppressed":1}`) {
		t.Errorf("a control whose findings are all suppressed: %s", suppressed.body)
	}
	for path, words := range map[string]string{
		"/v1/controls?standard=iso": "the standards are fsbp, cis-5.0",
		"/v1/scores?standard=iso":   "the standards are fsbp, cis-5.0",
		"/v1/controls/Nope.1":       "parry control list",
		"/v1/scores?by=moon":        "by",
	} {
		if a := s.do(t, call{key: "admin", method: http.MethodGet, path: path}); a.status < 400 || a.status >= 500 || !strings.Contains(string(a.body), words) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func (s *server) controlCommands(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"score --by standard", []string{"fsbp", "33 %", "FAILED", "pci-3.2.1", "100 %"}},
		{"score -o json --query [0].score", []string{"50"}},
		{"control list --standard cis-5.0 --status FAILED", []string{"S3.8", "HIGH", "FAILED"}},
		{"control list --service IAM -o csv", []string{"Control,Severity,Status", "IAM.9,CRITICAL,PASSED,0,1"}},
		{"control show s3.8", []string{"FAILED", "1 failed, 1 passed", "rule 2.1.4.2, requirement 2.1.4", "Failing in " + prod}},
		{"control show S3.13", []string{"Parameter targetExpirationDays", "Integer, 1 to 36500; no default", "of STANDARD_IA, INTELLIGENT_TIERING", "requirement CP-10, CP-6(2), CP-9"}},
		{"control show cloudtrail.10 -o json --query takes", []string{`"kmsKeyArns"`, `"StringList"`, `"items": 3`}},
		{"control list --standard iso", []string{`--standard "iso" is not one of fsbp`}},
		{"control show Nope.1", []string{`there is no control "Nope.1"`, "parry control list"}},
	} {
		cmd := exec.CommandContext(t.Context(), path, append(strings.Fields(c.args), "--endpoint", s.url)...)
		cmd.Env = append(awsEnvironment(key{}), "PARRY_ACCESS_KEY_ID="+s.keys["admin"].ID, "PARRY_SECRET_ACCESS_KEY="+s.keys["admin"].Secret)
		out, _ := cmd.CombinedOutput() // the words tell a failure from an answer
		for _, w := range c.words {
			if !strings.Contains(string(out), w) {
				t.Errorf("parry %s does not say %q:\n%s", c.args, w, out)
			}
		}
	}
}
