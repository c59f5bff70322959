//go:build amd64 || arm64

package script

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// helperSpec is what the helper reads from treeFD.
type helperSpec struct {
	Tree   tree   `json:"tree"`
	Python string `json:"python"`
}

// MaybeChild does the helper's work where this process was started as the helper,
// and gives its exit code; otherwise it gives false at once. main calls it before
// anything else, and so does the TestMain of a package whose tests run scripts.
//
// The helper is the first process in its namespaces: it makes the file system that
// scripts see and becomes the interpreter.
func MaybeChild() (code int, helper bool) {
	if len(os.Args) != 2 || os.Args[0] != helperName || os.Args[1] != helperGuard {
		return 0, false
	}
	fmt.Fprintln(os.Stderr, help())
	return 1, true
}

// help gives why it did not become the interpreter.
func help() error {
	raw, err := io.ReadAll(io.LimitReader(os.NewFile(treeFD, "tree"), 1<<20))
	if err != nil {
		return err
	}
	var spec helperSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return err
	}
	own, err := unix.Open("/proc/self/ns/pid", unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open the pid namespace: %w", err)
	}
	if err := unix.Dup3(own, pidNamespace, 0); err != nil {
		return err
	}
	if err := unix.Close(own); err != nil {
		return err
	}
	if err := spec.Tree.build(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("scripts")); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	return fmt.Errorf("become %s: %w", spec.Python, syscall.Exec(spec.Python, interpreterArgs(spec.Python), cleanEnvironment("/tmp")))
}

// old is where the host's file system is while the new one is made.
const old = "/.host"

// build makes the file system of scripts out of binds, and leaves the host's.
func (t tree) build() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mount a root", func() error {
			return unix.Mount("tmpfs", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,nr_inodes=4096,mode=0755")
		}},
		{"make a place for the host", func() error { return os.Mkdir("/tmp"+old, 0o700) }},
		{"change the root", func() error { return unix.PivotRoot("/tmp", "/tmp"+old) }},
		{"go there", func() error { return unix.Chdir("/") }},
		{"fill it", t.fill},
		{"leave the host", func() error { return unix.Unmount(old, unix.MNT_DETACH) }},
		{"remove its place", func() error { return os.Remove(old) }},
		{"make the root read-only", func() error {
			return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
		}},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (t tree) fill() error {
	for _, dir := range append([]string{"/tmp", "/dev", "/proc"}, t.Dirs...) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, l := range t.Links {
		if err := os.MkdirAll(filepath.Dir(l[0]), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(l[1], l[0]); err != nil {
			return err
		}
	}
	for _, path := range t.Binds {
		if err := bind(path, true); err != nil {
			return err
		}
	}
	for _, device := range devices() {
		if err := bind(device, false); err != nil {
			return err
		}
	}
	return nil
}

// bind shows what the host has at path at the same path, read-only unless it is a
// device.
func bind(path string, readOnly bool) error {
	from := old + path
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(path, 0o755)
	} else {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = touch(path)
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(from, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", path, err)
	}
	if !readOnly {
		return nil
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("make %s read-only: %w", path, err)
	}
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	return f.Close()
}

func devices() []string { return []string{"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"} }
