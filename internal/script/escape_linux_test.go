package script_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/script"
)

// raw begins a script that goes around boto3's patch and Python's modules: what
// it calls is the kernel.
const raw = `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*args)
    return "done" if result >= 0 else os.strerror(ctypes.get_errno())
def attempt(f, *args):
    try:
        return ["done", str(f(*args))[:200]]
    except BaseException as e:
        return [type(e).__name__, str(e)]
`

const (
	notPermitted = "Operation not permitted"
	handlerHead  = "\ndef handler(events, context):\n"
)

func TestNoNetwork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	levels(t, func(t *testing.T, r *script.Runner) {
		got := value(t, run(t, r, script.Job{Payload: map[string]any{"port": listener.Addr().(*net.TCPAddr).Port}, Source: raw + `
import _socket, socket, urllib.request, http.client
def pair():
    a, b = socket.socketpair()
    a.sendall(b"x")
    return b.recv(1)
def raw_socket(family, kind):
    return call("socket", family, kind, 0)
def handler(events, context):
    return {
        "tcp": raw_socket(2, 1), "udp": raw_socket(2, 2), "tcp6": raw_socket(10, 1), "unix": raw_socket(1, 1), "netlink": raw_socket(16, 3),
        "packet": raw_socket(17, 3), "vsock": raw_socket(40, 1), "alg": raw_socket(38, 5),
        "module": attempt(_socket.socket, 2, 1)[0],
        "named": attempt(socket.create_connection, ("127.0.0.1", events["port"]), 2),
        "dns": attempt(socket.getaddrinfo, "example.com", 443)[0], "libc dns": attempt(_socket.gethostbyname, "example.com")[0],
        "imds": attempt(urllib.request.urlopen, "http://169.254.169.254/latest/meta-data/")[1],
        "pair": attempt(pair)[0], "datagram pair": attempt(_socket.socketpair, 1, 2)[0],
    }
`}))
		named := "ParrySandboxError: the network is not available in a script's sandbox: scripts reach AWS through boto3 only, and boto3 through Parry"
		want := map[string]any{
			"tcp": notPermitted, "udp": notPermitted, "tcp6": notPermitted, "unix": notPermitted, "netlink": notPermitted,
			"packet": notPermitted, "vsock": notPermitted, "alg": notPermitted, "module": "PermissionError", "named": []any{"ParrySandboxError", named},
			"dns": "ParrySandboxError", "libc dns": "gaierror", "imds": "<urlopen error " + named + ">", "pair": "done", "datagram pair": "PermissionError",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("network (-want +got):\n%s", diff)
		}
	})
}

func TestNothingOfTheHostIsSeen(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("top secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PARRY_TEST_SECRET", "top secret")
	for _, level := range []script.Level{script.Namespaces, script.Landlock} {
		r := newRunner(t, script.Config{Python: pythonPath(t), Level: level})
		t.Cleanup(func() { _ = r.Stop(t.Context()) })
		payload := map[string]any{"files": []any{
			secret, "/etc/passwd", "/etc/shadow", "/etc/hostname", "/proc/self/environ", "/proc/1/environ", "/proc/self/maps", "/proc/self/fd", "/proc/net/tcp",
			"/proc/" + strconv.Itoa(os.Getpid()) + "/environ", "/sys/class/net", "/root/.bashrc", "/root/.ssh", "/var/log", "/run", "/home", "/dev/kmsg", "/dev/vda", "/dev/tty", "/tmp/../etc/passwd",
			"/.host/etc/passwd", "/var/lib",
		}}
		got := value(t, run(t, r, script.Job{Payload: payload, Source: raw + `
def read(path):
    if os.path.isdir(path):
        return os.listdir(path)
    return open(path, "rb").read()
def handler(events, context):
    seen = [p for p in events["files"] if attempt(read, p)[0] == "done"]
    return {"seen": seen, "environ": {k: v for k, v in os.environ.items() if "secret" in v or not k.isupper()}, "names": sorted(os.environ)}
`}))
		m := got.(map[string]any)
		if diff := cmp.Diff(map[string]any{"seen": []any{}, "environ": map[string]any{}}, map[string]any{"seen": m["seen"], "environ": m["environ"]}); diff != "" {
			t.Errorf("%s: of the host (-want +got):\n%s\n%v", level, diff, m["names"])
		}
	}
}

