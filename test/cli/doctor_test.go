package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestDoctorTellsOfControlGroups runs doctor where Python is there: scripts have
// control groups, or it is said why not and what to do. That is never a failure.
func TestDoctorTellsOfControlGroups(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if runtime.GOOS != "linux" {
		t.Skip("scripts run on Linux")
	}
	cfg := filepath.Join(t.TempDir(), "parry.yaml")
	if err := os.WriteFile(cfg, []byte("organization: {hub_account: \"999988887777\"}\nscripts: {python: "+envtest.Needs(t)+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	cli.Run(t.Context(), cli.Program{In: strings.NewReader(""), Out: &out, Err: &problems}, []string{"doctor", "-o", "json", "--config", cfg})
	var got struct {
		Checks []struct{ Check, Status, Detail, Next string }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), problems.String())
	}
	for i, c := range got.Checks {
		if c.Check != "control groups" {
			continue
		}
		switch {
		case got.Checks[i-1].Check != "sandbox":
			t.Errorf("it comes after %q", got.Checks[i-1].Check)
		case c.Status == "ok" && strings.Contains(c.Detail, "MB of memory") && c.Next == "":
		case c.Status == "warning" && strings.Contains(c.Detail, "no control groups") && c.Next != "":
		default:
			t.Errorf("check %+v", c)
		}
		return
	}
	t.Errorf("nothing is said: %s", out.String())
}
