package front_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestConformance runs the programs of test/py/conformance that walk all that Parry answers of
// Security Hub's API: AWS's own examples, each operation with its errors by
// boto3, and the AWS CLI. A line of theirs that begins with FAIL fails the test.
func TestConformance(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds and starts a server; run without -short")
	}
	python := envtest.Needs(t)
	s := start(t, "")
	t.Run("examples", func(t *testing.T) {
		keys, err := json.Marshal(map[string]any{
			"admin":  map[string]string{"id": s.keys["admin"].ID, "secret": s.keys["admin"].Secret},
			"source": map[string]string{"id": s.keys["scanner"].ID, "secret": s.keys["scanner"].Secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		got := verdicts(t, keys, nil, python, pyDir("hub_examples.py"), s.url, filepath.Join("testdata", "hub-examples.json"), hubAccount)
		if got["ok"] < 44 || got["ok"]+got["refused"] != 75 {
			t.Errorf("%v, want at least 44 examples that are answered, of 75", got)
		}
	})
	walker := []string{
		"AWS_ACCESS_KEY_ID=" + s.keys["walker"].ID, "AWS_SECRET_ACCESS_KEY=" + s.keys["walker"].Secret,
		"PARRY_READER_KEY=" + s.keys["reader"].ID, "PARRY_READER_SECRET=" + s.keys["reader"].Secret,
	}
	t.Run("boto3", func(t *testing.T) {
		got := verdicts(t, nil, walker, python, pyDir("hub.py"), "--endpoint-url", s.url)
		if got["ok"] < 320 {
			t.Errorf("%v, want at least 320 checks", got)
		}
	})
	t.Run("AWS CLI", func(t *testing.T) {
		aws, err := (&testenv.Env{Python: python}).AWS()
		if err != nil {
			t.Fatal(err)
		}
		path := "PATH=" + filepath.Dir(aws) + string(os.PathListSeparator) + os.Getenv("PATH")
		got := verdicts(t, nil, append(walker, path), "bash", pyDir("hub.sh"), s.url)
		if got["ok"] < 45 {
			t.Errorf("%v, want at least 45 checks", got)
		}
	})
}

func pyDir(name string) string { return filepath.Join("..", "py", "conformance", name) }

// verdicts runs a program and counts its lines by their first word.
func verdicts(t *testing.T, stdin []byte, env []string, program string, args ...string) map[string]int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(awsEnvironment(key{}), env...)
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	got := map[string]int{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		got[words[0]]++
		if words[0] == "FAIL" {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s %v: %v\n%s", program, args, got, out)
	return got
}
