package front_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv"
)

// TestFindingsV2: findings in OCSF as boto3 and the AWS CLI see them, on both
// databases.
func TestFindingsV2(t *testing.T) {
	onBoth(t, "ocsf", func(t *testing.T, s *server, python string) {
		t.Run("boto3", func(t *testing.T) { s.ocsfStory(t, python) })
		t.Run("AWS CLI", func(t *testing.T) { s.ocsfCLI(t, python) })
	})
}

func (s *server) ocsfStory(t *testing.T, python string) {
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "account": dev, "other": prod, "product": product})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "ocsf.py"), s.url)
	cmd.Env = awsEnvironment(key{})
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stderr.String(), s.log)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	refused, _ := got["refused"].(map[string]any)
	delete(got, "refused")
	for name, want := range map[string]string{
		"reader updates":           "AccessDeniedException 403: check permission: reader (roles: reader) may not do finding.update",
		"limited key names a unit": "AccessDeniedException 403: Only a key for all accounts may use Scopes",
		"unknown unit":             "OrganizationalUnitNotFoundException 404: There is no organizational unit nothing",
		"CONTAINS":                 "ValidationException 400: Filters.CompositeFilters[0].StringFilters[0].Filter.Comparison: CONTAINS works in automation rules only",
		"field":                    `ValidationException 400: Filters.CompositeFilters[0].StringFilters[0].FieldName: there is no such field of this type: "Title"`,
		"token":                    "ValidationException 400: read NextToken: the token does not belong to these filters",
		"sort":                     `ValidationException 400: read SortCriteria: findings cannot be sorted by "unmapped"`,
		"group":                    "ValidationException 400: Invalid parameter 'GroupByRules'. data.GroupByRules[0].GroupByField should be equal to one of the allowed values",
		"severity":                 "ValidationException 400: Invalid parameter 'SeverityId'. data.SeverityId should be equal to one of the allowed values: 0, 1, 2, 3, 4, 5, 6, 99",
		"nothing":                  "ValidationException 400: Invalid parameter 'body'. one of Comment, SeverityId and StatusId is needed",
		"both":                     "ValidationException 400: Invalid parameter 'MetadataUids'. one of MetadataUids and FindingIdentifiers is needed, and not both",
		"unserved":                 "UnknownOperationException 501: Parry does not serve GetResourcesV2",
	} {
		if text, _ := refused[name].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, refused[name], want)
		}
	}
	imported, _ := got["import"].(map[string]any)
	delete(got, "import")
	text, err := json.Marshal(imported["FailedFindings"])
	if err != nil {
		t.Fatal(err)
	}
	if imported["SuccessCount"] != 2.0 || !strings.Contains(string(text), "product/aws/prowler") || !strings.Contains(string(text), "class_uid should be") {
		t.Errorf("import: %v", imported)
	}
	list := func(items ...any) []any { return append([]any{}, items...) }
	// The server has a rule that makes findings of production critical.
	want := map[string]any{
		"all": list("v2-a", "v2-b", "v2-e", "v2-f"), "scope of a key": list("v2-a", "v2-e"), "pages of one": list("v2-a", "v2-b", "v2-e", "v2-f"),
		"severe": list("v2-a", "v2-b", "v2-e", "v2-f"), "fatal": list("v2-a"), "either": list("v2-b", "v2-e", "v2-f"), "words": list("v2-a", "v2-b"),
		"addresses": list("v2-a", "v2-b"), "tags": list("v2-e", "v2-f"), "closed": list("v2-f"), "resource": list("v2-e"), "sorted": list("v2-f", "v2-e", "v2-b", "v2-a"),
		"as it came": map[string]any{
			"severity_id": 6.0, "severity": "Fatal", "status": "New", "class_uid": 2004.0, "version": "1.4.0",
			"evidences": list(map[string]any{"src_endpoint": map[string]any{"ip": "203.0.113.7", "port": 22.0}}),
			"resources": list(map[string]any{"uid": "arn:aws:ec2:eu-west-1:" + dev + ":instance/i-1", "type": "AwsEc2Instance", "tags": list(map[string]any{"name": "env", "value": "prod"})}),
		},
		"from ASFF": map[string]any{"class_uid": 2003.0, "severity": "High", "status": "New", "activity_name": "Update", "compliance": map[string]any{"control": "S3.8", "status": "Fail", "status_id": 3.0}},
		"update":    list(list(true), list(list("nobody's", "ResourceNotFoundException"))),
		"updated":   list(99.0, "Other", 5.0, "Archived", "looked at", true), "in ASFF": list("INFORMATIONAL", "RESOLVED", "looked at", "admin", list()),
		"updated in ASFF": list("Other", 3.0, "Suppressed"), "by identifiers": list(list(true), list("ValidationException", "ResourceNotFoundException"), "In Progress"),
		"by class": list(list("Compliance Finding", 2.0), list("Detection Finding", 2.0)), "by severity": list(list("Critical", 2.0), list("High", 1.0), list("Other", 1.0)),
		"by type, one": list(list("AwsEc2Instance", 2.0)), "by severity, least": list(list("Other", 1.0), list("High", 1.0), list("Critical", 2.0)),
		"by account, of a key": list(list(dev, 2.0)), "from the counters": true,
		"limited key updates another account's": list(0.0, list("ResourceNotFoundException"), "New"),
		"member that is not to be changed":      `Invalid parameter 'GroupByRules'. data.GroupByRules[0]: unknown field "X".`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func (s *server) ocsfCLI(t *testing.T, python string) {
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), aws, "securityhub", "get-findings-v2", "--endpoint-url", s.url, "--output", "text",
		"--filters", `{"CompositeFilters":[{"StringFilters":[{"FieldName":"finding_info.uid","Filter":{"Value":"v2-e","Comparison":"EQUALS"}}]}]}`,
		"--query", "Findings[].[finding_info.uid,status,cloud.account.uid]")
	cmd.Env = append(awsEnvironment(s.keys["reader"]), "AWS_MAX_ATTEMPTS=5")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "v2-e\tIn Progress\t"+dev {
		t.Errorf("%v: %s", err, out)
	}
}
