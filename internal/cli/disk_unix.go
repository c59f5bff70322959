//go:build linux || darwin || freebsd

package cli

import "golang.org/x/sys/unix"

// freeSpace gives the bytes that this user may still write where path is.
func freeSpace(path string) (free, total uint64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0, 0, false
	}
	size := uint64(s.Bsize)                               //nolint:gosec // its type differs between systems
	return uint64(s.Bavail) * size, s.Blocks * size, true //nolint:gosec,unconvert // as above
}
