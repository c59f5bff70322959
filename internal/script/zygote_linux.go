//go:build amd64 || arm64

package script

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parry-security/parry/internal/fault"
)

// settings is what a zygote is made of.
type settings struct {
	level  Level
	report Report
	limits Limits
	pool   int
	boto3  bool
	groups *groups // nil = scripts have no control groups
	logger *slog.Logger
}

// zygote is the interpreter that forks a child for each execution.
type zygote struct {
	settings
	control *net.UnixConn
	process *process
	temp    string   // folder of the executions' folders; "" with namespaces
	lock    *os.File // held on temp
	errs    *tail    // what the interpreter printed last
	ready   chan *child
	refill  chan struct{}
	ended   chan struct{} // closed when the control socket is
	work    sync.WaitGroup

	mu       sync.Mutex
	number   int
	children map[int]*child
}

// notice is what the interpreter says over the control socket.
type notice struct {
	Ready   bool   `json:"ready"`
	Spawned int    `json:"spawned"`
	PID     int    `json:"pid"`
	Failed  int    `json:"failed"`
	Error   string `json:"error"`
	Ended   int    `json:"ended"`
	Status  int    `json:"status"`
	CPU     int    `json:"cpu"`  // seconds that the ended process used
	Warm    bool   `json:"warm"` // every model has been read that is read beforehand
}

const (
	// scratch is a script's own folder where Python itself is below /tmp.
	scratch    = "/scratch"
	packetSize = 64 << 10
	opZygote   = "start the interpreter of scripts"
)

// startZygote starts the interpreter at a level and tries it: a first child has to
// be shut in before the zygote counts as up.
func startZygote(ctx context.Context, s settings) (*zygote, error) {
	z := &zygote{
		settings: s, errs: &tail{}, children: map[int]*child{},
		ready: make(chan *child, s.pool), refill: make(chan struct{}, s.pool+1), ended: make(chan struct{}),
	}
	if err := z.start(); err != nil {
		z.stop()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = z.control.Close() })
	defer stop()
	first, _, err := z.receive()
	if err == nil && !first.Ready {
		err = errors.New("it said something else than that it is ready")
	}
	if err != nil {
		return nil, z.broken(err)
	}
	z.work.Go(z.listen)
	c, err := z.spawn(ctx)
	if err != nil {
		return nil, z.broken(err)
	}
	z.ready <- c
	for range s.pool - 1 {
		z.refill <- struct{}{}
	}
	z.work.Go(z.keepReady)
	return z, nil
}

// broken ends z and adds to err what the interpreter printed.
func (z *zygote) broken(err error) error {
	z.stop()
	if text := z.errs.last(); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return fault.E(fault.Unavailable, opZygote, err)
}

func (z *zygote) start() error {
	ours, theirs, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return err
	}
	z.control = ours
	defer func() { _ = theirs.Close() }() // the other process has it
	b := bundle{Namespaces: z.level == Namespaces, PIDs: pidNamespace, Boto3: z.boto3, UIDs: 1}
	if z.boto3 {
		b.Warm = warm()
	}
	if b.Seccomp, err = seccompProgram(z.level); err != nil {
		return err
	}
	var plan tree
	if plan, err = planTree(z.report); err != nil {
		return err
	}
	b.Own = "/tmp"
	if plan.within("/tmp") { // a script's own folder would hide the interpreter
		b.Own = scratch
		plan.Dirs = append(plan.Dirs, scratch)
	}
	if z.level != Namespaces {
		if z.temp, z.lock, err = tempFolder(); err != nil {
			return err
		}
		b.Temp = z.temp
	}
	if z.level != None {
		if b.Landlock, err = landlock(plan.readable()); err != nil && z.level == Landlock {
			return err
		}
	}
	if b.Namespaces && mapsMany() {
		b.UIDs = mappedUIDs
	}
	names := []string{"codec", "channel", "patch", "lookup", "analyze", "runner", "sandbox", "zygote"}
	raw, err := b.encode(z.limits, names...)
	if err != nil {
		return err
	}
	z.process, err = startProcess(launchPlan{
		namespaces: b.Namespaces, uids: b.UIDs, tree: plan, python: z.report.Python, control: theirs, bundle: raw, errs: z.errs, temp: z.temp,
	})
	return err
}

// receive reads one notice and the descriptor that came with it.
func (z *zygote) receive() (notice, *os.File, error) {
	raw, rights := make([]byte, packetSize), make([]byte, unix.CmsgSpace(4*4))
	n, rn, _, _, err := z.control.ReadMsgUnix(raw, rights)
	if err != nil {
		return notice{}, nil, err
	}
	if n == 0 {
		return notice{}, nil, errors.New("it has ended")
	}
	var m notice
	if err := json.Unmarshal(raw[:n], &m); err != nil {
		return notice{}, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		return m, nil, err
	}
	var file *os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return m, nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			file = os.NewFile(uintptr(fd), "pidfd")
		}
	}
	return m, file, nil
}

