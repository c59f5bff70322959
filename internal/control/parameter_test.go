package control_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/control"
)

func at(n float64) *float64 { return &n }

// Checked by hand against the pages of these controls in AWS's user guide.
func TestParametersByHand(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][]control.Parameter{
		"ACM.1": {{Name: "daysToExpiration", Type: control.Integer, Min: at(14), Max: at(365), Default: []string{"30"}}},
		"IAM.7": {
			{Name: "MaxPasswordAge", Type: control.Integer, Min: at(1), Max: at(90)},
			{Name: "MinimumPasswordLength", Type: control.Integer, Min: at(8), Max: at(128), Default: []string{"8"}},
			{Name: "PasswordReusePrevention", Type: control.Integer, Min: at(12), Max: at(24)},
			{Name: "RequireLowercaseCharacters", Type: control.Boolean, Default: []string{"true"}},
			{Name: "RequireNumbers", Type: control.Boolean, Default: []string{"true"}},
			{Name: "RequireSymbols", Type: control.Boolean, Default: []string{"true"}},
			{Name: "RequireUppercaseCharacters", Type: control.Boolean, Default: []string{"true"}},
		},
		"AutoScaling.2": {{Name: "minAvailabilityZones", Type: control.Enum, Allowed: []string{"2", "3", "4", "5", "6"}, Default: []string{"2"}}},
		"S3.13": {
			{Name: "targetExpirationDays", Type: control.Integer, Min: at(1), Max: at(36500)},
			{Name: "targetTransitionDays", Type: control.Integer, Min: at(1), Max: at(36500)},
			{Name: "targetTransitionStorageClass", Type: control.Enum, Allowed: []string{"STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"}},
		},
		"CloudTrail.10": {{Name: "kmsKeyArns", Type: control.StringList, Items: 3}},
		"S3.1":          nil,
	} {
		d, _ := control.Lookup(id)
		if diff := cmp.Diff(want, d.Parameters); diff != "" || d.Customizable != (want != nil) {
			t.Errorf("%s, customizable %v:\n%s", id, d.Customizable, diff)
		}
	}
}

// Checked by hand against the same pages.
func TestRequirementsByHand(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][]string{
		"S3.1": {
			"CIS AWS Foundations Benchmark v5.0.0/2.1.4", "CIS AWS Foundations Benchmark v3.0.0/2.1.4", "CIS AWS Foundations Benchmark v1.4.0/2.1.5",
			"NIST.800-53.r5 AC-21", "NIST.800-53.r5 AC-3", "NIST.800-53.r5 AC-3(7)", "NIST.800-53.r5 AC-4", "NIST.800-53.r5 AC-4(21)",
			"NIST.800-53.r5 AC-6", "NIST.800-53.r5 SC-7", "NIST.800-53.r5 SC-7(11)", "NIST.800-53.r5 SC-7(16)", "NIST.800-53.r5 SC-7(20)",
			"NIST.800-53.r5 SC-7(21)", "NIST.800-53.r5 SC-7(3)", "NIST.800-53.r5 SC-7(4)", "NIST.800-53.r5 SC-7(9)", "PCI DSS v4.0.1/1.4.4",
			"PCI DSS v3.2.1/1.2.1", "PCI DSS v3.2.1/1.3.1", "PCI DSS v3.2.1/1.3.2", "PCI DSS v3.2.1/1.3.4", "PCI DSS v3.2.1/1.3.6",
		},
		"IAM.19": {
			"NIST.800-53.r5 AC-2(1)", "NIST.800-53.r5 AC-3(15)", "NIST.800-53.r5 IA-2(1)", "NIST.800-53.r5 IA-2(2)", "NIST.800-53.r5 IA-2(6)", "NIST.800-53.r5 IA-2(8)",
			"NIST.800-171.r2 3.3.8", "NIST.800-171.r2 3.5.3", "NIST.800-171.r2 3.5.4", "NIST.800-171.r2 3.7.5", "PCI DSS v4.0.1/8.4.2", "PCI DSS v3.2.1/8.3.1",
		},
		"S3.22": {"CIS AWS Foundations Benchmark v5.0.0/3.8", "CIS AWS Foundations Benchmark v3.0.0/3.8", "PCI DSS v4.0.1/10.2.1"},
		"FSx.2": {"NIST.800-53.r5 CP-9", "NIST.800-53.r5 CM-8"},
	} {
		d, _ := control.Lookup(id)
		if diff := cmp.Diff(want, d.Related()); diff != "" {
			t.Errorf("%s:\n%s", id, diff)
		}
	}
}

