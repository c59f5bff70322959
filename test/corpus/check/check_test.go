// Package check holds the static check against public Automation documents: no
// valid one may be refused, and the defects of the others must be found. The
// documents are not here; test/corpus/layout.py lays them out in a folder that
// PARRY_CORPUS_DIR names.
package check

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/script"
)

// expected names the documents that are refused, with the codes of their errors
// and why, and each example of AWS's user guide.
//
//go:embed expected.tsv
var expected string

func TestMain(m *testing.M) {
	if code, helper := script.MaybeChild(); helper {
		os.Exit(code) //nolint:forbidigo // the sandbox's helper process is done
	}
	os.Exit(m.Run()) //nolint:forbidigo // a TestMain
}

type outcome struct {
	refused bool
	codes   []string
	seen    bool
}

func outcomes(t *testing.T) map[string]*outcome {
	t.Helper()
	out := map[string]*outcome{}
	for line := range strings.Lines(expected) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 4 || fields[1] != "runs" && fields[1] != "refused" || fields[3] == "" {
			t.Fatalf("expected.tsv: %q is not file, runs or refused, codes, reason", line)
		}
		o := &outcome{refused: fields[1] == "refused"}
		if o.refused {
			o.codes = strings.Split(fields[2], ",")
		}
		if out[fields[0]] != nil {
			t.Fatalf("expected.tsv has %s twice", fields[0])
		}
		out[fields[0]] = o
	}
	return out
}

type report struct {
	File     string            `json:"file"`
	Problems []runbook.Problem `json:"problems"`
	Changes  []runbook.Effect  `json:"changes"`
	Gaps     []runbook.Gap     `json:"not_derived"`
}

func TestPublicDocuments(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PARRY_CORPUS_DIR")
	if dir == "" {
		t.Skip("PARRY_CORPUS_DIR is not set; lay the documents out with test/corpus/layout.py")
	}
	want := outcomes(t)
	counts := map[string]int{}
	for _, r := range check(t, dir) {
		name := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(r.File, dir), string(filepath.Separator)))
		counts[filepath.ToSlash(filepath.Dir(name))]++
		counts[strings.Split(name, "/")[0]]++
		judge(t, name, r, want[name])
		if o := want[name]; o != nil {
			o.seen = true
		} else if strings.HasPrefix(name, "awsdocs/") {
			t.Errorf("%s is not in expected.tsv", name)
		}
		for _, g := range r.Gaps {
			if strings.HasPrefix(name, "asr/remediation/") && !strings.Contains(g.Reason, "the document ") {
				t.Errorf("%s: step %s is not derived: %s", name, g.Step, g.Reason)
			}
		}
	}
	for name, o := range want {
		if !o.seen {
			t.Errorf("%s is in expected.tsv and not in the folder", name)
		}
	}
	if counts["asr/remediation"] != 76 || counts["asr"] != 76+111 || counts["awsdocs"] < 30 || counts["others"] < 100 {
		t.Errorf("the folder is not complete: %v", counts)
	}
}

// judge compares the errors of one document with what is expected of it.
func judge(t *testing.T, name string, r report, want *outcome) {
	t.Helper()
	var codes []string
	for _, p := range r.Problems {
		if p.Line < 1 || p.Column < 1 || p.Fix == "" || p.Message == "" || !slices.Contains(runbook.Codes(), p.Code) {
			t.Errorf("%s: problem %+v has no place, fix, message or known code", name, p)
		}
		if p.Severity != runbook.SeverityError {
			continue
		}
		if !slices.Contains(codes, p.Code) {
			codes = append(codes, p.Code)
		}
		if want == nil || !slices.Contains(want.codes, p.Code) {
			t.Errorf("%s:%d: error that is not expected: %s %s", name, p.Line, p.Code, p)
		}
	}
	if want == nil {
		return
	}
	for _, c := range want.codes {
		if !slices.Contains(codes, c) {
			t.Errorf("%s: the error %s was not found", name, c)
		}
	}
}

// check runs the command over every document of the folder.
func check(t *testing.T, dir string) []report {
	t.Helper()
	args := []string{"runbook", "check", "-o", "json"}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if suffix := filepath.Ext(path); !d.IsDir() && (suffix == ".yaml" || suffix == ".yml" || suffix == ".json") {
			args = append(args, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	code := cli.Run(t.Context(), cli.Program{In: strings.NewReader(""), Out: &out, Err: &problems}, args)
	if code != cli.ExitFailing {
		t.Fatalf("exit code %d: %s", code, problems.String())
	}
	if problems.Len() > 0 {
		t.Errorf("standard error: %s", problems.String())
	}
	var reports []report
	if err := json.Unmarshal(out.Bytes(), &reports); err != nil {
		t.Fatal(err)
	}
	return reports
}
