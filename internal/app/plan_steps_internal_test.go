package app

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/remediation"
)

// TestStepsOfARunThatCouldNotBePlanned: what was read, what failed, and nothing that
// looks as if it had been changed.
func TestStepsOfARunThatCouldNotBePlanned(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	steps := plannedSteps{}
	for i, r := range []automation.StepRecord{
		{Label: "Look", Action: "aws:executeAwsApi", Status: automation.Success, Inputs: map[string]any{"Bucket": "b"}, Outputs: map[string]any{"Id": "1"}},
		{Label: "Make", Action: "aws:executeAwsApi", Status: automation.Success, Outputs: map[string]any{"Id": "stand-in"}},
		{Label: "Again", Action: "aws:executeAwsApi", Status: automation.Success, Inputs: map[string]any{"Id": "stand-in"}},
		{Label: "Rest", Action: "aws:sleep", Status: automation.Success},
		{Label: "Each", ID: "loop", Action: "aws:loop", Status: automation.Success},
		{Label: "Put#2", Action: "aws:executeAwsApi", Status: automation.Success, Parent: &automation.ParentStep{ID: "loop"}},
		{Label: "Child", Action: "aws:executeAutomation", Status: automation.Success},
		{Label: "Check", Action: "aws:assertAwsResourceProperty", Status: automation.Failed, Inputs: map[string]any{"Id": "stand-in", "Other": "x"}, Failure: &automation.Failure{Step: "Check", Message: "no"}},
	} {
		if r.ID == "" {
			r.ID = r.Label
		}
		r.Execution, r.Seq, r.Name, r.Attempt, r.StartedAt, r.EndedAt = "exe-1", i+1, r.Label, 1, at, at
		if err := steps.Observe(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	change := func(step string) remediation.PlannedCall {
		return remediation.PlannedCall{Step: step, Class: apimodel.Change}
	}
	calls := []remediation.PlannedCall{{Step: "Look", Class: apimodel.Read}, change("Put#2"), change("Child/Delete"), change("Childless/Delete"), change("Make")}
	unknown := func(v any) bool {
		raw, err := json.Marshal(v)
		return err == nil && (string(raw) == `"stand-in"` || string(raw) == `{"Id":"stand-in"}`)
	}
	rows, err := steps.rows(calls, unknown)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%d %s %s in %s out %s began %v %s", r.Seq, r.Name, r.Status, r.Inputs, r.Outputs, !r.StartedAt.IsZero(), r.Failure))
	}
	want := []string{
		`1 Look Success in {"Bucket":"b"} out {"Id":"1"} began true `, `2 Make Pending in null out null began false `, `3 Again Pending in null out null began false `,
		`4 Rest Pending in null out null began false `, `5 Each Pending in null out null began false `, `6 Put#2 Pending in null out null began false `,
		`7 Child Pending in null out null began false `, `8 Check Failed in {"Other":"x"} out null began true step Check failed: no`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
