package control_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/control"
)

// apart are standards in which the page of a control and the page of the standard
// contradict each other. The reference and the count that AWS announced side with
// the standard's.
var apart = map[string]string{
	"Account.1":    "cis-3.0",   // its own page leaves it out
	"CloudTrail.5": "cis-5.0",   // only its own page has it
	"EMR.1":        "pci-3.2.1", // only its own page has it
}

// The catalogue says of a control what its service's page said when it was read:
// testdata has those of each service whose numbers of NIST SP 800-53 come from an
// older list.
func TestCatalogueSaysWhatThePagesSay(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/pages-2026.tsv")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		read++
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		d, ok := control.Lookup(f[0])
		if !ok || d.Severity != f[1] {
			t.Errorf("%s is not there or has the severity %q, not %s", f[0], d.Severity, f[1])
			continue
		}
		want, got := map[string][]string{}, map[string][]string{}
		for place := range strings.FieldsSeq(f[2]) {
			key, numbers, _ := strings.Cut(place, "=")
			want[key] = strings.Split(numbers, ";")
		}
		for _, m := range d.Standards {
			if len(m.Requirements) > 0 {
				got[m.Standard] = slices.Clone(m.Requirements)
			}
		}
		if standard, ok := apart[f[0]]; ok {
			if slices.Equal(want[standard], got[standard]) {
				t.Errorf("%s: the pages agree about %s, which is no longer apart", f[0], standard)
			}
			delete(want, standard)
			delete(got, standard)
		}
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s: %s", f[0], diff)
		}
	}
	if read != 141 {
		t.Errorf("there are %d controls in the recorded pages, not 141", read)
	}
}

// Titles that AWS's change log of controls announced, which the reference's table
// has not followed.
func TestAnnouncedTitles(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"ELB.4":   "Application Load Balancer should be configured to drop invalid http headers",
		"ECS.5":   "ECS task definitions should configure containers to be limited to read-only access to root filesystems",
		"EC2.1":   "Amazon EBS snapshots should not be configured to be publicly restorable",
		"EC2.182": "Block public access settings should be enabled for Amazon EBS snapshots",
		"S3.5":    "S3 general purpose buckets should require requests to use TLS",
	} {
		if d, _ := control.Lookup(id); d.Title != want {
			t.Errorf("%s has the title %q", id, d.Title)
		}
	}
}
