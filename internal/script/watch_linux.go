//go:build amd64 || arm64

package script

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// watchInterval bounds what a script can take between two looks.
const watchInterval = 100 * time.Millisecond

// watch ends the child when it takes more of what the kernel does not count for
// one execution without namespaces: threads, and space on the host's disk. It
// returns with ctx.
func (c *child) watch(ctx context.Context, limits Limits) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.over:
			return
		case <-ticker.C:
		}
		var limit string
		switch {
		case threads(c.pid) > limits.Threads:
			limit = LimitThreads
		case folderSize(c.temp, limits.Temp) > limits.Temp:
			limit = LimitTemp
		default:
			continue
		}
		c.mu.Lock()
		c.limit = limit
		c.mu.Unlock()
		c.kill()
		return
	}
}

// threads counts the threads of a process, 0 when it has ended. The number is not
// another's: the interpreter waits for its child before the kernel gives it away.
func threads(pid int) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "\nThreads:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	return n
}

// maxEntries bounds what one look at a folder costs.
const maxEntries = 20_000

// folderSize adds up the files below dir; more than maxEntries of them count as too
// much.
func folderSize(dir string, limit int64) int64 {
	var size int64
	entries := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what is removed while we look takes no space
		}
		if entries++; entries > maxEntries || size > limit {
			return fs.SkipAll
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	if err != nil || entries > maxEntries {
		return limit + 1
	}
	return size
}
