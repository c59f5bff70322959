package finding_test

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/test/testenv"
)

// TestLinesOfTheModel holds the validation against botocore's model of ASFF,
// line by line: each member in a valid form, in the wrong type, beyond each of
// its limits, and each structure without what it requires.
func TestLinesOfTheModel(t *testing.T) {
	if testing.Short() {
		t.Skip("runs botocore; run `make test`")
	}
	t.Parallel()
	python, err := testenv.FindPython(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/lines.py")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, accepted := 0, 0
	scan := bufio.NewScanner(out)
	scan.Buffer(nil, 1<<20)
	for ; scan.Scan(); lines++ {
		var line struct {
			Finding json.RawMessage
			Want    string
		}
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		f, err := finding.Reopen(line.Finding) // One limit of a member is beyond that of a finding.
		if err != nil {
			t.Fatal(err)
		}
		err = f.Validate()
		if line.Want == "" {
			accepted++
			if err != nil {
				t.Errorf("%s: %v", line.Finding, err)
			}
			continue
		}
		if err == nil || !slices.Contains(said(err), line.Want) {
			t.Errorf("got %v, want %s\n%s", err, line.Want, line.Finding)
		}
		// What AWS itself sends is mended in all that is not the finding's identity.
		if mended, left := f.Mend(); left != "" && left == line.Want && mended.Validate() != nil {
			t.Errorf("not mended: %s: %v", line.Want, mended.Validate())
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, complaint.String())
	}
	t.Logf("%d lines, %d of them accepted", lines, accepted)
	if lines < 9_000 || accepted < 2_900 {
		t.Errorf("%d lines, %d of them accepted, want over 9,000 and 2,900", lines, accepted)
	}
}

// said gives the single complaints of a refusal.
func said(err error) []string {
	text := strings.TrimPrefix(err.Error(), finding.NotASFF)
	return strings.Split(strings.TrimSuffix(text, "."), ", ")
}
