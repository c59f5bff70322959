//go:build linux && (amd64 || arm64)

package script

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/service"
)

// inGroup names what this test program does when a test started it again, in a
// control group that was handed on to it.
const inGroup = "PARRY_TEST_IN_GROUP"

// handOnGroup makes a control group and marks it as systemd does, or skips: it takes
// root, version 2, and the controllers of memory and pids. With
// PARRY_TEST_CGROUPS=require it fails instead.
func handOnGroup(t *testing.T) string {
	t.Helper()
	dir, err := makeGroup()
	if err != nil {
		if os.Getenv("PARRY_TEST_CGROUPS") == "require" {
			t.Fatal(err)
		}
		t.Skip("no control group can be handed on here: ", err)
	}
	t.Cleanup(func() {
		if err := removeGroup(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func makeGroup() (string, error) {
	if os.Geteuid() != 0 {
		return "", errors.New("it takes root")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	root, _, err := groupFolder(string(mounts), "/")
	if err != nil {
		return "", err
	}
	if err := (delegation{cpu: true}).handOn(root); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(root, "parry-test-")
	if err != nil {
		return "", err
	}
	return dir, unix.Setxattr(dir, "user.delegate", []byte("1"), 0)
}

// again is this test program once more, in the group.
func again(t *testing.T, dir, what string) *exec.Cmd {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inGroup+"="+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd()), Pdeathsig: syscall.SIGKILL}
	return cmd
}

// within runs a test in a control group that is handed on to its process.
func within(t *testing.T, test func(t *testing.T)) {
	if os.Getenv(inGroup) != "" {
		test(t)
		return
	}
	out, err := again(t, handOnGroup(t), "test").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("in its group:\n%s", out)
}

func groupRunner(t *testing.T, level Level) *Runner {
	t.Helper()
	python := os.Getenv("PARRY_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".venv", "bin", "python")
	}
	if _, err := Find(t.Context(), python); err != nil {
		t.Skip(err)
	}
	r, err := New(Config{Python: python, Level: level, AllowUnsandboxed: level == None, Limits: Limits{Memory: 64 << 20}, Clock: service.SystemClock{}, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	s := r.Status()
	if level == Landlock && s.Level == "" {
		t.Skip("this kernel has no Landlock: ", s.Reasons)
	}
	if !s.Groups.InForce {
		t.Fatalf("status %+v", s)
	}
	return r
}

func runIn(t *testing.T, r *Runner, body string) Result {
	t.Helper()
	got, err := r.Run(t.Context(), Job{
		Handler: "handler", Source: "def handler(events, context):\n" + body, Region: "eu-west-1", Timeout: 5 * time.Minute,
		Call: func(context.Context, apimodel.Call) (apimodel.Reply, error) {
			return apimodel.Reply{}, errors.New("nobody")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestScriptsInControlGroups runs what takes too much at each level.
func TestScriptsInControlGroups(t *testing.T) {
	within(t, func(t *testing.T) {
		for _, level := range []Level{Namespaces, Landlock, None} {
			t.Run(string(level), func(t *testing.T) { scriptsInGroups(t, level) })
		}
	})
}

func scriptsInGroups(t *testing.T, level Level) {
	r := groupRunner(t, level)
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(own)), "/"+ownGroup) {
		t.Errorf("this process is in %s, %v", own, err)
	}
	top := r.now.groups
	leaf := func() string { // what is at work has taken more than what stands by
		return slices.MaxFunc(groupsBelow(top.dir), func(a, b string) int { return taken(a) - taken(b) })
	}
	t.Run("what a script needs", func(t *testing.T) {
		got := runIn(t, r, "    import boto3\n    boto3.client('ec2'); boto3.client('s3')\n    open('x', 'wb').write(bytes(60 << 20))\n    return len(b'x' * (60 << 20))\n")
		if got.Failure != nil {
			t.Errorf("failure %+v", got.Failure)
		}
	})
	t.Run("memory", func(t *testing.T) {
		// Neither its address space nor the file system ends it.
		got := runIn(t, r, "    x = []\n    while True: x.append(b'x' * 1_000_000)\n")
		want := fmt.Sprintf("the script used more than %d MB of memory", (64 + 64 + interpreterMemory>>20))
		if got.Failure == nil || got.Failure.Limit != LimitMemory || !strings.Contains(got.Failure.Message, want) {
			t.Errorf("failure %+v", got.Failure)
		}
	})
	t.Run("threads", func(t *testing.T) {
		got := runIn(t, r, "    import threading, time\n    n = 0\n    try:\n        while n < 1000:\n            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n            n += 1\n    except RuntimeError as e:\n        return [n, str(e)]\n    return [n, 'no end']\n")
		list, _ := got.Payload.([]any)
		if len(list) != 2 || list[1] != "can't start new thread" || list[0].(int64) > int64(r.cfg.Limits.Threads) {
			t.Errorf("payload %v, failure %+v", got.Payload, got.Failure)
		}
	})
	t.Run("limits", func(t *testing.T) {
		seen := map[string]string{}
		job := Job{
			Handler: "handler", Source: "import boto3\ndef handler(e, c):\n    boto3.client('sts').get_caller_identity()\n", Region: "eu-west-1",
			Call: func(context.Context, apimodel.Call) (apimodel.Reply, error) {
				for _, name := range []string{"memory.max", "memory.oom.group", "pids.max", "pids.current", "memory.current", "cgroup.procs"} {
					raw, err := os.ReadFile(filepath.Join(leaf(), name))
					if err != nil {
						return apimodel.Reply{}, err
					}
					seen[name] = strings.TrimSpace(string(raw))
				}
				return apimodel.Reply{Output: map[string]any{}}, nil
			},
		}
		if got, err := r.Run(t.Context(), job); err != nil || got.Failure != nil {
			t.Fatalf("%v, %+v", err, got.Failure)
		}
		t.Logf("%v", seen)
		if seen["memory.max"] != strconv.FormatInt(top.memory(), 10) || seen["memory.oom.group"] != "1" || seen["pids.max"] != "64" || seen["pids.current"] != "1" || len(strings.Fields(seen["cgroup.procs"])) != 1 {
			t.Errorf("limits %v", seen)
		}
	})
	if below := groupsBelow(top.dir); len(below) > 2 { // one stands by, one may be coming up
		t.Errorf("groups of scripts that have ended: %v", below)
	}
	if err := r.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(top.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the runner's group is left: %v", err)
	}
}

func taken(dir string) int {
	raw, err := os.ReadFile(filepath.Join(dir, "memory.current"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
	return n
}

// TestAForkBombInAGroup runs a process that no other limit holds: it has neither a
// sandbox nor limits of its own.
func TestAForkBombInAGroup(t *testing.T) {
	within(t, func(t *testing.T) {
		g, err := openGroups(Limits{Memory: 64 << 20}.filled())
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		one, err := g.open(1)
		if err != nil {
			t.Fatal(err)
		}
		defer one.entered()
		dir, err := os.Open(one.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "b() { b | b & b; }; b")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		most := int64(0)
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			raw, err := os.ReadFile(filepath.Join(one.dir, "pids.current"))
			n, odd := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
			if err != nil || odd != nil {
				t.Fatal(err, odd)
			}
			most = max(most, n)
		}
		events, err := os.ReadFile(filepath.Join(one.dir, "pids.events"))
		if refused := counts(string(events))["max"]; err != nil || refused == 0 || most < 2 || most > 64 {
			t.Errorf("at most %d processes, %d forks were refused, %v", most, refused, err)
		}
		began := time.Now()
		if err := one.remove(); err != nil {
			t.Error(err)
		}
		t.Logf("at most %d processes, all ended after %s", most, time.Since(began))
		_ = cmd.Wait()
	})
}

// TestGroupsThatAKilledProcessLeft kills a process under its script, and starts the
// next.
func TestGroupsThatAKilledProcessLeft(t *testing.T) {
	if os.Getenv(inGroup) != "" {
		victim(t)
		return
	}
	base := handOnGroup(t)
	cmd := again(t, base, "victim")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "the script runs") {
		t.Log(lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	left := held(base)
	if len(left) != 1 || len(groupsBelow(left[0])) == 0 {
		t.Fatalf("nothing is left to be removed: %v", groupsBelow(base))
	}
	// What a killed process left may still run: another process in the group.
	stray := exec.CommandContext(t.Context(), "/bin/sleep", "600")
	f, err := os.Open(groupsBelow(left[0])[0])
	if err != nil {
		t.Fatal(err)
	}
	stray.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	if err := errors.Join(stray.Start(), f.Close()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stray.Wait() }()
	sweepGroups(base)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("what was left still runs")
	}
	if now := held(base); len(now) != 0 {
		t.Errorf("left: %v", now)
	}
}

func held(base string) []string {
	return slices.DeleteFunc(groupsBelow(base), func(dir string) bool { return !strings.HasPrefix(filepath.Base(dir), groupsPrefix) })
}

// victim runs a script until it is killed. What it holds is not swept meanwhile.
func victim(t *testing.T) {
	r := groupRunner(t, Namespaces)
	base := filepath.Dir(r.now.groups.dir)
	_, err := r.Run(t.Context(), Job{
		Handler: "handler", Source: "import time\ndef handler(e, c):\n    time.sleep(600)\n",
		Call: func(context.Context, apimodel.Call) (apimodel.Reply, error) { return apimodel.Reply{}, nil },
		Entered: func() {
			sweepGroups(base)
			if len(held(base)) != 1 {
				t.Error("a group that is held was removed")
				return
			}
			fmt.Println("the script runs")
		},
	})
	t.Errorf("it was not killed: %v", err)
}

// TestGroupsOfAnOrdinaryUser holds what systemd gives to a unit with User=: the
// folder and some of its files are the user's, the limits above are not.
func TestGroupsOfAnOrdinaryUser(t *testing.T) {
	if os.Getenv(inGroup) != "" {
		ordinaryGroups(t)
		return
	}
	report, err := Probe(t.Context(), "/usr/bin/python3")
	if err != nil {
		t.Skip("no python3 that everybody may run: ", err)
	}
	const nobody = 65534
	base := handOnGroup(t)
	for _, name := range []string{".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(base, name), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.MkdirTemp("/var/tmp", "parry-groups-") //nolint:usetesting // everybody may enter it
	if err != nil {
		t.Skip("no folder that everybody may enter: ", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(program) })
	raw, err := os.ReadFile("/proc/self/exe")
	if err = errors.Join(err, os.WriteFile(filepath.Join(program, "test"), raw, 0o755), os.Chmod(program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := again(t, base, report.Python)
	cmd.Path, cmd.Dir = filepath.Join(program, "test"), program
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

func ordinaryGroups(t *testing.T) {
	report, err := Probe(t.Context(), os.Getenv(inGroup))
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{}.filled()
	g, err := openGroups(limits)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	z, err := startZygote(t.Context(), settings{level: Namespaces, report: report, limits: limits, pool: 1, groups: g, logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer z.stop()
	c, err := z.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.end()
	procs, err := os.ReadFile(filepath.Join(c.group.dir, "cgroup.procs"))
	if err != nil || len(strings.Fields(string(procs))) != 1 {
		t.Errorf("in the script's group are %q, %v", procs, err)
	}
}

// TestWithoutAControlGroup is for everybody else: scripts run, and the status says why.
func TestWithoutAControlGroup(t *testing.T) {
	if _, err := findDelegation(); err == nil {
		t.Skip("this process has a control group of its own")
	}
	g, err := openGroups(Limits{}.filled())
	if s := groupsStatus(g, err); g != nil || s.InForce || s.Sentence == "" || s.Next == "" {
		t.Errorf("%v, %+v", g, s)
	}
}

// TestAGroupThatCannotBeMadeCostsNoSandbox gives a runner a folder that is no control
// group: scripts run without, and the status says so.
func TestAGroupThatCannotBeMadeCostsNoSandbox(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds: an interpreter starts")
	}
	report, err := Find(t.Context(), os.Getenv("PARRY_PYTHON"))
	if err != nil {
		t.Skip(err)
	}
	r, err := New(Config{Python: report.Python, Clock: service.SystemClock{}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lock, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &launch{groups: &groups{dir: dir, lock: lock, limits: r.cfg.Limits}}
	l.status.Groups = groupsStatus(l.groups, nil)
	if err := r.start(t.Context(), l, Namespaces, report); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.end)
	if s := l.status.Groups; s.InForce || !strings.Contains(s.Sentence, "make the control group of a script") {
		t.Errorf("status %+v", s)
	}
	if _, err := lock.Stat(); l.groups != nil || !errors.Is(err, os.ErrClosed) {
		t.Errorf("the groups are kept: %v", err)
	}
}
