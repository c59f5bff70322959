package finding_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
)

// The table of spec/securityhub.md 1.2, for one scalar attribute.
func TestProviderFieldsTable(t *testing.T) {
	t.Parallel()
	fpf := func(n int) map[string]any { return obj("Confidence", n) }
	existing := finding.Create(minimal(t, obj("Confidence", 10, "FindingProviderFields", fpf(10))))
	for name, tc := range map[string]struct {
		in       map[string]any
		existing bool
		touched  finding.Touched
		fpf, top int
	}{
		"new, fpf only":             {in: obj("FindingProviderFields", fpf(20)), fpf: 20, top: 20},
		"new, top only":             {in: obj("Confidence", 30), fpf: 30, top: 30},
		"new, both":                 {in: obj("FindingProviderFields", fpf(20), "Confidence", 30), fpf: 20, top: 20},
		"existing, fpf only":        {in: obj("FindingProviderFields", fpf(20)), existing: true, fpf: 20, top: 20},
		"existing, top only":        {in: obj("Confidence", 30), existing: true, fpf: 30, top: 30},
		"existing, both":            {in: obj("FindingProviderFields", fpf(20), "Confidence", 30), existing: true, fpf: 20, top: 30},
		"existing, neither":         {in: obj(), existing: true, fpf: 10, top: 10},
		"touched, fpf only":         {in: obj("FindingProviderFields", fpf(20)), existing: true, touched: finding.Touched{"Confidence"}, fpf: 20, top: 10},
		"touched, top only":         {in: obj("Confidence", 30), existing: true, touched: finding.Touched{"Confidence"}, fpf: 30, top: 10},
		"touched, both":             {in: obj("FindingProviderFields", fpf(20), "Confidence", 30), existing: true, touched: finding.Touched{"Confidence"}, fpf: 20, top: 10},
		"another attribute touched": {in: obj("Confidence", 30), existing: true, touched: finding.Touched{"Severity"}, fpf: 30, top: 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			incoming := minimal(t, tc.in)
			got := finding.Create(incoming)
			if tc.existing {
				got = finding.Merge(existing, incoming, tc.touched)
			}
			a, _ := got.Int("FindingProviderFields", "Confidence")
			b, _ := got.Int("Confidence")
			if a != tc.fpf || b != tc.top {
				t.Errorf("provider fields %d, top %d; want %d, %d", a, b, tc.fpf, tc.top)
			}
		})
	}
}

func TestProviderCannotOverwriteTouchedSeverity(t *testing.T) {
	t.Parallel()
	old := finding.Create(minimal(t, obj("Severity", obj("Label", "LOW"))))
	got := finding.Merge(old, minimal(t, obj("Severity", obj("Label", "CRITICAL"))), finding.Touched{"Severity"})
	if got.SeverityLabel() != finding.Low || got.String("FindingProviderFields", "Severity", "Label") != "CRITICAL" {
		t.Errorf("top %s, provider %s", got.SeverityLabel(), got.String("FindingProviderFields", "Severity", "Label"))
	}
}

func TestCustomerMembersAreIgnoredAfterCreation(t *testing.T) {
	t.Parallel()
	says := obj(
		"Note", obj("Text", "p", "UpdatedBy", "p", "UpdatedAt", "2024-01-01T00:00:00Z"), "UserDefinedFields", obj("a", "p"),
		"VerificationState", "FALSE_POSITIVE", "Workflow", obj("Status", "SUPPRESSED"),
	)
	created := finding.Create(minimal(t, says))
	if created.Workflow() != finding.Suppressed || created.String("Note", "Text") != "p" {
		t.Error("on creation they are accepted")
	}
	plain := finding.Create(minimal(t, nil))
	got := finding.Merge(plain, minimal(t, says), nil)
	for _, name := range []string{"Note", "UserDefinedFields", "VerificationState"} {
		if got.Has(name) {
			t.Errorf("%s was taken from the provider", name)
		}
	}
	if got.Workflow() != finding.New {
		t.Errorf("workflow %s", got.Workflow())
	}
	kept := finding.Merge(created, minimal(t, obj("Note", obj("Text", "q", "UpdatedBy", "q", "UpdatedAt", "2024-01-01T00:00:00Z"))), nil)
	if kept.String("Note", "Text") != "p" || kept.String("UserDefinedFields", "a") != "p" {
		t.Error("what was there was lost")
	}
}

