package console_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestConsole runs web/e2e/story.mjs in a browser. PARRY_CONSOLE_SHOTS names a folder for
// pictures of every page; PARRY_CONSOLE_STAY=1 leaves the world up instead, until Ctrl-C,
// for work on the pages. PARRY_CONSOLE_PART names one part: people, story, dialogs, whole, bus or pages.
func TestConsole(t *testing.T) {
	envtest.Needs(t)
	root, browser := needed(t)
	w := start(t, root)
	if os.Getenv("PARRY_CONSOLE_STAY") != "" {
		fmt.Fprintf(os.Stderr, "the console is at %s; sign in as olga, alice, victor or ada with %q; Ctrl-C ends it\n", w.endpoint, password)
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
		<-ended
		return
	}
	members := w.env.Estate.Members
	order, err := json.Marshal(document{
		"endpoint": w.endpoint, "password": password, "browser": browser, "shots": os.Getenv("PARRY_CONSOLE_SHOTS"),
		"bucket": members["prod"].PublicBucket, "devBucket": members["dev"].PublicBucket, "prod": members["prod"].Account,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "e2e/story.mjs")
	cmd.Dir = filepath.Join(root, "web")
	cmd.Env = append(os.Environ(), "PARRY_CONSOLE_ORDER="+string(order))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("web/e2e/story.mjs: %v", err)
	}
	// What the browser did is seen from outside: by mail, and by the member's own eyes.
	part := os.Getenv("PARRY_CONSOLE_PART")
	if part == "" || part == "people" {
		w.mailed(t, "You are invited to Parry", "To: <ivy@example.com>")
	}
	if part != "" && part != "story" {
		return
	}
	w.mailed(t, "awaiting approval", members["prod"].PublicBucket)
	w.mailed(t, "succeeded", members["prod"].PublicBucket)
	w.mailed(t, "undone", members["prod"].PublicBucket)
	if out, err := w.env.Run(t.Context(), "judge.py", "expect", w.env.EstateFile(), "--dev", "fixed", "--prod", "original"); err != nil {
		t.Errorf("judge: %v\n%s", err, out)
	}
}

// needed gives the repository's root and the browser, or skips: with
// PARRY_TEST_CONSOLE=require it fails.
func needed(t *testing.T) (root, browser string) {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		if os.Getenv("PARRY_TEST_CONSOLE") == "require" {
			t.Fatalf("the console cannot be tested: %s", what)
		}
		t.Skipf("THE CONSOLE IS NOT TESTED: %s", what)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		missing("there is no node (Debian: apt-get install -y nodejs npm)")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if browser, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if browser == "" {
		missing("there is no Chromium (Debian: apt-get install -y chromium)")
	}
	for _, file := range []string{"web/node_modules/playwright-core/package.json", "internal/console/dist/index.html"} {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			missing(file + " is not there (make web)")
		}
	}
	return root, browser
}
