package script

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// allowedHere are the system calls that have another name on this architecture.
func allowedHere() []uint32 {
	return []uint32{unix.SYS_FSTATAT, unix.SYS_RENAMEAT, unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT}
}

// attributes are the system calls that change modes and times of files.
func attributes() []uint32 {
	return []uint32{unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT}
}