// listen passes on what the interpreter says, until it says no more.
func (z *zygote) listen() {
	defer func() {
		_ = z.control.Close()
		close(z.ended)
		z.mu.Lock()
		defer z.mu.Unlock()
		for _, c := range z.children {
			c.kill()
		}
	}()
	for {
		m, file, err := z.receive()
		if err != nil {
			return
		}
		if m.Warm {
			z.work.Go(z.renew)
		}
		z.mu.Lock()
		switch {
		case m.Spawned != 0 && z.children[m.Spawned] != nil:
			c := z.children[m.Spawned]
			c.born(m.PID, file, nil)
			file = nil
		case m.Failed != 0 && z.children[m.Failed] != nil:
			z.children[m.Failed].born(0, nil, errors.New(clip(m.Error, 500)))
			delete(z.children, m.Failed)
		case m.Ended != 0 && z.children[m.Ended] != nil:
			c := z.children[m.Ended]
			c.status, c.starved = m.Status, m.CPU >= processorSeconds(z.limits)
			close(c.over)
			delete(z.children, m.Ended)
		}
		z.mu.Unlock()
		if file != nil {
			_ = file.Close()
		}
	}
}

// spawn forks a child and waits until it is shut in.
func (z *zygote) spawn(ctx context.Context) (*child, error) {
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }() // the other process has it
	c := &child{zygote: z, conn: ours, birth: make(chan error, 1), over: make(chan struct{})}
	z.mu.Lock()
	z.number++
	c.number = z.number
	z.children[c.number] = c
	z.mu.Unlock()
	if z.temp != "" {
		c.temp = filepath.Join(z.temp, strconv.Itoa(c.number))
		if err := os.Mkdir(c.temp, 0o700); err != nil {
			c.end()
			return nil, err
		}
	}
	rights := []int{int(theirs.Fd())}
	if z.groups != nil {
		if c.group, err = z.groups.open(c.number); err != nil {
			c.end()
			return nil, fmt.Errorf("make the control group of a script: %w", err)
		}
		defer c.group.entered()
		rights = append(rights, int(c.group.procs.Fd()))
	}
	raw := fmt.Appendf(nil, `{"spawn":%d}`, c.number)
	if _, _, err := z.control.WriteMsgUnix(raw, unix.UnixRights(rights...), nil); err != nil {
		c.end()
		return nil, err
	}
	if err := c.comeUp(ctx); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// keepReady keeps children standing by.
func (z *zygote) keepReady() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-z.ended:
			return
		case <-z.refill:
		}
		c, err := z.spawn(ctx)
		if err != nil && z.dead() {
			return
		}
		if err != nil {
			// Whoever needs a child will make its own, and get the error.
			z.logger.Warn("no script's process could be made ready", "error", err)
			continue
		}
		select {
		case z.ready <- c:
		default:
			c.end()
		}
	}
}

// renew replaces the children that stand by since before the models were read.
func (z *zygote) renew() {
	for range z.pool {
		select {
		case c := <-z.ready:
			c.end()
		default:
			return // it is under way, or at work
		}
		select {
		case z.refill <- struct{}{}:
		default:
		}
	}
}

// take gives a child that is shut in, from those that stand by or a new one.
func (z *zygote) take(ctx context.Context) (*child, error) {
	for {
		select {
		case c := <-z.ready:
			select {
			case z.refill <- struct{}{}:
			default:
			}
			select {
			case <-c.over: // it did not survive the wait
				c.end()
				continue
			default:
			}
			return c, nil
		default:
			return z.spawn(ctx)
		}
	}
}

func (z *zygote) dead() bool {
	select {
	case <-z.ended:
		return true
	default:
		return false
	}
}

// stop ends the interpreter and with it every child.
func (z *zygote) stop() {
	if z.control != nil {
		_ = z.control.Close()
	}
	if z.process != nil {
		z.process.stop()
	}
	z.work.Wait()
	for {
		select {
		case c := <-z.ready:
			c.end()
			continue
		default:
		}
		break
	}
	if z.temp != "" {
		_ = os.RemoveAll(z.temp) // the next start would remove it
		_ = z.lock.Close()
	}
}

// socketPair gives our end as a connection and the other as a file.
func socketPair(kind int) (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "script"), os.NewFile(uintptr(fds[1]), "script")
	defer func() { _ = ours.Close() }() // the connection has a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		_, _ = conn.Close(), theirs.Close()
		return nil, nil, errors.New("a socket pair is no Unix socket")
	}
	return unixConn, theirs, nil
}

// tail keeps the end of what the interpreter prints, for error messages.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[max(0, len(p)-2000):]...)
	t.buf = t.buf[max(0, len(t.buf)-2000):]
	return len(p), nil
}

// last gives the last line that says something.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	return strings.TrimSpace(clip(string(lines[len(lines)-1]), 500))
}

// childLimit is how long a child may take to be shut in.
const childLimit = 20 * time.Second
