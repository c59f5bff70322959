package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store/backup"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// databaseActor is who the audit log names for a restore and a move.
const databaseActor = "parry/db"

// BackupOptions say how a backup is made.
type BackupOptions struct {
	Path     string // a file to be, or a directory in which it gets a name
	Version  string // of the program
	WithKey  bool   // put the data key in
	Progress backup.Progress
}

// Backup writes an archive of the database that cfg names, with a server on it or
// without, and gives its path.
func Backup(ctx context.Context, cfg config.Config, o BackupOptions) (string, backup.Manifest, error) {
	keyring, err := existingKey(cfg)
	if err != nil {
		return "", backup.Manifest{}, err
	}
	order := backup.Order{Path: o.Path, Program: o.Version, Now: service.SystemClock{}.Now(), Sealer: keyring, Progress: o.Progress}
	if info, err := os.Stat(o.Path); err == nil && info.IsDir() {
		order.Path = filepath.Join(o.Path, backup.Name(order.Now))
	}
	if o.WithKey {
		if order.Key, err = os.ReadFile(keyPath(cfg)); err != nil {
			return "", backup.Manifest{}, fault.E(fault.Unavailable, "read the data key", err)
		}
	}
	d, err := openDatabase(ctx, cfg)
	if err != nil {
		return "", backup.Manifest{}, err
	}
	m, err := backup.Write(ctx, d, order)
	return order.Path, m, errors.Join(err, d.Close())
}

func openDatabase(ctx context.Context, cfg config.Config) (*backup.Database, error) {
	if cfg.Database != "" {
		return backup.OpenPostgres(ctx, cfg.Database)
	}
	return backup.OpenSQLite(ctx, cfg.DataDir)
}

func keyPath(cfg config.Config) string { return filepath.Join(cfg.DataDir, "data.key") }

// existingKey opens the data key and never makes one: a new one opens nothing.
func existingKey(cfg config.Config) (*seal.Keyring, error) {
	if _, err := os.Stat(keyPath(cfg)); err != nil {
		return nil, fault.E(fault.NotFound, "open the data key", err).WithHint("put the data.key of this installation into %s", cfg.DataDir)
	}
	return seal.Open(keyPath(cfg))
}

// RestoreOptions say how a backup is restored.
type RestoreOptions struct {
	Path     string
	Replace  bool // what is in the database
	UseKey   bool // take the data key that is in the archive
	Checking backup.Progress
	Progress backup.Progress
}

// Restore verifies an archive whole, then puts what it holds into the database that cfg
// names. No server may run on it.
func Restore(ctx context.Context, cfg config.Config, o RestoreOptions) (m backup.Manifest, out backup.Settled, err error) {
	var keyring *seal.Keyring
	a, err := backup.Open(o.Path, func(text []byte) (backup.Sealer, error) {
		var err error
		keyring, err = restoreKey(cfg, text, o.UseKey)
		return keyring, err
	})
	if err != nil {
		return m, out, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	m = a.Manifest
	if err := a.Verify(ctx, o.Checking); err != nil {
		return m, out, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return m, out, fault.E(fault.Unavailable, "make the data directory", err)
	}
	unlock, err := alone(ctx, cfg)
	if err != nil {
		return m, out, err
	}
	defer unlock()
	target := backup.Target{Dir: cfg.DataDir, URL: cfg.Database}
	if !o.Replace {
		if err := target.Empty(ctx, "to lose what is there, run it again with --replace; a backup of it first: parry db backup"); err != nil {
			return m, out, err
		}
	}
	if o.UseKey {
		if err := installKey(cfg, a.Key); err != nil {
			return m, out, err
		}
	}
	out, err = backup.Restore(ctx, a, target, backup.Settings{Sealer: keyring, Clock: service.SystemClock{}, Actor: databaseActor, Progress: o.Progress})
	return m, out, err
}

// restoreKey gives the data key under which an archive is to be read: that of the
// installation, or its own where that was asked for and contradicts none.
func restoreKey(cfg config.Config, text []byte, use bool) (*seal.Keyring, error) {
	const op = "choose the data key"
	if !use {
		keyring, err := existingKey(cfg)
		if err != nil && len(text) > 0 {
			err = fault.E(fault.NotFound, op, errors.New("there is none in the data directory, and one in the backup")).WithHint("if you trust the backup, run it again with --use-key")
		}
		return keyring, err
	}
	if len(text) == 0 {
		return nil, fault.Errorf(fault.Invalid, op, "there is no data key in the backup").WithHint("put the data.key of the installation into %s and leave --use-key out", cfg.DataDir)
	}
	have, err := os.ReadFile(keyPath(cfg))
	if err == nil && string(have) != string(text) {
		return nil, fault.Errorf(fault.Conflict, op, "the data key in %s is another than that of the backup", cfg.DataDir).
			WithHint("leave --use-key out, or move data.key elsewhere first: nothing opens what it sealed but it")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.E(fault.Unavailable, op, err)
	}
	keyring, err := seal.Parse(text)
	if err != nil {
		return nil, fault.E(fault.Invalid, op, err)
	}
	return keyring, nil
}

func installKey(cfg config.Config, text []byte) error {
	f, err := os.OpenFile(keyPath(cfg), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // the same, as restoreKey saw
	}
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return fault.E(fault.Unavailable, "write the data key", err)
	}
	return nil
}

