package app

import (
	"context"
	"errors"
	"os"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/backup"
	"github.com/parry-security/parry/internal/store/migrations"
)

// Schema is what schema a file of the database has, and what this program has.
type Schema struct {
	File store.File `json:"file"`
	From int64      `json:"from"` // 0 = there is none yet
	To   int64      `json:"to"`
}

// Pending reports whether there is something to migrate.
func (s Schema) Pending() bool { return s.From < s.To }

// SchemaState reads the schemas of the database that cfg names, and changes nothing. A
// newer one than this program knows is refused.
func SchemaState(ctx context.Context, cfg config.Config) (out []Schema, err error) {
	const op = "read the schema"
	target, dialect := backup.Target{Dir: cfg.DataDir, URL: cfg.Database}, "sqlite"
	if cfg.Database != "" {
		dialect = "postgres"
	}
	d, err := target.Current(ctx)
	if err != nil {
		return nil, err
	}
	if d != nil {
		defer func() { err = errors.Join(err, d.Close()) }()
	}
	for _, f := range []store.File{store.Findings, store.Execution} {
		one := Schema{File: f}
		if one.To, err = migrations.Latest(dialect, string(f)); err != nil {
			return nil, fault.E(fault.Internal, op, err)
		}
		if d != nil {
			if one.From, err = d.Version(ctx, f); err != nil {
				return nil, err
			}
		}
		if one.From > one.To {
			return nil, fault.Errorf(fault.Conflict, op, "%s has schema %d, this program knows %d", f, one.From, one.To).
				WithHint("run the newer version of parry that wrote this database")
		}
		out = append(out, one)
	}
	return out, nil
}

// Migrate brings the database that cfg names to the schema of this program, and gives
// from which to which each file went. No server may run on it.
func Migrate(ctx context.Context, cfg config.Config) ([]Schema, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fault.E(fault.Unavailable, "make the data directory", err).WithHint("set data_dir to a directory that this user may write")
	}
	unlock, err := alone(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer unlock()
	state, err := SchemaState(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, _, err := OpenStore(ctx, cfg, service.SystemClock{})
	if err != nil {
		return nil, err
	}
	return state, s.Close()
}
