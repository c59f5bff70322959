package app_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// A node whose data key is not the database's, or was lost and made anew, does not start.
func TestAnotherDataKeyIsRefused(t *testing.T) {
	t.Parallel()
	cfg := config.Config{DataDir: t.TempDir()}
	open := func() error {
		s, _, err := app.OpenStore(t.Context(), cfg, service.SystemClock{})
		if err != nil {
			return err
		}
		return s.Close()
	}
	for range 2 {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(cfg.DataDir, "data.key")
	if err := os.Rename(path, path+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := open(); !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if err := os.Rename(path+".kept", path); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Error(err)
	}
}
