//go:build linux && (amd64 || arm64)

package script

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestFoldersThatNobodyHoldsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{tempPrefix + "left", tempPrefix + "held", "another"} {
		if err := os.MkdirAll(filepath.Join(dir, name, "1"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(dir, "another")
	if err := os.Symlink(target, filepath.Join(dir, tempPrefix+"link")); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, tempPrefix+"held"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() })
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	sweep(dir, time.Now()) // all are too young
	sweep(dir, time.Now().Add(time.Hour))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{"another", tempPrefix + "held", tempPrefix + "link"}, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}
