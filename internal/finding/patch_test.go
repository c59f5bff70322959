package finding_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
)

func noon() time.Time { return time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) }

func parsePatch(t testing.TB, s string) finding.Patch {
	t.Helper()
	p, err := finding.ParsePatch([]byte(s), "data")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatchAppliesEveryAttribute(t *testing.T) {
	t.Parallel()
	old := finding.Create(minimal(t, obj("Severity", obj("Label", "LOW", "Original", "o", "Product", 2), "UserDefinedFields", obj("old", "x"))))
	p := parsePatch(t, `{"Confidence":80,"Criticality":81.0,"Note":{"Text":"n","UpdatedBy":"u"},
		"RelatedFindings":[{"ProductArn":"arn:aws:securityhub:a:b:product/c/d","Id":"r"}],"Severity":{"Label":"HIGH"},
		"Types":["TTPs/x"],"UserDefinedFields":{"k":"v"},"VerificationState":"TRUE_POSITIVE","Workflow":{"Status":"NOTIFIED"}}`)
	if diff := cmp.Diff([]string{
		"Confidence", "Criticality", "Note", "RelatedFindings", "Severity", "Types", "UserDefinedFields", "VerificationState", "Workflow",
	}, p.Attributes()); diff != "" {
		t.Error(diff)
	}
	got := p.Apply(old, noon())
	for name, want := range map[string]string{
		"Confidence": "80", "Criticality": "81", "Note": `{"Text":"n","UpdatedAt":"2024-05-01T12:00:00.000Z","UpdatedBy":"u"}`,
		"RelatedFindings": `[{"Id":"r","ProductArn":"arn:aws:securityhub:a:b:product/c/d"}]`,
		"Severity":        `{"Label":"HIGH","Normalized":70,"Original":"o","Product":2}`,
		"Types":           `["TTPs/x"]`, "UserDefinedFields": `{"k":"v"}`, "VerificationState": `"TRUE_POSITIVE"`, "Workflow": `{"Status":"NOTIFIED"}`,
		"UpdatedAt": `"2024-01-02T00:00:00Z"`,
	} {
		if have := pick(t, got, name); have != want {
			t.Errorf("%s: got %s, want %s", name, have, want)
		}
	}
	if diff := finding.Diff(got, p.Apply(got, noon().Add(time.Hour))); diff != nil {
		t.Errorf("applying twice changed %v", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestPatchSeverityByNumber(t *testing.T) {
	t.Parallel()
	got := parsePatch(t, `{"Severity":{"Normalized":95,"Product":9.5}}`).Apply(minimal(t, nil), noon())
	if have := pick(t, got, "Severity"); have != `{"Label":"CRITICAL","Normalized":95,"Product":9.5}` {
		t.Error(have)
	}
}

// A customer may set any workflow status from any other.
func TestCustomerWorkflowEveryPair(t *testing.T) {
	t.Parallel()
	for _, from := range finding.Workflows() {
		for _, to := range finding.Workflows() {
			p := finding.Patch{Workflow: &finding.WorkflowUpdate{Status: to}}
			if got := p.Apply(minimal(t, nil).WithWorkflow(from), noon()).Workflow(); got != to {
				t.Errorf("%s to %s: got %s", from, to, got)
			}
		}
	}
}

func TestParsePatchRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"RecordState":"ARCHIVED"}`:     "data should NOT have additional property 'RecordState'",
		`{"Title":"x"}`:                  "data should NOT have additional property 'Title'",
		`{"Workflow":{"Status":"DONE"}}`: "data.Workflow.Status should be equal to one of the allowed values",
		`{"Workflow":{"State":"NEW"}}`:   "data.Workflow should NOT have additional property 'State'",
		`{"Note":{"Text":"x"}}`:          "data.Note should have required property 'UpdatedBy'",
		`{"Note":{"Text":"` + strings.Repeat("x", 513) + `","UpdatedBy":"u"}}`: "data.Note.Text should NOT be longer than 512 characters",
		`{"Confidence":"80"}`:              "data.Confidence should be integer",
		`{"Confidence":101}`:               "data.Confidence should be <= 100",
		`{"Severity":{"Label":"high"}}`:    "data.Severity.Label should be equal to one of the allowed values",
		`{"Types":"x"}`:                    "data.Types should be array",
		`{"UserDefinedFields":{"a":1}}`:    "data.UserDefinedFields['a'] should be string",
		`{"RelatedFindings":[{"Id":"x"}]}`: "data.RelatedFindings[0] should have required property 'ProductArn'",
		`[]`:                               "data: not a JSON object",
		`{`:                                "data: line 1: unexpected EOF",
	} {
		_, err := finding.ParsePatch([]byte(in), "data")
		if err == nil {
			t.Errorf("%s was accepted", in)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestTouched(t *testing.T) {
	t.Parallel()
	var none finding.Touched
	got := none.With("Types", "Note").With("Note", "Confidence")
	if diff := cmp.Diff(finding.Touched{"Confidence", "Note", "Types"}, got); diff != "" {
		t.Error(diff)
	}
	if !got.Has("Note") || got.Has("Severity") {
		t.Error("Has")
	}
}
