package catalog_test

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/runbook"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := fs.ReadFile(catalog.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := fs.Glob(catalog.FS, pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("nothing matches %s", pattern)
	}
	return names
}

func TestEveryRunbookParsesAndIsComplete(t *testing.T) {
	t.Parallel()
	for _, dir := range glob(t, "runbooks/*") {
		t.Run(path.Base(dir), func(t *testing.T) {
			t.Parallel()
			doc, err := runbook.Parse(read(t, dir+"/runbook.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range doc.Steps {
				if !runbook.Runnable(s.Action) {
					t.Errorf("step %s has action %s, which Parry does not run", s.Name, s.Action)
				}
			}
			readme := string(read(t, dir+"/README.md"))
			for _, heading := range []string{"# " + path.Base(dir), "## Before you run it", "## Undo", "## Permissions"} {
				if !strings.Contains(readme, heading+"\n") {
					t.Errorf("README.md lacks the heading %q", heading)
				}
			}
			var tests struct {
				Runbook string
				Cases   []struct{ Name string }
			}
			if err := yaml.Unmarshal(read(t, dir+"/test.yaml"), &tests); err != nil {
				t.Fatal(err)
			}
			if tests.Runbook != path.Base(dir) || len(tests.Cases) == 0 {
				t.Errorf("test.yaml names runbook %q and has %d cases", tests.Runbook, len(tests.Cases))
			}
		})
	}
}

func TestEveryPlaybookParsesAndFitsItsRunbook(t *testing.T) {
	t.Parallel()
	for _, name := range glob(t, "playbooks/*.yaml") {
		t.Run(path.Base(name), func(t *testing.T) {
			t.Parallel()
			p, err := playbook.Parse(read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSuffix(path.Base(name), ".yaml"); p.ID != want {
				t.Errorf("id is %q, the file says %q", p.ID, want)
			}
			doc, err := runbook.Parse(read(t, "runbooks/"+p.Runbook+"/runbook.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			for parameter := range p.Parameters {
				if !slices.ContainsFunc(doc.Parameters, func(q runbook.Parameter) bool { return q.Name == parameter }) {
					t.Errorf("runbook %s has no parameter %q", p.Runbook, parameter)
				}
			}
		})
	}
}