func TestOnlyTheOwnFolderIsWritten(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		outside := filepath.Join(os.TempDir(), "parry-escape-"+strconv.Itoa(os.Getpid())+"-"+string(r.Level()))
		t.Cleanup(func() { _ = os.Remove(outside) })
		got := value(t, run(t, r, script.Job{Payload: map[string]any{"outside": outside}, Source: raw + `
import tempfile, sys, boto3
def write(path):
    with open(path, "w") as f:
        f.write("x")
def handler(events, context):
    own = os.path.join(tempfile.gettempdir(), "mine")
    libdir = os.path.dirname(boto3.__file__)
    return {
        "own": attempt(write, own)[0], "own again": open(own).read(), "relative": attempt(write, "here")[0],
        "root": attempt(write, "/x")[0], "module": attempt(write, os.path.join(libdir, "x.py"))[0], "over module": attempt(write, boto3.__file__)[0],
        "interpreter": attempt(write, sys.executable)[0], "chmod": attempt(os.chmod, boto3.__file__, 0o777)[0], "dev": attempt(write, "/dev/x")[0],
        "etc": attempt(write, "/etc/x")[0], "remove": attempt(os.remove, boto3.__file__)[0], "move": attempt(os.rename, own, "/x")[0],
        "link": attempt(lambda: (os.symlink("/etc/passwd", "l"), open("l").read()))[0], "hard link": attempt(os.link, boto3.__file__, "h")[0],
        "up": attempt(write, "../../../x")[0], "null": attempt(write, "/dev/null")[0],
    }
`}))
		m := got.(map[string]any)
		for name, v := range m {
			want := map[string]bool{"own": true, "relative": true, "null": true}[name]
			if name == "own again" {
				if v != "x" {
					t.Errorf("own file holds %v", v)
				}
				continue
			}
			if (v == "done") != want {
				t.Errorf("%s: %v", name, v)
			}
		}
		if r.Level() == script.Landlock {
			got := value(t, run(t, r, script.Job{Payload: outside, Source: raw + handlerHead + "    return attempt(open, events, 'w')[0]\n"}))
			if _, err := os.Stat(outside); err == nil || got == "done" {
				t.Errorf("%s was written: %v", outside, got)
			}
		}
	})
}

func TestDangerousSystemCallsAreRefused(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		got := value(t, run(t, r, script.Job{Source: raw + `
import platform
numbers = {"x86_64": {"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "keyctl": 250, "add_key": 248, "bpf": 321, "perf_event_open": 298, "kexec_load": 246,
    "userfaultfd": 323, "memfd_create": 319, "open_by_handle_at": 304, "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "fsopen": 430,
    "open_tree": 428, "move_mount": 429, "mount_setattr": 442, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424, "kill": 62, "tkill": 200, "tgkill": 234,
    "rt_sigqueueinfo": 129, "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "clone": 56, "connect": 42, "bind": 49, "listen": 50, "accept4": 288, "sendmsg": 46, "sendmmsg": 307,
    "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "personality": 135, "setuid": 105, "setresuid": 117, "setgroups": 116, "capset": 126, "reboot": 169, "init_module": 175,
    "iopl": 172, "modify_ldt": 154, "seccomp": 317, "landlock_create_ruleset": 444, "mknod": 133, "mknodat": 259, "fanotify_init": 300, "inotify_init1": 294, "syslog": 103, "acct": 163, "swapon": 167,
    "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "sethostname": 170, "quotactl": 179, "process_madvise": 440, "kcmp": 312, "timer_create": 222, "splice": 275, "vmsplice": 278}}[platform.machine()]
def handler(events, context):
    wrong = {}
    for name, number in numbers.items():
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0))
        if result != -1 or ctypes.get_errno() != 1:
            wrong[name] = [result, ctypes.get_errno()]
    flags = {"clone thread with namespace": libc.syscall(56, 0x10100, 0, 0, 0, 0), "clone user ns": libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)}
    wrong.update({k: v for k, v in flags.items() if v != -1})
    libc.syscall(435, None, 0)
    if ctypes.get_errno() != 38: wrong["clone3"] = ctypes.get_errno()
    for name, args in {"setown": (0, 8, 1), "setsig": (0, 10, 9), "notify": (0, 1026, 1)}.items():
        if libc.fcntl(*args) != -1: wrong[name] = "done"
    for name, option in {"seccomp off": 22, "keepcaps": 8, "dumpable": 4, "ptracer": 0x59616d61, "securebits": 28, "ambient": 47, "mm": 35, "subreaper": 36}.items():
        if libc.prctl(option, 0, 0, 0, 0) != -1: wrong[name] = "done"
    for name, request in {"tiocsti": 0x5412, "fioasync": 0x5452, "fiosetown": 0x8901, "tioclinux": 0x541c}.items():
        if libc.ioctl(0, request, 0) != -1 or ctypes.get_errno() != 1: wrong[name] = "done"
    return wrong
`}))
		if diff := cmp.Diff(map[string]any{}, got); diff != "" {
			t.Errorf("let through (-want +got):\n%s", diff)
		}
	})
}

