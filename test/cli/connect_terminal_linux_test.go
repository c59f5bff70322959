package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/test/testenv"
)

// TestConnectAsks: at a terminal each change set is shown and asked about; no leaves
// everything as it is, and the change set for the run in which the answer is yes.
func TestConnectAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an emulator")
	}
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	moto, err := testenv.StartMoto(t.Context(), t.TempDir(), pythonOf(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	dir := t.TempDir()
	// The account that moto gives a key that it does not know.
	if err := os.WriteFile(filepath.Join(dir, "parry.yaml"), []byte("organization: {hub_account: \"123456789012\", home_region: us-east-1, external_id: parry-test}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "HOME="+dir, "AWS_ENDPOINT_URL="+moto.URL, "AWS_ACCESS_KEY_ID=AKIATESTTESTTESTTEST", "AWS_SECRET_ACCESS_KEY=no-secret",
		"AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "TERM=dumb", "NO_COLOR=1")
	user := exec.CommandContext(t.Context(), "parry", "aws", "call", "iam", "CreateUser", "--input", `{"UserName":"parry"}`, "--yes")
	user.Dir, user.Env = t.TempDir(), environ // without the configuration, whose guards keep single calls away from the hub
	if out, err := user.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const question = "Make these changes? [y/N] "
	for _, c := range []struct {
		keys string
		code int
		says []string
	}{
		{"n\r", 5, []string{"GuardDutyRule", "AWS::Events::Rule", "sends cloudformation:ExecuteChangeSet 123456789012 us-east-1", "making a change set", "the change set stays for the next run", "declined"}},
		{ctrlC, 1, []string{"interrupted"}},
		{"y\r", 0, []string{"made", "at rest", "parry org connect --check"}},
	} {
		cmd := exec.CommandContext(t.Context(), "parry", "org", "connect", "--apply", "--server", "user/parry", "--service", "guardduty", "--regions", "us-east-1", "--interval", "100ms")
		cmd.Dir = dir
		cmd.Env = environ
		term := onTerminal(t, cmd)
		term.await(t, question)
		term.enter(t, c.keys)
		select {
		case <-term.done:
		case <-time.After(60 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("it did not end")
		}
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		said := term.text()
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%q: it ended with %d, want %d:\n%s", c.keys, code, c.code, said)
		}
		for _, text := range c.says {
			if !strings.Contains(said, text) {
				t.Errorf("%q: it did not say %q:\n%s", c.keys, text, said)
			}
		}
		if (c.code == 5) != strings.Contains(said, "making a change set") {
			t.Errorf("%q: a change set is made once, by the first run:\n%s", c.keys, said)
		}
	}
}
