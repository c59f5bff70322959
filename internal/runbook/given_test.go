package runbook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/runbook"
)

func TestResolveGivenLeavesToLaterOnlyWhatIsNotGiven(t *testing.T) {
	t.Parallel()
	doc, err := runbook.Parse([]byte(`
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
  Stage: {type: String, allowedValues: [dev, prod]}
mainSteps:
  - {name: Rest, action: "aws:sleep", inputs: {Duration: PT1S}, isEnd: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		given map[string]any
		want  map[string]any
		wrong string
	}{
		"later":               {map[string]any{"Bucket": "b"}, map[string]any{"Bucket": "b"}, ""},
		"given as well":       {map[string]any{"Bucket": "b", "Stage": "dev"}, map[string]any{"Bucket": "b", "Stage": "dev"}, ""},
		"given as nothing":    {map[string]any{"Bucket": "b", "Stage": nil}, map[string]any{"Bucket": "b"}, ""},
		"given, not allowed":  {map[string]any{"Bucket": "b", "Stage": "test"}, nil, "Stage"},
		"one that is missing": {map[string]any{"Stage": "dev"}, nil, "Bucket"},
		"one of nobody":       {map[string]any{"Bucket": "b", "Color": "red"}, nil, "Color is not declared"},
	} {
		got, err := doc.ResolveGiven(c.given, []string{"Stage"})
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}
