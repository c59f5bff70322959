package cli

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite docs/reference/cli.md")

// TestReferenceIsInDocs keeps docs/reference/cli.md what the commands say of themselves.
func TestReferenceIsInDocs(t *testing.T) {
	t.Parallel()
	got := reference(t)
	path := filepath.Join("..", "..", "docs", "reference", "cli.md")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("docs/reference/cli.md is not what the commands say; run: go test ./internal/cli -run Reference -update")
	}
}

// reference is every command on one page, in the groups and the order of the help.
func reference(t *testing.T) []byte {
	t.Helper()
	root := (&shared{}).root()
	var out bytes.Buffer
	out.WriteString("# Commands\n\nWhat `parry COMMAND --help` says, made from the program. Exit codes: 0 ok, 1 error, 2 usage, 3 failing or pending items,\n" +
		"4 partly failed, 5 waiting for approval.\n\nFlags of every command:\n\n```\n" + root.PersistentFlags().FlagUsages() + "```\n")
	// They stand above once; a hidden flag is not printed with each command.
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { f.Hidden = true })
	for _, group := range root.Groups() {
		fmt.Fprintf(&out, "\n## %s\n\n| | |\n|---|---|\n", strings.TrimSuffix(group.Title, ":"))
		commands := inGroup(root, group.ID)
		for _, c := range commands {
			fmt.Fprintf(&out, "| [parry %s](#%s) | %s |\n", c.Name(), anchor(c), c.Short)
		}
		for _, c := range commands {
			writeCommand(t, &out, c)
		}
	}
	return out.Bytes()
}

func inGroup(root *cobra.Command, id string) []*cobra.Command {
	out := slices.DeleteFunc(slices.Clone(root.Commands()), func(c *cobra.Command) bool { return c.GroupID != id || c.Hidden })
	slices.SortFunc(out, func(a, b *cobra.Command) int { return cmp.Compare(a.Name(), b.Name()) })
	return out
}

// writeCommand writes a command and those below it.
func writeCommand(t *testing.T, out *bytes.Buffer, c *cobra.Command) {
	t.Helper()
	c.DisableAutoGenTag = true
	c.InitDefaultHelpFlag()
	c.Flags().Lookup("help").Hidden = true
	var page bytes.Buffer
	if err := doc.GenMarkdownCustom(c, &page, func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	// One page needs neither the way to other pages nor headings below a command's own.
	text, _, _ := strings.Cut(page.String(), "### SEE ALSO")
	text = strings.NewReplacer("\n## ", "\n### ", "### Synopsis\n\n", "", "### Examples\n\n", "Examples:\n\n", "### Options\n\n", "Flags:\n\n").Replace("\n" + text)
	if c.Long != "" { // it says more of what the short one says
		text = strings.Replace(text, "\n"+c.Short+"\n\n", "\n", 1)
		text = strings.Replace(text, c.Long, markdown(c.Long), 1)
	}
	if c.HasSubCommands() {
		text = strings.Replace(text, "```\n"+c.CommandPath()+"\n```\n", "", 1) // a group is not run by itself
		text = strings.TrimSpace(text) + "\n\n| | |\n|---|---|\n"
		for _, sub := range below(c) {
			text += fmt.Sprintf("| [%s](#%s) | %s |\n", sub.Name(), anchor(sub), sub.Short)
		}
	}
	out.WriteString("\n" + strings.TrimSpace(text) + "\n")
	for _, sub := range below(c) {
		writeCommand(t, out, sub)
	}
}

func below(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(c *cobra.Command) bool { return c.Hidden || c.Name() == "help" })
}

// markdown keeps the lines of a list that the help sets off.
func markdown(long string) string {
	var b strings.Builder
	for line := range strings.Lines(long) {
		if strings.HasPrefix(line, "  ") {
			line = "  " + line
		}
		b.WriteString(line)
	}
	return b.String()
}

// anchor is what GitHub makes of a command's heading.
func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// TestCommandsSayWhatTheyDo holds the help of every command to what a reader needs.
func TestCommandsSayWhatTheyDo(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		path := c.CommandPath()
		switch {
		case c.Short == "":
			t.Errorf("%s has no short help", path)
		case strings.HasSuffix(c.Short, "."):
			t.Errorf("%s: the short help is no sentence of its own: %q", path, c.Short)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: an example that is not set off: %q", path, line)
			}
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing", path, f.Name)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&shared{}).root())
}
