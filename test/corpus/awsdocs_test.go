package corpus_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExamplesOfTheUserGuideRunOrAreRefused: every document of the guide's pages
// either has a world, in which it runs, or a reason in check/expected.tsv for which
// it is refused before anything runs; check holds the refusals.
func TestExamplesOfTheUserGuideRunOrAreRefused(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("check", "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var run, have []string
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Split(line, "\t"); len(fields) > 1 && fields[1] == "runs" && strings.HasPrefix(fields[0], "awsdocs/") {
			name := filepath.Base(fields[0])
			run = append(run, strings.TrimSuffix(name, filepath.Ext(name)))
		}
	}
	for _, dir := range worlds(t, "awsdocs") {
		have = append(have, filepath.Base(dir))
	}
	slices.Sort(run)
	for _, name := range run {
		if !slices.Contains(have, name) {
			t.Errorf("example %s has no world", name)
		}
	}
	for _, name := range have {
		if !slices.Contains(run, name) {
			t.Errorf("world %s is of no example that runs", name)
		}
	}
	corpus := os.Getenv("PARRY_CORPUS_DIR")
	if corpus == "" {
		t.Skip("PARRY_CORPUS_DIR is not set: run make corpus")
	}
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	judge(t, rehearsed(t, filepath.Join(corpus, "awsdocs"), worlds(t, "awsdocs")))
}

// TestTheCatalogueDoesWhatItsCasesSay: what a user would run before trusting it.
func TestTheCatalogueDoesWhatItsCasesSay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the program and starts an emulator")
	}
	dirs, err := filepath.Glob(filepath.Join("..", "..", "catalog", "runbooks", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no runbooks in the catalogue: %v", err)
	}
	judge(t, rehearsed(t, ".", dirs))
}
