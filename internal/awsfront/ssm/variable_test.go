package ssm_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/remediation"
)

const counting = `description: Counts.
schemaVersion: "0.3"
variables:
  Seen: {type: Integer, default: 0}
  Names: {type: StringList, default: [none]}
  Last: {type: String}
mainSteps:
  - name: Count
    action: aws:updateVariable
    inputs: {Name: "variable:Seen", Value: 1}
  - name: Rest
    action: aws:sleep
    inputs: {Duration: PT1S}
    isEnd: true
`

// TestVariablesAreCurrent: what the steps have put counts, over what the last segment
// left, over the defaults.
func TestVariablesAreCurrent(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	ask(t, h, admin(), "CreateDocument", object{"Name": "Counting", "Content": counting, "DocumentType": "Automation", "DocumentFormat": "YAML"})
	id := ask(t, h, admin(), "StartAutomationExecution", object{"DocumentName": "Counting"})["AutomationExecutionId"].(string)
	shown := func() any {
		return ask(t, h, as("rita", auth.RoleReader, auth.All), "GetAutomationExecution", object{"AutomationExecutionId": id})["AutomationExecution"].(object)["Variables"]
	}
	if diff := cmp.Diff(object{"Seen": []any{"0"}, "Names": []any{"none"}}, shown()); diff != "" {
		t.Errorf("before it began: %s", diff)
	}
	e := w.executions[id]
	e.Status, e.Variables = "InProgress", map[string][]string{"Seen": {"1"}, "Names": {"none"}}
	w.executions[id] = e
	for i, put := range []object{
		{"Name": "variable:Seen", "Value": int64(2)},
		{"Name": "variable:Names", "Value": []any{"a", "b"}},
		{"Name": "variable:Seen", "Value": int64(3)},
		{"Name": "variable:Stranger", "Value": "x"},
	} {
		w.steps[id] = append(w.steps[id], remediation.StepExecution{ID: fmt.Sprint("s", i), Execution: id, Seq: i, Name: "Count", Action: "aws:updateVariable", Status: "Success", Inputs: put})
	}
	w.steps[id] = append(w.steps[id], remediation.StepExecution{
		ID: "s9", Execution: id, Seq: 9, Name: "Count", Action: "aws:updateVariable", Status: "Failed", Inputs: object{"Name": "variable:Seen", "Value": "nine"},
	})
	if diff := cmp.Diff(object{"Seen": []any{"3"}, "Names": []any{"a", "b"}}, shown()); diff != "" {
		t.Errorf("while it runs: %s", diff)
	}
	e.Status, e.EndedAt, e.Variables = "Success", w.now, map[string][]string{"Seen": {"4"}, "Names": {"none"}}
	w.executions[id] = e
	if diff := cmp.Diff(object{"Seen": []any{"4"}, "Names": []any{"none"}}, shown()); diff != "" {
		t.Errorf("at its end: %s", diff)
	}
}