// A provider overwrites its finding as a whole: what its new version lacks is
// gone, except the attributes that customers share with it.
func TestDecisionUpdateReplacesTheDocument(t *testing.T) {
	t.Parallel()
	old := finding.Create(minimal(t, obj("SourceUrl", "https://x", "Types", []any{"a/b"}, "Criticality", 5, "AwsAccountName", "dev")))
	got := finding.Merge(old, minimal(t, nil), nil)
	if got.Has("SourceUrl") {
		t.Error("SourceUrl survived")
	}
	if diff := cmp.Diff(`["a/b"]`, pick(t, got, "Types")); diff != "" {
		t.Error(diff)
	}
	if n, _ := got.Int("Criticality"); n != 5 {
		t.Error("Criticality was lost")
	}
	if got.String("AwsAccountName") != "dev" {
		t.Error("the account's name, which the hub fills in, was lost")
	}
}

func TestForgetKeepsOnlyWhatCustomersTouched(t *testing.T) {
	t.Parallel()
	old := finding.Create(minimal(t, obj("UserDefinedFields", obj("auto", "yes"), "Confidence", 99, "Note", obj("Text", "c", "UpdatedBy", "c", "UpdatedAt", "2024-01-01T00:00:00Z"))))
	got := finding.Merge(old.Forget(finding.Touched{"Note"}), minimal(t, nil), finding.Touched{"Note"})
	if got.Has("UserDefinedFields") || got.Has("Confidence") || got.Has("FindingProviderFields", "Confidence") {
		t.Errorf("untouched text survived: %s", got.JSON())
	}
	if got.String("Note", "Text") != "c" || got.Workflow() != finding.New {
		t.Errorf("lost: %s", got.JSON())
	}
}

func TestLaterComparesInstants(t *testing.T) {
	t.Parallel()
	at := func(s string) finding.Finding { return minimal(t, obj("UpdatedAt", s)) }
	for _, tc := range []struct {
		old, new string
		want     bool
	}{
		{"2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000000001Z", true},
		{"2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000Z", false},
		{"2024-01-01T00:00:00Z", "2024-01-01T02:00:00+03:00", false},
		{"2024-01-01T00:00:00+03:00", "2023-12-31T22:00:00Z", true},
	} {
		if got := finding.Later(at(tc.old), at(tc.new)); got != tc.want {
			t.Errorf("%s then %s: %v", tc.old, tc.new, got)
		}
	}
}

func TestCreateFillsDefaults(t *testing.T) {
	t.Parallel()
	got := finding.Create(minimal(t, nil))
	for name, want := range map[string]string{
		"RecordState": `"ACTIVE"`, "WorkflowState": `"NEW"`, "Types": `[]`, "Workflow": `{"Status":"NEW"}`,
	} {
		if have := pick(t, got, name); have != want {
			t.Errorf("%s: got %s, want %s", name, have, want)
		}
	}
	if w := finding.Create(minimal(t, obj("Compliance", obj("Status", "PASSED")))).Workflow(); w != finding.Resolved {
		t.Errorf("a passed check is %s", w)
	}
	arn := "arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default"
	if have := pick(t, finding.Create(minimal(t, obj("ProductArn", arn))), "Region"); have != `"eu-west-1"` {
		t.Errorf("the region is %s", have)
	}
	if have := pick(t, finding.Create(minimal(t, obj("ProductArn", arn, "Region", "us-east-1"))), "Region"); have != `"us-east-1"` {
		t.Errorf("the region that was given became %s", have)
	}
}
