package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/runbook"
)

// named is a line such as `runbook.yaml`: before a block, which is then that file.
var named = regexp.MustCompile("(?m)`([a-zA-Z0-9./-]+)`:\n\n( *)```[a-z]*\n")

// filesIn gives the files of a page by their base names.
func filesIn(t *testing.T, page string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	text, out := string(raw), map[string]string{}
	for _, m := range named.FindAllStringSubmatchIndex(text, -1) {
		indent := text[m[4]:m[5]]
		body, _, ok := strings.Cut(text[m[1]:], "\n"+indent+"```")
		if !ok {
			t.Fatalf("the block of %s has no end", text[m[2]:m[3]])
		}
		lines := strings.Split(body, "\n")
		for i := range lines {
			lines[i] = strings.TrimPrefix(lines[i], indent)
		}
		out[filepath.Base(text[m[2]:m[3]])] = strings.Join(lines, "\n") + "\n"
	}
	return out
}

// TestTheRunbookOfTheWalkthroughWorks does what docs/writing-a-runbook.md says with the
// files that stand in it: check, test on the emulator, policy, import, and the
// playbook's fit with the runbook.
func TestTheRunbookOfTheWalkthroughWorks(t *testing.T) {
	t.Parallel()
	files := filesIn(t, "writing-a-runbook.md")
	dir := filepath.Join(t.TempDir(), "Protect-DynamoDbTable")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"runbook.yaml", "test.yaml", "README.md", "finding.json", "DynamoDB.6.yaml"} {
		if files[name] == "" {
			t.Fatalf("the page has no %s; it has %d files", name, len(files))
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		code := cli.Run(context.WithoutCancel(t.Context()), cli.Program{Version: "0.0.0-test", In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(name string) string {
			return map[string]string{"PARRY_PYTHON": pythonOf(root), "HOME": dir}[name]
		}}, args)
		if code != 0 {
			t.Fatalf("parry %s ended with %d: %s%s", strings.Join(args, " "), code, out.String(), errs.String())
		}
		return out.String()
	}
	document := filepath.Join(dir, "runbook.yaml")
	if out := run("runbook", "check", document); !strings.Contains(out, "ok") || strings.Contains(out, "warning") {
		t.Errorf("check: %s", out)
	}
	if out := run("runbook", "policy", document, "--account", "111122223333", "-o", "json"); !strings.Contains(out, `"dynamodb:DescribeTable"`) || !strings.Contains(out, `"dynamodb:UpdateTable"`) || strings.Count(out, `"dynamodb:`) != 2 {
		t.Errorf("policy: %s", out)
	}
	if out := run("runbook", "test", dir); !strings.Contains(out, "2 of 2 cases passed") {
		t.Errorf("test: %s", out)
	}

	book, err := playbook.Parse([]byte(files["DynamoDB.6.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := runbook.Parse([]byte(files["runbook.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	if book.Runbook != filepath.Base(dir) || !strings.Contains(files["finding.json"], `"SecurityControlId": "`+book.Controls[0]+`"`) || !strings.Contains(files["finding.json"], `"`+book.Resource+`"`) {
		t.Errorf("playbook %+v fits neither folder nor finding", book)
	}
	for name := range book.Parameters {
		if !slices.ContainsFunc(doc.Parameters, func(p runbook.Parameter) bool { return p.Name == name }) {
			t.Errorf("the runbook has no parameter %s", name)
		}
	}
	for _, heading := range []string{"# Protect-DynamoDbTable", "## Before you run it", "## Undo", "## Permissions"} { // as catalog asks for
		if !strings.Contains(files["README.md"], heading+"\n") {
			t.Errorf("README.md lacks %q", heading)
		}
	}
}
