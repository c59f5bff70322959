package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

func (s *shared) runbookCommand() *cobra.Command {
	c := &cobra.Command{Use: "runbook", Short: "Work with Systems Manager Automation documents"}
	c.AddCommand(s.runbookCheckCommand(), s.runbookListCommand(), s.runbookShowCommand(), s.runbookStartCommand(), s.runbookExecutionsCommand(), s.runbookResumeCommand(), s.runbookTestCommand(), s.runbookAttachCommand(), s.runbookPolicyCommand())
	return c
}

// checkReport is the answer of runbook check for one file.
type checkReport struct {
	File string `json:"file"`
	runbook.Report
}

func (s *shared) runbookCheckCommand() *cobra.Command {
	var at runbook.Where
	c := &cobra.Command{
		Use: "check FILE...", Short: "Check documents before anything runs; exit 3 with errors",
		Long: "Checks Systems Manager Automation documents (YAML or JSON, - is standard input) without running them: schema, the graph of\n" +
			"steps, references and their types, API calls against AWS's models, selectors against what AWS answers, parameters, and\n" +
			"Python scripts. With -o json the answer also holds what each document reads and changes, which changes have no way back,\n" +
			"each step's impact, and the IAM policy that its role needs.\n\n" +
			"docs/runbook-check.md explains the codes. Warnings do not fail the check.",
		Example: "  parry runbook check catalog/runbooks/*/runbook.yaml\n  parry runbook check document.json -o json --query '[].changes'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if at.Account != "" && !isAccount(at.Account) {
				return usage("--account %q is not a 12-digit account id", at.Account)
			}
			reports, err := s.checkFiles(cmd.Context(), files, at)
			if err != nil {
				return err
			}
			if err := s.print(s.Out, reports, func() grid { return problemGrid(reports) }); err != nil {
				return err
			}
			if slices.ContainsFunc(reports, func(r checkReport) bool { return len(runbook.Errors(r.Problems)) > 0 }) {
				return exit(ExitFailing, nil)
			}
			return nil
		},
	}
	c.Flags().StringVar(&at.Account, "account", "", "account in which the documents will run, for the policies (default: any)")
	c.Flags().StringVar(&at.Region, "region", "", "region in which the documents will run, for the policies (default: any)")
	return c
}

// checkFiles checks documents; an error is that one could not be read at all.
func (s *shared) checkFiles(ctx context.Context, files []string, at runbook.Where) ([]checkReport, error) {
	docs := make([]*runbook.Document, len(files))
	reports := make([]checkReport, len(files))
	for i, name := range files {
		raw, err := readRunbook(name, s.In)
		if err != nil {
			return nil, usage("%v", err)
		}
		doc, err := runbook.Parse(raw)
		var refused *runbook.ParseError
		switch {
		case errors.As(err, &refused):
			reports[i] = checkReport{name, runbook.Refused(refused)}
		case err != nil:
			return nil, inFile(name, err)
		default:
			docs[i], reports[i].File = doc, name
		}
	}
	checked, err := s.checkDocuments(ctx, docs, files, at)
	if err != nil {
		return nil, err
	}
	for i, doc := range docs {
		if doc != nil {
			reports[i].Report = checked[i]
		}
	}
	return reports, nil
}

// checkDocuments checks those that are not nil; places are their files.
func (s *shared) checkDocuments(ctx context.Context, docs []*runbook.Document, places []string, at runbook.Where) ([]runbook.Report, error) {
	models, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	facts := s.scriptFacts(ctx, docs, places)
	out := make([]runbook.Report, len(docs))
	for i, doc := range docs {
		if doc != nil {
			out[i] = runbook.Check(doc, runbook.CheckOptions{Models: models, Scripts: facts[i], At: at})
		}
	}
	return out, nil
}

// readRunbook reads a document, at most as long as one may be.
func readRunbook(name string, stdin io.Reader) ([]byte, error) {
	in, err := openInput(name, stdin)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	raw, err := io.ReadAll(io.LimitReader(in, runbook.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, unwrapPath(err))
	}
	if len(raw) > runbook.MaxSize {
		return nil, fmt.Errorf("%s has more than %d bytes, the limit of a document", name, runbook.MaxSize)
	}
	return raw, nil
}

// unwrapPath takes the path off an error that is printed after it.
func unwrapPath(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func problemGrid(reports []checkReport) grid {
	g := grid{header: []string{"Place", "Result", "Code", "Problem", "Fix"}}
	if !slices.ContainsFunc(reports, func(r checkReport) bool { return len(r.Problems) > 0 }) {
		g.header = g.header[:2]
	}
	for _, r := range reports {
		if len(r.Problems) == 0 {
			g.rows = append(g.rows, []string{r.File, "ok", "", "", ""}[:len(g.header)])
		}
		for _, p := range r.Problems {
			where := p.Message
			if p.Path != "" && !strings.HasPrefix(where, p.Path) {
				where = p.Path + ": " + where
			}
			g.rows = append(g.rows, []string{fmt.Sprintf("%s:%d:%d", r.File, p.Line, p.Column), string(p.Severity), p.Code, where, p.Fix})
		}
		if r.LeftOut > 0 {
			g.rows = append(g.rows, []string{r.File, "", "", fmt.Sprintf("%d more problems are left out", r.LeftOut), "mend these first"})
		}
	}
	return g
}
