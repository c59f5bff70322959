//go:build linux && (amd64 || arm64)

package script

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/parry-security/parry/internal/fault"
)

func TestMembership(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0::/system.slice/parry.service\n": "/system.slice/parry.service",
		"0::/\n":                           "/",
		"12:memory:/a\n1:name=systemd:/\n0::/b c\n":                 "/b c",
		"0::/system.slice/system-parry\\x2dx.slice/parry@1.service": `/system.slice/system-parry\x2dx.slice/parry@1.service`,
		"0::/..evil\n":                          "/..evil",
		"0::/../../init.scope\n":                "",
		"0::/..\n":                              "",
		"0::/a/../../b\n":                       "",
		"0::relative\n":                         "",
		"4:memory:/process\n1:name=systemd:/\n": "",
		"":                                      "",
		"0::\n":                                 "",
	} {
		got, err := membership(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if err != nil && fault.HintOf(err) == "" {
			t.Errorf("%q: no hint", text)
		}
	}
}

func TestOlderVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0::/x\n": "", "": "", "memory\n": "", "1:name=systemd:/\n0::/memory\n": "",
		"4:memory:/\n0::/x\n": "memory", "3:cpuset,pids:/a:b\n0::/\n": "pids", "8:hugetlb:/memory\n": "",
	} {
		if got := olderVersion(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestGroupFolder(t *testing.T) {
	t.Parallel()
	const line = "30 23 0:26 %s %s rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mount := func(root, at string) string {
		return strings.Replace(strings.Replace(line, "%s", root, 1), "%s", at, 1)
	}
	const others = "22 1 0:20 / / rw - ext4 /dev/sda rw\n25 22 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\nbroken\n - cgroup2\n"
	for name, c := range map[string]struct{ mounts, at, dir, within string }{
		"host":            {others + mount("/", "/sys/fs/cgroup"), "/system.slice/parry.service", "/sys/fs/cgroup/system.slice/parry.service", "/system.slice/parry.service"},
		"container":       {mount("/", "/sys/fs/cgroup"), "/", "/sys/fs/cgroup", "/"},
		"shown as it is":  {mount("/docker/c1", "/sys/fs/cgroup"), "/docker/c1", "/sys/fs/cgroup", "/"},
		"below it":        {mount("/docker/c1", "/sys/fs/cgroup"), "/docker/c1/parry", "/sys/fs/cgroup/parry", "/parry"},
		"another's":       {mount("/docker/c1", "/a") + mount("/", "/b"), "/docker/c12", "/b/docker/c12", "/docker/c12"},
		"outside of ours": {mount("/..", "/a"), "/x", "", ""},
		"spaces":          {mount("/", `/my\040groups`), "/x", "/my groups/x", "/x"},
		"nowhere":         {others, "/x", "", ""},
		"nothing":         {"", "/x", "", ""},
	} {
		dir, within, err := groupFolder(c.mounts, c.at)
		if dir != c.dir || within != c.within || (err == nil) != (c.dir != "") {
			t.Errorf("%s: %q, %q, %v", name, dir, within, err)
		}
	}
}

// FuzzGroupFolder looks for texts with which the folder is not below what is mounted.
func FuzzGroupFolder(f *testing.F) {
	f.Add("0::/a/b\n", "30 23 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	f.Add("0::/../x\n", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
	f.Fuzz(func(t *testing.T, self, mounts string) {
		at, err := membership(self)
		if err != nil {
			return
		}
		dir, within, err := groupFolder(mounts, at)
		if err != nil {
			return
		}
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || !strings.HasSuffix(dir, strings.TrimSuffix(within, "/")) || strings.Contains(within, "/../") {
			t.Errorf("folder %q, path %q", dir, within)
		}
	})
}

// fakeGroup makes the files of a group in a folder.
func fakeGroup(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsable(t *testing.T) {
	t.Parallel()
	all := map[string]string{"cgroup.procs": "", "cgroup.subtree_control": "", "cgroup.type": "domain\n", "cgroup.controllers": "cpuset cpu io memory pids\n"}
	for name, c := range map[string]struct{ file, text, want string }{
		"all":         {"", "", ""},
		"no cpu":      {"cgroup.controllers", "memory pids\n", ""},
		"no memory":   {"cgroup.controllers", "cpu pids\n", "no controller for memory"},
		"neither":     {"cgroup.controllers", "hugetlb\n", "no controller for memory and pids"},
		"threaded":    {"cgroup.type", "threaded\n", `of type "threaded"`},
		"not there":   {"cgroup.procs", "-", "cgroup.procs cannot be written"},
		"cannot tell": {"cgroup.controllers", "-", "no such file"},
	} {
		files := map[string]string{}
		for k, v := range all {
			if files[k] = v; k == c.file {
				files[k] = c.text
			}
		}
		if c.text == "-" {
			delete(files, c.file)
		}
		d, err := usable(fakeGroup(t, files))
		switch {
		case c.want == "" && (err != nil || d.base == "" || d.cpu != (name == "all")):
			t.Errorf("%s: %+v, %v", name, d, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == ""):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsHandedOn(t *testing.T) {
	t.Parallel()
	plain, typed, marked := fakeGroup(t, nil), fakeGroup(t, map[string]string{"cgroup.type": "domain\n"}), fakeGroup(t, nil)
	for name, c := range map[string]struct {
		dir, within string
		want        bool
	}{
		"the machine's root": {plain, "/", false}, "where a container begins": {typed, "/", true}, "somebody's": {typed, "/user.slice/x", false},
	} {
		if got := handedOn(c.dir, c.within); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if err := unix.Setxattr(marked, "user.delegate", []byte("1"), 0); err != nil {
		t.Skip("the temporary folder takes no attributes: ", err)
	}
	if !handedOn(marked, "/system.slice/parry.service") {
		t.Error("systemd's mark is not seen")
	}
	if err := unix.Setxattr(marked, "user.delegate", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if handedOn(marked, "/system.slice/parry.service") {
		t.Error("a mark that says no is taken for yes")
	}
}

func TestWhyMemoryEndedAScript(t *testing.T) {
	t.Parallel()
	for events, want := range map[string]string{
		"low 0\nhigh 0\nmax 9\noom 0\noom_kill 0\noom_group_kill 0\n": "",
		"low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 1\n": "the script used more than 224 MB",
		"low 0\nhigh 0\nmax 0\noom 0\noom_kill 1\noom_group_kill 0\n": "of the group in which Parry runs",
		"oom x\noom_kill\n": "",
	} {
		g := group{dir: fakeGroup(t, map[string]string{"memory.events": events}), memory: 224 << 20}
		if got := g.outOfMemory(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q", events, got)
		}
	}
	if got := (&group{dir: t.TempDir()}).outOfMemory(); got != "" {
		t.Errorf("without a file: %q", got)
	}
}
