//go:build amd64 || arm64

package script

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	groupsPrefix = "scripts-"
	// interpreterMemory is what a fork of the interpreter takes for itself: pages of
	// boto3 that it copies by counting references, page tables, stacks. Limits.Memory
	// and Limits.Temp come on top.
	interpreterMemory = 96 << 20
	// emptyLimit is how long the kernel may take to end a group that was killed.
	emptyLimit = 5 * time.Second
)

// groups is the control group in which the scripts of one Runner have a group each.
// Its name is locked as long as this process lives.
type groups struct {
	dir    string
	lock   *os.File
	limits Limits
	cpu    bool
}

// openGroups makes a group for the scripts of one Runner below what was handed on to
// this process, after removing those of processes that were killed. An error says
// why that cannot be done, and its hint what would help: scripts run without, too.
func openGroups(limits Limits) (*groups, error) {
	d, err := findDelegation()
	if err != nil {
		return nil, err
	}
	if err := d.divide(); err != nil {
		return nil, err
	}
	sweepGroups(d.base)
	g := &groups{limits: limits, cpu: d.cpu}
	if err := g.make(d.base); err != nil {
		return nil, noGroups(groupHint, "%w", err)
	}
	if err := d.handOn(g.dir); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

// make makes and locks the folder. Between the two another Parry in the same group
// may take it for one that is left over: then it is made again.
func (g *groups) make(base string) error {
	for range 5 {
		dir, err := os.MkdirTemp(base, groupsPrefix)
		if err != nil {
			return err
		}
		lock, err := os.Open(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return errors.Join(err, os.Remove(dir))
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			if _, err := os.Stat(dir); err == nil {
				g.dir, g.lock = dir, lock
				return nil
			}
		}
		_ = lock.Close() // somebody removes it
	}
	return fmt.Errorf("make a group in %s: others remove it", base)
}

// sweepGroups ends and removes the groups that nobody holds.
func sweepGroups(base string) {
	for _, dir := range groupsBelow(base) {
		if !strings.HasPrefix(filepath.Base(dir), groupsPrefix) {
			continue
		}
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = removeGroup(dir) // it is tried again at the next start
		}
		_ = f.Close()
	}
}

// close ends every script and removes their groups.
func (g *groups) close() {
	if g == nil {
		return
	}
	_ = removeGroup(g.dir) // the next start would remove it
	_ = g.lock.Close()
}

// groupsBelow gives the folders of the groups in dir; none when it is gone.
func groupsBelow(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// removeGroup kills what is in a group and below, and removes it.
func removeGroup(dir string) error {
	// Before Linux 5.14 there is no such file; who ends a script kills its process too.
	_ = setGroup(dir, "cgroup.kill", "1")
	for _, below := range groupsBelow(dir) {
		if err := removeGroup(below); err != nil {
			return err
		}
	}
	for waited := time.Duration(0); ; waited += 2 * time.Millisecond {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || waited > emptyLimit {
			return &os.PathError{Op: "rmdir", Path: dir, Err: err}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// memory is the most that one script may take of real memory.
func (g *groups) memory() int64 { return g.limits.Memory + g.limits.Temp + interpreterMemory }

// sentence says to people what the groups bound.
func (g *groups) sentence() string {
	text := fmt.Sprintf("each script has a control group of its own: at most %d MB of memory with its files and the interpreter, and %d processes and threads",
		g.memory()>>20, g.limits.Threads)
	if g.cpu {
		text += "; all together get no more processor time than Parry where both want it"
	}
	return text
}

// group is the control group of one script.
type group struct {
	dir    string
	memory int64
	procs  *os.File // who writes "0" to it moves there
}

// open makes the group of a script.
func (g *groups) open(number int) (*group, error) {
	l := &group{dir: filepath.Join(g.dir, strconv.Itoa(number)), memory: g.memory()}
	if err := os.Mkdir(l.dir, 0o755); err != nil {
		return nil, err
	}
	for _, set := range []struct {
		name, value string
		optional    bool
	}{
		{"memory.max", strconv.FormatInt(l.memory, 10), false},
		{"memory.swap.max", "0", true}, // there only where there is accounting of swap
		{"memory.oom.group", "1", false},
		{"pids.max", strconv.Itoa(g.limits.Threads), false},
	} {
		if err := setGroup(l.dir, set.name, set.value); err != nil && !(set.optional && errors.Is(err, os.ErrNotExist)) {
			return nil, errors.Join(err, unix.Rmdir(l.dir))
		}
	}
	var err error
	if l.procs, err = os.OpenFile(filepath.Join(l.dir, "cgroup.procs"), os.O_WRONLY, 0); err != nil {
		return nil, errors.Join(err, unix.Rmdir(l.dir))
	}
	return l, nil
}

// entered closes the way in.
func (l *group) entered() { _ = l.procs.Close() }

// remove ends what is in the group, and the group.
func (l *group) remove() error { return removeGroup(l.dir) }

// outOfMemory says what memory ended the script for; "" = for none.
//
// The kernel counts in memory.events how often the group met its own limit, and how
// many of its processes were killed, for its own limit or for that of a group above.
func (l *group) outOfMemory() string {
	raw, err := os.ReadFile(filepath.Join(l.dir, "memory.events"))
	if err != nil {
		return ""
	}
	events := counts(string(raw))
	switch {
	case events["oom_kill"] == 0:
		return ""
	case events["oom"] == 0:
		return "the kernel ended the script, since the memory of the machine, or of the group in which Parry runs, was used up"
	default:
		return fmt.Sprintf("the script used more than %d MB of memory, with its files and the interpreter; scripts.memory raises the limit", l.memory>>20)
	}
}

// counts reads lines of a name and a number.
func counts(text string) map[string]int64 {
	out := map[string]int64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			out[name] = n
		}
	}
	return out
}
