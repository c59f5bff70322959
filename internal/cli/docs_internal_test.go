package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// documents are all pages for people, by their path from the root of the tree.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	out := map[string]string{}
	add := func(path string) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(name)] = string(raw)
	}
	tops, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tops {
		add(path)
	}
	for _, dir := range []string{"docs", "catalog", "deploy"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
				add(path)
			}
			return err
		})
		if err != nil && (dir != "deploy" || !os.IsNotExist(err)) {
			t.Fatal(err)
		}
	}
	if len(out) < 40 {
		t.Fatalf("only %d documents were found", len(out))
	}
	return out
}

// TestLinksOfDocumentsResolve follows every relative link, to the heading that it names.
func TestLinksOfDocumentsResolve(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	link := regexp.MustCompile(`\]\(([^()\s]+)\)`)
	checked := 0
	for name, text := range docs {
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			checked++
			path := name
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
			}
			if _, err := os.Stat(filepath.Join("..", "..", path)); err != nil {
				t.Errorf("%s: link to %s: there is no %s", name, m[1], path)
				continue
			}
			if fragment != "" && !slices.Contains(headings(docs[path]), fragment) {
				t.Errorf("%s: link to %s: no such heading", name, m[1])
			}
		}
	}
	if checked < 300 {
		t.Errorf("only %d links were followed", checked)
	}
}

// headings are the names by which GitHub links to the headings of a page.
func headings(text string) []string {
	var out []string
	seen := map[string]int{}
	for line := range strings.Lines(withoutCode(text)) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		n := seen[name]
		if seen[name]++; n > 0 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		out = append(out, name)
	}
	return out
}

// withoutCode takes fenced blocks out of a page.
func withoutCode(text string) string {
	var b strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if !fenced {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestCommandsInDocumentsParse holds every command that a page tells people to type, and
// every example of the help, against the commands, their flags and arguments.
func TestCommandsInDocumentsParse(t *testing.T) {
	t.Parallel()
	checked := 0
	for name, text := range documents(t) {
		// The first two tell of their time; usage lines are the commands' own.
		if name == "CHANGELOG.md" || strings.HasPrefix(name, "docs/design/") || name == "docs/reference/cli.md" {
			continue
		}
		lines, mentions := commandLines(text)
		for _, line := range lines {
			for _, args := range parryCommands(line) {
				checked++
				if err := parses(args); err != nil {
					t.Errorf("%s: %q: %v", name, line, err)
				}
			}
		}
		for _, text := range mentions {
			for _, args := range parryCommands(strings.NewReplacer("[", " ", "]", " ").Replace(text)) {
				checked++
				if err := thereIs(args); err != nil {
					t.Errorf("%s: %q: %v", name, text, err)
				}
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d commands were held against the program", checked)
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			for _, args := range parryCommands(line) {
				if err := parses(args); err != nil {
					t.Errorf("example of %s: %q: %v", c.CommandPath(), line, err)
				}
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&shared{}).root())
}

// TestWrongCommandsDoNotParse shows that the test above can fail.
func TestWrongCommandsDoNotParse(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"parry finding lst", "parry nothing", "parry finding list --no-such-flag", "parry plan show", "sudo x | parry stop onn",
		"parry doctor now", "parry finding list --limit many",
	} {
		commands := parryCommands(line)
		if len(commands) != 1 || parses(commands[0]) == nil {
			t.Errorf("%q parses: %v", line, commands)
		}
	}
	if got := parryCommands(`$ echo 'a b' | parry aws policy - --name "x y" >out.json  # and parry stop on`); len(got) != 1 || !slices.Equal(got[0], []string{"aws", "policy", "-", "--name", "x y"}) {
		t.Errorf("%q", got)
	}
}

// commandLines are the lines of blocks that are no data, and the commands that the text
// speaks of.
func commandLines(text string) (lines, mentions []string) {
	language, fenced := "", false
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			fenced, language = !fenced, rest
			continue
		}
		if fenced && slices.Contains([]string{"", "sh", "shell", "console"}, language) {
			lines = append(lines, line)
		}
	}
	for paragraph := range strings.SplitSeq(withoutCode(text), "\n\n") {
		for i, part := range strings.Split(paragraph, "`") {
			if i%2 == 1 && strings.HasPrefix(part, "parry ") {
				mentions = append(mentions, part)
			}
		}
	}
	return lines, mentions
}

// parryCommands are the arguments of parry's commands on a line of a shell.
func parryCommands(line string) [][]string {
	var out [][]string
	var words []string
	end := func() {
		for len(words) > 0 && (words[0] == "$" || words[0] == "sudo" || words[0] == "exec" || strings.Contains(words[0], "=")) {
			words = words[1:]
		}
		if len(words) > 1 && (words[0] == "parry" || strings.HasSuffix(words[0], "/parry")) {
			out = append(out, words[1:])
		}
		words = nil
	}
	word, quote, in := "", rune(0), false
	flush := func() {
		if in {
			words = append(words, word)
		}
		word, in = "", false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case unicode.IsSpace(r):
			flush()
		case r == '#' && !in:
			end()
			return out
		case strings.ContainsRune("|;&()", r):
			flush()
			end()
		case r == '>' || r == '<': // a redirection: what follows is no argument
			flush()
			end()
		default:
			word, in = word+string(r), true
		}
	}
	flush()
	end()
	return out
}

// parses says what is wrong with a command line, without carrying it out. What a page
// leaves out with ... is not missing.
func parses(args []string) error {
	open := slices.Contains(args, "...") || slices.Contains(args, "…")
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "..." || a == "…" })
	cmd, rest, err := find(args)
	if err != nil || cmd.HasSubCommands() {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if open {
		return nil
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// thereIs says whether the command and the flags that a text speaks of are there.
func thereIs(args []string) error {
	cmd, rest, err := find(args)
	if err != nil {
		return err
	}
	for _, arg := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		long := strings.HasPrefix(arg, "--")
		if !strings.HasPrefix(arg, "-") || arg == "-" || long && cmd.Flag(name) != nil || !long && cmd.Flags().ShorthandLookup(name) != nil {
			continue
		}
		return fmt.Errorf("%s has no flag %s", cmd.CommandPath(), arg)
	}
	return nil
}

// find gives the command that args begin with; what is left may begin none of a group.
func find(args []string) (*cobra.Command, []string, error) {
	cmd, rest, err := (&shared{}).root().Find(args)
	if err != nil {
		return nil, nil, err
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	cmd.InheritedFlags() // merges those of the commands above
	if cmd.HasSubCommands() {
		for _, word := range rest {
			if !strings.HasPrefix(word, "-") && strings.ToUpper(word) != word {
				return nil, nil, unknownCommand(cmd, word)
			}
		}
	}
	return cmd, rest, nil
}
