package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// TestAutomationEvents holds the events against AWS's examples.
func TestAutomationEvents(t *testing.T) {
	t.Parallel()
	start := time.Date(2024, 11, 29, 19, 43, 20, 0, time.UTC)
	e := remediation.Execution{
		ID: "333ba70b-2333-48db-b17e-a5e69c6f4d1c", Remediation: "rem-1", Document: "runcommand1", Version: "1", Account: "123456789012", Region: "us-east-2",
		Status: "Success", StartedBy: "ada", StartedAt: start, EndedAt: start.Add(5753 * time.Millisecond),
		Parameters: map[string][]string{"Secret": {"hunter2"}},
	}
	s := remediation.StepExecution{
		ID: "step-1", Execution: e.ID, Name: "runFixedCmds", Action: "aws:runCommand", Attempt: 1, Status: "Success",
		StartedAt: start.Add(3 * time.Second), EndedAt: start.Add(5630 * time.Millisecond), Outputs: map[string]any{"Output": "hunter2"},
	}
	head := func(kind, id string) map[string]any {
		return map[string]any{
			"version": "0", "id": id, "detail-type": kind, "source": "aws.ssm", "account": "123456789012", "region": "us-east-2", "time": "2024-11-29T19:43:35Z",
			"resources": []any{
				"arn:aws:ssm:us-east-2:123456789012:automation-execution/" + e.ID, "arn:aws:ssm:us-east-2:123456789012:automation-definition/runcommand1:1",
			},
			"parry": map[string]any{"by": "parry/remediation/rem-1", "hops": 0.0},
		}
	}
	execution := head("EC2 Automation Execution Status-change Notification", "evt-"+e.ID+"-2-Success")
	execution["detail"] = map[string]any{
		"ExecutionId": e.ID, "Definition": "runcommand1", "DefinitionVersion": 1.0, "Status": "Success",
		"StartTime": "Nov 29, 2024 7:43:20 PM", "EndTime": "Nov 29, 2024 7:43:25 PM", "Time": 5753.0, "ExecutedBy": "ada",
	}
	step := head("EC2 Automation Step Status-change Notification", "evt-"+e.ID+"-step-1-1-Success")
	step["detail"] = map[string]any{
		"ExecutionId": e.ID, "Definition": "runcommand1", "DefinitionVersion": 1.0, "Status": "Success",
		"StartTime": "Nov 29, 2024 7:43:23 PM", "EndTime": "Nov 29, 2024 7:43:25 PM", "Time": 2630.0, "StepName": "runFixedCmds", "Action": "aws:runCommand",
	}
	at := start.Add(15 * time.Second)
	gotExecution, errE := store.AnnounceExecution(e, "aws", 2, at)
	gotStep, errS := store.AnnounceStep(e, s, "aws", at)
	if errE != nil || errS != nil {
		t.Fatal(errE, errS)
	}
	for _, c := range []struct {
		got  store.Effects
		want map[string]any
	}{{gotExecution, execution}, {gotStep, step}} {
		if len(c.got.Outbox) != 1 || c.got.Outbox[0].Topic != store.TopicEvent || c.got.Outbox[0].ID != c.want["id"] {
			t.Fatalf("%+v", c.got)
		}
		var event map[string]any
		if err := json.Unmarshal(c.got.Outbox[0].Payload, &event); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, event); diff != "" {
			t.Error(diff)
		}
	}
}