func TestForeignSystemCallsEndTheProcess(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		// int 0x80 is the 32-bit interface, whose numbers the filter does not know.
		got := run(t, r, script.Job{Source: raw + `
import mmap, platform
def handler(events, context):
    if platform.machine() != "x86_64": os._exit(7)
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
`})
		if got.Failure == nil || got.Failure.Limit != script.LimitCrash {
			t.Errorf("payload %v, failure %+v", got.Payload, got.Failure)
		}
		x32 := value(t, run(t, r, script.Job{Source: raw + handlerHead + "    return [libc.syscall(0x40000000 + 57), ctypes.get_errno()]\n"}))
		if diff := cmp.Diff([]any{int64(-1), int64(1)}, x32); diff != "" {
			t.Errorf("x32 (-want +got):\n%s", diff)
		}
	})
}

func TestNoProcessesAndNoPrograms(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		got := value(t, run(t, r, script.Job{Source: raw + `
import subprocess, posix, multiprocessing
def handler(events, context):
    return {
        "cli": attempt(subprocess.run, ["aws", "s3", "ls"]), "shell": attempt(os.system, "true")[0], "fork": attempt(posix.fork)[0],
        "exec": attempt(posix.execv, "/bin/sh", ["sh"])[0], "spawn": attempt(posix.posix_spawn, "/bin/sh", ["sh"], {})[0],
        "pool": attempt(lambda: multiprocessing.Process(target=print).start())[0], "output": attempt(subprocess.check_output, "id", )[0],
        "kill parent": attempt(posix.kill, os.getppid() or 1, 9)[0], "kill all": attempt(posix.kill, -1, 9)[0], "kill self": attempt(posix.kill, os.getpid(), 9)[0],
    }
`}))
		m := got.(map[string]any)
		want := []any{"ParrySandboxError", "ParrySandboxError: starting the program 'aws' is not available in a script's sandbox: scripts reach AWS through boto3 only, and boto3 through Parry"}
		if diff := cmp.Diff(want, m["cli"]); diff != "" {
			t.Errorf("the AWS CLI (-want +got):\n%s", diff)
		}
		for name, v := range m {
			if v == "done" {
				t.Errorf("%s was done", name)
			}
		}
	})
}

func TestDescriptorsAreTheSocketAndNothingElse(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		got := value(t, run(t, r, script.Job{Source: raw + `
import stat
def handler(events, context):
    found = []
    for fd in range(0, 4096):
        try:
            mode = os.fstat(fd).st_mode
        except OSError:
            continue
        found.append([fd, "socket" if stat.S_ISSOCK(mode) else "device" if stat.S_ISCHR(mode) else oct(mode)])
    return {"found": found, "ids": [os.getuid() == 0, os.geteuid() == 0], "groups": os.getgroups()}
`}))
		m := got.(map[string]any)
		want := []any{[]any{int64(0), "device"}, []any{int64(1), "device"}, []any{int64(2), "device"}, []any{int64(3), "socket"}}
		if diff := cmp.Diff(want, m["found"]); diff != "" {
			t.Errorf("descriptors (-want +got):\n%s", diff)
		}
		if r.Level() == script.Namespaces {
			if diff := cmp.Diff([]any{false, false}, m["ids"]); diff != "" {
				t.Errorf("runs as root (-want +got):\n%s", diff)
			}
		}
	})
}

