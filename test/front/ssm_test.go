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
		"preview runs": "AutomationExecutionNotFoundException", "unplanned why": "planning stopped: plan the runbook: it would end with Failed: step Put failed",
	}
	for name, want := range words {
		if text, _ := got[name].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, got[name], want)
		}
		delete(got, name)
	}
	target := func(name string) []any {
		return []any{name, "aws:executeAutomation", "Success", map[string]any{"Value": name}}
	}
	want := map[string]any{
		"targets":      []any{[]any{"a", "b", "c"}, false, 3.0, false},
		"target steps": []any{target("a"), target("b"), target("c")}, "targets described": true, "targets reversed": true, "target filtered": []any{"b"},
		"children": true, "child steps": []any{[]any{"Choose", "Success"}, []any{"Put", "Success"}, []any{"Rest", "Success"}},
		"variables":      []any{"many", "InProgress"},
		"unplanned":      []any{[]any{"Choose", "Success", true}, []any{"Put", "Failed", true}, []any{"Rest", "Pending", false}},
		"unplanned step": []any{"Put", "InputValidation", "Action", "Step fails when it is validating and resolving the step inputs. variab"},
		"created":        "1", "updated": "2", "default": "2", "text": true, "listed": []any{"Story-Ask"}, "shipped": true, "versions": []any{"2", "1"},
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
	id := executionID.FindString(
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
	s.signalsCLI(t, run)
}

// signalsCLI: people's signals and the end of a run, each by the key of whom may.
func (s *server) signalsCLI(t *testing.T, run func(name string, args ...string) string) {
	file := filepath.Join(t.TempDir(), "document.json")
	if err := os.WriteFile(file, []byte(askDocument), 0o600); err != nil {
		t.Fatal(err)
	}
	run("admin", "create-document", "--name", "Story-Signals", "--document-type", "Automation", "--content", "file://"+file)
	start := func(args ...string) string {
		out := run("operator", append([]string{"start-automation-execution", "--document-name", "Story-Signals", "--tags", "Key=parry:account,Value=" + prod}, args...)...)
		return executionID.FindString(out)
	}
	until := func(id, words string) {
		t.Helper()
		var out string
		for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); {
			if out = run("reader", "get-automation-execution", "--automation-execution-id", id); strings.Contains(out, words) {
				return
			}
		}
		t.Fatalf("no %s in %s", words, out)
	}
	signal := func(name, id, kind string, payload ...string) {
		t.Helper()
		args := []string{"send-automation-signal", "--automation-execution-id", id, "--signal-type", kind}
		if len(payload) > 0 {
			args = append(args, "--payload", payload[0])
		}
		run(name, args...)
	}
	approved := start()
	until(approved, `"CurrentStepName": "Ask"`)
	signal("approver", approved, "Approve", "Comment=fine")
	until(approved, `"CurrentStepName": "Halt"`)
	signal("operator", approved, "Resume", "StepName=Halt")
	until(approved, `"AutomationExecutionStatus": "Success"`)

	rejected := start()
	until(rejected, `"CurrentStepName": "Ask"`)
	signal("approver", rejected, "Reject", "Comment=no")
	until(rejected, `"AutomationExecutionStatus": "Failed"`)

	byHand := start("--mode", "Interactive")
	until(byHand, `"AutomationExecutionStatus": "Waiting"`)
	signal("operator", byHand, "StartStep", "StepName=Ask")
	until(byHand, `"CurrentAction": "aws:approve"`)
	for _, kind := range []string{"Cancel", "Complete"} {
		id := byHand
		if kind == "Complete" {
			id = start()
		}
		until(id, `"StepStatus": "Waiting"`)
		run("operator", "stop-automation-execution", "--automation-execution-id", id, "--type", kind)
		until(id, `"ExecutionEndTime"`)
		until(id, `"AutomationExecutionStatus": "`+map[string]string{"Cancel": "Cancelled", "Complete": "Success"}[kind]+`"`)
	}
	run("admin", "delete-document", "--name", "Story-Signals")
}

// askDocument waits for a person twice.
const askDocument = `{"schemaVersion": "0.3", "mainSteps": [
  {"name": "Ask", "action": "aws:approve", "inputs": {"Approvers": ["approver"], "Message": "May it?"}},
  {"name": "Halt", "action": "aws:pause", "inputs": {}, "isEnd": true}]}`

var executionID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
