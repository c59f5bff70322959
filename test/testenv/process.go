package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

const startTimeout = 60 * time.Second

// process is a child that ends when its standard input is closed.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	port  int
	done  chan struct{}
	once  sync.Once
}

// startPython starts a server that prints "ready PORT".
func startPython(ctx context.Context, python, dir, logFile string, args ...string) (*process, error) {
	logs, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logs.Close() }() // the child has its own
	// Not CommandContext: the server outlives the call that starts it.
	cmd := exec.Command(python, args...) //nolint:noctx // see above
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	cmd.Stderr = logs
	separate(cmd)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- text
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case text := <-line:
		port, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(text, "ready ")))
		if err != nil {
			p.kill()
			return nil, fmt.Errorf("it ended at once; see %s: %s", logFile, tail(logFile))
		}
		p.port = port
		return p, nil
	case <-timeout.C:
		p.kill()
		return nil, fmt.Errorf("not ready after %s; see %s", startTimeout, logFile)
	case <-ctx.Done():
		p.kill()
		return nil, context.Cause(ctx)
	}
}

func launch(cmd *exec.Cmd) (*process, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	p := &process{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the way it ended says nothing: it is told to end
		close(p.done)
	}()
	return p, nil
}

// stop closes the standard input and waits; after a while it kills.
func (p *process) stop() {
	p.once.Do(func() { _ = p.stdin.Close() }) // it may have ended already
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// tail gives the last line of a log file.
func tail(name string) string {
	raw, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return lastLine(string(raw), errors.New("the log is empty"))
}