// TestTwoScriptsDoNotSeeEachOther runs both at once: each leaves traces where it
// can and looks for the other's.
func TestTwoScriptsDoNotSeeEachOther(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		source := raw + `
import time, glob, tempfile, sys
def handler(events, context):
    sys.modules["builtins"].TRACE = events
    with open("trace-" + events, "w") as f:
        f.write(events)
    time.sleep(0.7)
    parent = os.path.dirname(tempfile.gettempdir())
    seen = glob.glob("/tmp/**/trace-*", recursive=True) + glob.glob("trace-*") + glob.glob(parent + "/*/trace-*") + glob.glob("/dev/shm/*")
    others = [p for p in range(1, 40) if p != os.getpid() and attempt(os.getpgid, p)[0] == "done"] if events[0] == "n" else []
    return {"files": sorted({os.path.basename(p) for p in seen}), "others": others, "trace": TRACE}
`
		type answer struct {
			name   string
			result script.Result
		}
		answers := make(chan answer, 2)
		prefix := string(r.Level())[:1]
		for _, name := range []string{prefix + "1", prefix + "2"} {
			go func() { answers <- answer{name, run(t, r, script.Job{Payload: name, Source: source})} }()
		}
		for range 2 {
			a := <-answers
			want := map[string]any{"files": []any{"trace-" + a.name}, "others": []any{}, "trace": a.name}
			if diff := cmp.Diff(want, value(t, a.result)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", a.name, diff)
			}
		}
		after := value(t, run(t, r, script.Job{Source: "import os, tempfile\ndef handler(e, c):\n    return [os.listdir(tempfile.gettempdir()), hasattr(__builtins__, 'TRACE') or 'TRACE' in __builtins__]\n"}))
		if diff := cmp.Diff([]any{[]any{}, false}, after); diff != "" {
			t.Errorf("left behind (-want +got):\n%s", diff)
		}
	})
}

func TestGreedyScriptsAreEnded(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute: fills memory, disk and time")
	}
	for name, c := range map[string]struct {
		source  string
		timeout time.Duration
		limit   string
		kind    string // of the exception, where it is one
	}{
		"endless loop":       {source: "    while True: pass\n", timeout: time.Second, limit: script.LimitTime},
		"endless sleep":      {source: "    import time; time.sleep(3600)\n", timeout: time.Second, limit: script.LimitTime},
		"loop that catches":  {source: "    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n", timeout: time.Second, limit: script.LimitTime},
		"native endless":     {source: "    return sum(9**9**9 for _ in range(9))\n", timeout: time.Second, limit: script.LimitTime},
		"memory":             {source: "    x = []\n    while True: x.append(bytearray(10_000_000))\n", limit: script.LimitMemory, kind: "MemoryError"},
		"memory at once":     {source: "    return len(bytearray(8 << 30))\n", limit: script.LimitMemory, kind: "MemoryError"},
		"recursion":          {source: "    return handler(events, context)\n", kind: "RecursionError"},
		"deep recursion":     {source: "    import sys; sys.setrecursionlimit(10**9)\n    f = lambda x: repr(x)\n    x = []\n    for _ in range(10**6): x = [x]\n    return f(x)\n", limit: script.LimitCrash},
		"exits":              {source: "    import os; os._exit(3)\n", limit: script.LimitCrash},
		"exits politely":     {source: "    raise SystemExit('bye')\n", kind: "SystemExit"},
		"giant value":        {source: "    return 'x' * 200_000\n", limit: script.LimitPayload, kind: "ValueError"},
		"no JSON":            {source: "    return {1, 2}\n", limit: script.LimitResult, kind: "TypeError"},
		"a time":             {source: "    import datetime; return datetime.datetime.now()\n", limit: script.LimitResult, kind: "TypeError"},
		"not a number":       {source: "    return float('nan')\n", limit: script.LimitResult, kind: "TypeError"},
		"circle":             {source: "    x = []; x.append(x); return x\n", limit: script.LimitResult, kind: "TypeError"},
		"crash":              {source: "    import ctypes; ctypes.string_at(0)\n", limit: script.LimitCrash},
		"closes the socket":  {source: "    import os; os.close(3); import time; time.sleep(60)\n", timeout: 20 * time.Second, limit: script.LimitProtocol},
		"fork bomb":          {source: "    import posix\n    while True: posix.fork()\n", kind: "PermissionError"},
		"fills its folder":   {source: "    for i in range(10**6):\n        with open(str(i), 'wb') as f: f.write(bytes(1 << 20))\n", timeout: 20 * time.Second, kind: "OSError"},
		"giant file":         {source: "    with open('f', 'wb') as f:\n        for _ in range(1000): f.write(bytes(1 << 20))\n", timeout: 20 * time.Second, kind: "OSError"},
		"open files":         {source: "    x = [open('/dev/null') for _ in range(10_000)]\n", kind: "OSError"},
		"garbage on socket":  {source: "    import os; os.write(3, b'\\0\\0\\0\\x04junk'); import time; time.sleep(60)\n", timeout: 20 * time.Second, limit: script.LimitProtocol},
		"giant frame":        {source: "    import os; os.write(3, b'\\xff\\xff\\xff\\xff'); import time; time.sleep(60)\n", timeout: 20 * time.Second, limit: script.LimitProtocol},
		"unknown message":    {source: "    import sys; sys.modules['builtins'].open; import os; os.write(3, b'\\0\\0\\0\\x0d{\"t\":\"admin\"}'); import time; time.sleep(60)\n", timeout: 20 * time.Second, limit: script.LimitProtocol},
		"json bomb":          {source: "    import os, struct; b = b'{\"t\":\"call\",\"input\":' + b'['*100000; os.write(3, struct.pack('>I', len(b)) + b); import time; time.sleep(60)\n", timeout: 20 * time.Second, limit: script.LimitProtocol},
		"forged result":      {source: "    import os, struct; b = b'{\"t\":\"done\",\"payload\":\"{not json\"}'; os.write(3, struct.pack('>I', len(b)) + b); import time; time.sleep(60)\n", timeout: 20 * time.Second, limit: script.LimitResult},
		"forged limit":       {source: "    import os, struct; b = b'{\"t\":\"fail\",\"type\":\"E\",\"limit\":\"time\"}'; os.write(3, struct.pack('>I', len(b)) + b); import time; time.sleep(60)\n", timeout: 20 * time.Second, kind: "E"},
		"floods the socket":  {source: "    import os, struct\n    b = b'{\"t\":\"out\",\"s\":1,\"b\":{\"$b\":\"' + b'QUFB' * 100_000 + b'\"}}'\n    import sys, socket; s = socket.socket(fileno=3)\n    while True: s.sendall(struct.pack('>I', len(b)) + b)\n", timeout: 90 * time.Second, limit: script.LimitOutput},
		"threads":            {source: "    import threading, time\n    for _ in range(100_000): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n", timeout: 20 * time.Second, kind: "RuntimeError"},
		"breaks its sandbox": {source: "    import sys\n    for m in list(sys.modules): del sys.modules[m]\n    raise KeyError('x')\n", kind: "KeyError"},
		"hostile exception":  {source: "    class E(Exception):\n        def __str__(self): raise SystemExit('no')\n    raise E()\n", timeout: 20 * time.Second, kind: "E"},
	} {
		t.Run(name, func(t *testing.T) {
			levels(t, func(t *testing.T, r *script.Runner) {
				began := time.Now()
				got := run(t, r, script.Job{Source: "def handler(events, context):\n" + c.source, Timeout: c.timeout})
				if got.Failure == nil {
					t.Fatalf("payload %v", got.Payload)
				}
				f := got.Failure
				if c.kind == "OSError" && f.Limit == script.LimitTemp || c.kind == "RuntimeError" && f.Limit == script.LimitThreads {
					return // the watch was faster
				}
				if f.Limit != c.limit || c.kind != "" && f.Type != c.kind {
					t.Errorf("failure %+v", *f)
				}
				if c.timeout == time.Second && time.Since(began) > 10*time.Second {
					t.Errorf("ended after %s", time.Since(began))
				}
			})
		})
	}
}

