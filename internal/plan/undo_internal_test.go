package plan

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

// TestUndoReadsTheRevisionBeforeItWrites holds that a call which must name the
// revision as it is now is written after the read of it, and refers to it.
func TestUndoReadsTheRevisionBeforeItWrites(t *testing.T) {
	t.Parallel()
	c := apimodel.InverseCall{
		Call:      apimodel.Call{Service: "cloudfront", Operation: "UpdateDistribution", Input: map[string]any{"Id": "E1", "DistributionConfig": map[string]any{"Comment": "{{ x }}"}}},
		Fresh:     map[string]string{"IfMatch": "ETag"},
		FreshRead: apimodel.Call{Service: "cloudfront", Operation: "GetDistributionConfig", Input: map[string]any{"Id": "E1"}},
	}
	content, values, _, err := document("Undo", []apimodel.InverseCall{c})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := runbook.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := doc.ResolveParameters(values, nil); err != nil {
		t.Error(err)
	}
	var written struct {
		MainSteps []undoStep `json:"mainSteps"`
	}
	if err := json.Unmarshal(content, &written); err != nil {
		t.Fatal(err)
	}
	want := []undoStep{
		{
			Name: "Read1_GetDistributionConfig", Action: "aws:executeAwsApi",
			Inputs:  map[string]any{"Service": "cloudfront", "Api": "GetDistributionConfig", "Id": "{{ Read1Id }}"},
			Outputs: []undoOutput{{Name: "IfMatch", Selector: "$.ETag", Type: "String"}},
		},
		{
			Name: "Restore1_UpdateDistribution", Action: "aws:executeAwsApi", IsEnd: true,
			Inputs: map[string]any{
				"Service": "cloudfront", "Api": "UpdateDistribution", "Id": "{{ Step1Id }}",
				"DistributionConfig": "{{ Step1DistributionConfig }}", "IfMatch": "{{ Read1_GetDistributionConfig.IfMatch }}",
			},
		},
	}
	if diff := cmp.Diff(want, written.MainSteps); diff != "" {
		t.Error(diff)
	}
}

// TestUndoWritesWhatNoParameterCarries holds that fractions and lists of numbers
// come back as they were.
func TestUndoWritesWhatNoParameterCarries(t *testing.T) {
	t.Parallel()
	c := apimodel.InverseCall{Call: apimodel.Call{Service: "cloudwatch", Operation: "PutMetricAlarm", Input: map[string]any{
		"AlarmName": "{{ x }}", "Threshold": 0.5, "Period": float64(300), "Ports": []any{float64(1), int64(2)},
	}}}
	content, values, _, err := document("Undo", []apimodel.InverseCall{c})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := runbook.Parse(content); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"Step1AlarmName": "{{ x }}", "Step1Period": float64(300)}, values); diff != "" {
		t.Error(diff)
	}
	var written struct {
		MainSteps []undoStep `json:"mainSteps"`
	}
	if err := json.Unmarshal(content, &written); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Service": "cloudwatch", "Api": "PutMetricAlarm", "AlarmName": "{{ Step1AlarmName }}", "Period": "{{ Step1Period }}",
		"Threshold": 0.5, "Ports": []any{float64(1), float64(2)},
	}
	if diff := cmp.Diff(want, written.MainSteps[0].Inputs); diff != "" {
		t.Error(diff)
	}
}
