//go:build amd64 || arm64

package script

import (
	"errors"

	"golang.org/x/sys/unix"
)

// landlock gives the rules for the version of Landlock that the kernel has, or an
// error where it has none. See https://docs.kernel.org/userspace-api/landlock.html
func landlock(paths []string) (*landlockRules, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return nil, errors.New("the kernel has no Landlock, or it is switched off: " + errno.Error())
	}
	r := &landlockRules{FS: 1<<13 - 1, Size: 8, Paths: paths}
	if version >= 2 {
		r.FS |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		r.FS |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		r.Size, r.Net = 16, unix.LANDLOCK_ACCESS_NET_BIND_TCP|unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if version >= 5 {
		r.FS |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		r.Size, r.Scope = 24, unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET|unix.LANDLOCK_SCOPE_SIGNAL
	}
	return r, nil
}
