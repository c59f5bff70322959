//go:build amd64 || arm64

package script

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// The filter of system calls is an allow-list of what CPython needs to compute,
// to read and write files, to run threads and to use a socket that it has. What is
// not on it fails with EPERM, so that a script gets an exception; a call of another
// architecture ends the process.
//
// Not on it, and that is the point: socket, connect, bind, sendmsg (which takes an
// address), fork, vfork, clone without CLONE_THREAD, execve, kill and its kin,
// ptrace, process_vm_*, mount and its kin, unshare, setns, bpf, perf_event_open,
// io_uring_*, userfaultfd, keyctl, memfd_create (memory that no limit counts),
// shmget and mq_open, open_by_handle_at, personality, setuid and its kin.

const (
	dataNumber = 0 // offsets in struct seccomp_data
	dataArch   = 4
	dataArgs   = 16
)

// The requests of ioctl that are about a descriptor itself.
const (
	fionclex = 0x5450
	fioclex  = 0x5451
	fionbio  = 0x5421
	fionread = 0x541b
)

// program is a filter under construction.
type program struct{ code []unix.SockFilter }

func (p *program) add(code uint16, k uint32) { p.jump(code, k, 0, 0) }

func (p *program) jump(code uint16, k uint32, yes, no uint8) {
	p.code = append(p.code, unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no})
}

func (p *program) load(offset uint32) { p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset) }

func (p *program) end(action uint32) { p.add(unix.BPF_RET|unix.BPF_K, action) }

// skipUnless goes on when the loaded value is k, and leaves out n instructions
// otherwise.
func (p *program) skipUnless(k uint32, n uint8) {
	p.jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 0, n)
}

// allow lets a system call through.
func (p *program) allow(number uint32) {
	p.skipUnless(number, 1)
	p.end(unix.SECCOMP_RET_ALLOW)
}

// refuse lets a system call fail with an error of its own.
func (p *program) refuse(number uint32, errno uint32) {
	p.skipUnless(number, 1)
	p.end(unix.SECCOMP_RET_ERRNO | errno)
}

// allowIf lets a system call through when the lower half of its argument, under
// mask, is one of values: the kernel looks at no more of an int.
func (p *program) allowIf(number uint32, arg uint32, mask uint32, values ...uint32) {
	n := uint8(2 * len(values))
	p.skipUnless(number, 3+n)
	p.load(dataArgs + 8*arg)
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask)
	for _, v := range values {
		p.allow(v)
	}
	p.end(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
}

