package app

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/parry-security/parry/internal/fault"
)

// dirLock keeps a second server off a data directory: on SQLite two of them
// would each believe that the durable work is theirs.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "serve.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "lock the data directory", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.Errorf(fault.Conflict, "lock the data directory", "another parry serve uses %s", dir).
				WithHint("stop it, or give this one a data_dir of its own; several nodes share PostgreSQL: set database")
		}
		return nil, fault.E(fault.Unavailable, "lock the data directory", err)
	}
	return &dirLock{f}, nil
}

// unlock lets go; the kernel does the same when the process dies.
func (l *dirLock) unlock() {
	if l != nil {
		_ = l.file.Close()
	}
}
