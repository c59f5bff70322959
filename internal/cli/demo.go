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
		Long: "Starts an emulated AWS Organization and a Parry server, imports findings, and shows what Parry does with them: a\n" +
			"fix that runs by itself in dev, one that waits for approval in prod, verification, and undo. Every claim is checked.\n\n" +
			"With --once it ends after the story: exit 0 if all was so, 1 if not.",
		Args: cobra.NoArgs,
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
				if err == nil {
					fmt.Fprintf(s.Out, "All %d steps hold.\n", len(summary.Steps))
				}
				return err
			}
			if printErr := s.print(s.Out, summary, func() grid { return stepGrid(summary) }); printErr != nil {
				return printErr
			}
			return err
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end after the story")
	c.Flags().StringVar(&o.Python, "python", "", "Python that has moto (default: PARRY_PYTHON, .venv, python3)")
	c.Flags().StringVar(&o.Dir, "dir", "", "keep everything that the demo writes in this directory")
	c.Flags().StringVar(&o.Database, "database", "", "PostgreSQL URL (default: SQLite)")
	c.Flags().StringVar(&o.Listen, "listen", "", "address of the server (default: a free port on 127.0.0.1)")
	return c
}

func stepGrid(s demo.Summary) grid {
	g := grid{header: []string{"#", "Step", "OK", "ms", "Detail"}}
	for i, st := range s.Steps {
		g.rows = append(g.rows, []string{fmt.Sprint(i + 1), st.Title, yesNo(st.OK), fmt.Sprint(st.MS), st.Detail})
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