// allowNull lets a system call through when an argument is a null pointer.
func (p *program) allowNull(number uint32, arg uint32) {
	p.skipUnless(number, 6)
	p.load(dataArgs + 8*arg + 4)
	p.skipUnless(0, 3)
	p.load(dataArgs + 8*arg)
	p.skipUnless(0, 1)
	p.end(unix.SECCOMP_RET_ALLOW)
	p.end(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
}

// allowStreamPair lets two ends of a stream be made, as asyncio does. A pair of
// datagram sockets would take an address, and with it reach others of the host.
func (p *program) allowStreamPair() {
	p.skipUnless(unix.SYS_SOCKETPAIR, 7)
	p.load(dataArgs)
	p.skipUnless(unix.AF_UNIX, 4)
	p.load(dataArgs + 8)
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 0xf) // without the flags
	p.skipUnless(unix.SOCK_STREAM, 1)
	p.end(unix.SECCOMP_RET_ALLOW)
	p.end(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
}

const (
	threadFlags    = unix.CLONE_VM | unix.CLONE_THREAD
	namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME
)

// seccompProgram gives the filter as the kernel takes it. Where the file system is
// the host's, modes and times of files stay as they are: Landlock has no rule for
// them, and a script may be run by the files' owner.
func seccompProgram(level Level) ([]byte, error) {
	var p program
	p.load(dataArch)
	p.jump(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, auditArch, 1, 0)
	p.end(unix.SECCOMP_RET_KILL_PROCESS)
	p.load(dataNumber)
	for _, n := range allowed() {
		p.allow(n)
	}
	for _, n := range allowedHere() {
		p.allow(n)
	}
	if level == Namespaces {
		for _, n := range attributes() {
			p.allow(n)
		}
	}
	// glibc falls back to clone, whose flags can be looked at.
	p.refuse(unix.SYS_CLONE3, uint32(unix.ENOSYS))
	p.refuse(unix.SYS_OPENAT2, uint32(unix.ENOSYS))
	p.allowIf(unix.SYS_CLONE, 0, threadFlags|namespaceFlags, threadFlags)
	p.allowStreamPair()
	// No address: what is connected already may be written to.
	p.allowNull(unix.SYS_SENDTO, 4)
	// On oneself only: a limit of another process is none of a script's business.
	p.allowIf(unix.SYS_PRLIMIT64, 0, 0xffffffff, 0)
	p.allowIf(unix.SYS_IOCTL, 1, 0xffffffff, unix.TCGETS, unix.TIOCGWINSZ, fionbio, fionread, fioclex, fionclex)
	p.allowIf(unix.SYS_FCNTL, 1, 0xffffffff, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
		unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, unix.F_GETPIPE_SZ)
	p.allowIf(unix.SYS_PRCTL, 0, 0xffffffff, unix.PR_SET_NAME, unix.PR_GET_NAME, unix.PR_SET_VMA, unix.PR_GET_DUMPABLE)
	p.end(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	if len(p.code) > unix.BPF_MAXINSNS {
		return nil, errors.New("the filter of system calls is too long")
	}
	out := make([]byte, 0, 8*len(p.code))
	for _, i := range p.code {
		out = binary.NativeEndian.AppendUint16(out, i.Code)
		out = append(out, i.Jt, i.Jf)
		out = binary.NativeEndian.AppendUint32(out, i.K)
	}
	return out, nil
}

// allowed are the system calls that every architecture has.
func allowed() []uint32 {
	return []uint32{
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_PREADV, unix.SYS_PWRITEV,
		unix.SYS_CLOSE, unix.SYS_CLOSE_RANGE, unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_LSEEK, unix.SYS_OPENAT, unix.SYS_GETDENTS64,
		unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT,
		unix.SYS_SYMLINKAT, unix.SYS_FTRUNCATE, unix.SYS_TRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC,
		unix.SYS_GETCWD, unix.SYS_CHDIR, unix.SYS_FCHDIR, unix.SYS_UMASK, unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_FLOCK,
		unix.SYS_FADVISE64, unix.SYS_FALLOCATE, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE, unix.SYS_GETXATTR, unix.SYS_LGETXATTR,
		unix.SYS_FGETXATTR, unix.SYS_LISTXATTR, unix.SYS_LLISTXATTR, unix.SYS_FLISTXATTR,
		unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE, unix.SYS_MEMBARRIER,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPENDING, unix.SYS_RT_SIGTIMEDWAIT,
		unix.SYS_RT_SIGSUSPEND, unix.SYS_SIGALTSTACK, unix.SYS_RESTART_SYSCALL,
		unix.SYS_DUP, unix.SYS_DUP3, unix.SYS_PIPE2, unix.SYS_PPOLL, unix.SYS_PSELECT6, unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL,
		unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_TIMERFD_CREATE, unix.SYS_TIMERFD_SETTIME, unix.SYS_TIMERFD_GETTIME,
		unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_SHUTDOWN, unix.SYS_GETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_GETPARAM, unix.SYS_SCHED_GETSCHEDULER, unix.SYS_SCHED_GET_PRIORITY_MAX,
		unix.SYS_SCHED_GET_PRIORITY_MIN, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES,
		unix.SYS_GETTIMEOFDAY, unix.SYS_TIMES, unix.SYS_GETITIMER, unix.SYS_SETITIMER, unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID,
		unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETGROUPS, unix.SYS_GETRESUID, unix.SYS_GETRESGID,
		unix.SYS_GETPGID, unix.SYS_GETSID, unix.SYS_GETRUSAGE, unix.SYS_SYSINFO, unix.SYS_UNAME, unix.SYS_GETCPU, unix.SYS_GETRANDOM,
		unix.SYS_GETPRIORITY, unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_GET_ROBUST_LIST, unix.SYS_SET_TID_ADDRESS, unix.SYS_RSEQ,
		unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	}
}
