package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/jmespath/go-jmespath"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/parry-security/parry/internal/fault"
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
	config   string
	endpoint string
	verbose  bool
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
			return pointed(cmd, s.prepare())
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return pointed(cmd, misused(err)) })
	// A group of commands is not run by itself: its first usage line would say so.
	root.SetUsageTemplate(strings.NewReplacer("{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", "[command]", "COMMAND").
		Replace(root.UsageTemplate()))
	flags := root.PersistentFlags()
	flags.StringVarP(&s.format, "output", "o", "table", "print as `format`: table, json, yaml or csv")
	flags.StringVar(&s.query, "query", "", "JMESPath `expression` over the result, as in the AWS CLI")
	flags.StringVar(&s.config, "config", "", "configuration `file` (default parry.yaml, if there)")
	flags.StringVar(&s.endpoint, "endpoint", "", "`address` of the server (default PARRY_ENDPOINT, else listen of the configuration)")
	flags.BoolVarP(&s.verbose, "verbose", "v", false, "log more, on standard error")
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Findings and their remediation:", []*cobra.Command{s.findingCommand(), s.controlCommand(), s.sweepCommand(), s.scoreCommand(), s.resourceCommand(), s.ruleCommand(), s.insightCommand(), s.actionCommand(), s.exceptionCommand(), s.caseCommand(), s.planCommand(), s.approvalCommand(), s.remediationCommand(), s.auditCommand()}},
		{"The installation:", []*cobra.Command{s.tryCommand(), s.initCommand(), s.serveCommand(), s.keyCommand(), s.peopleCommand(), s.userCommand(), s.dbCommand(), s.orgCommand(), s.sourceCommand(), s.notifyCommand(), s.busCommand(), s.dlqCommand(), s.archiveCommand(), s.replayCommand(), s.stopCommand(), s.guardCommand(), s.doctorCommand(), s.demoCommand()}},
		{"Content and single calls:", []*cobra.Command{s.playbookCommand(), s.runbookCommand(), s.patternCommand(), s.awsCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	strict(root)
	return root
}

// prepare checks the shared flags before any command runs.
func (s *shared) prepare() error {
	if !slices.Contains([]string{"table", "json", "yaml", "csv"}, s.format) {
		return usage("--output %q is not table, json, yaml or csv", s.format)
	}
	if s.query != "" { // before anything runs whose result could then not be shown
		if _, err := jmespath.Compile(s.query); err != nil {
			return usage("--query %q: %v", s.query, err)
		}
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

// quiet keeps what parts of Parry log to themselves, unless more was asked for: a
// command that reports about them says it better.
func (s *shared) quiet() *slog.Logger {
	if s.verbose {
		return s.logger()
	}
	return slog.New(slog.DiscardHandler)
}

// strict makes a wrong number of arguments, or an unknown command, a usage
// error that says where help is.
func strict(c *cobra.Command) {
	check, run := c.Args, c.RunE
	switch {
	case check != nil:
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return pointed(cmd, misused(err))
			}
			return nil
		}
		c.RunE = func(cmd *cobra.Command, args []string) error { return pointed(cmd, run(cmd, args)) }
	case c.HasSubCommands():
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

func unknownCommand(group *cobra.Command, name string) error {
	err := fault.Errorf(fault.Invalid, "", "there is no command %q", group.CommandPath()+" "+name)
	group.SuggestionsMinimumDistance = 2
	if near := group.SuggestionsFor(name); len(near) > 0 {
		return exit(ExitUsage, err.WithHint("did you mean: %s %s", group.CommandPath(), near[0]))
	}
	return exit(ExitUsage, err.WithHint("run: %s --help", group.CommandPath()))
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
