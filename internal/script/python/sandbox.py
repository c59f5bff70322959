"""Shuts the child in. Runs after the fork and before any code of a script."""
import base64
import ctypes
import os
import resource
import socket

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
CAPABILITIES = 0x20080522
SIGKILL = 9
# The same numbers on every architecture: they are younger than 2018.
CLOSE_RANGE, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 436, 444, 445, 446
LANDLOCK_READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
# What may be done below the own folder: no device, socket, pipe or program is made there.
LANDLOCK_WRITE = LANDLOCK_READ | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14


def check(result, what):
    """Raises when a call of libc failed: half a sandbox is none."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare_pid(own):
    """Makes the next fork the first process of a namespace of its own."""
    check(libc.setns(own, CLONE_NEWPID), "setns")
    check(libc.unshare(CLONE_NEWPID), "unshare pid namespace")


def enter(cfg, sock, number, group):
    """Drops everything but sock, which becomes descriptor 3. Gives the socket
    and the folder that may be written. group is the way into a control group."""
    if group is not None:
        # First of all: what this process takes from here on is counted there.
        os.write(group, b"0")
    descriptor = _close_all_but(sock)
    tmp = cfg["own"] if cfg["namespaces"] else os.path.join(cfg["temp"], str(number))
    if cfg["namespaces"]:
        _namespaces(cfg, number, tmp)
    else:
        check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl")
    _capabilities()
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if cfg["landlock"]:
        _landlock(cfg, tmp)
    _limits(cfg["limits"], cfg["namespaces"])
    if cfg["seccomp"]:
        _seccomp(base64.b64decode(cfg["seccomp"]))
    return socket.socket(fileno=descriptor), tmp


def _close_all_but(sock):
    null = os.open("/dev/null", os.O_RDWR)
    kept = os.dup2(sock.detach(), 3, inheritable=False)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # A descriptor that is left open is a way out: the system call closes them all.
    check(libc.syscall(CLOSE_RANGE, 4, 0x7FFFFFFF, 0), "close_range")
    return kept


def _namespaces(cfg, number, tmp):
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET), "unshare")
    uid = 0
    if cfg["uids"] > 1:
        uid = 1 + number % (cfg["uids"] - 1)
    options = f"size={cfg['limits']['temp']},nr_inodes=4096,mode=0700,uid={uid},gid={uid}"
    check(libc.mount(b"tmpfs", tmp.encode(), b"tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.encode()), "mount tmpfs")
    os.chdir(tmp)
    check(libc.sethostname(b"sandbox", 7), "sethostname")
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    # A user namespace in which nobody is mapped: no identity can be taken there.
    check(libc.unshare(CLONE_NEWUSER), "unshare user namespace")


def _capabilities():
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    header = (ctypes.c_uint32 * 2)(CAPABILITIES, 0)
    check(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _limits(limits, alone):
    def limit(name, value, more=0):
        hard = resource.getrlimit(name)[1]
        soft, most = (v if hard == resource.RLIM_INFINITY else min(v, hard) for v in (value, value + more))
        resource.setrlimit(name, (soft, most))

    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, limits["address"])
    limit(resource.RLIMIT_CPU, limits["cpu"], 5)  # a signal that tells why comes first
    limit(resource.RLIMIT_FSIZE, limits["temp"])
    limit(resource.RLIMIT_NOFILE, limits["files"])
    limit(resource.RLIMIT_MEMLOCK, 0)
    limit(resource.RLIMIT_MSGQUEUE, 0)
    if alone:  # counted in the user namespace; elsewhere it would count the host's processes
        limit(resource.RLIMIT_NPROC, limits["threads"])


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def _landlock(cfg, tmp):
    rules = cfg["landlock"]
    attr = (ctypes.c_uint64 * 3)(rules["fs"], rules["net"], rules["scope"])
    size = ctypes.c_size_t(rules["size"])
    ruleset = check(libc.syscall(LANDLOCK_CREATE, ctypes.byref(attr), size, 0), "landlock")
    paths = [(path, LANDLOCK_READ) for path in (["/"] if cfg["namespaces"] else rules["paths"])]
    files = [(path, LANDLOCK_READ | 1 << 1) for path in ("/dev/null", "/dev/zero")]
    for path, access in [*paths, *files, (tmp, LANDLOCK_WRITE)]:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not os.path.isdir(path):
            access &= ~(1 << 3) & (1 << 1 | 1 << 2 | 1 << 14)
        rule = _PathRule(access & rules["fs"], descriptor)
        check(libc.syscall(LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0), "landlock " + path)
        os.close(descriptor)
    check(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0), "landlock")
    os.close(ruleset)
    if not cfg["namespaces"]:
        os.chdir(tmp)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _seccomp(code):
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    check(libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0), "seccomp")
