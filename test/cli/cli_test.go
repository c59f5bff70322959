// Package cli_test holds the command line to what its users rely on: help, exit
// codes, what is printed where, and what an error says to do next. The scripts
// run the real program: this test binary, started under the name parry.
package cli_test

import (
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/test/testenv"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

func TestMain(m *testing.M) {
	if code, helper := script.MaybeChild(); helper {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"parry": parry})
}

// parry is cmd/parry.
func parry() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Program{Version: "0.0.0-test", In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), Setup: setup, UpdateScripts: *update, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "ready": ready, "import": importFindings, "moto": startMoto, "sinks": startSinks},
	})
}

// setup gives a script the repository, a free port and nothing of this machine
// that could lead it to AWS or to another installation.
func setup(env *testscript.Env) error {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	env.Setenv("REPO", root)
	env.Setenv("ADDRESS", address)
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	env.Setenv("PYTHON", pythonOf(root))
	env.Setenv("AWS_MAX_ATTEMPTS", "1")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else every command of a race build ends a second late
	return unpackCases(filepath.Join(root, "internal", "pattern", "testdata", "patterns.jsonl.gz"), filepath.Join(env.WorkDir, "patterns.jsonl"))
}

// pythonOf gives the Python that has moto, for scripts that start an emulator.
func pythonOf(root string) string {
	if python := os.Getenv("PARRY_PYTHON"); python != "" {
		return python
	}
	return filepath.Join(root, ".venv", "bin", "python")
}

// startMoto starts an emulator for the rest of the script, as the AWS of every command.
func startMoto(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs("moto")
	ts.Check(os.MkdirAll(dir, 0o750))
	moto, err := testenv.StartMoto(context.Background(), dir, ts.Getenv("PYTHON"))
	ts.Check(err)
	ts.Defer(moto.Stop)
	ts.Setenv("AWS_ENDPOINT_URL", moto.URL)
	ts.Setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "no-secret")
	ts.Setenv("AWS_REGION", "us-east-1")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func unpackCases(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, unzipped) //nolint:gosec // our own file
	return errors.Join(err, out.Close())
}

// exits runs a command that has to end with a code: exits 2 parry nope.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		got = ended.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// ready waits until the server at $ADDRESS answers.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		res, err := http.Get("http://" + ts.Getenv("ADDRESS") + "/v1/health") //nolint:noctx,gosec // loopback
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("the server does not answer at %s", ts.Getenv("ADDRESS"))
}

// importFindings sends a file of findings, signed with the key in a file that
// key create -o json wrote: import KEY.json FINDINGS.json.
func importFindings(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: import KEY.json FINDINGS.json")
	}
	answer, err := send("http://"+ts.Getenv("ADDRESS")+"/findings/import", ts.ReadFile(args[0]), strings.TrimSpace(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Logf("%s", answer)
	if !strings.Contains(answer, `"FailedCount":0`) {
		ts.Fatalf("not everything was imported")
	}
}