// How much of the catalogue has numbers and parameters: docs/controls.md says
// which controls lack them, and has to change with this.
func TestHowMuchIsKnown(t *testing.T) {
	t.Parallel()
	lacking, customizable, known := map[string]int{}, 0, 0
	for _, d := range control.All() {
		for _, m := range d.Standards {
			if len(m.Requirements) == 0 {
				lacking[m.Standard]++
			}
		}
		if d.Customizable {
			customizable++
		}
		if len(d.Parameters) > 0 {
			known++
		}
		for _, p := range d.Parameters {
			if err := p.Check(); err != nil {
				t.Errorf("%s: %v", d.ID, err)
			}
			if p.Words() == "" || strings.Contains(p.Words(), "  ") {
				t.Errorf("%s: %s is %q in words", d.ID, p.Name, p.Words())
			}
		}
	}
	for _, key := range []string{"fsbp", "control-tower", "tagging", "ai"} {
		delete(lacking, key) // these number nothing
	}
	want := map[string]int{"nist-800-53": 1, "pci-4.0.1": 1}
	if diff := cmp.Diff(want, lacking); diff != "" || customizable != 189 || known != 188 {
		t.Errorf("%d of %d have parameters, and numbers are lacking:\n%s", known, customizable, diff)
	}
}

func TestParameterValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    control.Parameter
		want any
	}{
		{control.Parameter{Name: "a", Type: control.Integer, Default: []string{"30"}}, int64(30)},
		{control.Parameter{Name: "a", Type: control.Double, Default: []string{"0.5"}}, 0.5},
		{control.Parameter{Name: "a", Type: control.Boolean, Default: []string{"false"}}, false},
		{control.Parameter{Name: "a", Type: control.Enum, Default: []string{"2"}}, "2"},
		{control.Parameter{Name: "a", Type: control.IntegerList, Default: []string{"80", "443"}}, []any{int64(80), int64(443)}},
		{control.Parameter{Name: "a", Type: control.StringList}, nil},
	} {
		if got := c.p.DefaultValue(); !cmp.Equal(c.want, got) || c.p.Check() != nil {
			t.Errorf("%+v has the default %#v, want %#v; %v", c.p, got, c.want, c.p.Check())
		}
	}
	if got := (control.Parameter{Name: "kmsKeyArns"}).Words(); got != "Kms key arns" {
		t.Error(got)
	}
}

func TestParameterRefused(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]control.Parameter{
		"no name":                 {Type: control.Integer},
		"no such type":            {Name: "a", Type: "Date"},
		"a space in a value":      {Name: "a", Type: control.String, Default: []string{"a b"}},
		"a separator in a value":  {Name: "a", Type: control.Enum, Allowed: []string{"a|b"}},
		"two defaults, no list":   {Name: "a", Type: control.Enum, Default: []string{"a", "b"}},
		"a default of other type": {Name: "a", Type: control.Integer, Default: []string{"many"}},
		"a default not allowed":   {Name: "a", Type: control.Enum, Allowed: []string{"a"}, Default: []string{"b"}},
		"bounds the wrong way":    {Name: "a", Type: control.Integer, Min: at(2), Max: at(1)},
	} {
		if p.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if slices.ContainsFunc(control.All(), func(d control.Definition) bool { return !d.Customizable && d.Parameters != nil }) {
		t.Error("a control has parameters and is not customizable")
	}
}
