package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/test/testenv"
)

func main() {
	if code, helper := script.MaybeChild(); helper {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	if err, ok := asPart(ctx, os.Args[1:]); !ok {
		code = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	stop()
	os.Exit(code)
}

// asPart is what this program does as another process of a measurement; false
// when it was not asked to be one.
func asPart(ctx context.Context, args []string) (error, bool) {
	switch {
	case len(args) > 0 && args[0] == "serve-recording":
		return serveRecording(ctx), true
	case len(args) > 0 && args[0] == "contend-gate":
		return contendGate(ctx, args[1:]), true
	case len(args) > 0 && args[0] == "call-accounts":
		return callEachAccount(ctx, args[1:]), true
	case len(args) > 2 && args[0] == profiledArg:
		return serveProfiled(ctx, args[1], args[2:]), true
	case len(args) > 0 && args[0] == custodianArg:
		return runSideBySide(ctx, args[1:], os.Stdout, os.Stderr), true
	case len(args) == 2 && args[0] == firstCallArg:
		return printFirstCall(ctx, args[1], os.Stdout), true
	}
	return nil, false
}

// bench is what the measurements share.
type bench struct {
	dir     string
	rows    int
	wanted  *regexp.Regexp
	errs    io.Writer
	program string // the parry binary, stripped
	server  *testenv.Postgres
	bases   int // databases made so far
	verbose bool
	keep    string // where a full store is kept between runs
	base    string // URL of the PostgreSQL database that holds a full store, "" = a new one each run
	// profile is where servers write profiles of their processor time, "" = they do not.
	profile  string
	profiles int // written so far
}

// measurement gives some rows together. It is bounded by limit.
type measurement struct {
	rows  []Row // without figures
	limit time.Duration
	run   func(ctx context.Context, b *bench, rows map[string]*Row) error
}

func measurements() []measurement {
	return []measurement{
		patterns(), busEvents("sqlite"), busEvents("postgres"), intake("sqlite"), intake("postgres"), intakeHTTP("sqlite"), intakeHTTP("postgres"),
		drainEmpty("sqlite"), drainEmpty("postgres"), rulesOnIngest("sqlite"), rulesOnIngest("postgres"), atSize("sqlite"), atSize("postgres"), steps("sqlite"), steps("postgres"),
		remediations(), callRates(), accountCalls(), planning(), estate(), takeover(),
		runSteps("sqlite"), runSteps("postgres"), runTargets(), runsWaiting(), scriptStarts(), readiness(), idleness(), binary(), models(),
	}
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	b := &bench{errs: errs}
	pattern := flags.String("run", "", "measure only the rows whose names match this regular expression")
	format := flags.String("o", "table", "output: table or json")
	list := flags.Bool("list", false, "print the names of the rows and stop")
	flags.IntVar(&b.rows, "rows", 1_000_000, "findings in the store for the rows that ask for a full one")
	flags.StringVar(&b.keep, "keep", "", "keep the full store in this directory, or use the one that an earlier run kept there")
	flags.StringVar(&b.base, "postgres", "", "keep the full store of PostgreSQL in the database at this URL, or use the one that is there")
	profile := flags.String("cpuprofile", "", "write a processor profile of this process to this file")
	flags.StringVar(&b.program, "program", "", "use this parry binary instead of building one")
	flags.StringVar(&b.profile, "serverprofile", "", "write processor profiles of the servers to this file and a number, and the heap where it was largest beside them (.heap)")
	flags.BoolVar(&b.verbose, "v", false, "print the steps on standard error")
	if flags.Parse(args) != nil {
		return 2
	}
	var err error
	if b.wanted, err = regexp.Compile(*pattern); err != nil || *format != "table" && *format != "json" {
		fmt.Fprintln(errs, "bench: -run takes a regular expression, -o table or json:", err)
		return 2
	}
	if *list {
		for _, m := range measurements() {
			for _, r := range m.rows {
				fmt.Fprintln(out, r.Name)
			}
		}
		return 0
	}
	if err := b.prepare(ctx); err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	defer b.cleanup()
	if *profile != "" {
		stop, err := startProfile(*profile)
		if err != nil {
			fmt.Fprintln(errs, "bench:", err)
			return 1
		}
		defer stop()
	}
	p := newPrinter(out, *format)
	p.head(b.machine())
	failed := b.measure(ctx, p)
	p.end()
	if failed || ctx.Err() != nil {
		return 1
	}
	return 0
}

// startProfile writes a profile of this process from now until stop.
func startProfile(name string) (stop func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is cut off says so itself
	}, pprof.StartCPUProfile(f)
}

const profiledArg = "profiled-serve"

// serveProfiled is the parry program in this one, with profiles of its processor
// time and its heap. GODEBUG=memprofilerate=4096 makes that of a small heap exact.
func serveProfiled(ctx context.Context, name string, args []string) error {
	stop, err := startProfile(name)
	if err != nil {
		return err
	}
	defer stop()
	watched, end := context.WithCancel(ctx)
	defer end()
	go watchHeap(watched, name+".heap")
	if code := cli.Run(ctx, cli.Program{Version: "bench", In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, args); code != 0 {
		return fmt.Errorf("parry %v ended with %d", args, code)
	}
	return nil
}

// measure runs what was asked for and prints each row as it comes.
func (b *bench) measure(ctx context.Context, p *printer) (failed bool) {
	for _, m := range measurements() {
		rows := map[string]*Row{}
		for i := range m.rows {
			if b.wanted.MatchString(m.rows[i].Name) {
				rows[m.rows[i].Name] = &m.rows[i]
			}
		}
		if len(rows) == 0 {
			continue
		}
		limited, cancel := context.WithTimeoutCause(ctx, m.limit, fmt.Errorf("the measurement did not end within %s", m.limit))
		began := time.Now()
		err := m.run(limited, b, rows)
		if err != nil && limited.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(limited), err)
		}
		cancel()
		for i := range m.rows {
			r := &m.rows[i]
			if rows[r.Name] == nil {
				continue
			}
			r.settle(err)
			failed = failed || r.Error != ""
			p.row(*r)
		}
		b.say("%.0f s for %s", time.Since(began).Seconds(), m.rows[0].Name)
	}
	return failed
}

