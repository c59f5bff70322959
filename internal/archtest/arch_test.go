package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parry-security/parry/"

// kinds says what each package directly under internal/ is. A new package is
// entered here and in docs/ARCHITECTURE.md in the same commit.
func kinds() map[string]string {
	m := map[string]string{}
	for kind, names := range map[string]string{
		"noun":    "finding control apimodel filter rule exception pattern schedule target buspolicy runbook playbook remediation org casefile",
		"machine": "awsapi automation script durable store bus",
		"base":    "service fault telemetry",
		"stage":   "ingest normalize triage insight route plan approve execute verify notify audit sweep respond investigate prevent",
		"edge":    "awsfront api client console auth cli config demo rehearse",
		"app":     "app",
		"test":    "archtest",
	} {
		for _, n := range strings.Fields(names) {
			m[n] = kind
		}
	}
	return m
}

// allowed says which kinds a kind may import.
func allowed() map[string][]string {
	return map[string][]string{
		"noun":    {"noun"},
		"base":    {"base"},
		"machine": {"noun", "base"},
		"stage":   {"noun", "base", "machine"},
		"edge":    {"noun", "base", "machine", "stage", "edge", "app"},
		"app":     {"noun", "base", "machine", "stage", "edge"},
		"test":    {},
	}
}

type file struct {
	path    string // from the repository root
	pkg     string // directory from internal/: "store/sqlite"
	test    bool
	ast     *ast.File
	imports []string
}

func files(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []file
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.Join(root, "internal"), path)
		if err != nil {
			return err
		}
		f := file{path: "internal/" + filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(path, "_test.go"), ast: parsed}
		for _, imp := range parsed.Imports {
			f.imports = append(f.imports, strings.Trim(imp.Path.Value, `"`))
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("read only %d files: the walk is broken", len(out))
	}
	return out
}

func top(pkg string) string { name, _, _ := strings.Cut(pkg, "/"); return name }

func TestImportsFollowTheKinds(t *testing.T) {
	t.Parallel()
	kind, may := kinds(), allowed()
	for _, f := range files(t) {
		from := top(f.pkg)
		if kind[from] == "" {
			t.Errorf("%s: package %s has no kind; enter it in kinds() and in docs/ARCHITECTURE.md", f.path, from)
			continue
		}
		if f.test {
			continue // tests may set up their neighbours
		}
		for _, imp := range f.imports {
			rest, ok := strings.CutPrefix(imp, module+"internal/")
			if !ok || top(rest) == from {
				continue
			}
			to := top(rest)
			if to == "fault" {
				continue // pure, and every kind of package has errors
			}
			if !slices.Contains(may[kind[from]], kind[to]) {
				t.Errorf("%s: %s %s may not import %s %s; move the type, do not ask for an exception", f.path, kind[from], from, kind[to], to)
			}
		}
	}
}

func TestOnlyTheGateTalksToAWS(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test || top(f.pkg) == "awsapi" {
			continue
		}
		for _, imp := range f.imports {
			// The signer is needed by our own client; it opens no connection.
			if strings.HasPrefix(imp, "github.com/aws/aws-sdk-go-v2") && !strings.HasSuffix(imp, "/aws/signer/v4") && imp != "github.com/aws/aws-sdk-go-v2/aws" {
				t.Errorf("%s imports %s; only awsapi may", f.path, imp)
			}
			if strings.HasPrefix(imp, "github.com/aws/smithy-go") && top(f.pkg) != "apimodel" {
				t.Errorf("%s imports %s; only awsapi and apimodel may", f.path, imp)
			}
		}
	}
}

func TestOnlyDurableImportsDBOS(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, imp := range f.imports {
			if strings.HasPrefix(imp, "github.com/dbos-inc/") && top(f.pkg) != "durable" {
				t.Errorf("%s imports %s; only durable may", f.path, imp)
			}
		}
	}
}

func TestNounsHaveNoClockLoggerOrContext(t *testing.T) {
	t.Parallel()
	kind := kinds()
	for _, f := range files(t) {
		if f.test || kind[top(f.pkg)] != "noun" || f.ast.Name.Name == "main" {
			continue
		}
		for _, imp := range f.imports {
			switch imp {
			case "log/slog", "log", "context", "net/http", "os", "database/sql", "math/rand", "math/rand/v2", "crypto/rand":
				t.Errorf("%s: noun %s imports %s", f.path, f.pkg, imp)
			}
		}
	}
}

func TestNobodyReadsTheClock(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test || top(f.pkg) == "service" || top(f.pkg) == "telemetry" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "time" && (sel.Sel.Name == "Now" || sel.Sel.Name == "Since" || sel.Sel.Name == "Until") {
				t.Errorf("%s: time.%s; take the time from service.Clock", f.path, sel.Sel.Name)
			}
			return true
		})
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	seen := map[string]bool{}
	for _, f := range files(t) {
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		seen[f.pkg] = true
		if f.ast.Doc != nil {
			docs[f.pkg] += f.ast.Doc.Text()
		}
	}
	for pkg := range seen {
		if docs[pkg] == "" {
			t.Errorf("package internal/%s has no doc comment", pkg)
		}
		if kinds()[pkg] != "stage" {
			continue
		}
		for _, heading := range []string{"# Takes", "# Gives", "# States", "# Never", "# When it fails"} {
			if !strings.Contains(docs[pkg], heading) {
				t.Errorf("stage %s: the package doc lacks the heading %q", pkg, heading)
			}
		}
	}
}

func TestNoInitAndNoExitOutsideMain(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", f.path)
			}
		}
	}
}

func TestArchitectureNamesEveryPackage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files(t) {
		if name := top(f.pkg); !strings.Contains(string(raw), "`"+name+"`") {
			t.Errorf("docs/ARCHITECTURE.md does not name package `%s`", name)
		}
	}
}
