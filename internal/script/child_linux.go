//go:build amd64 || arm64

package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// child is one execution's process. It lives in a pid namespace that ends with it.
type child struct {
	zygote *zygote
	number int
	conn   *net.UnixConn
	temp   string
	group  *group // nil = none
	birth  chan error
	over   chan struct{} // closed when the process has ended
	status int           // exit status, or the negative signal; valid after over
	// starved says that the processor time was used up; valid after over. The first
	// process of a namespace is not told by a signal, it is killed.
	starved bool

	mu    sync.Mutex
	pid   int      // as the interpreter sees it
	limit string   // why the watch ended it
	pidfd *os.File // names the process even when its number is another's already
	dying bool
}

// born is told that the process exists, or why it does not.
func (c *child) born(pid int, pidfd *os.File, err error) {
	c.mu.Lock()
	c.pid, c.pidfd = pid, pidfd
	dying := c.dying
	c.mu.Unlock()
	c.birth <- err
	if dying {
		c.kill()
	}
}

// comeUp waits until the child says that it is shut in.
func (c *child) comeUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	defer context.AfterFunc(ctx, c.kill)()
	select {
	case err := <-c.birth:
		if err != nil {
			return err
		}
	case <-c.zygote.ended:
		return errors.New("the interpreter has ended")
	case <-ctx.Done():
		return fmt.Errorf("fork a script's process: %w", context.Cause(ctx))
	}
	raw, err := readFrame(c.conn, 64<<10)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("shut in a script's process: %w", context.Cause(ctx))
		}
		return fmt.Errorf("shut in a script's process: it has ended (%w)", err)
	}
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	if m.T != "ready" {
		return fmt.Errorf("shut in a script's process: %s", clip(m.Message, 500))
	}
	return nil
}

// kill ends the process at once, and with it every process of its namespace.
func (c *child) kill() {
	c.mu.Lock()
	c.dying = true
	if c.pidfd != nil {
		_ = unix.PidfdSendSignal(int(c.pidfd.Fd()), unix.SIGKILL, nil, 0) // it may have ended
	}
	c.mu.Unlock()
	_ = c.conn.SetDeadline(time.Unix(1, 0)) // whoever reads wakes up
}

// guard watches the child, where the kernel does not do all of it, until the
// function that it gives is called.
func (c *child) guard(ctx context.Context, limits Limits) (stop func()) {
	if c.temp == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.watch(ctx, limits)
	}()
	return func() {
		cancel()
		<-done
	}
}

// end kills the process, waits until it is gone, and removes what it left.
func (c *child) end() {
	c.kill()
	select {
	case <-c.over:
	case <-c.zygote.ended:
	case <-time.After(childLimit): // the zygote hangs; the process has had its signal
	}
	c.mu.Lock()
	if c.pidfd != nil {
		_ = c.pidfd.Close()
		c.pidfd = nil
	}
	c.mu.Unlock()
	_ = c.conn.Close()
	if c.temp != "" {
		_ = os.RemoveAll(c.temp) // it is in the temporary directory
	}
	if c.group != nil {
		if err := c.group.remove(); err != nil {
			c.zygote.logger.Warn("a script's control group could not be removed", "error", err)
		}
	}
}

// fate says how a process ended that gave no result.
func (c *child) fate(ctx context.Context) (limit, text string, err error) {
	c.mu.Lock()
	limit = c.limit
	c.mu.Unlock()
	if limit != "" {
		return limit, "the script took more than its limits: " + limit, nil
	}
	select {
	case <-c.over:
	case <-c.zygote.ended:
		return "", "", errors.New("the interpreter of scripts has ended; the script ended with it")
	case <-ctx.Done():
		return "", "", ctx.Err()
	case <-time.After(2 * time.Second):
		return LimitProtocol, "the script closed its socket to Parry", nil
	}
	if c.group != nil {
		if text := c.group.outOfMemory(); text != "" {
			return LimitMemory, text, nil
		}
	}
	if c.starved {
		return LimitTime, "the script used up its processor time", nil
	}
	switch -c.status {
	case int(unix.SIGKILL):
		return LimitMemory, "the kernel ended the script's process, most likely for the memory that it took", nil
	case int(unix.SIGXCPU):
		return LimitTime, "the script used up its processor time", nil
	case int(unix.SIGSEGV), int(unix.SIGBUS), int(unix.SIGABRT), int(unix.SIGILL), int(unix.SIGFPE):
		return LimitCrash, fmt.Sprintf("the script's interpreter crashed (%s): endless recursion, memory, or native code", unix.SignalName(unix.Signal(-c.status))), nil
	case int(unix.SIGSYS):
		return LimitCrash, "the script made a system call of a foreign kind", nil
	}
	return LimitCrash, fmt.Sprintf("the script's process ended with status %d before it gave a result", c.status), nil
}
