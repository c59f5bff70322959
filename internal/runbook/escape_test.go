package runbook_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/runbook"
)

func TestEscapesAreTheStepsThatPlanningDoesNotComeTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps string
		want  []string
	}{
		"none": {`
  - {name: A, action: "aws:sleep", inputs: {Duration: PT1S}}
  - {name: B, action: "aws:sleep", isEnd: true, inputs: {Duration: PT1S}}
`, nil},
		"a failure's and what follows": {`
  - {name: A, action: "aws:sleep", isEnd: true, onFailure: "step:Back", inputs: {Duration: PT1S}}
  - {name: Back, action: "aws:sleep", inputs: {Duration: PT1S}}
  - {name: Tell, action: "aws:sleep", isEnd: true, inputs: {Duration: PT1S}}
`, []string{"Back", "Tell"}},
		"a cancellation's": {`
  - {name: A, action: "aws:sleep", isEnd: true, onCancel: "step:Back", inputs: {Duration: PT1S}}
  - {name: Back, action: "aws:executeAwsApi", isEnd: true, inputs: {Service: s3, Api: ListBuckets}}
`, []string{"Back"}},
		"one that a success leads to as well": {`
  - {name: A, action: "aws:sleep", onFailure: "step:Clean", inputs: {Duration: PT1S}}
  - {name: Clean, action: "aws:sleep", isEnd: true, inputs: {Duration: PT1S}}
`, nil},
	} {
		doc, err := runbook.Parse([]byte("schemaVersion: '0.3'\nmainSteps:" + c.steps))
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(doc.Escapes()))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
