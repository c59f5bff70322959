package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/demo"
)

func (s *shared) demoCommand() *cobra.Command {
	var o demo.Options
	var once bool
	c := &cobra.Command{
		Use: "demo", Short: "See the whole story on this machine, without AWS",
		Long: "Starts an emulated AWS Organization of eight accounts and a Parry server, lets findings of ten controls arrive, and shows\n" +
			"what Parry does with them: rules, an exception and priorities; the stop switch; fixes that run by themselves in dev, in a\n" +
			"canary account first; others that people approve in prod, or ask for by hand; one that AWS denies; undo. Every claim is\n" +
			"checked, by a separate program with the accounts' own keys where it is about AWS.\n\n" +
			"With --once it ends after the story: exit 0 if all was so, 1 if not.",
		Example: "  parry demo --once\n  parry demo --once --kill -o json\n  parry demo --database postgres://...",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			o.Keep = !once
			o.Log = slog.New(slog.DiscardHandler)
			if s.verbose {
				o.Log = s.logger()
			}
			o.Progress = &progress{out: s.Err, bar: s.color && s.format == "table", quiet: s.format != "table"}
			summary, err := demo.Run(cmd.Context(), o)
			if s.format == "table" && s.query == "" {
				if err != nil || o.Keep {
					return err
				}
				return s.tellDemo(summary)
			}
			if printErr := s.print(s.Out, summary, func() grid { return lineGrid(summary) }); printErr != nil {
				return printErr
			}
			return err
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the story")
	c.Flags().BoolVar(&o.Kill, "kill", false, "kill the server (SIGKILL) in the middle of a fix, and start it again")
	c.Flags().StringVar(&o.Python, "python", "", "Python that has moto (default: PARRY_PYTHON, .venv, python3)")
	c.Flags().StringVar(&o.Dir, "dir", "", "keep everything that the demo writes in this directory")
	c.Flags().StringVar(&o.Database, "database", "", "PostgreSQL URL (default: SQLite)")
	c.Flags().StringVar(&o.Listen, "listen", "", "address of the server (default: a free port on 127.0.0.1)")
	return c
}

// tellDemo ends the story for people: what became of each remediation, and how long it took.
func (s *shared) tellDemo(summary demo.Summary) error {
	if err := s.print(s.Out, summary, func() grid { return lineGrid(summary) }); err != nil {
		return err
	}
	f := summary.Figures
	_, err := fmt.Fprintf(s.Out, "\n%d claims about good twins were not confirmed by a live read. %d changes in AWS, %d entries in the audit log.\nAll %d steps hold, in %.0f s.\n",
		f["claims_not_confirmed"], f["changes"], f["audit_entries"], len(summary.Steps), float64(f["total_ms"])/1000)
	return err
}

func lineGrid(s demo.Summary) grid {
	g := grid{header: []string{"Control", "Account", "Region", "Resource", "By", "Outcome", "Seconds"}}
	for _, l := range s.Remediations {
		g.rows = append(g.rows, []string{l.Control, l.Account, l.Region, short(shortARN(l.Resource), 46), l.By, string(l.Outcome), fmt.Sprintf("%.1f", float64(l.MS)/1000)})
	}
	return g
}

// progress shows the story: a bar on a terminal, plain lines elsewhere.
type progress struct {
	out   io.Writer
	bar   bool
	quiet bool // machine-readable output was asked for: texts are left out
}

const barWidth = 24

// Step says what begins.
func (p *progress) Step(n, of int, title string) {
	if p.bar {
		full := (n - 1) * barWidth / of
		fmt.Fprintf(p.out, "\r\x1b[K[%s%s] %d/%d %s", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), n, of, title)
	}
}

// Done says what was shown.
func (p *progress) Done(n, of int, title, detail string, took time.Duration) {
	if p.bar {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintf(p.out, "%2d/%d %s (%.1f s)\n      %s\n", n, of, title, took.Seconds(), printable(detail))
}

// Text shows a longer text: a plan, the next commands.
func (p *progress) Text(text string) {
	if p.quiet {
		return
	}
	if p.bar {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, printable(text))
}
