package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Program is what the command line runs in.
type Program struct {
	Version string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	// Getenv reads the environment. Default os.Getenv.
	Getenv func(string) string
}

// shared are the flags that every command has.
type shared struct {
	Program
	output
	config  string
	verbose bool
}

// Run carries out the command line args (without the program's name) and gives
// the exit code.
func Run(ctx context.Context, p Program, args []string) int {
	if p.Getenv == nil {
		p.Getenv = os.Getenv
	}
	s := &shared{Program: p}
	root := s.root()
	root.SetArgs(args)
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	err := root.ExecuteContext(ctx)
	return Report(p.Err, err)
}

func (s *shared) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "parry",
		Short: "Security response for AWS Organizations: planned, approved, verified, reversible",
		Long: "Parry collects security findings from all accounts of an AWS Organization and remediates them with Systems Manager\n" +
			"runbooks: planned to the exact API call, approved, durable, verified, reversible and audited.\n\n" +
			"See it at work: parry demo",
		Version:       s.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return s.prepare()
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(ExitUsage, err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&s.format, "output", "o", "table", "how to print: table, json, yaml or csv")
	flags.StringVar(&s.query, "query", "", "JMESPath expression over the result, as in the AWS CLI")
	flags.StringVar(&s.config, "config", "", "configuration file (default parry.yaml, if there)")
	flags.BoolVarP(&s.verbose, "verbose", "v", false, "log more, on standard error")
	root.AddCommand(
		s.serveCommand(), s.demoCommand(), s.findingCommand(), s.planCommand(), s.approvalCommand(), s.remediationCommand(),
		s.auditCommand(), s.keyCommand(), s.stopCommand(), s.playbookCommand(), s.runbookCommand(), s.patternCommand(), s.awsCommand(),
	)
	for _, c := range root.Commands() {
		strictArgs(c)
	}
	return root
}

// prepare checks the shared flags before any command runs.
func (s *shared) prepare() error {
	if !slices.Contains([]string{"table", "json", "yaml", "csv"}, s.format) {
		return usage("--output %q is not table, json, yaml or csv", s.format)
	}
	if f, ok := s.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.color = true
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.width = w
		}
	}
	return nil
}

// logger writes to standard error.
func (s *shared) logger() *slog.Logger {
	level := slog.LevelInfo
	if s.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: level}))
}

// strictArgs makes a wrong number of arguments, or an unknown subcommand, a
// usage error rather than a plain one.
func strictArgs(c *cobra.Command) {
	check := c.Args
	switch {
	case check != nil:
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return exit(ExitUsage, err)
			}
			return nil
		}
	case c.HasSubCommands():
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("there is no command %q; see: %s --help", cmd.CommandPath()+" "+args[0], cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
}

// readInput reads a flag's value: JSON text, @file, or - for standard input,
// at most limit bytes.
func (s *shared) readInput(value string, limit int64) ([]byte, error) {
	var in io.Reader
	switch {
	case value == "-":
		in = s.In
	case len(value) > 0 && value[0] == '@':
		f, err := os.Open(value[1:])
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	default:
		return []byte(value), nil
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, errors.New("the input is too large")
	}
	return raw, nil
}
