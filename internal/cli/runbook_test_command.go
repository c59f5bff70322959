package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/rehearse"
	"github.com/parry-security/parry/test/testenv"
)

// testFlags are the flags of runbook test.
type testFlags struct {
	documents []string
	endpoint  string
	timeout   time.Duration
	failing   bool
}

func (s *shared) runbookTestCommand() *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use: "test DIR...", Short: "Run the cases of documents in an emulator; exit 3 when one fails",
		Long: "Runs the cases of each folder's test.yaml: makes what a case is about in an emulator of AWS, runs the document there\n" +
			"through the whole of Parry (plan, approval, gate, sandbox), and holds its end, its outputs, its changes and the state of\n" +
			"the world against what the case expects. docs/runbook-test.md describes the file.\n\n" +
			"The emulator is moto, started with the Python of scripts.python (PARRY_PYTHON, .venv) and emptied before each case. With\n" +
			"--emulator another one is used, which is not emptied. Nothing of this machine's AWS credentials is used.",
		Example: "  parry runbook test catalog/runbooks/*\n  parry runbook test ./rotate --documents ./documents -o json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			if f.timeout < time.Second || f.timeout > time.Hour {
				return usage("--timeout %s is not between 1s and 1h", f.timeout)
			}
			reports, err := s.testRunbooks(cmd.Context(), dirs, f)
			if err != nil {
				return err
			}
			if err := s.printCases(reports, f); err != nil {
				return err
			}
			if slices.ContainsFunc(reports, func(r rehearse.CaseReport) bool { return !r.Passed }) {
				return exit(ExitFailing, nil)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&f.documents, "documents", nil, "`folder` with documents that are not beside their test.yaml; may be repeated")
	c.Flags().StringVar(&f.endpoint, "emulator", "", "`address` of an emulator that runs already (default: moto is started)")
	c.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "limit of one case")
	c.Flags().BoolVar(&f.failing, "failing", false, "list only the cases that fail")
	return c
}

// testRunbooks runs the cases of every folder.
func (s *shared) testRunbooks(ctx context.Context, dirs []string, f testFlags) (reports []rehearse.CaseReport, err error) {
	needed := false
	for _, dir := range dirs {
		needs, err := rehearse.NeedsWorld(dir)
		if err != nil {
			return nil, misused(err)
		}
		needed = needed || needs
	}
	rc := rehearse.Config{Folders: f.documents, Timeout: f.timeout, Done: s.progressOf(dirs)}
	if needed {
		world, engine, stop, err := s.emulated(ctx, f.endpoint)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		rc.World, rc.Engine = world, engine
	}
	runner := rehearse.New(rc)
	reports = []rehearse.CaseReport{}
	for _, dir := range dirs {
		more, err := runner.Run(ctx, dir)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			more = []rehearse.CaseReport{{Dir: dir, Problems: []string{err.Error()}}}
		}
		reports = append(reports, more...)
	}
	return reports, nil
}

// progressOf shows on a terminal which case has ended: some take long.
func (s *shared) progressOf(dirs []string) func(rehearse.CaseReport) {
	if !s.color || len(dirs) < 2 {
		return nil
	}
	n := 0
	return func(r rehearse.CaseReport) {
		n++
		fmt.Fprintf(s.Err, "\r\x1b[K%d  %s", n, printable(r.Document))
	}
}

// emulated starts an emulator and what runs documents in it, below a directory of
// their own that stop takes away.
func (s *shared) emulated(ctx context.Context, endpoint string) (_ *app.Emulator, _ *rehearsals, stop func() error, err error) {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return nil, nil, nil, err
	}
	dir, err := os.MkdirTemp("", "parry-runbook-test-")
	if err != nil {
		return nil, nil, nil, err
	}
	ends := []func() error{func() error { return os.RemoveAll(dir) }}
	undo := func() error {
		var errs []error
		for _, end := range slices.Backward(ends) {
			errs = append(errs, end())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	var reset func(context.Context) error
	if endpoint == "" {
		moto, err := testenv.StartMoto(ctx, dir, cfg.Scripts.Python)
		if err != nil {
			return nil, nil, nil, noMoto(err)
		}
		ends = append(ends, func() error { moto.Stop(); return nil })
		endpoint, reset = moto.URL, moto.Reset
	}
	log := slog.New(slog.DiscardHandler)
	if s.verbose {
		log = s.logger()
	}
	world, err := app.NewEmulator(endpoint, reset, log)
	if err != nil {
		return nil, nil, nil, misused(err)
	}
	ends = append(ends, func() error { world.Close(); return nil })
	cfg.DataDir = dir
	engine := &rehearsals{cfg: cfg, emulator: world, log: log, version: s.Version, locals: map[string]*app.Local{}}
	ends = append(ends, func() error {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		return engine.close(end)
	})
	return world, engine, undo, nil
}

// noMoto says what else there is.
func noMoto(err error) error {
	return fault.E(fault.CodeOf(err), "start the emulator", err).
		WithHint("%s; or use an emulator that runs already: --emulator URL", fault.HintOf(err))
}

// printCases prints how the cases went.
func (s *shared) printCases(reports []rehearse.CaseReport, f testFlags) error {
	if s.color {
		fmt.Fprint(s.Err, "\r\x1b[K")
	}
	shown := reports
	if f.failing {
		shown = slices.DeleteFunc(slices.Clone(reports), func(r rehearse.CaseReport) bool { return r.Passed })
	}
	if s.format != "table" || s.query != "" {
		return s.print(s.Out, shown, func() grid { return caseGrid(shown) })
	}
	// Problems are sentences: below the table they have the whole width.
	g := grid{header: []string{"Document", "Case", "Result", "ms"}}
	for _, r := range shown {
		g.rows = append(g.rows, []string{documentOf(r), r.Case, resultOf(r), fmt.Sprint(r.MS)})
	}
	if err := g.table(s.Out, s.output); err != nil {
		return err
	}
	t := &sheet{w: s.Out, color: s.color}
	for _, r := range shown {
		for i, p := range r.Problems {
			if i == 0 {
				t.line("")
				t.paint(red, strings.TrimSuffix(documentOf(r)+": "+r.Case, ": "))
			}
			t.line("  %s", short(oneLine(p), 1000))
		}
	}
	passed := 0
	for _, r := range reports {
		if r.Passed {
			passed++
		}
	}
	t.line("")
	t.line("%d of %d cases passed.", passed, len(reports))
	return t.err
}

func documentOf(r rehearse.CaseReport) string { return cmp.Or(r.Document, r.Dir) }

func resultOf(r rehearse.CaseReport) string {
	if r.Passed {
		return "ok"
	}
	return "FAIL"
}

// caseGrid shows a case in a row, and each of its problems in one of its own.
func caseGrid(reports []rehearse.CaseReport) grid {
	g := grid{header: []string{"Document", "Case", "Result", "ms", "Problem"}}
	for _, r := range reports {
		first := ""
		if len(r.Problems) > 0 {
			first = r.Problems[0]
		}
		g.rows = append(g.rows, []string{documentOf(r), r.Case, resultOf(r), fmt.Sprint(r.MS), short(first, 1000)})
		for i := 1; i < len(r.Problems); i++ {
			g.rows = append(g.rows, []string{"", "", "", "", short(r.Problems[i], 1000)})
		}
	}
	return g
}
