// Package corpus_test runs the remediation runbooks of
// aws-solutions/automated-security-response-on-aws and the examples of AWS's user
// guide, as they are, in an emulated AWS: plan, approval, gate, sandbox, end state.
// The documents are fetched by `make corpus` and read from PARRY_CORPUS_DIR; what is here are the worlds that
// they run in and the ends that they have to come to.
package corpus_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/rehearse"
)

// minRunbooks is how many of the runbooks have to come to their intended end.
const minRunbooks = 76

func TestEveryWorldCanBeRead(t *testing.T) {
	t.Parallel()
	for _, dir := range append(worlds(t, "asr"), worlds(t, "awsdocs")...) {
		raw, err := os.ReadFile(filepath.Join(dir, "test.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		suite, err := rehearse.Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		if name := strings.TrimSuffix(suite.Document, filepath.Ext(suite.Document)); name != filepath.Base(dir) {
			t.Errorf("%s is about %s", dir, suite.Document)
		}
	}
}

// TestRunbooksComeToTheirEnd runs every case through the real program.
func TestRunbooksComeToTheirEnd(t *testing.T) {
	t.Parallel()
	corpus := os.Getenv("PARRY_CORPUS_DIR")
	if corpus == "" {
		t.Skip("PARRY_CORPUS_DIR is not set: run make corpus")
	}
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	documents := filepath.Join(corpus, "asr", "remediation")
	for _, name := range documentsIn(t, documents) {
		if _, err := os.Stat(filepath.Join("asr", name, "test.yaml")); err != nil {
			t.Errorf("runbook %s has no world: %v", name, err)
		}
	}
	reports := rehearsed(t, documents, worlds(t, "asr"))
	passed := judge(t, reports)
	if passed < minRunbooks {
		t.Errorf("%d runbooks came to their intended end, want %d", passed, minRunbooks)
	}
}

// rehearsed runs the cases of folders through the real program.
func rehearsed(t *testing.T, documents string, folders []string) []rehearse.CaseReport {
	t.Helper()
	parry := filepath.Join(t.TempDir(), "parry")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", parry, "../../cmd/parry").CombinedOutput(); err != nil {
		t.Fatalf("build parry: %v\n%s", err, out)
	}
	args := append([]string{"runbook", "test", "-o", "json", "--documents", documents}, folders...)
	cmd := exec.CommandContext(t.Context(), parry, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Fatalf("parry runbook test: %v\n%s", err, stderr.String())
	}
	var reports []rehearse.CaseReport
	if err := json.Unmarshal(raw, &reports); err != nil {
		t.Fatal(err)
	}
	return reports
}

// judge counts the runbooks of which every case came to its end.
func judge(t *testing.T, reports []rehearse.CaseReport) (passed int) {
	t.Helper()
	good, open := map[string]bool{}, 0
	for _, r := range reports {
		before, seen := good[r.Document]
		good[r.Document] = r.Passed && (before || !seen)
		if r.Open != "" {
			open++
		}
		if !r.Passed {
			t.Errorf("%s, case %q:\n  %s", r.Document, r.Case, strings.Join(r.Problems, "\n  "))
		}
	}
	for _, ok := range good {
		if ok {
			passed++
		}
	}
	t.Logf("%d of %d runbooks, %d cases, %d with an open plan", passed, len(good), len(reports), open)
	return passed
}

func worlds(t *testing.T, of string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(of, "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no worlds: %v", err)
	}
	return dirs
}

func documentsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in %s: %v", dir, err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	slices.Sort(files)
	return files
}
