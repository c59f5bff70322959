package script

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// allowedHere are the system calls that newer architectures have under one name
// only. Numbers of the x32 interface are none of them.
func allowedHere() []uint32 {
	return []uint32{
		unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_NEWFSTATAT, unix.SYS_OPEN, unix.SYS_CREAT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_MKDIR,
		unix.SYS_RMDIR, unix.SYS_UNLINK, unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_LINK, unix.SYS_SYMLINK, unix.SYS_GETDENTS, unix.SYS_DUP2, unix.SYS_PIPE, unix.SYS_POLL, unix.SYS_SELECT,
		unix.SYS_EPOLL_CREATE, unix.SYS_EPOLL_WAIT, unix.SYS_EVENTFD, unix.SYS_TIME, unix.SYS_ALARM, unix.SYS_PAUSE, unix.SYS_GETPGRP,
		unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT, unix.SYS_ARCH_PRCTL,
	}
}

// attributes are the system calls that change modes and times of files.
func attributes() []uint32 {
	return []uint32{
		unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_CHMOD, unix.SYS_UTIMENSAT, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT,
	}
}
