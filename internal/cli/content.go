package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/pattern"
)

func (s *shared) patternCommand() *cobra.Command {
	c := &cobra.Command{Use: "pattern", Short: "Work with EventBridge event patterns"}
	c.AddCommand(s.patternTestCommand())
	return c
}

func (s *shared) patternTestCommand() *cobra.Command {
	var patternFile, eventsFile, casesFile string
	c := &cobra.Command{
		Use:   "test",
		Short: "Match a pattern against events, or check recorded verdicts",
		Long: "With --pattern and --events: one line per event, true, false or error: and the reason.\n" +
			"With --cases: checks recorded verdicts, prints those that disagree and a count, and exits 3 if there are any.",
		Example: "  parry pattern test --pattern rule.json --events events.jsonl\n  parry pattern test --cases patterns.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case casesFile != "" && patternFile == "" && eventsFile == "":
				return s.runCases(casesFile)
			case casesFile == "" && patternFile != "" && eventsFile != "":
				raw, err := os.ReadFile(patternFile)
				if err != nil {
					return usage("--pattern: %v", err)
				}
				p, err := pattern.Parse(raw)
				if err != nil {
					return err
				}
				in, err := openInput(eventsFile, s.In)
				if err != nil {
					return usage("--events: %v", err)
				}
				defer func() { _ = in.Close() }()
				return pattern.RunEvents(p, in, s.Out)
			default:
				return usage("give --pattern with --events, or --cases alone")
			}
		},
	}
	c.Flags().StringVar(&patternFile, "pattern", "", "file with an event pattern (JSON)")
	c.Flags().StringVar(&eventsFile, "events", "", "file with one event per line (JSON lines), - for standard input")
	c.Flags().StringVar(&casesFile, "cases", "", "file with one recorded verdict per line (JSON lines)")
	return c
}

func (s *shared) runCases(file string) error {
	in, err := openInput(file, s.In)
	if err != nil {
		return usage("--cases: %v", err)
	}
	defer func() { _ = in.Close() }()
	disagreements := s.Out
	if s.format != "table" {
		disagreements = s.Err
	}
	report, err := pattern.RunCases(in, disagreements)
	if err != nil {
		return err
	}
	if s.format != "table" || s.query != "" {
		if err := s.print(s.Out, report, func() grid {
			return grid{header: []string{"Total", "Agreed", "Quirks", "Disagreed"}, rows: [][]string{{
				fmt.Sprint(report.Total), fmt.Sprint(report.Agreed), fmt.Sprint(report.Quirks), fmt.Sprint(report.Disagreed),
			}}}
		}); err != nil {
			return err
		}
	}
	if report.Disagreed > 0 {
		return exit(ExitFailing, nil)
	}
	return nil
}

func openInput(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

func (s *shared) playbookCommand() *cobra.Command {
	c := &cobra.Command{Use: "playbook", Short: "See which controls Parry remediates, and how"}
	c.AddCommand(&cobra.Command{
		Use: "list", Short: "List the playbooks", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			content, err := app.LoadContent(catalog.FS)
			if err != nil {
				return err
			}
			books := content.Playbooks()
			return s.print(s.Out, books, func() grid {
				g := grid{header: []string{"Playbook", "Controls", "Resource", "Runbook", "Risk", "Reversible", "Title"}}
				for _, b := range books {
					g.rows = append(g.rows, []string{b.ID, strings.Join(b.Controls, " "), b.Resource, b.Runbook, b.Risk, yesNo(b.Reversible), b.Title})
				}
				return g
			})
		},
	})
	return c
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