// alone makes sure that no server runs on the database, and keeps the next one out
// where it can: on SQLite.
func alone(ctx context.Context, cfg config.Config) (unlock func(), err error) {
	if cfg.Database == "" {
		lock, err := lockDir(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		return lock.unlock, nil
	}
	return func() {}, noNodes(ctx, cfg.Database)
}

func noNodes(ctx context.Context, url string) error {
	return postgres.Alone(ctx, url, service.SystemClock{}.Now())
}

// MoveOptions say how a database is moved.
type MoveOptions struct {
	To       string // URL of an empty PostgreSQL database
	Progress backup.Progress
	Checking backup.Progress
}

// Move copies the SQLite files of cfg to PostgreSQL and compares both. No server may run.
func Move(ctx context.Context, cfg config.Config, o MoveOptions) (out backup.Moved, err error) {
	const op = "move the database"
	if cfg.Database != "" {
		return out, fault.Errorf(fault.Invalid, op, "the configuration names PostgreSQL already: only the SQLite files in data_dir are moved").
			WithHint("from one PostgreSQL to another: parry db backup, then parry db restore with the other one in parry.yaml")
	}
	if _, err := existingKey(cfg); err != nil {
		return out, err
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return out, err
	}
	defer lock.unlock()
	if err := noNodes(ctx, o.To); err != nil {
		return out, err
	}
	target := backup.Target{Dir: cfg.DataDir, URL: o.To}
	if err := target.Empty(ctx, "name an empty database; if this one came from an earlier move that ended, set database in parry.yaml"); err != nil {
		return out, err
	}
	if err := nothingUnderWay(ctx, cfg); err != nil {
		return out, err
	}
	// What an earlier run left may be behind its last step only.
	if err := os.Remove(filepath.Join(cfg.DataDir, sqlite.MovedMark)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, fault.E(fault.Unavailable, op, err)
	}
	s, keyring, err := OpenStore(ctx, cfg, service.SystemClock{}) // brings the files to the current schema
	if err != nil {
		return out, err
	}
	if err := s.Close(); err != nil {
		return out, err
	}
	return backup.Move(ctx, cfg.DataDir, target, backup.Settings{Sealer: keyring, Clock: service.SystemClock{}, Actor: databaseActor, Progress: o.Progress}, o.Checking)
}

// nothingUnderWay refuses work that stands in the durable engine's own tables, which are
// not moved. Executions that wait are rows of the store.
func nothingUnderWay(ctx context.Context, cfg config.Config) (err error) {
	path := filepath.Join(cfg.DataDir, "durable.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := durable.OpenSQLite(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ids, err := durable.Unfinished(ctx, db)
	if err != nil || len(ids) == 0 {
		return err
	}
	return fault.Errorf(fault.Conflict, "move the database", "%d execution(s) are under way, the first is %.100q", len(ids), ids[0]).
		WithHint("start parry serve, run: parry stop on --reason 'move of the database'; wait until parry remediation list shows none that is running, stop the server, and run it again")
}

// WarnOfKey says what must be said of an archive with the data key in it.
func WarnOfKey(w io.Writer, path string) {
	fmt.Fprintf(w, "WARNING: %s holds the data key. Whoever reads this file reads every secret, plan and before-image in it,\n"+
		"and can write backups that this installation trusts. Keep it where you keep the key, not where you keep backups.\n", path)
}
