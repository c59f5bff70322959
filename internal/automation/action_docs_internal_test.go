package automation

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryActionIsDescribed holds docs/runbook-actions.md to the actions that
// there are and, of those of task.go, to their outputs.
func TestEveryActionIsDescribed(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbook-actions.md"))
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	parts := regexp.MustCompile(`(?m)^### `).Split(string(raw), -1)
	for _, p := range parts[1:] {
		name, text, _ := strings.Cut(p, "\n")
		described[name] = text
	}
	all := slices.Sorted(maps.Keys(actions()))
	if !slices.Contains(all, "aws:loop") {
		all = append(all, "aws:loop") // the interpreter's own
	}
	for _, name := range all {
		text, ok := described[name]
		if !ok {
			t.Errorf("%s is not described", name)
		}
		delete(described, name)
		for _, row := range []string{"| Inputs |", "| Outputs |", "| Calls |", "| Limits |", "| Differs |"} {
			if !strings.Contains(text, row) {
				t.Errorf("%s has no row %s", name, row)
			}
		}
		for _, o := range tasks()[name].outputs {
			if !strings.Contains(text, "`"+o+"`") {
				t.Errorf("%s: output %s is not described", name, o)
			}
		}
	}
	for name := range described {
		t.Errorf("%s is described and does not exist", name)
	}
}
