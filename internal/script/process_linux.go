//go:build amd64 || arm64

package script

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

const (
	// helperName is the name under which this program calls itself, and helperGuard
	// what keeps a test program that does not know of it from running its tests.
	helperName  = "parry-script-init"
	helperGuard = "-test.run=^$"
	// The descriptors of the interpreter, and of the helper before it.
	controlFD    = 3
	bundleFD     = 4
	treeFD       = 5
	pidNamespace = 5 // takes the place of treeFD
)

// The user ids that root gives to scripts: a range that nobody else uses, one id
// for each execution in turn. Any other user has but one.
const (
	firstUID   = 0x70100000
	mappedUIDs = 1 << 16
)

// launchPlan is how an interpreter is started.
type launchPlan struct {
	namespaces bool
	uids       int
	tree       tree
	python     string
	control    *os.File
	bundle     []byte
	errs       *tail
	temp       string
}

// process is the interpreter's.
type process struct {
	once sync.Once
	cmd  *exec.Cmd
	done chan struct{}
}

// startProcess starts the interpreter, with namespaces by way of this program.
func startProcess(p launchPlan) (*process, error) {
	var pipes []*os.File
	defer func() {
		for _, f := range pipes {
			_ = f.Close()
		}
	}()
	files := []*os.File{p.control}
	payloads := [][]byte{p.bundle}
	cmd := &exec.Cmd{Path: p.python, Args: interpreterArgs(p.python), Env: cleanEnvironment("/tmp"), Dir: "/"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if p.namespaces {
		spec, err := json.Marshal(helperSpec{Tree: p.tree, Python: p.python})
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, spec)
		cmd.Path, cmd.Args = "/proc/self/exe", []string{helperName, helperGuard}
		isolate(cmd.SysProcAttr, p.uids)
	}
	var writers []*os.File
	for range payloads {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		pipes = append(pipes, r)
		writers = append(writers, w)
		files = append(files, r)
	}
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = p.errs, p.errs
	proc := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go proc.supervise(started)
	if err := <-started; err != nil {
		for _, w := range writers {
			_ = w.Close()
		}
		return nil, err
	}
	for i, w := range writers {
		go func() {
			_, _ = w.Write(payloads[i]) // an interpreter that does not read is missed soon enough
			_ = w.Close()
		}()
	}
	return proc, nil
}

// supervise starts the process and waits for it on one thread: the kernel ends
// the process with the thread that started it.
func (p *process) supervise(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // it is killed in the end
	}
}

// stop kills the interpreter and waits for it.
func (p *process) stop() {
	p.once.Do(func() {
		if p.cmd.Process != nil {
			_ = p.cmd.Process.Kill() // it may have ended
		}
	})
	<-p.done
}

func interpreterArgs(python string) []string {
	return []string{python, "-I", "-B", "-X", "utf8", "-c", bootProgram()}
}

// isolate asks for namespaces of everything.
func isolate(attr *syscall.SysProcAttr, uids int) {
	attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
		syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWCGROUP
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	if uids > 1 {
		more := syscall.SysProcIDMap{ContainerID: 1, HostID: firstUID, Size: uids - 1}
		attr.UidMappings, attr.GidMappings = append(attr.UidMappings, more), append(attr.GidMappings, more)
		attr.GidMappingsEnableSetgroups = true
	}
	attr.Setsid = true
}

// mapsMany reports whether this process may give user ids away: it is root, and
// of the host or of a container that has them all.
func mapsMany() bool {
	if os.Geteuid() != 0 {
		return false
	}
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	return strings.Join(strings.Fields(string(raw)), " ") == "0 0 4294967295"
}
