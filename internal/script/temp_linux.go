//go:build amd64 || arm64

package script

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parry-security/parry/internal/service"
)

const (
	tempPrefix = "parry-scripts-"
	// tempAge keeps the sweep from a folder that has been made and not yet locked.
	tempAge  = time.Minute
	maxSweep = 1000
)

// tempFolder makes the folder of the executions' folders, and holds it by a lock
// that ends with this process. Folders of processes that were killed are removed.
func tempFolder() (string, *os.File, error) {
	sweep(os.TempDir(), service.SystemClock{}.Now())
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return "", nil, err
	}
	lock, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// sweep removes the folders in dir that are ours and that nobody holds.
func sweep(dir string, now time.Time) {
	found, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range found[:min(len(found), maxSweep)] {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !mine(info) || now.Sub(info.ModTime()) < tempAge {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(path) // it is tried again at the next start
		}
		_ = f.Close()
	}
}

func mine(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
