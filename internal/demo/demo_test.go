package demo_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/demo"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestStory runs the whole story of make demo, with the program built as a
// release is, on both databases.
func TestStory(t *testing.T) {
	envtest.Needs(t)
	program := filepath.Join(t.TempDir(), "parry")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./cmd/parry")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build parry: %v\n%s", err, out)
	}
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		t.Run(database, func(t *testing.T) {
			options := demo.Options{Program: program, Dir: t.TempDir(), Python: os.Getenv("PARRY_PYTHON"), Progress: lines{t}}
			if database == "PostgreSQL" {
				url, err := envtest.Postgres(t).CreateDatabase(t.Context(), "story")
				if err != nil {
					t.Fatal(err)
				}
				options.Database = url
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			summary, err := demo.Run(ctx, options)
			if err != nil {
				log, _ := os.ReadFile(filepath.Join(options.Dir, "serve.log"))
				t.Fatalf("%v\n%s", err, log)
			}
			if !summary.OK || len(summary.Steps) != 12 {
				t.Errorf("summary: %+v", summary)
			}
		})
	}
}

// lines shows the story in the test's log.
type lines struct{ t *testing.T }

func (lines) Step(int, int, string) {}
func (l lines) Done(n, of int, title, detail string, took time.Duration) {
	l.t.Logf("%d/%d %s (%s): %s", n, of, title, took.Round(time.Millisecond), detail)
}
func (l lines) Text(text string) { l.t.Log(text) }
