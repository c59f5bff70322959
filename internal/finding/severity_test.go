package finding_test

import (
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

func TestLabelBands(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		low, high int
		label     finding.Label
		number    int
	}{
		{0, 0, finding.Informational, 0},
		{1, 39, finding.Low, 1},
		{40, 69, finding.Medium, 40},
		{70, 89, finding.High, 70},
		{90, 100, finding.Critical, 90},
	} {
		for n := tc.low; n <= tc.high; n++ {
			if got := finding.LabelOf(n); got != tc.label {
				t.Errorf("%d: got %s, want %s", n, got, tc.label)
			}
		}
		if got := tc.label.Normalized(); got != tc.number {
			t.Errorf("%s: got %d, want %d", tc.label, got, tc.number)
		}
	}
	if finding.Label("high").Valid() {
		t.Error("labels are upper case")
	}
	if len(finding.Labels()) != 5 {
		t.Error("five labels")
	}
}

func TestCreateCompletesSeverity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   map[string]any
		want string
	}{
		"label":                  {obj("Label", "MEDIUM"), `{"Label":"MEDIUM","Normalized":40}`},
		"number":                 {obj("Normalized", 75), `{"Label":"HIGH","Normalized":75}`},
		"both agree":             {obj("Label", "HIGH", "Normalized", 80), `{"Label":"HIGH","Normalized":80}`},
		"both differ":            {obj("Label", "LOW", "Normalized", 80), `{"Label":"LOW","Normalized":1}`},
		"others kept":            {obj("Label", "LOW", "Original", "x", "Product", 3.5), `{"Label":"LOW","Normalized":1,"Original":"x","Product":3.5}`},
		"whole number as double": {obj("Normalized", 75.0), `{"Label":"HIGH","Normalized":75}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := pick(t, finding.Create(minimal(t, obj("Severity", tc.in))), "Severity"); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
