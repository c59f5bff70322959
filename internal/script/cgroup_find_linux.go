//go:build amd64 || arm64

package script

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/parry-security/parry/internal/fault"
)

// Control groups of version 2, as the kernel and systemd describe them:
//
// https://docs.kernel.org/admin-guide/cgroup-v2.html
// https://systemd.io/CGROUP_DELEGATION/
const (
	// ownGroup is the group below the one that is handed on in which Parry itself
	// runs: a group that hands controllers on may have no processes of its own.
	ownGroup  = "parry"
	groupHint = "hand a control group on to Parry: Delegate=yes in the [Service] section of its systemd unit (to try it: systemd-run -t -p Delegate=yes parry doctor); " +
		"docker run --security-opt writable-cgroups=true; podman run --security-opt unmask=/sys/fs/cgroup"
	unifiedHint = "boot with control groups of version 2 alone (systemd.unified_cgroup_hierarchy=1)"
)

// neededControllers are those without which a group would bound nothing.
func neededControllers() []string { return []string{"memory", "pids"} }

// delegation is a control group that somebody handed on to this process.
type delegation struct {
	base string // the group that is ours to divide
	cpu  bool   // it can also divide processor time
}

func noGroups(hint, format string, args ...any) error {
	return fault.Errorf(fault.Unavailable, "", format, args...).WithHint("%s", hint)
}

// findDelegation looks for the group that was handed on, and changes nothing. An
// error says why there is none; its hint says what to do.
func findDelegation() (delegation, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return delegation{}, noGroups(unifiedHint, "%w", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return delegation{}, noGroups(unifiedHint, "%w", err)
	}
	if counted := olderVersion(string(own)); counted != "" {
		return delegation{}, noGroups(unifiedHint, "the controller for %s is in control groups of version 1", counted)
	}
	at, err := membership(string(own))
	if err != nil {
		return delegation{}, err
	}
	dir, within, err := groupFolder(string(mounts), at)
	if err != nil {
		return delegation{}, err
	}
	switch {
	// It was made by us before, or by systemd's DelegateSubgroup=parry.
	case path.Base(within) == ownGroup && handedOn(filepath.Dir(dir), path.Dir(within)):
		dir = filepath.Dir(dir)
	case !handedOn(dir, within):
		return delegation{}, noGroups(groupHint, "nobody handed the control group %s on to this process", at)
	}
	return usable(dir)
}

// membership gives the path of a process's group, from its /proc/PID/cgroup.
func membership(text string) (string, error) {
	for line := range strings.Lines(text) {
		at, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		switch {
		case !found:
		case !path.IsAbs(at) || path.Clean(at) != at || at == "/.." || strings.HasPrefix(at, "/../"):
			return "", noGroups(groupHint, "this process is in control group %.200q, which is not below those that it sees", at)
		default:
			return at, nil
		}
	}
	return "", noGroups(unifiedHint, "the kernel has no control groups of version 2")
}

// olderVersion gives a controller that we need and that version 1 has, from the same file.
func olderVersion(text string) string {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) < 3 {
			continue
		}
		for name := range strings.SplitSeq(fields[1], ",") {
			if slices.Contains(neededControllers(), name) {
				return name
			}
		}
	}
	return ""
}

// groupFolder gives the folder of the group at path, from a /proc/PID/mountinfo, and
// the group's path below what is mounted there: "/" where the group is all we see.
func groupFolder(mountinfo, at string) (dir, within string, err error) {
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 5 || len(kind) == 0 || kind[0] != "cgroup2" {
			continue
		}
		root, mounted := unescape(fields[3]), unescape(fields[4])
		within, below := strings.CutPrefix(at, strings.TrimSuffix(root, "/"))
		if !below || !filepath.IsAbs(mounted) || within != "" && within[0] != '/' {
			continue
		}
		within = path.Clean("/" + within)
		return filepath.Join(mounted, within), within, nil
	}
	return "", "", noGroups(unifiedHint, "control groups of version 2 are mounted nowhere")
}

// unescape undoes the octal numbers of mountinfo.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// handedOn reports whether a group is ours to divide: systemd has marked it, or it
// is where the tree that we see begins, as in a container, and not the machine's own root.
func handedOn(dir, within string) bool {
	if within == "/" {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.type")); err == nil {
			return true
		}
	}
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// usable says whether the group in dir can be divided in what bounds a script.
func usable(dir string) (delegation, error) {
	kind, err := os.ReadFile(filepath.Join(dir, "cgroup.type"))
	if err == nil && strings.TrimSpace(string(kind)) != "domain" {
		return delegation{}, noGroups(groupHint, "the control group %s is of type %.40q", dir, strings.TrimSpace(string(kind)))
	}
	for _, name := range []string{".", "cgroup.procs", "cgroup.subtree_control"} {
		file := filepath.Join(dir, name)
		if err := unix.Faccessat(unix.AT_FDCWD, file, unix.W_OK, unix.AT_EACCESS); err != nil {
			return delegation{}, noGroups(groupHint, "%s cannot be written: %w", file, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return delegation{}, noGroups(groupHint, "%w", err)
	}
	has := strings.Fields(string(raw))
	missing := slices.DeleteFunc(neededControllers(), func(name string) bool { return slices.Contains(has, name) })
	if len(missing) > 0 {
		return delegation{}, noGroups(groupHint, "the control group %s has no controller for %s", dir, strings.Join(missing, " and "))
	}
	return delegation{base: dir, cpu: slices.Contains(has, "cpu")}, nil
}

// divide moves the processes of the group into the one below it that is Parry's own,
// and hands the controllers on.
func (d delegation) divide() error {
	own := filepath.Join(d.base, ownGroup)
	if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return noGroups(groupHint, "%w", err)
	}
	if err := d.vacate(own); err != nil {
		return noGroups(groupHint, "move the processes of %s: %w", d.base, err)
	}
	return d.handOn(d.base)
}

// vacate moves what runs in the group itself to own: this process, and who else
// was started in it, such as the shell that started us.
func (d delegation) vacate(own string) error {
	const rounds = 10 // while we move them they may start others
	for range rounds {
		raw, err := os.ReadFile(filepath.Join(d.base, "cgroup.procs"))
		if err != nil {
			return err
		}
		pids := strings.Fields(string(raw))
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if pid == "0" {
				return errors.New("one of them is of another pid namespace")
			}
			if err := setGroup(own, "cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return errors.New("more come than are moved")
}

// handOn lets the groups below dir use the controllers.
func (d delegation) handOn(dir string) error {
	names := neededControllers()
	if d.cpu {
		names = append(names, "cpu")
	}
	for _, name := range names {
		if err := setGroup(dir, "cgroup.subtree_control", "+"+name); err != nil {
			return noGroups(groupHint, "hand on the controller for %s: %w", name, err)
		}
	}
	return nil
}

// setGroup writes one of the files that a group is.
func setGroup(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", value, err)
	}
	return nil
}
