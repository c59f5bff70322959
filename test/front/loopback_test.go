package front_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ssm makes a call of Systems Manager that has to be answered.
func (s *server) ssm(t *testing.T, who, operation string, in map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	a := s.do(t, call{key: who, service: "ssm", path: "/", body: string(raw), target: "AmazonSSM." + operation})
	var out map[string]any
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d: %s", operation, a.status, a.body)
	}
	return out
}

func (s *server) execution(t *testing.T, id string) map[string]any {
	t.Helper()
	e, _ := s.ssm(t, "reader", "GetAutomationExecution", map[string]any{"AutomationExecutionId": id})["AutomationExecution"].(map[string]any)
	return e
}

// until waits for a status of an execution.
func (s *server) until(t *testing.T, id string, statuses ...string) map[string]any {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		e := s.execution(t, id)
		for _, want := range statuses {
			if e["AutomationExecutionStatus"] == want {
				return e
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("execution %s: %v", id, e)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// approvePlan has the approver agree to the plan for which id waits.
func (s *server) approvePlan(t *testing.T, id string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		var page struct {
			Items []struct {
				ID          string `json:"id"`
				Remediation string `json:"remediation"`
				Plan        string `json:"plan"`
			} `json:"items"`
		}
		a := s.do(t, call{key: "approver", method: http.MethodGet, path: "/v1/approvals?state=pending"})
		if err := json.Unmarshal(a.body, &page); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
		text := fmt.Sprint(s.execution(t, id)["FailureMessage"])
		for _, item := range page.Items {
			if strings.Contains(text, item.Remediation) {
				s.do(t, call{key: "approver", path: "/v1/approvals/" + item.ID + "/grant", body: `{"plan_hash":"` + item.Plan + `"}`}).is(t, http.StatusOK, "")
				return
			}
		}
		if e := s.execution(t, id); e["AutomationExecutionStatus"] != "Pending" || time.Now().After(deadline) {
			t.Fatalf("nothing to approve: %v; %s", e, a.body)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

const innerDocument = `
schemaVersion: "0.3"
parameters:
  Color: {type: String, default: red}
outputs: [Choose.NextStep]
mainSteps:
  - name: Choose
    action: aws:branch
    inputs: {Choices: [{NextStep: Rest, Variable: "{{ Color }}", StringEquals: green}], Default: Rest}
  - {name: Rest, action: "aws:sleep", inputs: {Duration: PT1S}, isEnd: true}
`

const outerDocument = `
schemaVersion: "0.3"
outputs: [Start.Id, Read.Outcome, Text.Content]
mainSteps:
  - name: Text
    action: aws:executeAwsApi
    inputs: {Service: ssm, Api: GetDocument, Name: Story-Inner}
    outputs: [{Name: Content, Selector: $.Name, Type: String}]
  - name: Start
    action: aws:executeAwsApi
    inputs: {Service: ssm, Api: StartAutomationExecution, DocumentName: Story-Inner, Parameters: {Color: [green]}}
    outputs: [{Name: Id, Selector: $.AutomationExecutionId, Type: String}]
  - name: Wait
    action: aws:waitForAwsResourceProperty
    timeoutSeconds: 50
    inputs:
      Service: ssm
      Api: GetAutomationExecution
      AutomationExecutionId: "{{ Start.Id }}"
      PropertySelector: $.AutomationExecution.AutomationExecutionStatus
      DesiredValues: [Success]
  - name: Read
    action: aws:executeAwsApi
    isEnd: true
    inputs: {Service: ssm, Api: GetAutomationExecution, AutomationExecutionId: "{{ Start.Id }}"}
    outputs: [{Name: Outcome, Selector: $.AutomationExecution.AutomationExecutionStatus, Type: String}]
`

// loopback: a document whose steps start and read another meets Parry's own
// engine; there is no AWS that could answer.
func (s *server) loopback(t *testing.T) {
	for name, text := range map[string]string{"Story-Inner": innerDocument, "Story-Outer": outerDocument} {
		s.ssm(t, "admin", "CreateDocument", map[string]any{"Name": name, "Content": text, "DocumentType": "Automation", "DocumentFormat": "YAML"})
	}
	id, _ := s.ssm(t, "operator", "StartAutomationExecution", map[string]any{
		"DocumentName": "Story-Outer", "Tags": []map[string]string{{"Key": "parry:account", "Value": prod}},
	})["AutomationExecutionId"].(string)
	s.approvePlan(t, id)
	e := s.until(t, id, "Success", "Failed", "TimedOut", "Cancelled")
	outputs, _ := e["Outputs"].(map[string]any)
	inner, _ := outputs["Start.Id"].([]any)
	if e["AutomationExecutionStatus"] != "Success" || len(inner) != 1 || fmt.Sprint(outputs["Read.Outcome"], outputs["Text.Content"]) != "[Success] [Story-Inner]" {
		t.Fatalf("%v", e)
	}
	started := s.execution(t, fmt.Sprint(inner[0]))
	if fmt.Sprint(started["Parameters"], started["Outputs"]) != "map[Color:[green]] map[Choose.NextStep:[Rest]]" || !strings.HasSuffix(fmt.Sprint(started["ExecutedBy"]), "/operator") {
		t.Errorf("%v", started)
	}
}

const scriptDocument = `
schemaVersion: "0.3"
outputs: [Run.Id, Run.Status]
mainSteps:
  - name: Run
    action: aws:executeScript
    isEnd: true
    inputs:
      Runtime: python3.11
      Handler: handler
      Script: |
        import time

        import boto3

        def handler(events, context):
            ssm = boto3.client("ssm")
            started = ssm.start_automation_execution(DocumentName="Story-Inner", Parameters={"Color": ["green"]})
            for _ in range(50):
                e = ssm.get_automation_execution(AutomationExecutionId=started["AutomationExecutionId"])["AutomationExecution"]
                if e["AutomationExecutionStatus"] not in ("Pending", "InProgress"):
                    break
                time.sleep(0.2)
            return {"id": started["AutomationExecutionId"], "status": e["AutomationExecutionStatus"]}
    outputs:
      - {Name: Id, Selector: $.Payload.id, Type: String}
      - {Name: Status, Selector: $.Payload.status, Type: String}
`

// scriptLoopback: the same from a script, by the real boto3.
func (s *server) scriptLoopback(t *testing.T) {
	s.ssm(t, "admin", "CreateDocument", map[string]any{"Name": "Story-Script", "Content": scriptDocument, "DocumentType": "Automation", "DocumentFormat": "YAML"})
	id, _ := s.ssm(t, "operator", "StartAutomationExecution", map[string]any{
		"DocumentName": "Story-Script", "Tags": []map[string]string{{"Key": "parry:account", "Value": prod}},
	})["AutomationExecutionId"].(string)
	s.approvePlan(t, id)
	e := s.until(t, id, "Success", "Failed", "TimedOut", "Cancelled")
	outputs, _ := e["Outputs"].(map[string]any)
	inner, _ := outputs["Run.Id"].([]any)
	if e["AutomationExecutionStatus"] != "Success" || len(inner) != 1 || fmt.Sprint(outputs["Run.Status"]) != "[Success]" {
		t.Fatalf("%v", e)
	}
	if started := s.execution(t, fmt.Sprint(inner[0])); fmt.Sprint(started["Outputs"]) != "map[Choose.NextStep:[Rest]]" {
		t.Errorf("%v", started)
	}
}
