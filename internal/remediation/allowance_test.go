package remediation_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/remediation"
)

func TestStepOf(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"Fix":                                 "Fix",
		"Fix#12":                              "Fix",
		"Child/Fix#2":                         "Child/Fix",
		"Fan[i-0abc]#2/Stop#3":                "Fan/Stop",
		"Fan[222222222222/eu-central-1]":      "Fan",
		"Fan[222222222222/eu-central-1]/Stop": "Fan/Stop",
		"Fan[a]b]/Stop":                       "Fan/Stop",
		"Fan[never closed/Stop":               "Fan",
		"Fan[k]/Delete[x]/Stop":               "Fan/Delete/Stop",
		"":                                    "",
	} {
		if got := remediation.StepOf(label); got != want {
			t.Errorf("StepOf(%q) = %q, want %q", label, got, want)
		}
	}
}

// FuzzStepOf: what a label names has no pass and no target, and is itself a label
// of the same step.
func FuzzStepOf(f *testing.F) {
	f.Add("Fan[222222222222/eu-central-1]#2/Stop#3")
	f.Add("a#1b[]]/#")
	f.Fuzz(func(t *testing.T, label string) {
		got := remediation.StepOf(label)
		if strings.ContainsAny(got, "[#") || remediation.StepOf(got) != got || len(got) > len(label) {
			t.Errorf("StepOf(%q) = %q", label, got)
		}
	})
}

func TestAllowanceInWords(t *testing.T) {
	t.Parallel()
	a := remediation.Allowance{Step: "Fix", Service: "s3", Operation: "PutBucketAcl", Account: "1", Region: "r", Irreversible: true}
	if got := a.String(); got != "Fix may call s3:PutBucketAcl in 1/r, with any input; it may have no way back" {
		t.Error(got)
	}
	a.Input, a.FromOutputs, a.As, a.Irreversible = map[string]any{"Bucket": "b"}, []string{"ACL"}, "arn", false
	if got := a.String(); got != "Fix may call s3:PutBucketAcl in 1/r as arn, with any ACL" {
		t.Error(got)
	}
}