// prepare makes the directory for everything and builds the binary.
func (b *bench) prepare(ctx context.Context) error {
	var err error
	if b.dir, err = os.MkdirTemp("", "parry-bench-"); err != nil {
		return err
	}
	if b.program != "" {
		return nil
	}
	b.program = filepath.Join(b.dir, "parry")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, "./cmd/parry")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.cleanup()
		return fmt.Errorf("build parry: %w: %s", err, text)
	}
	return nil
}

func (b *bench) cleanup() {
	if b.server != nil {
		b.server.Stop()
	}
	_ = os.RemoveAll(b.dir) // it is in the temporary directory
}

// postgres gives the URL of a new database on a server that flushes its commits.
func (b *bench) postgres(ctx context.Context) (string, error) {
	if b.server == nil {
		dir, err := b.temp("postgres")
		if err != nil {
			return "", err
		}
		if b.server, err = testenv.StartPostgres(ctx, dir, "fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB"); err != nil {
			return "", err
		}
	}
	b.bases++
	return b.server.CreateDatabase(ctx, fmt.Sprint("bench", b.bases))
}

func (b *bench) temp(name string) (string, error) { return os.MkdirTemp(b.dir, name+"-") }

// say tells who asked for it what is going on.
func (b *bench) say(format string, args ...any) {
	if b.verbose {
		fmt.Fprintf(b.errs, "# "+format+"\n", args...)
	}
}

func (b *bench) logger() *slog.Logger {
	if b.verbose {
		return slog.New(slog.NewTextHandler(b.errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	return slog.New(slog.DiscardHandler)
}