func TestOutputIsKeptUpToALimit(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		got := run(t, r, script.Job{Source: "import sys\ndef handler(e, c):\n    for _ in range(200_000): print('x' * 99)\n    sys.stderr.buffer.write(b'\\xff\\x00ok')\n    return 1\n"})
		if value(t, got) != int64(1) {
			t.Errorf("payload %v", got.Payload)
		}
		if n := len(got.Stdout); n < 256<<10 || n > 257<<10 || !strings.HasSuffix(got.Stdout, "[the rest was not kept]\n") {
			t.Errorf("%d bytes of output, ending %q", n, got.Stdout[max(0, n-40):])
		}
		if got.Stderr != "\uFFFD\x00ok" {
			t.Errorf("stderr %q", got.Stderr)
		}
	})
}

// TestNothingIsLeftBehind looks for the processes of scripts that tried to stay.
func TestNothingIsLeftBehind(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		marker := fmt.Sprintf("left%07d%s", os.Getpid(), r.Level()[:4])
		run(t, r, script.Job{Payload: marker, Source: `
import threading, time, ctypes
def handler(events, context):
    name = ctypes.create_string_buffer(events.encode()[:15])
    def stay():
        ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
        while True: time.sleep(0.05)
    threading.Thread(target=stay).start()
    time.sleep(0.2)
    return "gone"
`})
		tasks, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/comm")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range tasks {
			if name, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(name)) == marker[:15] {
				t.Errorf("%s is still there", path)
			}
		}
	})
}
