package remediation_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/remediation"
)

func TestPathOf(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"Fix":                                 "Fix",
		"Fix#12":                              "Fix",
		"Child/Fix#2":                         "Child/Fix",
		"Run~cancel#2":                        "Run~cancel",
		"Fan[i-0abc]#2/Stop#3":                "Fan[i-0abc]/Stop",
		"Fan#2[i-0abc]/Stop":                  "Fan[i-0abc]/Stop",
		"Fan[222222222222/eu-central-1]":      "Fan[222222222222/eu-central-1]",
		"Fan[222222222222/eu-central-1]/Stop": "Fan[222222222222/eu-central-1]/Stop",
		"Fan[never closed/Stop":               "",
		"Fan[k]/Inner[x]/Stop#4":              "Fan[k]/Inner[x]/Stop",
		"":                                    "",
	} {
		if got := remediation.PathOf(label); got != want {
			t.Errorf("PathOf(%q) = %q, want %q", label, got, want)
		}
	}
}

// FuzzPathOf: the path of a path is itself, and it names no pass.
func FuzzPathOf(f *testing.F) {
	f.Add("Fan[222222222222/eu-central-1]#2/Stop#3")
	f.Add("a#1b[]]/#")
	f.Fuzz(func(t *testing.T, label string) {
		got := remediation.PathOf(label)
		outside, _, _ := strings.Cut(got, "[")
		if strings.Contains(outside, "#") || remediation.PathOf(got) != got || len(got) > len(label) {
			t.Errorf("PathOf(%q) = %q", label, got)
		}
	})
}

func TestAnAllowanceCoversItsStepAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		step, path string
		want       bool
	}{
		{"Fix", "Fix", true},
		{"Fix", "Fix2", false},
		{"Fix", "Child/Fix", false},
		{"", "", false},
		{"Fan[a]/Fix", "Fan[a]/Fix", true},
		{"Fan[a]/Fix", "Fan[b]/Fix", false},
		{"Fan[a]/Fix", "Fan/Fix", false},
		{"Fan/Fix", "Fan[a]/Fix", false},
		{"Fan[]/Fix", "Fan[a/b]/Fix", true},
		{"Fan[]/Fix", "Fan/Fix", false},
		{"Fan[]/Fix", "Fan[a]/Fix/Fix", false},
		{"Fan[]/Fix", "Fan[a]/Inner[b]/Fix", false},
		{"Fan[]/In[]/Fix", "Fan[a]/In[b]/Fix", true},
		{"Fan[a]/In[]/Fix", "Fan[b]/In[b]/Fix", false},
		{"Fan[]", "Fan[a", false},
	} {
		if got := (remediation.Allowance{Step: c.step}).Covers(c.path); got != c.want {
			t.Errorf("%q covers %q: %v", c.step, c.path, got)
		}
	}
}

func TestAllowanceInWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edit func(a *remediation.Allowance)
		want string
	}{
		{func(a *remediation.Allowance) { a.Irreversible = true }, "Fix may call s3:PutBucketAcl in 1/r, with any input; it may have no way back"},
		{func(a *remediation.Allowance) {
			a.Step, a.As, a.FromOutputs = "Fan[]/Fix", "arn", []string{"ACL"}
			a.Input = map[string]any{"Bucket": "b", "ACL": remediation.AnyValue}
		}, `Fan[any target]/Fix may call s3:PutBucketAcl in 1/r as arn, with any ACL, Bucket "b"`},
		{func(a *remediation.Allowance) {
			a.Escape, a.FromOutputs, a.Input = true, []string{"Id", "*"}, map[string]any{"Id": "<known after apply: Make.Id>", "Note": strings.Repeat("x", 200)}
		}, `Fix may call s3:PutBucketAcl in 1/r, with Id "<known after apply: Make.Id>", Note "` + strings.Repeat("x", 79) + `..., any other member; only when a step fails or is cancelled`},
		{func(a *remediation.Allowance) { a.Input = map[string]any{} }, "Fix may call s3:PutBucketAcl in 1/r"},
		{func(a *remediation.Allowance) { a.Input = map[string]any{"Bucket": remediation.AnyValue} }, `Fix may call s3:PutBucketAcl in 1/r, with Bucket "<known after apply: *>"`},
	} {
		a := remediation.Allowance{Step: "Fix", Service: "s3", Operation: "PutBucketAcl", Account: "1", Region: "r"}
		c.edit(&a)
		if got := a.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
