package front_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// systemsManager: documents and automation as boto3 and the AWS CLI see them. The
// documents call no AWS, since there is none behind the server.
func (s *server) systemsManager(t *testing.T) {
	python := envtest.Needs(t)
	t.Run("boto3", func(t *testing.T) { s.automationStory(t, python) })
	t.Run("AWS CLI", func(t *testing.T) { s.automationCLI(t, python) })
	t.Run("loopback", s.loopback)
	t.Run("loopback of a script", s.scriptLoopback)
}

func (s *server) automationStory(t *testing.T, python string) {
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "account": prod})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "ssm.py"), s.url)
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
	wantAutomation(t, got)
}

func (s *server) keysForPython() map[string]any {
	out := map[string]any{}
	for name, k := range s.keys {
		out[name] = map[string]string{"id": k.ID, "secret": k.Secret}
	}
	return out
}

func wantAutomation(t *testing.T, got map[string]any) {
	t.Helper()
	words := map[string]string{
		"again": "DocumentAlreadyExists: DocumentAlreadyExists", "operator creates": "AccessDeniedException: check permission: operator (roles: operator) may not do document.write",
		"broken": "InvalidDocumentContent: InvalidDocumentContent: line ", "token, other parameters": "IdempotentParameterMismatch",
		"operator approves": "AccessDeniedException: check permission: operator (roles: operator) may not do approval.decide", "admin approves": "admin is not among the approvers of step Ask",
		"resume too early": "AutomationStepNotFoundException", "stop ended": "InvalidAutomationStatusUpdateException", "signal ended": "InvalidAutomationSignalException",
		"not listed": "may not start document Other", "reader starts": "may not do execution.start", "foreign account": "may not do execution.start on account",
		"unknown": "AutomationDefinitionNotFoundException", "parameter": `has value "blue" not found in [red, green]`, "no execution": "AutomationExecutionNotFoundException",
		"unserved": "UnknownOperationException", "foreign get": "AutomationExecutionNotFoundException", "foreign stop": "AutomationExecutionNotFoundException",
		"no account": "account " + hubAccount + " is not one that Parry answers for", "foreign preview": "may not do execution.read",
		"preview runs": "AutomationExecutionNotFoundException",
	}
	for name, want := range words {
		if text, _ := got[name].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, got[name], want)
		}
		delete(got, name)
	}
	want := map[string]any{
		"created": "1", "updated": "2", "default": "2", "text": true, "listed": []any{"Story-Ask"}, "shipped": true, "versions": []any{"2", "1"},
		"id length": 36.0, "at once": "2", "token": true,
		"ended": map[string]any{
			"AutomationExecutionStatus": "Success", "Outputs": map[string]any{"Choose.NextStep": []any{"Rest"}}, "Parameters": map[string]any{"Color": []any{"green"}},
			"ExecutedBy": "arn:aws:iam::" + hubAccount + ":user/parry/operator",
		},
		"steps":       []any{[]any{"Ask", "Success"}, []any{"Halt", "Success"}, []any{"Choose", "Success"}, []any{"Rest", "Success"}},
		"paged steps": []any{"Ask", "Halt", "Choose", "Rest"}, "stopped": "Cancelled", "rejected": []any{"Failed", []any{"Failed"}},
		"all": true, "dev sees": []any{}, "successes": true, "preview": []any{"Success", map[string]any{"NonMutating": 4.0}, "0 changes are planned; e"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// cliDocument needs nobody: it rests and ends.
const cliDocument = `{"schemaVersion": "0.3", "outputs": [], "mainSteps": [{"name": "Rest", "action": "aws:sleep", "inputs": {"Duration": "PT1S"}, "isEnd": true}]}`

func (s *server) automationCLI(t *testing.T, python string) {
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "document.json")
	if err := os.WriteFile(file, []byte(cliDocument), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), aws, append([]string{"ssm"}, append(args, "--endpoint-url", s.url, "--output", "json")...)...)
		cmd.Env = awsEnvironment(s.keys[name])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws ssm %s: %v: %s", args[0], err, out)
		}
		return string(out)
	}
	run("admin", "create-document", "--name", "Story-Rest", "--document-type", "Automation", "--content", "file://"+file)
	id := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindString(
		run("operator", "start-automation-execution", "--document-name", "Story-Rest", "--tags", "Key=parry:account,Value="+prod))
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(run("reader", "get-automation-execution", "--automation-execution-id", id), `"AutomationExecutionStatus": "Success"`) {
		if time.Now().After(deadline) {
			t.Fatal("it does not end")
		}
	}
	for _, c := range []struct{ words, operation, flag, value string }{
		{`"StepName": "Rest"`, "describe-automation-step-executions", "--automation-execution-id", id},
		{id, "describe-automation-executions", "--filters", "Key=ExecutionId,Values=" + id},
		{`"Hash"`, "describe-document", "--name", "Story-Rest"},
		{`Duration`, "get-document", "--name", "Story-Rest"},
		{`"Story-Rest"`, "list-documents", "--filters", "Key=Name,Values=Story-Rest"},
	} {
		if out := run("reader", c.operation, c.flag, c.value); !strings.Contains(out, c.words) {
			t.Errorf("%s: %s", c.operation, out)
		}
	}
	run("admin", "delete-document", "--name", "Story-Rest")
}
