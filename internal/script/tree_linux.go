//go:build amd64 || arm64

package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// tree is the file system that scripts see: what the interpreter needs, at the
// paths at which the host has it.
type tree struct {
	Dirs  []string    `json:"dirs"`
	Links [][2]string `json:"links"` // path, target
	Binds []string    `json:"binds"` // real paths, read-only
}

// maxLinks ends a circle of symbolic links.
const maxLinks = 40

// planTree finds out what the interpreter needs. Nothing of it is a directory in
// which people keep other things.
func planTree(r Report) (tree, error) {
	var t tree
	paths := []string{r.Python, r.Executable, filepath.Join(r.Prefix, "pyvenv.cfg"), "/etc/ld.so.cache", "/usr/share/zoneinfo"}
	for _, p := range r.Paths {
		if wide(p) {
			return t, fault.Errorf(fault.Unavailable, "make a file system for scripts", "Python looks for modules in %s, where there is more than modules", p).
				WithHint("%s", pythonHint)
		}
		paths = append(paths, p)
	}
	dirs := []string{}
	for _, lib := range r.Libraries {
		dirs = append(dirs, filepath.Dir(lib))
	}
	// The loader is asked for by a name that is not in the process's map.
	dirs = append(dirs, "/lib64", "/lib")
	for _, d := range dirs {
		if wide(d) {
			continue
		}
		if d == "/lib" || d == "/lib64" {
			if info, err := os.Lstat(d); err != nil || info.Mode()&fs.ModeSymlink == 0 {
				d = loaderIn(d)
			} else {
				if err := t.add(d, false); err != nil {
					return t, fmt.Errorf("make a file system for scripts: %w", err)
				}
				d = loaderIn(d)
			}
		}
		if d != "" {
			paths = append(paths, d)
		}
	}
	for _, p := range paths {
		if err := t.add(p, true); err != nil {
			return t, fmt.Errorf("make a file system for scripts: %w", err)
		}
	}
	t.tidy()
	return t, nil
}

// loaderIn gives the dynamic loader in a library directory, "" without one.
func loaderIn(dir string) string {
	for _, pattern := range []string{"ld-linux*.so*", "ld-musl*.so*"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// wide reports whether p holds far more than an interpreter needs.
func wide(p string) bool {
	p = filepath.Clean(p)
	if home, err := os.UserHomeDir(); err == nil && p == filepath.Clean(home) {
		return true
	}
	return slices.Contains([]string{"/", "/root", "/home", "/etc", "/var", "/var/lib", "/usr", "/opt", "/srv", "/tmp", "/run", "/proc", "/sys", "/dev", "/mnt", "/usr/local"}, p)
}

// add enters a path: its symbolic links as they are, and what it comes to as a
// bind. What does not exist is left out.
func (t *tree) add(path string, binds bool) error {
	rest := strings.Split(strings.Trim(filepath.Clean(path), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return fmt.Errorf("%s: too many symbolic links", path)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		t.Links = append(t.Links, [2]string{next, target})
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(next), target)
		}
		rest = append(strings.Split(strings.Trim(filepath.Clean(target), "/"), "/"), rest...)
		at = "/"
	}
	if binds {
		t.Binds = append(t.Binds, at)
	} else {
		t.Dirs = append(t.Dirs, at)
	}
	return nil
}

// tidy removes what is there twice, and what lies below another bind.
func (t *tree) tidy() {
	slices.Sort(t.Binds)
	t.Binds = slices.Compact(t.Binds)
	t.Binds = slices.DeleteFunc(t.Binds, func(p string) bool {
		return slices.ContainsFunc(t.Binds, func(q string) bool { return below(p, q) })
	})
	inBind := func(p string) bool {
		return slices.ContainsFunc(t.Binds, func(q string) bool { return p == q || below(p, q) })
	}
	slices.SortFunc(t.Links, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	t.Links = slices.CompactFunc(t.Links, func(a, b [2]string) bool { return a[0] == b[0] })
	t.Links = slices.DeleteFunc(t.Links, func(l [2]string) bool { return inBind(l[0]) })
	t.Dirs = slices.DeleteFunc(t.Dirs, inBind)
}

func below(p, dir string) bool { return strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") }

// within reports whether any of t is below dir.
func (t tree) within(dir string) bool {
	return slices.ContainsFunc(t.Binds, func(p string) bool { return below(p, dir) }) ||
		slices.ContainsFunc(t.Links, func(l [2]string) bool { return below(l[0], dir) })
}

// readable gives the paths that scripts may read where the file system is the
// host's.
func (t tree) readable() []string { return append(slices.Clone(t.Binds), devices()...) }
