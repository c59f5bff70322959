package control_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/control"
)

// Broken by leaving Suppressed out of its own counter, by testing Passed before
// Failed, or by counting Warning as passed.
func TestStatusOfAControl(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tally control.Tally
		want  control.Status
	}{
		"nothing":                   {control.Tally{}, control.StatusNoData},
		"all suppressed is no data": {control.Tally{Suppressed: 3}, control.StatusNoData},
		"all passed":                {control.Tally{Passed: 2}, control.StatusPassed},
		"passed beside suppressed":  {control.Tally{Passed: 1, Suppressed: 5}, control.StatusPassed},
		"one failed anywhere":       {control.Tally{Passed: 999, Warning: 1, Failed: 1}, control.StatusFailed},
		"warning":                   {control.Tally{Passed: 5, Warning: 1}, control.StatusUnknown},
		"not available":             {control.Tally{Passed: 5, NotAvailable: 1}, control.StatusUnknown},
	} {
		if got := tc.tally.Status(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// The worked examples of AWS's page on the security score. Broken by rounding
// down, by leaving Unknown out of the denominator, or by taking NoData in.
func TestScoreOfAWSExamples(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ passed, failed, want int }{
		{168, 22, 88}, {8, 29, 22}, {6, 35, 15}, {159, 56, 74}, {28, 17, 62}, {357, 515 - 357, 69},
	} {
		if got, ok := (control.Score{Passed: tc.passed, Failed: tc.failed, NoData: 40}).Percent(); !ok || got != tc.want {
			t.Errorf("%d passed, %d failed: %d, want %d", tc.passed, tc.failed, got, tc.want)
		}
	}
	if got, _ := (control.Score{Passed: 1, Unknown: 1}).Percent(); got != 50 {
		t.Errorf("unknown controls count against the score: got %d, want 50", got)
	}
	if _, ok := (control.Score{NoData: 9}).Percent(); ok {
		t.Error("there is a score without data")
	}
}

// The score of everything counts each control once. Broken by adding up the
// standards, or by their mean.
func TestScoreCountsAControlOnce(t *testing.T) {
	t.Parallel()
	counts := []control.Count{
		{Control: "S3.8", Set: "cis-5.0,fsbp,nist-800-53", State: control.Passed, N: 4},
		{Control: "S3.1", Set: "cis-5.0,fsbp,nist-800-53", State: control.Failed, N: 1},
		{Control: "S3.2", Set: "fsbp", State: control.Passed, N: 1},
		{Control: "S3.9", Set: "fsbp", State: control.Suppressed, N: 1},
	}
	want := map[string]control.Score{"": {Passed: 2, Failed: 1}, "fsbp": {Passed: 2, Failed: 1}, "cis-5.0": {Passed: 1, Failed: 1}, "pci-4.0.1": {}}
	for standard, score := range want {
		b := control.NewBoard(standard)
		for _, c := range counts {
			b.Add(c)
		}
		got := b.Score()
		got.NoData = 0
		if diff := cmp.Diff(score, got); diff != "" {
			t.Errorf("%q: %s", standard, diff)
		}
	}
}

func TestBoard(t *testing.T) {
	t.Parallel()
	all, fsbp, cis := control.NewBoard(""), control.NewBoard("fsbp"), control.NewBoard("cis-1.4")
	for _, b := range []*control.Board{all, fsbp, cis} {
		for _, c := range []control.Count{
			{Account: "1", Control: "S3.8", State: control.Passed, N: 2},                 // names no standard: all that it is in
			{Account: "2", Control: "S3.8", Set: "fsbp", State: control.Failed, N: 1},    // of one standard
			{Account: "2", Control: "S3.4", Set: "cis-1.4", State: control.Passed, N: 1}, // retired, but its finding names the standard
			{Account: "2", Control: "Own.1", State: control.Failed, N: 1},                // in no catalogue
			{Account: "1", Control: "S3.8", Set: "fsbp", State: "SOMETHING ELSE", N: 1},  // no state
			{Account: "1", Control: "IAM.9", Set: "cis-1.4", State: control.Suppressed, N: 1},
		} {
			b.Add(c)
		}
	}
	if got := fmt.Sprint(all.Seen(), fsbp.Seen(), cis.Seen()); got != "[IAM.9 S3.4 S3.8] [S3.8] [IAM.9 S3.4 S3.8]" {
		t.Error(got)
	}
	if all.Tally("s3.8") != (control.Tally{Passed: 2, Failed: 1}) || cis.Tally("S3.8").Status() != control.StatusPassed || fsbp.Tally("S3.8").Status() != control.StatusFailed {
		t.Errorf("S3.8 is %v in all, %v in CIS, %v in FSBP", all.Tally("S3.8"), cis.Tally("S3.8"), fsbp.Tally("S3.8"))
	}
	s := cis.Score()
	if s != (control.Score{Passed: 2, NoData: 38}) || s.Status() != control.StatusPassed || fsbp.Score().Status() != control.StatusFailed {
		t.Errorf("CIS 1.4 is %+v", s)
	}
	if (control.Score{}).Status() != control.StatusNoData || (control.Score{Unknown: 1, Passed: 3}).Status() != control.StatusUnknown {
		t.Error("status of a standard")
	}
}
