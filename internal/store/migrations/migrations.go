// Package migrations holds the schema of both databases as numbered,
// forward-only steps, and applies them. The caller holds the lock that keeps two
// nodes from doing so together.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/parry-security/parry/internal/fault"
)

//go:embed sqlite postgres
var steps embed.FS

// VersionTable is where a database keeps the number of its schema.
const VersionTable = "schema_version"

// Latest is the schema that this program has for a file of a dialect.
func Latest(dialect, file string) (int64, error) {
	names, err := fs.ReadDir(steps, dialect+"/"+file)
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("read migrations of %s: %w", file, err)
	}
	return goose.NumericComponent(names[len(names)-1].Name())
}

// provider hands each step over as one script, which both databases divide
// themselves: goose's own reader takes 4 MB a step, which stay with a process that
// has nothing to do.
func provider(dialect, file string, db *sql.DB) (*goose.Provider, error) {
	name := goose.DialectSQLite3
	if dialect == "postgres" {
		name = goose.DialectPostgres
	}
	folder := dialect + "/" + file
	names, err := fs.ReadDir(steps, folder)
	if err != nil {
		return nil, fmt.Errorf("read migrations of %s: %w", file, err)
	}
	var all []*goose.Migration
	for _, n := range names {
		version, err := goose.NumericComponent(n.Name())
		if err != nil {
			return nil, fmt.Errorf("read migrations of %s: %w", file, err)
		}
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			script, err := fs.ReadFile(steps, folder+"/"+n.Name())
			if err == nil {
				_, err = tx.ExecContext(ctx, string(script))
			}
			return err
		}}, nil))
	}
	p, err := goose.NewProvider(name, db, nil, goose.WithGoMigrations(all...),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithTableName(VersionTable))
	if err != nil {
		return nil, fmt.Errorf("read migrations of %s: %w", file, err)
	}
	return p, nil
}

// Make gives an empty db the schema of an earlier, or this, version of the program.
func Make(ctx context.Context, dialect, file string, version int64, db *sql.DB) error {
	p, err := provider(dialect, file, db)
	if err != nil {
		return err
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		return fmt.Errorf("make schema %d of %s: %w", version, file, err)
	}
	return nil
}

// Apply brings db, the file ("findings" or "execution") of a dialect ("sqlite"
// or "postgres"), to the current schema. A database newer than this program is
// refused: its rows may mean something that this program does not know.
func Apply(ctx context.Context, dialect, file string, db *sql.DB) error {
	p, err := provider(dialect, file, db)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version of %s: %w", file, err)
	}
	if have > want {
		return fault.Errorf(fault.Conflict, "migrate "+file, "the database has schema %d, this program knows %d", have, want).
			WithHint("run the newer version of parry that wrote this database")
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) && partial.Failed != nil {
			return fmt.Errorf("migrate %s, step %d: %w", file, partial.Failed.Source.Version, partial.Err)
		}
		return fmt.Errorf("migrate %s: %w", file, err)
	}
	return nil
}
