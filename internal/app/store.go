package app

import (
	"context"
	"os"
	"path/filepath"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// OpenStore opens the database that cfg names, migrates it, and gives the
// sealer of its data key, which must be the one that the database is sealed with. The data directory is made when missing, for this
// user only.
func OpenStore(ctx context.Context, cfg config.Config, clock service.Clock) (*store.Store, *seal.Keyring, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, nil, fault.E(fault.Unavailable, "make the data directory", err).WithHint("set data_dir to a directory that this user may write")
	}
	keyring, err := seal.Open(filepath.Join(cfg.DataDir, "data.key"))
	if err != nil {
		return nil, nil, err
	}
	var s *store.Store
	if cfg.Database != "" {
		s, err = postgres.Open(ctx, postgres.Config{URL: cfg.Database, Sealer: keyring, Clock: clock})
	} else {
		s, err = sqlite.Open(ctx, sqlite.Config{Dir: cfg.DataDir, Sealer: keyring, Clock: clock})
	}
	if err != nil {
		return nil, nil, err
	}
	err = s.Migrate(ctx)
	if err == nil {
		err = s.CheckKey(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return s, keyring, nil
}
