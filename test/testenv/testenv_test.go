package testenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("TESTENV_HELPER_DIR"); dir != "" {
		helper(dir)
	}
	goleak.VerifyTestMain(m)
}

// helper is another process that starts a world, says where, and hangs.
func helper(dir string) {
	env, err := testenv.Start(context.Background(), testenv.Options{Dir: dir, WithoutEstate: true})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	postgres, err := testenv.StartPostgres(context.Background(), dir)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	db, _ := url.Parse(postgres.URL) // made by url-safe parts
	fmt.Println("ready", env.MotoAddr(), db.Host)
	select {}
}

// TestNothingOutlivesAKilledStarter kills the process that started a world and
// finds nobody at home.
func TestNothingOutlivesAKilledStarter(t *testing.T) {
	t.Parallel()
	envtest.Needs(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "TESTENV_HELPER_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "ready" {
		t.Fatalf("the helper says %q", line)
	}
	for _, addr := range words[1:] {
		if !answers(addr) {
			t.Errorf("%s does not answer", addr)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	deadline := time.Now().Add(30 * time.Second)
	for _, addr := range words[1:] {
		for answers(addr) {
			if time.Now().After(deadline) {
				t.Fatalf("%s still answers", addr)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// The tests that share a world: it takes seconds to start.
func TestWorld(t *testing.T) {
	t.Parallel()
	env := envtest.For(t)
	for name, test := range map[string]func(*testing.T, *testenv.Env){
		"is whole":                theWorldIsWhole,
		"has judges":              theJudges,
		"announcements are read":  announcementsAreRead,
		"findings are importable": findingsAreImportable,
		"script errors say what":  scriptErrors,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, env)
		})
	}
}

func theWorldIsWhole(t *testing.T, env *testenv.Env) {
	for _, name := range []string{"dev", "prod"} {
		m := env.Estate.Members[name]
		if m.Account == "" || m.PublicBucket == "" || m.PrivateBucket == "" {
			t.Errorf("member %s is not whole: %+v", name, m)
		}
	}
	aws, err := env.AWS()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), aws, "sts", "get-caller-identity", "--query", "Arn", "--output", "text")
	cmd.Env = env.Environ(env.Estate.Security.Hub)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), "arn:aws:iam::"+env.Estate.Security.Account+":user/parry"; got != want {
		t.Errorf("caller is %q, want %q", got, want)
	}
	if raw, err := os.ReadFile(env.WallLog()); err != nil || !strings.Contains(string(raw), `"GetCallerIdentity"`) {
		t.Errorf("the request log lacks the call (%v)", err)
	}
}

func TestMotoIsLostAndComesBackEmpty(t *testing.T) {
	t.Parallel()
	env := envtest.For(t)
	old := env.Estate.Security.Hub
	env.KillMoto()
	if _, err := env.Run(t.Context(), "estate.py", "--endpoint", env.WallURL); err == nil {
		t.Fatal("a call succeeded without moto")
	}
	if err := env.RestartMoto(t.Context()); err != nil {
		t.Fatal(err)
	}
	if env.Estate.Security.Hub == old {
		t.Error("the estate still has the old keys")
	}
}

func TestPythonThatDoesNotServeIsNamedWithAHint(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"missing":      filepath.Join(t.TempDir(), "python"),
		"without moto": fakePython(t),
	} {
		_, err := testenv.FindPython(t.Context(), path)
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "make venv") {
			t.Errorf("%s: got %v with hint %q", name, err, fault.HintOf(err))
		}
		if name == "without moto" && !strings.Contains(err.Error(), "No module named 'moto'") {
			t.Errorf("%s: the error hides the reason: %v", name, err)
		}
	}
}

func fakePython(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'moto'\" >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMailIsKept(t *testing.T) {
	t.Parallel()
	sink, err := testenv.StartSMTP(t.Context(), filepath.Join(t.TempDir(), "mail"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Stop)
	message := []byte("From: parry@example.com\r\nTo: team@example.com\r\nSubject: =?utf-8?q?Awaiting_approval_=E2=9C=93?=\r\n\r\none\r\n..two\r\n")
	sink.Refuse(1)
	send := func() error {
		return smtp.SendMail(sink.Addr(), nil, "parry@example.com", []string{"team@example.com", "two@example.com"}, message)
	}
	if err := send(); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("the refused message gave %v", err)
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := sink.Await(ctx, func(m testenv.Mail) bool { return m.From == "parry@example.com" })
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "Awaiting approval ✓" || len(m.To) != 2 || !strings.HasSuffix(m.Text(), "one\n..two\n") {
		t.Errorf("kept %+v with text %q", m, m.Text())
	}
	if raw, err := os.ReadFile(m.File); err != nil || string(raw) != m.Text() {
		t.Errorf("the file holds %q (%v)", raw, err)
	}
	if n := len(sink.Mails()); n != 1 {
		t.Errorf("%d messages are kept, want 1", n)
	}
}

func TestPostgresAnswersAndEnds(t *testing.T) {
	t.Parallel()
	p := envtest.Postgres(t)
	url, err := p.CreateDatabase(t.Context(), "parry_one")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(url, "postgres://postgres@127.0.0.1:") || !strings.Contains(url, "/parry_one?") {
		t.Errorf("url is %q", url)
	}
	if _, err := p.CreateDatabase(t.Context(), "parry_one"); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("making it twice gave %v", err)
	}
	p.Stop()
	if _, err := p.CreateDatabase(t.Context(), "parry_two"); err == nil {
		t.Error("it still answers after Stop")
	}
}

func scriptErrors(t *testing.T, env *testenv.Env) {
	_, err := env.Run(t.Context(), "estate.py")
	var script *testenv.ScriptError
	if !errors.As(err, &script) || script.Status != 2 || !strings.Contains(script.Error(), "--endpoint") {
		t.Errorf("got %v", err)
	}
}
