package app

import (
	"path/filepath"
	"testing"

	"github.com/parry-security/parry/internal/fault"
)

func TestOneServerPerDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("a second server: %v (hint: %s)", err, fault.HintOf(err))
	}
	first.unlock()
	second, err := lockDir(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	second.unlock()
	var none *dirLock
	none.unlock() // a server on PostgreSQL has none
	if _, err := lockDir(filepath.Join(dir, "missing")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

func TestRegionOf(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:sns:eu-central-1:111122223333:alerts": "eu-central-1",
		"arn:aws:s3:::bucket":                          "",
		"arn:aws:sns:eu-central-1":                     "",
		"":                                             "",
	} {
		if got := regionOf(arn); got != want {
			t.Errorf("region of %q is %q, want %q", arn, got, want)
		}
	}
}
