package demo_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/demo"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestStory runs the whole story of make demo, with the program built as a release is. With
// the server killed in the middle of a fix it comes to the same end, on both databases.
func TestStory(t *testing.T) {
	envtest.Needs(t)
	program := filepath.Join(t.TempDir(), "parry")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./cmd/parry")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build parry: %v\n%s", err, out)
	}
	ends := map[string][]string{}
	var want []string // the end of the first
	for _, c := range []struct {
		name           string
		postgres, kill bool
	}{{"SQLite", false, false}, {"SQLite, killed", false, true}, {"PostgreSQL, killed", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			options := demo.Options{Program: program, Dir: t.TempDir(), Python: os.Getenv("PARRY_PYTHON"), Progress: lines{t}, Kill: c.kill}
			if c.postgres {
				url, err := envtest.Postgres(t).CreateDatabase(t.Context(), "story")
				if err != nil {
					t.Fatal(err)
				}
				options.Database = url
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			summary, err := demo.Run(ctx, options)
			if err != nil {
				log, _ := os.ReadFile(filepath.Join(options.Dir, "serve.log"))
				t.Fatalf("%v\n%s", err, log)
			}
			if !summary.OK || len(summary.Steps) != 15 {
				t.Errorf("summary: %+v", summary)
			}
			t.Logf("%d ms", summary.Figures["total_ms"])
			for _, l := range summary.Remediations {
				ends[c.name] = append(ends[c.name], l.Control+" "+l.Account+" "+l.Region+" "+l.By+" "+string(l.Outcome))
			}
			slices.Sort(ends[c.name])
			if want == nil {
				want = ends[c.name]
			}
		})
	}
	if t.Failed() {
		return
	}
	for name, end := range ends {
		if diff := cmp.Diff(want, end); diff != "" || len(end) != 15 {
			t.Errorf("%s ends otherwise, with %d remediations (-want +got):\n%s", name, len(end), diff)
		}
	}
}

// lines shows the story in the test's log.
type lines struct{ t *testing.T }

func (lines) Step(int, int, string) {}
func (l lines) Done(n, of int, title, detail string, took time.Duration) {
	l.t.Logf("%d/%d %s (%s): %s", n, of, title, took.Round(time.Millisecond), detail)
}
func (l lines) Text(text string) { l.t.Log(text) }
