package script_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/internal/service"
)

const simple = "def handler(events, context):\n    return events\n"

func TestJobsAreChecked(t *testing.T) {
	t.Parallel()
	r, err := script.New(script.Config{Python: "never-started", Clock: service.SystemClock{}})
	if err != nil {
		t.Fatal(err)
	}
	good := script.Job{Handler: "h", Source: simple, Call: nobody}
	for name, change := range map[string]func(*script.Job){
		"handler": func(j *script.Job) { j.Handler = "" }, "long handler": func(j *script.Job) { j.Handler = strings.Repeat("h", 257) }, "no code": func(j *script.Job) { j.Source = "" },
		"long code": func(j *script.Job) { j.Source = strings.Repeat("#", script.MaxSource+1) }, "nobody": func(j *script.Job) { j.Call = nil },
		"path": func(j *script.Job) { j.Attachments = map[string][]byte{"../x": nil} }, "dots": func(j *script.Job) { j.Attachments = map[string][]byte{"..": nil} },
		"attachments": func(j *script.Job) { j.Attachments = map[string][]byte{"x": make([]byte, script.MaxAttachments+1)} },
	} {
		job := good
		change(&job)
		if _, err := r.Run(t.Context(), job); err == nil || strings.Contains(err.Error(), "never-started") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Run(t.Context(), good); !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "scripts.python") {
		t.Errorf("without Python: %v, hint %q", err, fault.HintOf(err))
	}
	if s := r.Status(); s.Level != "" || len(s.Reasons) != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]script.Config{
		"clock": {}, "level": {Clock: service.SystemClock{}, Level: "best"}, "none": {Clock: service.SystemClock{}, Level: script.None},
	} {
		if _, err := script.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAttachments(t *testing.T) {
	archive := zipped(t, map[string]string{"inner.py": "VALUE = 'zip'\n", "pkg/__init__.py": "", "pkg/mod.py": "def go(events, context):\n    return 'package'\n", "data.txt": "data"})
	levels(t, func(t *testing.T, r *script.Runner) {
		files := map[string][]byte{
			"main.py":   []byte("import helper, inner, os\ndef go(events, context):\n    return [helper.VALUE, inner.VALUE, open(os.path.join(os.path.dirname(__file__), 'data.txt')).read()]\n"),
			"helper.py": []byte("VALUE = 'file'\n"), "more.zip": archive, "broken.py": []byte("def f(:\n"),
		}
		for handler, want := range map[string]string{"main.go": "[file zip data]", "pkg.mod.go": "package", "pkg/mod.go": "package"} {
			got := run(t, r, script.Job{Handler: handler, Attachments: files})
			if got.Failure != nil || strings.Trim(strings.ReplaceAll(sprint(got.Payload), " ", " "), "") != want {
				t.Errorf("%s: %v, failure %+v", handler, got.Payload, got.Failure)
			}
		}
		for handler, want := range map[string]string{
			"go": "names no file", "main.nope": "has no function 'nope'", "nope.go": "No module named 'nope'", "broken.go": "invalid syntax",
		} {
			got := run(t, r, script.Job{Handler: handler, Attachments: files})
			if got.Failure == nil || !strings.Contains(got.Failure.Message, want) {
				t.Errorf("%s: %v, failure %+v", handler, got.Payload, got.Failure)
			}
		}
		if got := run(t, r, script.Job{Handler: "script.handler", Source: simple, Payload: "text"}); got.Payload != "text" {
			t.Errorf("dotted handler of inline code: %+v", got)
		}
	})
}

func TestCancelEndsTheScript(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("somebody cancelled")
		began := time.Now()
		job := script.Job{Handler: "handler", Call: nobody, Source: "import time\ndef handler(e, c):\n    time.sleep(600)\n", Entered: func() { cancel(why) }}
		if _, err := r.Run(ctx, job); !errors.Is(err, why) || time.Since(began) > 20*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestCancelInACallEndsTheScript(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("somebody cancelled")
		job := script.Job{
			Handler: "handler", Region: "eu-west-1", Source: "import boto3\ndef handler(e, c):\n    boto3.client('s3').list_buckets()\n",
			Call: func(ctx context.Context, _ apimodel.Call) (apimodel.Reply, error) {
				cancel(why)
				<-ctx.Done()
				return apimodel.Reply{}, context.Cause(ctx)
			},
		}
		if _, err := r.Run(ctx, job); !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
	})
}

// TestAnInterpreterThatDiesIsReplaced kills it under a running script. It is not
// parallel: it would kill those of other tests.
func TestAnInterpreterThatDiesIsReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds: interpreters start anew")
	}
	for _, level := range []script.Level{script.Namespaces, script.Landlock} {
		r := newRunner(t, script.Config{Python: pythonPath(t), Level: level})
		t.Cleanup(func() { _ = r.Stop(context.Background()) })
		job := script.Job{Handler: "handler", Call: nobody, Source: "import time\ndef handler(e, c):\n    time.sleep(600)\n", Entered: func() {
			for _, pid := range childrenNamed(t, "-X") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}}
		if got, err := r.Run(t.Context(), job); err == nil {
			t.Errorf("%s: the script outlived it: %+v", level, got)
		}
		got, err := r.Run(t.Context(), script.Job{Handler: "handler", Call: nobody, Source: simple, Payload: "again"})
		if err != nil || got.Payload != "again" {
			t.Errorf("%s: it did not come back: %v, %+v", level, err, got)
		}
	}
}

