package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parry-security/parry/test/testenv"
)

// terminal is a pseudo terminal: what a person sees and types.
type terminal struct {
	master *os.File

	mu   sync.Mutex
	seen bytes.Buffer
	done chan struct{}
}

// onTerminal starts a program whose input, output and controlling terminal are a pseudo
// terminal.
//
// https://man7.org/linux/man-pages/man7/pty.7.html
func onTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	conn, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var fails error
	if err := conn.Control(func(fd uintptr) {
		if fails = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); fails == nil {
			number, fails = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || fails != nil {
		t.Fatal(err, fails)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slave.Close() }() // the program has its own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, done: make(chan struct{})}
	go term.read()
	return term
}

// read keeps what the program prints, until it has ended.
func (m *terminal) read() {
	defer close(m.done)
	buf := make([]byte, 4096)
	for {
		n, err := m.master.Read(buf)
		m.mu.Lock()
		_, _ = m.seen.Write(buf[:n])
		m.mu.Unlock()
		if err != nil { // EIO: nobody has the other end any more
			return
		}
	}
}

func (m *terminal) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen.String()
}

// await waits until the program has printed text.
func (m *terminal) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(m.text(), text) {
		select {
		case <-m.done:
			t.Fatalf("it ended without saying %q:\n%s", text, m.text())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never said %q:\n%s", text, m.text())
		}
	}
}

func (m *terminal) enter(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(m.master, keys); err != nil {
		t.Fatal(err)
	}
}

// What a terminal makes a signal and the end of the input of.
const (
	ctrlC = "\x03"
	ctrlD = "\x04"
)

const makesAQueue = `schemaVersion: '0.3'
parameters:
  Name: {type: String}
mainSteps:
  - name: Make
    action: aws:executeAwsApi
    inputs: {Service: sqs, Api: CreateQueue, QueueName: '{{ Name }}'}
`

const pausesBefore = `schemaVersion: '0.3'
parameters:
  Name: {type: String}
mainSteps:
  - {name: Halt, action: 'aws:pause', inputs: {}}
  - name: Make
    action: aws:executeAwsApi
    inputs: {Service: sqs, Api: CreateQueue, QueueName: '{{ Name }}'}
`

const asksBefore = `schemaVersion: '0.3'
parameters:
  Name: {type: String}
mainSteps:
  - name: Ask
    action: aws:approve
    onFailure: Abort
    inputs: {Approvers: [moto], Message: Make it now.}
  - name: Make
    action: aws:executeAwsApi
    inputs: {Service: sqs, Api: CreateQueue, QueueName: '{{ Name }}'}
`

// TestOnATerminalAChangeIsAskedFor: a run of a file shows its plan and asks; only yes
// makes the change, and whatever else is answered leaves nothing behind.
func TestOnATerminalAChangeIsAskedFor(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs an emulator")
	}
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	moto, err := testenv.StartMoto(t.Context(), t.TempDir(), pythonOf(root))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)

	run, pause, approve := "Run it? [y/N] ", "Step Halt pauses. Go on? [y/N] ", "Step Ask asks for approval: Make it now.  Approve? [y/N] "
	for name, c := range map[string]struct {
		document string
		asked    []string // and what is typed to each
		keys     []string
		code     int
		says     string // at the end
		made     bool
	}{
		"yes":                {makesAQueue, []string{run}, []string{"y\r"}, 0, "status     Success", true},
		"yes in full":        {makesAQueue, []string{run}, []string{"YES\r"}, 0, "status     Success", true},
		"no":                 {makesAQueue, []string{run}, []string{"n\r"}, 1, "error: nothing was changed", false},
		"only enter":         {makesAQueue, []string{run}, []string{"\r"}, 1, "error: nothing was changed", false},
		"something else":     {makesAQueue, []string{run}, []string{"y n\r"}, 1, "error: nothing was changed", false},
		"interrupt":          {makesAQueue, []string{run}, []string{ctrlC}, 1, "error: interrupted; nothing was changed", false},
		"yes, taken back":    {makesAQueue, []string{run}, []string{"y" + ctrlC}, 1, "error: interrupted; nothing was changed", false},
		"end of input":       {makesAQueue, []string{run}, []string{ctrlD}, 1, "error: nothing was changed", false},
		"a pause ends":       {pausesBefore, []string{run, pause}, []string{"y\r", "y\r"}, 0, "status     Success", true},
		"a pause goes on":    {pausesBefore, []string{run, pause}, []string{"y\r", "n\r"}, 5, "status     Waiting", false},
		"a pause is left":    {pausesBefore, []string{run, pause}, []string{"y\r", ctrlC}, 1, "parry runbook resume", false},
		"approved":           {asksBefore, []string{run, approve}, []string{"y\r", "y\r"}, 0, "status     Success", true},
		"rejected":           {asksBefore, []string{run, approve}, []string{"y\r", "n\r"}, 1, "status     Failed", false},
		"approval is left":   {asksBefore, []string{run, approve}, []string{"y\r", ctrlC}, 1, "parry runbook resume", false},
		"approval, no input": {asksBefore, []string{run, approve}, []string{"y\r", ctrlD}, 5, "status     Waiting", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, queue := t.TempDir(), "queue-"+strings.NewReplacer(" ", "-", ",", "").Replace(name)
			if err := os.WriteFile(filepath.Join(dir, "make.yaml"), []byte(c.document), 0o600); err != nil {
				t.Fatal(err)
			}
			environ := append(os.Environ(), "HOME="+dir, "AWS_ENDPOINT_URL="+moto.URL, "AWS_ACCESS_KEY_ID=AKIATESTTESTTESTTEST", "AWS_SECRET_ACCESS_KEY=no-secret",
				"AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "TERM=dumb", "NO_COLOR=1")
			cmd := exec.CommandContext(t.Context(), "parry", "runbook", "start", "make.yaml", "--param", "Name="+queue)
			cmd.Dir, cmd.Env = dir, environ
			term := onTerminal(t, cmd)
			for i, question := range c.asked {
				term.await(t, question)
				term.enter(t, c.keys[i])
			}
			select {
			case <-term.done:
			case <-time.After(30 * time.Second):
				_ = cmd.Process.Kill()
				t.Errorf("it did not end")
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			said := term.text()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("it ended with %d, want %d and %q:\n%s", code, c.code, c.says, said)
			}
			plan, _, _ := strings.Cut(said, run)
			for _, text := range []string{"Run of make", "sqs:CreateQueue", "1 change, which cannot be undone"} {
				if !strings.Contains(plan, text) {
					t.Errorf("the plan before the question has no %q:\n%s", text, plan)
				}
			}

			look := exec.CommandContext(t.Context(), "parry", "aws", "call", "sqs", "list-queues", "--input", `{"QueueNamePrefix":"`+queue+`"}`)
			look.Dir, look.Env = dir, environ
			out, err := look.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if made := strings.Contains(string(out), queue); made != c.made {
				t.Errorf("the queue was made: %v, want %v: %s", made, c.made, out)
			}
		})
	}
}
