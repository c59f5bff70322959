package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is parry serve as a process of its own.
type server struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  string
}

// launch starts the server and waits until it answers.
func (s *story) launch(ctx context.Context) (*server, time.Duration, error) {
	logName := filepath.Join(s.Dir, "serve.log")
	logFile, err := os.OpenFile(logName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = logFile.Close() }()
	cmd := exec.Command(s.Program, "serve", "--config", s.config) //nolint:noctx // it outlives the step; stop ends it
	cmd.Env = append(s.env.Environ(s.env.Estate.Security.Hub), "AWS_ENDPOINT_URL="+s.env.WallURL)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Dir = s.Dir
	bind(cmd)
	began := s.clock.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	srv := &server{cmd: cmd, done: make(chan struct{}), log: logName}
	go func() { _ = cmd.Wait(); close(srv.done) }()
	for {
		if healthy(ctx, s.endpoint) {
			return srv, s.clock.Now().Sub(began), nil
		}
		select {
		case <-srv.done:
			return nil, 0, fmt.Errorf("parry serve ended: %s", tail(logName))
		case <-ctx.Done():
			srv.stop()
			return nil, 0, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
		if s.clock.Now().Sub(began) > 30*time.Second {
			srv.stop()
			return nil, 0, fmt.Errorf("parry serve did not answer within 30 s: %s", tail(logName))
		}
	}
}

// withServerEnd adds to what went wrong that the server has ended by itself, and what it
// said last: whoever reads that it cannot be reached could not look, its log is removed.
func (s *story) withServerEnd(err error) error {
	if s.server == nil {
		return err
	}
	select {
	case <-s.server.done:
		return fmt.Errorf("%w\nparry serve had ended (%v): %s", err, s.server.cmd.ProcessState, tail(s.server.log))
	default:
		return err
	}
}

func healthy(ctx context.Context, endpoint string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/v1/health", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop ends the server as an operator would, and by force when it lingers.
func (v *server) stop() {
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.done:
	case <-time.After(20 * time.Second):
		_ = v.cmd.Process.Kill()
		<-v.done
	}
}

// kill ends the server as a crash does.
func (v *server) kill() {
	_ = v.cmd.Process.Kill()
	<-v.done
}

// parry runs Parry's own command line as person ("" = on the host, without a key).
func (s *story) parry(ctx context.Context, person string, args ...string) ([]byte, error) {
	return output(s.parryCommand(ctx, person, args...), "parry "+strings.Join(args, " "))
}

func (s *story) parryCommand(ctx context.Context, person string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.Program, append(args, "--config", s.config)...)
	cmd.Dir = s.Dir
	cmd.Env = os.Environ()
	if person != "" {
		k := s.keys[person]
		cmd.Env = append(cmd.Env, "PARRY_ENDPOINT="+s.endpoint, "PARRY_ACCESS_KEY_ID="+k.ID, "PARRY_SECRET_ACCESS_KEY="+k.Secret)
	}
	return cmd
}

// parryBoth is parry with what the command says on standard error behind its output.
func (s *story) parryBoth(ctx context.Context, person string, args ...string) (string, error) {
	cmd := s.parryCommand(ctx, person, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("parry %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// aws runs the AWS CLI against Parry with the key of person.
func (s *story) aws(ctx context.Context, person string, args ...string) ([]byte, error) {
	program, err := s.env.AWS()
	if err != nil {
		return nil, err
	}
	k := s.keys[person]
	cmd := exec.CommandContext(ctx, program, append(args, "--endpoint-url", s.endpoint, "--output", "json")...)
	cmd.Dir = s.Dir
	cmd.Env = s.env.Environ(s.env.Estate.Security.Hub) // a clean environment; its keys are replaced
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+k.ID, "AWS_SECRET_ACCESS_KEY="+k.Secret, "AWS_DEFAULT_REGION="+s.env.Estate.Region, "AWS_PAGER=")
	return output(cmd, "aws "+strings.Join(args[:2], " "))
}

func output(cmd *exec.Cmd, what string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return out.Bytes(), &commandError{what: what, code: ended.ExitCode(), text: strings.TrimSpace(errs.String())}
	}
	return out.Bytes(), err
}

// commandError is a command that did not end with 0.
type commandError struct {
	what string
	code int
	text string
}

func (e *commandError) Error() string { return fmt.Sprintf("%s: exit %d: %s", e.what, e.code, e.text) }

func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

func tail(name string) string {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	if len(raw) > 2000 {
		raw = raw[len(raw)-2000:]
	}
	return strings.TrimSpace(string(raw))
}
