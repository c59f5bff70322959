package front_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// clients: boto3 and the AWS CLI show their users what was wrong.
func (s *server) clients(t *testing.T) {
	python := envtest.Needs(t)
	t.Run("boto3", func(t *testing.T) { s.boto3(t, python) })
	t.Run("AWS CLI", func(t *testing.T) { s.awsCLI(t, python) })
	t.Run("every filter of boto3", func(t *testing.T) { s.everyFilter(t, python) })
}

// everyFilter: all fields that boto3 knows (which are not all 107 in each of its
// versions) are served, and its paginator sees
// each finding once in every order.
func (s *server) everyFilter(t *testing.T, python string) {
	k := s.keys["admin"]
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "filters.py"), s.url, k.ID, k.Secret)
	cmd.Env = awsEnvironment(key{})
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got struct {
		Fields int
		Wrong  []string
		All    []string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Fields < 100 || len(got.Wrong) > 0 || len(got.All) < 2 {
		t.Errorf("%d fields, %d findings, wrong: %s", got.Fields, len(got.All), strings.Join(got.Wrong, "\n"))
	}
}

// pyCall is one call of testdata/client.py.
type pyCall struct {
	Service string         `json:"service,omitempty"`
	ID      string         `json:"id"`
	Secret  string         `json:"secret"`
	Op      string         `json:"op"`
	Args    map[string]any `json:"args,omitempty"`
	Minutes int            `json:"minutes,omitempty"`
}

func (s *server) boto3(t *testing.T, python string) {
	as := func(name, op string, args map[string]any) pyCall {
		return pyCall{ID: s.keys[name].ID, Secret: s.keys[name].Secret, Op: op, Args: args}
	}
	imports := map[string]any{"Findings": []any{example("boto3", dev)}}
	wrong, unknown, old, sts := as("source", "batch_import_findings", imports), as("source", "batch_import_findings", imports), as("source", "batch_import_findings", imports), as("revoked", "get_caller_identity", nil)
	wrong.Secret, unknown.ID, old.Minutes, sts.Service = "x", "PARRYAAAAAAAAAAAAAAA", -10, "sts"
	many := make([]any, 101)
	for i := range many {
		many[i] = example("many", dev)
	}
	identifiers := []any{map[string]string{"Id": "base-dev", "ProductArn": product}}
	cases := []struct {
		call          pyCall
		status        int
		kind, message string
	}{
		{wrong, 403, "InvalidSignatureException", "does not match"},
		{unknown, 403, "UnrecognizedClientException", "security token"},
		{as("revoked", "get_findings", nil), 403, "UnrecognizedClientException", "security token"},
		{sts, 403, "InvalidClientTokenId", "security token"},
		{old, 403, "InvalidSignatureException", "Signature expired"},
		{as("source", "batch_import_findings", map[string]any{"Findings": many}), 400, "InvalidInputException", "more than 100 items, it has 101"},
		{as("source", "batch_import_findings", map[string]any{"Findings": []any{map[string]any{"Severity": map[string]any{"Label": 7}}}}), 200, "", ""},
		{as("reader", "batch_import_findings", imports), 403, "AccessDeniedException", "may not do finding.import"},
		{as("reader", "batch_update_findings", map[string]any{"FindingIdentifiers": identifiers, "Workflow": map[string]string{"Status": "RESOLVED"}}), 403, "AccessDeniedException", "may not do finding.update"},
		{as("admin", "get_findings", map[string]any{"Filters": map[string]any{"Title": []any{
			map[string]string{"Value": "a", "Comparison": "EQUALS"}, map[string]string{"Value": "b", "Comparison": "NOT_EQUALS"},
		}}}), 400, "InvalidInputException", "Title"},
		{as("admin", "get_resources_v2", nil), 501, "UnknownOperationException", "Parry does not serve GetResourcesV2"},
		{as("dev-reader", "get_findings", map[string]any{"Filters": map[string]any{"AwsAccountId": []any{map[string]string{"Value": prod, "Comparison": "EQUALS"}}}}), 200, "", ""},
	}
	var calls []pyCall
	for _, c := range cases {
		calls = append(calls, c.call)
	}
	s.nothingStored(t, func(t *testing.T) {
		for i, got := range s.python(t, python, calls) {
			want := cases[i]
			if got.Status != want.status || got.Code != want.kind || !strings.Contains(got.Message, want.message) {
				t.Errorf("%s as %.8s: got %+v, want %d %s %q", want.call.Op, want.call.ID, got, want.status, want.kind, want.message)
			}
		}
	})
}

// outcome is what a call of testdata/client.py came to.
type outcome struct {
	Status              int
	Code, Message, Type string
	Answer              map[string]any
}

func (s *server) python(t *testing.T, python string, calls []pyCall) []outcome {
	t.Helper()
	in, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "client.py"), s.url)
	cmd.Env = awsEnvironment(key{})
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var outcomes []outcome
	if err := json.Unmarshal(out, &outcomes); err != nil || len(outcomes) != len(calls) {
		t.Fatalf("%v: %s", err, out)
	}
	return outcomes
}

// awsEnvironment is that of an AWS client with k and nothing of this machine.
func awsEnvironment(k key) []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=" + k.ID, "AWS_SECRET_ACCESS_KEY=" + k.Secret, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1",
		"PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1",
	}
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		env = append(env, name+"="+os.Getenv(name))
	}
	return env
}

func (s *server) awsCLI(t *testing.T, python string) {
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, k key, args ...string) (string, error) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), aws, append(args, "--endpoint-url", s.url, "--output", "json")...)
		cmd.Env = awsEnvironment(k)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	findings := filepath.Join(t.TempDir(), "findings.json")
	raw, err := json.Marshal([]any{example("cli", prod)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(findings, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	imports := []string{"securityhub", "batch-import-findings", "--findings", "file://" + findings}
	s.nothingStored(t, func(t *testing.T) {
		for _, c := range []struct {
			key   key
			args  []string
			words string
		}{
			{key{s.keys["source"].ID, "wrong"}, imports, "(InvalidSignatureException) when calling the BatchImportFindings operation"},
			{s.keys["revoked"], imports, "(UnrecognizedClientException)"},
			{s.keys["reader"], imports, "(AccessDeniedException) when calling the BatchImportFindings operation: check permission: reader (roles: reader) may not do finding.import"},
			{s.keys["admin"], []string{"securityhub", "get-findings", "--filters", `{"Title":[{"Value":"a","Comparison":"EQUALS"},{"Value":"b","Comparison":"NOT_EQUALS"}]}`}, "(InvalidInputException) when calling the GetFindings operation"},
		} {
			if out, err := run(t, c.key, c.args...); err == nil || !strings.Contains(out, c.words) {
				t.Errorf("%v: %v: %s", c.args[:2], err, out)
			}
		}
		if out, err := run(t, s.keys["dev-source"], imports...); err != nil || !strings.Contains(out, "InvalidAccess") || !strings.Contains(out, `"SuccessCount": 0`) {
			t.Errorf("a key for dev reports prod: %v: %s", err, out)
		}
	})
	if out, err := run(t, s.keys["source"], imports...); err != nil || !strings.Contains(out, `"SuccessCount": 1`) {
		t.Errorf("%v: %s", err, out)
	}
}