func TestStopIsSafeToRepeatAndEndsWork(t *testing.T) {
	t.Parallel()
	r := newRunner(t, script.Config{Python: pythonPath(t)})
	if err := errors.Join(r.Start(t.Context()), r.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{})
	var once sync.Once
	failed := make(chan error, 1)
	go func() {
		_, err := r.Run(context.Background(), script.Job{Handler: "handler", Call: nobody, Source: "import time\ndef handler(e, c):\n    time.sleep(600)\n", Entered: func() { once.Do(func() { close(entered) }) }})
		failed <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := errors.Join(r.Stop(ctx), r.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if err == nil {
			t.Error("the script ended well")
		}
	case <-ctx.Done():
		t.Fatal("the script did not end")
	}
	if _, err := r.Run(ctx, script.Job{Handler: "handler", Call: nobody, Source: simple}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after the stop: %v", err)
	}
}

// TestUnsandboxedIsLoud runs at the level that has to be allowed. The filter and
// the limits hold there too.
func TestUnsandboxedIsLoud(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	r, err := script.New(script.Config{
		Python: pythonPath(t), Level: script.None, AllowUnsandboxed: true, Clock: service.SystemClock{}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	got := run(t, r, script.Job{Source: "import _socket, posix\ndef handler(e, c):\n    out = []\n    for f in (lambda: _socket.socket(2, 1), posix.fork, lambda: open('/etc/passwd').close()):\n        try:\n            f()\n            out.append('done')\n        except OSError as x:\n            out.append(x.errno)\n    return out\n"})
	if sprint(got.Payload) != "[1 1 done]" {
		t.Errorf("payload %v, failure %+v", got.Payload, got.Failure)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "without a sandbox") {
		t.Errorf("log: %s", log.String())
	}
}

// TestAsAnOrdinaryUser runs this test program again as a user without any right,
// with an interpreter that this user can reach.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Getenv("PARRY_TEST_ORDINARY") != "" {
		ordinary(t)
		return
	}
	if testing.Short() {
		t.Skip("seconds: copies boto3")
	}
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user already: the other tests show it")
	}
	const python = "/usr/bin/python3"
	report, err := script.Probe(t.Context(), python)
	if err != nil {
		t.Skip("no python3 that everybody may run: ", err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "parry-ordinary-") //nolint:usetesting // /tmp is each script's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	copyModules(t, pythonPath(t), dir, report)
	program := filepath.Join(dir, "test")
	raw, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.WriteFile(program, raw, 0o755), os.Chmod(dir, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestAsAnOrdinaryUser$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"PARRY_TEST_ORDINARY=1", "PARRY_PYTHON=" + filepath.Join(dir, "venv", "bin", "python"), "PATH=/usr/bin:/bin", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestAsAnOrdinaryUser/landlock") {
		t.Errorf("%v\n%s", err, out)
	}
}

// copyModules makes a virtual environment of everybody's Python in dir, with boto3
// from ours.
func copyModules(t *testing.T, ours, dir string, report script.Report) {
	t.Helper()
	from, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(ours)), "lib", "python3*", "site-packages"))
	if err != nil || len(from) != 1 {
		t.Skip("our Python is no virtual environment")
	}
	site := filepath.Join(dir, "venv", "lib", "python"+strings.Join(strings.Split(report.VersionText(), ".")[:2], "."), "site-packages")
	if err := errors.Join(os.MkdirAll(site, 0o755), os.MkdirAll(filepath.Join(dir, "venv", "bin"), 0o755)); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.Symlink("/usr/bin/python3", filepath.Join(dir, "venv", "bin", "python")),
		os.WriteFile(filepath.Join(dir, "venv", "pyvenv.cfg"), []byte("home = /usr/bin\ninclude-system-site-packages = false\n"), 0o644),
	)
	for _, name := range []string{"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six.py"} {
		out, copied := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(from[0], name), site).CombinedOutput()
		if copied != nil {
			t.Fatalf("%v: %s", copied, out)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func ordinary(t *testing.T) {
	for _, level := range []script.Level{script.Namespaces, script.Landlock} {
		t.Run(string(level), func(t *testing.T) {
			r := newRunner(t, script.Config{Python: os.Getenv("PARRY_PYTHON"), Level: level})
			defer func() { _ = r.Stop(context.Background()) }()
			s := r.Status()
			if s.Level != level && level == script.Namespaces {
				t.Skip("this kernel grants ordinary users no namespaces: ", s.Reasons)
			}
			got := run(t, r, script.Job{Payload: os.Getpid(), Source: `
import boto3, os, posix, _socket
def handler(events, context):
    out = []
    for f in (lambda: open("/etc/passwd"), lambda: open("/proc/%d/environ" % events), lambda: posix.kill(events, 9), lambda: _socket.socket(2, 1), lambda: open("/usr/x", "w"), posix.fork, lambda: open("own", "w")):
        try:
            f()
            out.append("done")
        except OSError as e:
            out.append("refused")
    return [boto3.client("ec2").meta.region_name] + out
`})
			if sprint(got.Payload) != "[eu-west-1 refused refused refused refused refused refused done]" {
				t.Errorf("payload %v, failure %+v", got.Payload, got.Failure)
			}
		})
	}
}
