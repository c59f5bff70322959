package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/test/testenv/envtest"
)

const scripted = `schemaVersion: "0.3"
mainSteps:
  - name: Close
    action: aws:executeScript
    inputs:
      Runtime: python3.11
      Handler: main
      InputPayload: {Bucket: my-bucket}
      Script: |-
        import boto3

        def main(events, context):
            s3 = boto3.client("s3")
            s3.get_bucket_acl(Bucket=events["Bucket"])
            s3.delete_bucket_policy(Bucket=events["Bucket"])
  - name: Wrong
    action: aws:executeScript
    inputs:
      Runtime: python3.11
      Handler: main
      Script: |
        def main(events, context):
            return {{
`

// Scripts are looked into by the Python of the configuration: what they call is
// in the report and the policy, and what is no Python is an error at its line.
func TestScriptsAreLookedInto(t *testing.T) {
	t.Parallel()
	python := envtest.Needs(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cfg := write("parry.yaml", "organization: {hub_account: \"999988887777\"}\nscripts: {python: "+python+"}\n")
	good := write("good.yaml", scripted[:strings.Index(scripted, "  - name: Wrong")])
	both := write("both.yaml", scripted)
	run := func(want int, args ...string) string {
		t.Helper()
		var out, problems bytes.Buffer
		code := cli.Run(t.Context(), cli.Program{In: strings.NewReader(""), Out: &out, Err: &problems}, append(args, "--config", cfg))
		if code != want {
			t.Fatalf("parry %v exits %d: %s%s", args, code, out.String(), problems.String())
		}
		return out.String()
	}

	var reports []struct {
		Problems []struct {
			Code string
			Line int
		}
		Changes []struct {
			Operation string
			Line      int
		}
		Gaps  []any `json:"not_derived"`
		Steps []struct{ Impact string }
	}
	if err := json.Unmarshal([]byte(run(cli.ExitFailing, "runbook", "check", both, "-o", "json")), &reports); err != nil {
		t.Fatal(err)
	}
	r := reports[0]
	if len(r.Problems) != 1 || r.Problems[0].Code != "script_syntax" || r.Problems[0].Line != 23 {
		t.Errorf("problems %+v", r.Problems)
	}
	if len(r.Changes) != 1 || r.Changes[0].Operation != "DeleteBucketPolicy" || r.Changes[0].Line != 15 || len(r.Gaps) != 1 {
		t.Errorf("changes %+v, gaps %v", r.Changes, r.Gaps)
	}
	if r.Steps[0].Impact != "Mutating" || r.Steps[1].Impact != "Undetermined" {
		t.Errorf("steps %+v", r.Steps)
	}
	if shown := run(cli.ExitOK, "runbook", "show", good); !strings.Contains(shown, "s3:DeleteBucketPolicy in Close") {
		t.Errorf("show prints %s", shown)
	}
	policy := run(cli.ExitOK, "aws", "policy", good)
	for _, action := range []string{"s3:GetBucketAcl", "s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"} {
		if !strings.Contains(policy, `"`+action+`"`) {
			t.Errorf("the policy lacks %s: %s", action, policy)
		}
	}

	// A list that AWS does not hand on is seen before it is returned.
	long := write("long.yaml", "schemaVersion: '0.3'\nmainSteps:\n- name: A\n  action: aws:executeScript\n  inputs:\n    Runtime: python3.11\n    Handler: main\n    Script: |\n"+
		"      def main(events, context):\n          return ["+strings.Repeat("0, ", 101)+"]\n")
	if got := run(cli.ExitOK, "runbook", "check", long, "-o", "json", "--query", "[0].problems[0].[code, line, message]"); !strings.Contains(got, "script_return") ||
		!strings.Contains(got, "10,") || !strings.Contains(got, "101 items") {
		t.Errorf("the list gives %s", got)
	}

	// A script that is an attachment is found beside the document.
	write("undo.py", "import boto3\ndef main(events, context):\n    boto3.client('iam').get_role(RoleName='r')\n")
	attached := write("attached.yaml", "schemaVersion: '0.3'\nfiles: {undo.py: {}}\nmainSteps:\n"+
		"  - {name: A, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: undo.main, Attachment: undo.py}}\n")
	if got := run(cli.ExitOK, "runbook", "check", attached, "-o", "json", "--query", "[0].[reads[0].operation, steps[0].impact]"); !strings.Contains(got, "GetRole") || !strings.Contains(got, "NonMutating") {
		t.Errorf("the attachment gives %s", got)
	}
}
