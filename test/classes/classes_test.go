package classes

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/test/testenv"
)

// minSucceeded is the least number of operations that have to succeed on moto,
// so that the test cannot come to judge nothing.
const minSucceeded = 1150

// report is what test/py/readstate/probe.py prints.
type report struct {
	Services map[string]struct {
		Results map[string]string   // operation -> "ok", "not implemented" or "refused: why"
		Altered map[string][]string // operation -> the paths of moto's state that it changed
	}
	Ignored     []string // patterns of known changes that were met
	Unplanted   []string // known resources that could not be made
	Unexplained []string // paths that changed by some call that did not look at the service
}

// probe calls the operations on moto.
func probe(t *testing.T, services map[string][]string) report {
	t.Helper()
	python, err := testenv.FindPython(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(map[string]any{"services": services, "workers": min(2, len(services))})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("..", "py", "readstate", "probe.py"))
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("probe moto: %v: %s", err, stderr.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for _, what := range r.Unplanted {
		t.Errorf("not made: %s", what)
	}
	for _, path := range r.Unexplained {
		t.Errorf("changed by one of the operations: %s", path)
	}
	return r
}

// TestReadsLeaveMotoAlone needs Python with moto and takes most of a minute.
func TestReadsLeaveMotoAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("calls thousands of operations on moto")
	}
	t.Parallel()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	services := map[string][]string{}
	for _, name := range models.Services() {
		s, err := models.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			if models.Classify(name, op.Name) != apimodel.Change {
				services[name] = append(services[name], op.Name)
			}
		}
	}
	r := probe(t, services)
	count := map[string]int{}
	for _, service := range slices.Sorted(maps.Keys(r.Services)) {
		s := r.Services[service]
		for _, result := range s.Results {
			kind, _, _ := strings.Cut(result, ":")
			count[kind]++
		}
		for operation, paths := range s.Altered {
			t.Errorf("%s:%s is classed as a read and changes moto's state: %s", service, operation, strings.Join(paths, ", "))
		}
	}
	t.Logf("services of moto: %d; operations: %v; ignored: %q", len(r.Services), count, r.Ignored)
	if count["ok"] < minSucceeded {
		t.Errorf("only %d operations succeeded, want at least %d", count["ok"], minSucceeded)
	}
}

// TestAChangeIsSeen gives changes as if they were reads: each has to be caught,
// also where the state of another service is what changes.
func TestAChangeIsSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Python with moto")
	}
	t.Parallel()
	changes := map[string][]string{
		"sqs":            {"ReceiveMessage"},
		"s3":             {"DeleteBucketPolicy", "PutBucketVersioning"},
		"kms":            {"CreateKey"},
		"iam":            {"DeleteAccountPasswordPolicy"},
		"sns":            {"Publish"}, // changes the state of sqs
		"secretsmanager": {"RotateSecret"},
	}
	r := probe(t, changes)
	for service, operations := range changes {
		for _, operation := range operations {
			s := r.Services[service]
			if len(s.Altered[operation]) == 0 {
				t.Errorf("%s:%s (%s) was not caught", service, operation, s.Results[operation])
			}
		}
	}
	if paths := r.Services["sns"].Altered["Publish"]; !slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, "sqs.") }) {
		t.Errorf("sns:Publish: the message in the queue was not seen: %q", paths)
	}
}
